"""Weight gradient as a GEMM over positions, split along them, the parts added in a fixed order.

dw[g, o, j] = Σ_{n, p} dy[n, g·Og + o, p] · x[n, base(p) + term[j].source], j over (channel of the group, tap): the terms of the forward
convolution.  A block computes BM output channels × BN terms over one part of the positions; a thread TM × TN of them, in quads that its
neighbours' lie between.  Parts go to a workspace (parts, weights), which `parts.add` adds in ascending order, so that the order of
summation depends on the problem alone.  No atomics; each partial sum has one thread.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ...geometry.convolution import TERM_SIZE, convolution_at, phase_at, term_at
from ...geometry.decode import element, first_read, position, split
from ...ptx import idiv, imod, imul
from ...runtime.launch import jit, kernel_factory
from ...scalars import scalars
from .plan import WeightTile


@kernel_factory
def make_weight_grad(dtype: str, out_dtype: str, outer: bool, tile: WeightTile) -> Any:
    """The kernel for these types and tile; `outer`: the third axis takes part.  It stores partial sums in the accumulator's type."""
    BM, BN, BK, TM, TN = tile
    number = scalars(dtype, out_dtype)
    kind, load = number.kind, number.load
    ROWS_T = BM // TM
    NT = tile.threads
    STEP = NT // BK
    A_STEPS, B_STEPS = BM // STEP, BN // STEP
    LDA, LDB = BM + 4, BN + 4
    A_STAGE, B_STAGE = BK * LDA, BK * LDB
    A_ALL, B_ALL = 2 * A_STAGE, 2 * B_STAGE
    four = number.four
    assert NT % BK == 0 and BM % STEP == 0 and BN % STEP == 0 and TM % 4 == 0 and TN % 4 == 0

    def weight_grad(x, dy, parts, tab, cut):
        As = cuda.shared.array(A_ALL, kind, alignment=16)
        Bs = cuda.shared.array(B_ALL, kind, alignment=16)
        acc = cuda.local.array((TM, TN), kind)
        a_next = cuda.local.array(A_STEPS, kind)
        b_next = cuda.local.array(B_STEPS, kind)
        fa = cuda.local.array(TM, kind)
        fb = cuda.local.array(TN, kind)
        tid = int32(cuda.threadIdx.x)
        plan = convolution_at(tab, 0)
        phase = phase_at(tab, plan.phases_at)  # forward has one
        rest, tile_n = split(int32(cuda.blockIdx.x), cut.tiles_n)
        rest, tile_m = split(rest, cut.tiles_m)
        part, g = split(rest, plan.groups)
        o_first, j_first = int32(tile_m * int32(BM)), int32(tile_n * int32(BN))
        targets, terms, positions = plan.targets, plan.weights.target_pitch, plan.positions
        nh, nw = phase.h, phase.w
        begin = imul(part, cut.length)
        end = min(int32(begin + cut.length), imul(positions, plan.batch))
        lane, row = imod(tid, int32(BK)), idiv(tid, int32(BK))
        m_thread, j_thread = int32(imod(tid, int32(ROWS_T)) * int32(4)), int32(idiv(tid, int32(ROWS_T)) * int32(4))
        for i in range(TM):
            for j in range(TN):
                acc[i, j] = kind(0)
        steps = idiv(int32(end - begin + int32(BK - 1)), int32(BK))
        t = int32(0)
        while t <= steps:
            if t < steps:
                k = int32(begin + t * int32(BK) + lane)
                for i in range(A_STEPS):
                    a_next[i] = kind(0)
                for i in range(B_STEPS):
                    b_next[i] = kind(0)
                if k < end:
                    n, p = split(k, positions)
                    jt, jh, jw = position(p, nh, nw)
                    y_at = element(plan.target, n, imul(g, targets), jt, jh, jw)
                    x_at = first_read(plan.source, n, g, jt, jh, jw)
                    t0, h0, w0 = int32(jt * plan.source.step.t), int32(jh * plan.source.step.h), int32(jw * plan.source.step.w)
                    for i in range(A_STEPS):
                        o = int32(o_first + row + int32(i * STEP))
                        if o < targets:
                            a_next[i] = load(dy, int32(y_at + imul(o, plan.target.channel_pitch)))
                    terms_at, planes_at = plan.terms_at, plan.planes_at
                    for i in range(B_STEPS):
                        j = int32(j_first + row + int32(i * STEP))
                        if j < terms:
                            term = term_at(tab, int32(terms_at + j * int32(TERM_SIZE)))
                            ok = uint32(int32(h0 + term.h)) < uint32(plan.source.h) and uint32(int32(w0 + term.w)) < uint32(plan.source.w)
                            if outer:
                                ok = ok and uint32(int32(t0 + tab[uint32(int32(planes_at + j))])) < uint32(plan.source.t)
                            if ok:
                                b_next[i] = load(x, int32(x_at + term.source))
            if t > int32(0):
                s = int32(int32(t - int32(1)) & int32(1))
                for kk in range(BK):
                    for i in range(TM // 4):
                        four(As, int32(s * int32(A_STAGE) + int32(kk * LDA + i * 4 * ROWS_T) + m_thread), fa, i * 4)
                    for j in range(TN // 4):
                        four(Bs, int32(s * int32(B_STAGE) + int32(kk * LDB + j * 4 * (BN // TN)) + j_thread), fb, j * 4)
                    for i in range(TM):
                        for j in range(TN):
                            acc[i, j] += kind(fa[i] * fb[j])
            if t < steps:
                s = int32(t & int32(1))
                at = int32(s * int32(A_STAGE) + lane * int32(LDA) + row)
                for i in range(A_STEPS):
                    As[uint32(at + int32(i * STEP))] = a_next[i]
                at = int32(s * int32(B_STAGE) + lane * int32(LDB) + row)
                for i in range(B_STEPS):
                    Bs[uint32(at + int32(i * STEP))] = b_next[i]
            cuda.syncthreads()
            t = int32(t + int32(1))
        for i in range(TM):
            o = int32(o_first + m_thread + int32((i // 4) * 4 * ROWS_T + i % 4))
            where = int32(part * plan.weights.elements + imul(int32(imul(g, targets) + o), terms))
            if o < targets:
                for j in range(TN):
                    c = int32(j_first + j_thread + int32((j // 4) * (4 * (BN // TN)) + j % 4))
                    if c < terms:
                        parts[uint32(int32(where + c))] = acc[i, j]

    return jit(weight_grad, launch_bounds=NT)
