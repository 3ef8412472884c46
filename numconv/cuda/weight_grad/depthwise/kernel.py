"""Weight gradient of a depthwise convolution: dw[c, r] = Σ_{n, p} dy[n, c, p] · x[n, c//m, p·s − lo + r·d].

A GEMM would waste all but one row of its tile here.  A block takes one output channel, one group of taps and one part of the positions;
each thread strides over positions, dy is read once for all its taps; then a tree of fixed shape in shared memory adds the threads.  Parts
of fixed length are added in ascending order by `parts.add`.  The order depends on the problem alone.

The table is that of the forward convolution, whose terms of a group are the taps of a channel.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ...geometry.convolution import TERM_SIZE, convolution_at, phase_at, term_at
from ...geometry.decode import element, first_read, position, split
from ...ptx import idiv, imul
from ...runtime.launch import jit, kernel_factory
from ...scalars import scalars
from .plan import TreeForm


@kernel_factory
def make_depthwise_grad(dtype: str, out_dtype: str, form: TreeForm) -> Any:
    """The kernel for these types; it stores partial sums in the accumulator's type."""
    NT, TC, LENGTH = form
    number = scalars(dtype, out_dtype)
    kind, load = number.kind, number.load

    def depthwise_grad(x, dy, parts, tab):
        sums = cuda.shared.array(NT, kind)
        acc = cuda.local.array(TC, kind)
        tid = int32(cuda.threadIdx.x)
        plan = convolution_at(tab, 0)
        phase = phase_at(tab, plan.phases_at)  # forward has one
        taps, channels, positions, nh, nw = plan.weights.taps, plan.target.channels, plan.positions, phase.h, phase.w
        rest, tap_group = split(int32(cuda.blockIdx.x), idiv(int32(taps + int32(TC - 1)), int32(TC)))
        part, c = split(rest, channels)
        r_first = int32(tap_group * int32(TC))
        k = int32(imul(part, int32(LENGTH)) + tid)
        end = min(int32(imul(part, int32(LENGTH)) + int32(LENGTH)), imul(positions, plan.batch))
        y_first, x_first = imul(c, plan.target.channel_pitch), imul(idiv(c, plan.targets), plan.source.group_pitch)
        for r in range(TC):
            acc[r] = kind(0)
        while k < end:
            n, p = split(k, positions)
            jt, jh, jw = position(p, nh, nw)
            g = load(dy, int32(y_first + element(plan.target, n, int32(0), jt, jh, jw)))
            at = int32(x_first + first_read(plan.source, n, int32(0), jt, jh, jw))
            t0, h0, w0 = int32(jt * plan.source.step.t), int32(jh * plan.source.step.h), int32(jw * plan.source.step.w)
            for r in range(TC):
                tap = int32(r_first + int32(r))
                if tap < taps:
                    term = term_at(tab, int32(plan.terms_at + tap * int32(TERM_SIZE)))
                    inside = uint32(int32(t0 + tab[uint32(int32(plan.planes_at + tap))])) < uint32(plan.source.t)
                    inside = inside and uint32(int32(h0 + term.h)) < uint32(plan.source.h)
                    inside = inside and uint32(int32(w0 + term.w)) < uint32(plan.source.w)
                    if inside:
                        acc[r] = kind(acc[r] + g * load(x, int32(at + term.source)))
            k = int32(k + int32(NT))
        for r in range(TC):
            sums[uint32(tid)] = acc[r]
            cuda.syncthreads()
            half = int32(NT // 2)
            while half > int32(0):
                if tid < half:
                    sums[uint32(tid)] = kind(sums[uint32(tid)] + sums[uint32(int32(tid + half))])
                cuda.syncthreads()
                half = int32(half >> int32(1))
            if tid == int32(0) and int32(r_first + int32(r)) < taps:
                parts[uint32(int32(imul(int32(imul(part, channels) + c), taps) + r_first + int32(r)))] = sums[uint32(0)]
            cuda.syncthreads()

    return jit(depthwise_grad, launch_bounds=NT)
