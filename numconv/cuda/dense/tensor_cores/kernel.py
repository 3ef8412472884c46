"""Implicit GEMM on tensor cores: `mma.sync` with float32 accumulation for float16, bfloat16, and float32 rounded to tf32 when asked for.

Y[m, o] = Σ_k X[m, k] · W[o, k], k over (tap, chunk of channels); a chunk is 16 bytes: 8 half numbers or 4 tf32.  Inside, the image is
channels last with each group padded to whole chunks, and the weights are (group, target, tap, padded channel); an image that is so
already is read in place, another is transposed once into a workspace.  The result is stored in the caller's layout.

Tiles travel by `cp.async` through the stages of dynamic shared memory, up to 144 KB of it; the source-size operand zero-fills the padding.
A thread copies the same chunk of every step, and has the step's term one step ahead.  Fragments, products, the way out: stages/fragments.

k ascends, the accumulation within an `mma` is the hardware's.  Writes are disjoint.  Needs compute capability 8.0.  Proved in the
simulator (with fragment layouts as we read the PTX ISA) and by compiling; not yet run on a GPU.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.types import float32, int32, uint32

from ...geometry.convolution import PHASE_SIZE, TERM_SIZE, convolution_at, phase_at, term_at
from ...geometry.decode import element, first_read, position, shuffled, split
from ...ptx import cp_async16, cp_async_commit, f32_bits, idiv, imod, imul, make_cp_async_wait
from ...runtime.launch import jit, kernel_factory
from ...scalars import activation, bias_loader, storer
from ...stages.fragments import make_epilogue, make_multiply, make_shares, make_start, make_swizzle, operands
from ...stages.split_k import part_of
from ...stages.warp_tiles import WarpTile, check, places


@kernel_factory
def make_tensor_core(
    dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, outer: bool, tile: WarpTile, parted: bool = False
) -> Any:
    """The kernel for these types and tile; `outer`: the third axis takes part; `parted`: y is the workspace of split-K's parts."""
    check(tile)
    BM, BN, BK, WM, WN, STAGES = tile  # positions, targets, words of k; a warp's positions and targets
    NT = tile.threads
    CHUNKS = BK // 4  # chunks of a row
    STEP = NT // CHUNKS  # rows loaded at once
    X_ROWS, W_ROWS = max(1, BM // STEP), max(1, BN // STEP)
    MT, NJ = WM // 16, WN // 8
    X_STAGE, W_STAGE, X_STAGES = BM * BK, BN * BK, STAGES * BM * BK
    assert STEP % 8 == 0  # rows that a thread copies have one swizzle
    OUTSIDE = -(1 << 30)
    left, right = operands(dtype, tile, False)
    swizzle, start_x, start_w = make_swizzle(left), make_start(left), make_start(right)
    ROW_PLACES, COLUMN_PLACES, BIAS, _ = places(tile)
    X_WHOLE, W_WHOLE = BM % STEP == 0, BN % STEP == 0
    multiply, wait = make_multiply(dtype, tile, False), make_cp_async_wait(STAGES - 2)
    load_bias = bias_loader(bias_dtype, "float32")
    block, warp = make_shares(tile)
    keep, put = make_epilogue(tile, storer(out_dtype, "float32"), activation(act, "float32"))

    def tensor_core(x, w, bias, y, tab, tiles_m, tiles_n):
        shared = cuda.shared.array(0, uint32, alignment=16)
        sums = cuda.local.array((MT, NJ, 4), float32)
        w_fragments = cuda.local.array((NJ, 2), uint32)
        base = cuda.local.array(X_ROWS, int32)
        first_t = cuda.local.array(X_ROWS, int32)
        first_h = cuda.local.array(X_ROWS, int32)
        first_w = cuda.local.array(X_ROWS, int32)

        thread = int32(cuda.threadIdx.x)
        m_first, o_first, z = block(int32(cuda.blockIdx.x), tiles_m, tiles_n)
        plan = convolution_at(tab, 0)
        part = int32(0)
        if parted:
            part, z = split(z, int32(plan.groups * plan.phases))
        z, g = split(z, plan.groups)
        phase = phase_at(tab, int32(plan.phases_at + z * int32(PHASE_SIZE)))
        first_term, terms = phase.first_term, phase.terms
        if parted:
            parts = idiv(int32(cuda.gridDim.x), imul(imul(tiles_m, tiles_n), int32(plan.groups * plan.phases)))
            first, terms = part_of(terms, part, parts, int32(CHUNKS))
            first_term = int32(first_term + first)
        phase_h, phase_w, positions = phase.h, phase.w, phase.positions
        all_positions = int32(positions * plan.batch)
        targets = plan.targets
        extent_t, extent_h, extent_w = uint32(plan.source.t), uint32(plan.source.h), uint32(plan.source.w)
        w_pitch = plan.terms  # chunks of weights from one target to the next
        terms_at, planes_at = int32(plan.terms_at + first_term * int32(TERM_SIZE)), int32(plan.planes_at + first_term)

        chunk, row = imod(thread, int32(CHUNKS)), idiv(thread, int32(CHUNKS))
        for j in range(X_ROWS):
            r = int32(row + int32(j * STEP))
            m = int32(m_first + r)
            n, p = split(m, positions)
            jt, jh, jw = position(p, phase_h, phase_w)
            base[j] = first_read(plan.source, n, g, jt, jh, jw)
            first_t[j] = int32(jt * plan.source.step.t)
            first_h[j] = int32(jh * plan.source.step.h)
            first_w[j] = int32(jw * plan.source.step.w) if m < all_positions else int32(OUTSIDE)
            if chunk == int32(0) and r < int32(BM):  # where the position's results go
                where = int32(phase.first_target + element(plan.target, n, int32(0), jt, jh, jw))
                if parted:
                    where = int32(where + imul(part, imul(plan.batch, plan.target.sample_pitch)))
                shared[uint32(r + int32(ROW_PLACES))] = uint32(where if m < all_positions else int32(-1))
        channels, shuffle = plan.target.channels, plan.shuffle
        r = thread
        while r < int32(BN):
            o = int32(o_first + r)
            c = int32(imul(g, targets) + o)
            where = imul(shuffled(c, channels, shuffle), plan.target.channel_pitch)
            shared[uint32(r + int32(COLUMN_PLACES))] = uint32(where if o < targets else int32(-1))
            shared[uint32(r + int32(BIAS))] = f32_bits(float32(load_bias(bias, c)) if o < targets and not parted else float32(0))
            r = int32(r + int32(NT))
        place = int32(row * int32(BK) + int32(chunk ^ swizzle(row)) * int32(4))
        w_first = int32(imul(int32(imul(g, targets) + o_first + row), w_pitch) + first_term)

        for i in range(MT):
            for j in range(NJ):
                for e in range(4):
                    sums[i, j, e] = float32(0)
        steps = idiv(int32(terms + int32(CHUNKS - 1)), int32(CHUNKS))
        lane, m_warp, o_warp = warp(thread)
        x_start, w_start = start_x(lane, m_warp), int32(start_w(lane, o_warp) + int32(X_STAGES))

        k = chunk
        term = term_at(tab, int32(terms_at + k * int32(TERM_SIZE)) if k < terms else int32(0))
        term_t = int32(0)
        if outer and k < terms:
            term_t = tab[uint32(int32(planes_at + k))]
        t = int32(1 - STAGES)
        while t < steps:
            if t >= int32(0):
                wait()
                cuda.syncthreads()
            ahead = int32(t + int32(STAGES - 1))
            if ahead < steps:
                stage = imod(ahead, int32(STAGES))
                inside = k < terms
                for j in range(X_ROWS):
                    if X_WHOLE or int32(row + int32(j * STEP)) < int32(BM):
                        taken = inside and uint32(int32(first_h[j] + term.h)) < extent_h and uint32(int32(first_w[j] + term.w)) < extent_w
                        if outer:
                            taken = taken and uint32(int32(first_t[j] + term_t)) < extent_t
                        source = int32(base[j] + term.source) if taken else int32(0)
                        count = uint32(16) if taken else uint32(0)
                        target = int32(stage * int32(X_STAGE) + place + int32(j * STEP * BK))
                        cp_async16(shared, target, x, int32(source * int32(4)), count)
                for j in range(W_ROWS):
                    r = int32(row + int32(j * STEP))
                    if W_WHOLE or r < int32(BN):
                        taken = inside and int32(o_first + r) < targets
                        source = int32(w_first + imul(int32(j * STEP), w_pitch) + k) if taken else int32(0)
                        count = uint32(16) if taken else uint32(0)
                        target = int32(stage * int32(W_STAGE) + place + int32(X_STAGES + j * STEP * BK))
                        cp_async16(shared, target, w, int32(source * int32(4)), count)
            cp_async_commit()
            k = int32(k + int32(CHUNKS))
            if k < terms:  # the entry of the next step, on its way while this one is multiplied
                term = term_at(tab, int32(terms_at + k * int32(TERM_SIZE)))
                if outer:
                    term_t = tab[uint32(int32(planes_at + k))]
            if t >= int32(0):
                stage = imod(t, int32(STAGES))
                multiply(shared, int32(stage * int32(X_STAGE) + x_start), int32(stage * int32(W_STAGE) + w_start), sums, w_fragments)
            t = int32(t + int32(1))

        cuda.syncthreads()
        keep(shared, sums, thread, m_warp, o_warp)
        cuda.syncthreads()
        put(shared, y, thread, plan.target.channel_pitch == int32(1))

    return jit(tensor_core, launch_bounds=NT)
