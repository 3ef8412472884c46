"""The compiled part: a block computes BM positions × BN target channels from double-buffered tiles in shared memory.

Y[m, o] = Σ_k X[m, k] · W[k, o], where X[m, k] = x[base[m] + term[k].source] is gathered through the convolution's table, zero outside the
source; k runs over the terms of a stride phase.  Forward, and the input gradient as one product for each phase, in one launch.

Shared memory: x_tiles[2][BK][BM + 4], w_tiles[2][BK][BN + 4].  Each thread owns TM × TN sums in registers, in rows of four so that what it
reads are 128-bit words.  While tile t − 1 is multiplied, tile t is on its way from memory to registers.  k ascends: the order of summation
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
    BM, BN, BK, TM, TN = tile  # positions, targets and terms of a step; a thread's positions and targets
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)
    COLUMNS = BM // TM  # threads along the positions
    NT = COLUMNS * (BN // TN)
    outer, parted, quad_stores = form.outer, form.parted, form.quad_stores
    quads, channels_last = form.reads == "quads", form.reads == "channels"
    W_STEPS, W_ROWS = BN * BK // NT, NT // BK  # elements of a tile of W that a thread loads; targets that all load at once
    ACROSS = BM // 4 if quads else min(BM, NT)  # threads along a row of X, unless they run along k
    PER = BM // W_ROWS if channels_last else 1 if quads else max(1, BM // NT)  # positions (or quads of them) of a thread
    ROWS = BK if channels_last else NT // ACROSS  # rows of X loaded at once
    X_STEPS = max(1, BK // ROWS)  # terms of a thread
    M_STEP = W_ROWS if channels_last else NT
    WIDTH = 4 if quads else PER
    ACROSS_N = BN // TN  # threads along the targets
    X_PITCH, W_PITCH = BM + 4, BN + 4
    assert (BK % ROWS == 0 or ROWS % BK == 0) and NT % BK == 0 and BN * BK % NT == 0 and TM % 4 == 0 and TN % 4 == 0
    X_STAGE, W_STAGE = BK * X_PITCH, BK * W_PITCH
    X_STAGES, W_STAGES = 2 * X_STAGE, 2 * W_STAGE
    four, quad, put_four = number.four, quad_loader(dtype, number.name, quads), quad_storer(number.name, quads or quad_stores)
    OUTSIDE = -(1 << 30)  # the column of a position that there is not: outside every source

    def implicit_gemm(x, w, bias, y, tab, tiles_m, tiles_n):
        x_tiles = cuda.shared.array(X_STAGES, kind, alignment=16)
        w_tiles = cuda.shared.array(W_STAGES, kind, alignment=16)
        sums = cuda.local.array((TM, TN), kind)
        x_next = cuda.local.array((X_STEPS, WIDTH), kind)
        w_next = cuda.local.array(W_STEPS, kind)
        x_column = cuda.local.array(TM, kind)
        w_column = cuda.local.array(TN, kind)
        channel = cuda.local.array(TN, int32)
        base = cuda.local.array(PER, int32)
        first_t = cuda.local.array(PER, int32)
        first_h = cuda.local.array(PER, int32)
        first_w = cuda.local.array(PER, int32)

        thread = int32(cuda.threadIdx.x)
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
        first_term, terms = phase.first_term, phase.terms
        if parted:
            parts = idiv(int32(cuda.gridDim.x), imul(imul(tiles_m, tiles_n), int32(plan.groups * plan.phases)))
            first, terms = part_of(terms, part, parts, int32(BK))
            first_term = int32(first_term + first)
        phase_h, phase_w, positions, first_target = phase.h, phase.w, phase.positions, phase.first_target
        all_positions = int32(positions * plan.batch)
        targets = plan.targets
        extent_t, extent_h, extent_w = uint32(plan.source.t), uint32(plan.source.h), uint32(plan.source.w)
        terms_at, planes_at = int32(plan.terms_at + first_term * int32(TERM_SIZE)), int32(plan.planes_at + first_term)

        x_load_row, x_load_column = idiv(thread, int32(ACROSS)), imod(thread, int32(ACROSS))
        if quads:
            x_load_column = int32(x_load_column * int32(4))
        if channels_last:
            x_load_row, x_load_column = imod(thread, int32(BK)), idiv(thread, int32(BK))
        for j in range(PER):
            m = int32(m_first + x_load_column + int32(j * M_STEP))
            n, p = split(m, positions)
            jt, jh, jw = position(p, phase_h, phase_w)
            base[j] = first_read(plan.source, n, g, jt, jh, jw)
            first_t[j] = int32(jt * plan.source.step.t)
            first_h[j] = int32(jh * plan.source.step.h)
            first_w[j] = int32(jw * plan.source.step.w) if m < all_positions else int32(OUTSIDE)
        w_load_row, w_load_column = imod(thread, int32(BK)), idiv(thread, int32(BK))
        w_pitch = plan.weights.target_pitch
        wbase = int32(g * plan.weights.group_pitch + int32(o_first + w_load_column) * w_pitch)
        # neighbouring threads store neighbouring elements: positions, or channels
        m_thread, o_thread = int32(imod(thread, int32(COLUMNS)) * int32(4)), int32(idiv(thread, int32(COLUMNS)) * int32(4))
        if channels_last:
            m_thread, o_thread = int32(idiv(thread, int32(ACROSS_N)) * int32(4)), int32(imod(thread, int32(ACROSS_N)) * int32(4))

        for i in range(TM):
            for j in range(TN):
                sums[i, j] = kind(0)
        steps = idiv(int32(terms + int32(BK - 1)), int32(BK))
        t = int32(0)
        while t <= steps:
            if t < steps:  # tile t: global memory to registers
                k0 = int32(t * int32(BK))
                for i in range(X_STEPS):
                    k = int32(k0 + x_load_row + int32(i * ROWS))
                    for j in range(WIDTH):
                        x_next[i, j] = kind(0)
                    if quads:
                        if k < terms and x_load_row < int32(BK) and first_w[0] >= int32(0):
                            source = one_term_at(tab, int32(terms_at + k * int32(TERM_SIZE))).source
                            x_next[i, 0], x_next[i, 1], x_next[i, 2], x_next[i, 3] = quad(x, int32(base[0] + source))
                    elif k < terms:
                        term = term_at(tab, int32(terms_at + k * int32(TERM_SIZE)))
                        dt = int32(0)
                        if outer:
                            dt = tab[uint32(int32(planes_at + k))]
                        for j in range(PER):
                            inside = uint32(int32(first_h[j] + term.h)) < extent_h and uint32(int32(first_w[j] + term.w)) < extent_w
                            if outer:
                                inside = inside and uint32(int32(first_t[j] + dt)) < extent_t
                            if inside:
                                x_next[i, j] = load(x, int32(base[j] + term.source))
                k = int32(k0 + w_load_row)
                for i in range(W_STEPS):
                    w_next[i] = kind(0)
                if k < terms:
                    offset = int32(wbase + one_term_at(tab, int32(terms_at + k * int32(TERM_SIZE))).weight)
                    for i in range(W_STEPS):
                        if int32(o_first + w_load_column + int32(i * W_ROWS)) < targets:
                            w_next[i] = load(w, int32(offset + imul(int32(i * W_ROWS), w_pitch)))
            if t > int32(0):  # multiply tile t − 1
                s = int32(int32(t - int32(1)) & int32(1))
                for kk in range(BK):
                    for i in range(TM // 4):
                        four(x_tiles, int32(s * int32(X_STAGE) + int32(kk * X_PITCH + i * 4 * COLUMNS) + m_thread), x_column, i * 4)
                    for j in range(TN // 4):
                        four(w_tiles, int32(s * int32(W_STAGE) + int32(kk * W_PITCH + j * 4 * (BN // TN)) + o_thread), w_column, j * 4)
                    for i in range(TM):
                        for j in range(TN):
                            sums[i, j] += kind(x_column[i] * w_column[j])
            if t < steps:  # tile t: registers to shared memory; its stage was last read two steps ago
                s = int32(t & int32(1))
                for i in range(X_STEPS):
                    slot = int32(s * int32(X_STAGE) + int32(x_load_row + int32(i * ROWS)) * int32(X_PITCH) + x_load_column)
                    if quads:
                        if x_load_row < int32(BK):
                            put_four(x_tiles, slot, x_next[i, 0], x_next[i, 1], x_next[i, 2], x_next[i, 3])
                    else:
                        for j in range(PER):
                            x_tiles[uint32(slot + int32(j * M_STEP))] = x_next[i, j]
                slot = int32(s * int32(W_STAGE) + w_load_row * int32(W_PITCH) + w_load_column)
                for i in range(W_STEPS):
                    w_tiles[uint32(slot + int32(i * W_ROWS))] = w_next[i]
            cuda.syncthreads()
            t = int32(t + int32(1))

        channels, shuffle = plan.target.channels, plan.shuffle  # from here w_column holds the bias
        for j in range(TN):  # once for each channel, so that the loop over sums stays small enough to unroll into registers
            o = int32(o_first + o_thread + int32((j // 4) * (4 * (BN // TN)) + j % 4))
            c = int32(g * targets + o)
            channel[j] = int32(-1)
            w_column[j] = kind(0)
            if o < targets:
                if not parted:
                    w_column[j] = load_bias(bias, c)
                channel[j] = imul(shuffled(c, channels, shuffle), plan.target.channel_pitch)
        for i in range(TM):
            if i % 4 == 0 or not quad_stores:
                m = int32(m_first + m_thread + int32((i // 4) * 4 * COLUMNS + i % 4))
                n, p = split(m, positions)
                jt, jh, jw = position(p, phase_h, phase_w)
                where = int32(first_target + element(plan.target, n, int32(0), jt, jh, jw))
                if parted:
                    where = int32(where + imul(part, imul(plan.batch, plan.target.sample_pitch)))
                if m < all_positions:
                    for j in range(TN):
                        if channel[j] >= int32(0):
                            if quad_stores:
                                put_four(
                                    y,
                                    int32(where + channel[j]),
                                    apply(kind(sums[i, j] + w_column[j])),
                                    apply(kind(sums[i + 1, j] + w_column[j])),
                                    apply(kind(sums[i + 2, j] + w_column[j])),
                                    apply(kind(sums[i + 3, j] + w_column[j])),
                                )
                            else:
                                store(y, int32(where + channel[j]), apply(kind(sums[i, j] + w_column[j])))

    return jit(implicit_gemm, launch_bounds=NT)
