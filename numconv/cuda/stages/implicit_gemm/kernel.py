"""The compiled part: a block computes BM positions × BN channels from double-buffered tiles in shared memory.

Loop: Y[m, o] = Σ_k X[m, k] · W[k, o], where X[m, k] = x[base(m) + xoff[k]] is gathered through the table of taps (zero outside the
source), K = source channels × taps of one stride phase.  Forward, and the input gradient as one GEMM per stride phase, in one launch.

Shared memory: As[2][BK][BM + 4], Bs[2][BK][BN + 4].  Each thread owns TM × TN sums in registers, in rows of four so that fragments are
128-bit reads.  While tile t is multiplied, tile t + 1 is on its way from global memory to registers.  k ascends: the order of summation
depends on the problem alone.  Writes are disjoint: each output belongs to one thread.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ...geometry.convolution import PHASE_SIZE, TERM_SIZE, convolution_at, one_term_at, phase_at, term_at
from ...geometry.decode import element, first_read, position, shuffled, split
from ...ptx import idiv, imod, imul
from ...runtime.launch import jit, kernel_factory
from ...scalars import activation, bias_loader, quad_loader, quad_storer, scalars
from ..split_k import part_of
from .plan import GemmForm, GemmTile


@kernel_factory
def make_implicit_gemm(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, form: GemmForm, tile: GemmTile) -> Any:
    """The kernel for these types, form and tile."""
    BM, BN, BK, TM, TN = tile
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)
    COLUMNS = BM // TM  # threads along m
    NT = COLUMNS * (BN // TN)
    outer, parted, quad_stores = form.outer, form.parted, form.quad_stores
    quads, channels_last = form.reads == "quads", form.reads == "channels"
    B_STEPS, O_STEP = BN * BK // NT, NT // BK
    ACROSS = BM // 4 if quads else min(BM, NT)  # threads along a row of X, unless they run along k
    PER = BM // O_STEP if channels_last else 1 if quads else max(1, BM // NT)  # positions (or quads of them) of a thread
    ROWS = BK if channels_last else NT // ACROSS  # rows of X loaded at once
    A_STEPS = max(1, BK // ROWS)
    M_STEP = O_STEP if channels_last else NT
    WIDTH = 4 if quads else PER
    ACROSS_N = BN // TN
    LDA, LDB = BM + 4, BN + 4
    assert (BK % ROWS == 0 or ROWS % BK == 0) and NT % BK == 0 and BN * BK % NT == 0 and TM % 4 == 0 and TN % 4 == 0
    A_STAGE, B_STAGE = BK * LDA, BK * LDB
    A_ALL, B_ALL = 2 * A_STAGE, 2 * B_STAGE
    four, quad, put_four = number.four, quad_loader(dtype, number.name, quads), quad_storer(number.name, quads or quad_stores)
    OUTSIDE = -(1 << 30)

    def implicit_gemm(x, w, bias, y, tab, tiles_m, tiles_n):
        As = cuda.shared.array(A_ALL, kind, alignment=16)
        Bs = cuda.shared.array(B_ALL, kind, alignment=16)
        acc = cuda.local.array((TM, TN), kind)
        a_next = cuda.local.array((A_STEPS, WIDTH), kind)
        b_next = cuda.local.array(B_STEPS, kind)
        fa = cuda.local.array(TM, kind)
        fb = cuda.local.array(TN, kind)
        channel = cuda.local.array(TN, int32)
        base = cuda.local.array(PER, int32)
        t0 = cuda.local.array(PER, int32)
        h0 = cuda.local.array(PER, int32)
        w0 = cuda.local.array(PER, int32)

        tid = int32(cuda.threadIdx.x)
        block = int32(cuda.blockIdx.x)
        rest, tile_n = split(block, tiles_n)
        o_first = int32(tile_n * int32(BN))
        rest, tile_m = split(rest, tiles_m)
        m_first = int32(tile_m * int32(BM))
        plan = convolution_at(tab, 0)
        part = int32(0)
        if parted:
            part, rest = split(rest, int32(plan.groups * plan.phases))
        z, g = split(rest, plan.groups)
        phase = phase_at(tab, int32(plan.phases_at + z * int32(PHASE_SIZE)))
        kstart, kcount = phase.first_term, phase.terms
        if parted:
            parts = idiv(int32(cuda.gridDim.x), imul(imul(tiles_m, tiles_n), int32(plan.groups * plan.phases)))
            first, kcount = part_of(kcount, part, parts, int32(BK))
            kstart = int32(kstart + first)
        nh, nw, positions, first_target = phase.h, phase.w, phase.positions, phase.first_target
        M = int32(positions * plan.batch)
        targets = plan.targets
        it, ih, iw = uint32(plan.source.t), uint32(plan.source.h), uint32(plan.source.w)
        terms_at, planes_at = int32(plan.terms_at + kstart * int32(TERM_SIZE)), int32(plan.planes_at + kstart)

        a_row, a_column = idiv(tid, int32(ACROSS)), imod(tid, int32(ACROSS))
        if quads:
            a_column = int32(a_column * int32(4))
        if channels_last:
            a_row, a_column = imod(tid, int32(BK)), idiv(tid, int32(BK))
        for j in range(PER):
            m = int32(m_first + a_column + int32(j * M_STEP))
            n, p = split(m, positions)
            jt, jh, jw = position(p, nh, nw)
            base[j] = first_read(plan.source, n, g, jt, jh, jw)
            t0[j] = int32(jt * plan.source.step.t)
            h0[j] = int32(jh * plan.source.step.h)
            w0[j] = int32(jw * plan.source.step.w) if m < M else int32(OUTSIDE)
        b_row, b_column = imod(tid, int32(BK)), idiv(tid, int32(BK))
        w_pitch = plan.weights.target_pitch
        wbase = int32(g * plan.weights.group_pitch + int32(o_first + b_column) * w_pitch)
        # neighbouring threads store neighbouring elements: positions, or channels
        m_thread, o_thread = int32(imod(tid, int32(COLUMNS)) * int32(4)), int32(idiv(tid, int32(COLUMNS)) * int32(4))
        if channels_last:
            m_thread, o_thread = int32(idiv(tid, int32(ACROSS_N)) * int32(4)), int32(imod(tid, int32(ACROSS_N)) * int32(4))

        for i in range(TM):
            for j in range(TN):
                acc[i, j] = kind(0)
        steps = idiv(int32(kcount + int32(BK - 1)), int32(BK))
        t = int32(0)
        while t <= steps:
            if t < steps:  # tile t: global memory to registers
                k0 = int32(t * int32(BK))
                for i in range(A_STEPS):
                    k = int32(k0 + a_row + int32(i * ROWS))
                    for j in range(WIDTH):
                        a_next[i, j] = kind(0)
                    if quads:
                        if k < kcount and a_row < int32(BK) and w0[0] >= int32(0):
                            source = one_term_at(tab, int32(terms_at + k * int32(TERM_SIZE))).source
                            a_next[i, 0], a_next[i, 1], a_next[i, 2], a_next[i, 3] = quad(x, int32(base[0] + source))
                    elif k < kcount:
                        term = term_at(tab, int32(terms_at + k * int32(TERM_SIZE)))
                        dt = int32(0)
                        if outer:
                            dt = tab[uint32(int32(planes_at + k))]
                        for j in range(PER):
                            ok = uint32(int32(h0[j] + term.h)) < ih and uint32(int32(w0[j] + term.w)) < iw
                            if outer:
                                ok = ok and uint32(int32(t0[j] + dt)) < it
                            if ok:
                                a_next[i, j] = load(x, int32(base[j] + term.source))
                k = int32(k0 + b_row)
                for i in range(B_STEPS):
                    b_next[i] = kind(0)
                if k < kcount:
                    offset = int32(wbase + one_term_at(tab, int32(terms_at + k * int32(TERM_SIZE))).weight)
                    for i in range(B_STEPS):
                        if int32(o_first + b_column + int32(i * O_STEP)) < targets:
                            b_next[i] = load(w, int32(offset + imul(int32(i * O_STEP), w_pitch)))
            if t > int32(0):  # multiply tile t − 1
                s = int32(int32(t - int32(1)) & int32(1))
                for kk in range(BK):
                    for i in range(TM // 4):
                        four(As, int32(s * int32(A_STAGE) + int32(kk * LDA + i * 4 * COLUMNS) + m_thread), fa, i * 4)
                    for j in range(TN // 4):
                        four(Bs, int32(s * int32(B_STAGE) + int32(kk * LDB + j * 4 * (BN // TN)) + o_thread), fb, j * 4)
                    for i in range(TM):
                        for j in range(TN):
                            acc[i, j] += kind(fa[i] * fb[j])
            if t < steps:  # tile t: registers to shared memory; its stage was last read two steps ago
                s = int32(t & int32(1))
                for i in range(A_STEPS):
                    slot = int32(s * int32(A_STAGE) + int32(a_row + int32(i * ROWS)) * int32(LDA) + a_column)
                    if quads:
                        if a_row < int32(BK):
                            put_four(As, slot, a_next[i, 0], a_next[i, 1], a_next[i, 2], a_next[i, 3])
                    else:
                        for j in range(PER):
                            As[uint32(slot + int32(j * M_STEP))] = a_next[i, j]
                slot = int32(s * int32(B_STAGE) + b_row * int32(LDB) + b_column)
                for i in range(B_STEPS):
                    Bs[uint32(slot + int32(i * O_STEP))] = b_next[i]
            cuda.syncthreads()
            t = int32(t + int32(1))

        channels, shuffle = plan.target.channels, plan.shuffle
        for j in range(TN):  # once for each channel, so that the loop over sums stays small enough to unroll into registers
            o = int32(o_first + o_thread + int32((j // 4) * (4 * (BN // TN)) + j % 4))
            c = int32(g * targets + o)
            channel[j] = int32(-1)
            fb[j] = kind(0)
            if o < targets:
                if not parted:
                    fb[j] = load_bias(bias, c)
                channel[j] = imul(shuffled(c, channels, shuffle), plan.target.channel_pitch)
        for i in range(TM):
            if i % 4 == 0 or not quad_stores:
                m = int32(m_first + m_thread + int32((i // 4) * 4 * COLUMNS + i % 4))
                n, p = split(m, positions)
                jt, jh, jw = position(p, nh, nw)
                where = int32(first_target + element(plan.target, n, int32(0), jt, jh, jw))
                if parted:
                    where = int32(where + imul(part, imul(plan.batch, plan.target.sample_pitch)))
                if m < M:
                    for j in range(TN):
                        if channel[j] >= int32(0):
                            if quad_stores:
                                put_four(
                                    y,
                                    int32(where + channel[j]),
                                    apply(kind(acc[i, j] + fb[j])),
                                    apply(kind(acc[i + 1, j] + fb[j])),
                                    apply(kind(acc[i + 2, j] + fb[j])),
                                    apply(kind(acc[i + 3, j] + fb[j])),
                                )
                            else:
                                store(y, int32(where + channel[j]), apply(kind(acc[i, j] + fb[j])))

    return jit(implicit_gemm, launch_bounds=NT)
