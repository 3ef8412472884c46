"""Direct convolution: one thread for each output, summing over the terms of the table.

Loop: y[n, o, p] = Σ_k x[n, first_read(p) + term[k].source] · w[o, term[k].weight] + bias[o], then the activation.
Writes are disjoint: each output has one thread.  k ascends over (channel, tap), so the sum's order depends on the problem alone.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ...geometry.convolution import PHASE_SIZE, TERM_SIZE, convolution_at, phase_at, term_at
from ...geometry.decode import element, first_read, position, shuffled, split
from ...runtime.launch import jit, kernel_factory
from ...scalars import activation, bias_loader, scalars


@kernel_factory
def make_direct(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, outer: bool) -> Any:
    """The kernel for these types; `outer`: the third axis takes part."""
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)

    def direct(x, w, bias, y, tab, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        plan = convolution_at(tab, 0)
        positions, batch = plan.positions, plan.batch
        while i < total:
            rest, p = split(i, positions)
            rest, o = split(rest, plan.targets)
            rest, n = split(rest, batch)
            z, g = split(rest, plan.groups)
            phase = phase_at(tab, int32(plan.phases_at + z * int32(PHASE_SIZE)))
            if p < phase.positions:
                jt, jh, jw = position(p, phase.h, phase.w)
                base = first_read(plan.source, n, g, jt, jh, jw)
                weights_at = int32(g * plan.weights.group_pitch + o * plan.weights.target_pitch)
                first_t, first_h, first_w = int32(jt * plan.source.step.t), int32(jh * plan.source.step.h), int32(jw * plan.source.step.w)
                k = phase.first_term
                end = int32(k + phase.terms)
                first_target = phase.first_target
                result = kind(0)
                while k < end:
                    term = term_at(tab, int32(plan.terms_at + k * int32(TERM_SIZE)))
                    row, column = int32(first_h + term.h), int32(first_w + term.w)
                    inside = uint32(row) < uint32(plan.source.h) and uint32(column) < uint32(plan.source.w)
                    if outer:
                        inside = inside and uint32(int32(first_t + tab[uint32(int32(plan.planes_at + k))])) < uint32(plan.source.t)
                    if inside:
                        result = kind(result + load(x, int32(base + term.source)) * load(w, int32(weights_at + term.weight)))
                    k = int32(k + int32(1))
                c = int32(g * plan.targets + o)
                result = apply(kind(result + load_bias(bias, c)))
                c = shuffled(c, plan.target.channels, plan.shuffle)
                store(y, int32(first_target + element(plan.target, n, c, jt, jh, jw)), result)
            i = int32(i + step)

    return jit(direct)
