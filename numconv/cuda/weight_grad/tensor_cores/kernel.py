"""Weight gradient on tensor cores: the product of `dense/tensor_cores` with the positions summed over.

dw[o, j] = Σ_p X[p, j] · dY[p, o], j over (tap, channel), p over the positions of all samples: A is the image gathered through the table of
taps, B the gradient of the result, both channels last in 16-byte chunks.  A stage holds rows along k, so that fragments come by
`ldmatrix.trans`; for tf32, whose words it cannot transpose, word by word.

A thread copies one chunk of every row it has: its entry of the table is fixed, its positions advance by a stage at a time, as digits of
(sample, t, h, w) with carries, for want of a division in the loop.  A block sums one part of the positions, in ascending order; parts go to
a workspace and are added in ascending order by `parts.add`.  Writes are disjoint, nothing is atomic.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.types import float32, int32, uint32

from ...geometry.convolution import TERM_SIZE, convolution_at, one_term_at, phase_at, term_at
from ...geometry.decode import first_read, position, split
from ...ptx import cp_async16, cp_async_commit, idiv, imod, imul, make_cp_async_wait
from ...runtime.launch import jit, kernel_factory
from ...scalars import activation, storer
from ...stages.fragments import make_epilogue, make_multiply, make_shares, make_start, make_swizzle, operands
from ...stages.warp_tiles import CHUNK, WarpTile, check, places


@kernel_factory
def make_tensor_core_weights(dtype: str, outer: bool, tile: WarpTile) -> Any:
    """The kernel for this type and tile; `outer`: the third axis takes part.  It stores float32."""
    check(tile)
    BM, BN, BK, WM, WN, STAGES = tile
    NT, C = tile.threads, CHUNK[dtype]
    left, right = operands(dtype, tile, True)
    K = left.rows  # positions of a stage
    ACROSS_A, ACROSS_B = left.chunks, right.chunks
    STEP_A, STEP_B = NT // ACROSS_A, NT // ACROSS_B  # rows copied at once
    A_ROWS, B_ROWS = max(1, K // STEP_A), max(1, K // STEP_B)
    WHOLE_A, WHOLE_B = K % STEP_A == 0, K % STEP_B == 0
    A_STAGE, B_STAGE, A_ALL = BM * BK, BN * BK, STAGES * BM * BK
    MT, NJ = WM // 16, WN // 8
    ROW_PLACES, COLUMN_PLACES, BIAS, _ = places(tile)
    swizzle_a, swizzle_b, start_a, start_b = make_swizzle(left), make_swizzle(right), make_start(left), make_start(right)
    multiply, wait = make_multiply(dtype, tile, True), make_cp_async_wait(STAGES - 2)
    block, warp = make_shares(tile)
    keep, put = make_epilogue(tile, storer("float32", "float32"), activation(None, "float32"))

    def tensor_core_weights(x, dy, parts, tab, cut):
        shared = cuda.shared.array(0, uint32, alignment=16)
        acc = cuda.local.array((MT, NJ, 4), float32)
        fb = cuda.local.array((NJ, 2), uint32)
        jn = cuda.local.array(A_ROWS, int32)
        jt = cuda.local.array(A_ROWS, int32)
        jh = cuda.local.array(A_ROWS, int32)
        jw = cuda.local.array(A_ROWS, int32)

        tid = int32(cuda.threadIdx.x)
        j_first, o_first, z = block(int32(cuda.blockIdx.x), cut.tiles_m, cut.tiles_n)
        plan = convolution_at(tab, 0)
        part, g = split(z, plan.groups)
        phase = phase_at(tab, plan.phases_at)  # forward has one
        chunks, nt, nh, nw, positions, targets = phase.terms, phase.t, phase.h, phase.w, plan.positions, plan.targets
        columns = plan.weights.target_pitch  # weights of an output channel
        begin = imul(part, cut.length)
        end = min(int32(begin + cut.length), imul(positions, plan.batch))
        it, ih, iw = uint32(plan.source.t), uint32(plan.source.h), uint32(plan.source.w)
        o_chunks = idiv(int32(targets + int32(C - 1)), int32(C))  # of a group

        # where the sums of a row (tap, channel) and of a column (output channel) go
        r = tid
        while r < int32(BM):
            j = int32(j_first + r)
            k = idiv(j, int32(C))
            where = int32(-1)
            if k < chunks:
                where = int32(
                    one_term_at(tab, int32(plan.terms_at + k * int32(TERM_SIZE))).weight + imul(imod(j, int32(C)), plan.weights.taps)
                )
                where = int32(where + imul(part, plan.weights.elements)) if where < columns else int32(-1)
            shared[uint32(r + int32(ROW_PLACES))] = uint32(where)
            r = int32(r + int32(NT))
        r = tid
        while r < int32(BN):
            o = int32(o_first + r)
            where = imul(int32(imul(g, targets) + o), columns)
            shared[uint32(r + int32(COLUMN_PLACES))] = uint32(where if o < targets else int32(-1))
            shared[uint32(r + int32(BIAS))] = uint32(0)
            r = int32(r + int32(NT))

        chunk_a, row_a = imod(tid, int32(ACROSS_A)), idiv(tid, int32(ACROSS_A))
        chunk_b, row_b = imod(tid, int32(ACROSS_B)), idiv(tid, int32(ACROSS_B))
        place_a = int32(row_a * int32(4 * ACROSS_A) + int32(chunk_a ^ swizzle_a(row_a)) * int32(4))
        place_b = int32(row_b * int32(4 * ACROSS_B) + int32(chunk_b ^ swizzle_b(row_b)) * int32(4) + int32(A_ALL))
        k = int32(idiv(j_first, int32(C)) + chunk_a)
        taken = k < chunks
        term = term_at(tab, int32(plan.terms_at + k * int32(TERM_SIZE)) if taken else int32(0))
        dt = int32(0)
        if outer and taken:
            dt = tab[uint32(int32(plan.planes_at + k))]
        x_first = int32(g * plan.source.group_pitch + term.source)
        o_chunk = int32(idiv(o_first, int32(C)) + chunk_b)
        y_step = imul(plan.groups, o_chunks)
        y_first, wanted = int32(imul(g, o_chunks) + o_chunk), o_chunk < o_chunks
        for j in range(A_ROWS):
            m = int32(begin + row_a + int32(j * STEP_A))
            jn[j], p = split(m, positions)
            jt[j], jh[j], jw[j] = position(p, nh, nw)
        dn, p = split(int32(K), positions)
        dd, dh, dw = position(p, nh, nw)

        for i in range(MT):
            for j in range(NJ):
                for e in range(4):
                    acc[i, j, e] = float32(0)
        steps = idiv(int32(max(int32(0), int32(end - begin)) + int32(K - 1)), int32(K))
        lane, m_warp, o_warp = warp(tid)
        a_start, b_start = start_a(lane, m_warp), int32(start_b(lane, o_warp) + int32(A_ALL))

        t = int32(1 - STAGES)
        while t < steps:
            if t >= int32(0):
                wait()
                cuda.syncthreads()
            ahead = int32(t + int32(STAGES - 1))
            if ahead < steps:
                stage = imod(ahead, int32(STAGES))
                first = int32(begin + ahead * int32(K))
                for j in range(A_ROWS):
                    r = int32(row_a + int32(j * STEP_A))
                    ok = taken and int32(first + r) < end
                    ok = (
                        ok
                        and uint32(int32(jh[j] * plan.source.step.h + term.h)) < ih
                        and uint32(int32(jw[j] * plan.source.step.w + term.w)) < iw
                    )
                    if outer:
                        ok = ok and uint32(int32(jt[j] * plan.source.step.t + dt)) < it
                    where = int32(x_first + first_read(plan.source, jn[j], int32(0), jt[j], jh[j], jw[j]))
                    if WHOLE_A or r < int32(K):
                        target = int32(stage * int32(A_STAGE) + place_a + int32(j * STEP_A * 4 * ACROSS_A))
                        cp_async16(shared, target, x, int32(where * int32(4)) if ok else int32(0), uint32(16) if ok else uint32(0))
                    # the next stage's position: add the digits of K, with carries
                    jw[j] = int32(jw[j] + dw)
                    jh[j] = int32(jh[j] + dh)
                    jn[j] = int32(jn[j] + dn)
                    if jw[j] >= nw:
                        jw[j] = int32(jw[j] - nw)
                        jh[j] = int32(jh[j] + int32(1))
                    jt[j] = int32(jt[j] + dd)
                    if jh[j] >= nh:
                        jh[j] = int32(jh[j] - nh)
                        jt[j] = int32(jt[j] + int32(1))
                    if jt[j] >= nt:
                        jt[j] = int32(jt[j] - nt)
                        jn[j] = int32(jn[j] + int32(1))
                for j in range(B_ROWS):
                    r = int32(row_b + int32(j * STEP_B))
                    ok = wanted and int32(first + r) < end
                    where = int32(imul(int32(first + r), y_step) + y_first)
                    if WHOLE_B or r < int32(K):
                        target = int32(stage * int32(B_STAGE) + place_b + int32(j * STEP_B * 4 * ACROSS_B))
                        cp_async16(shared, target, dy, int32(where * int32(4)) if ok else int32(0), uint32(16) if ok else uint32(0))
            cp_async_commit()
            if t >= int32(0):
                stage = imod(t, int32(STAGES))
                multiply(shared, int32(stage * int32(A_STAGE) + a_start), int32(stage * int32(B_STAGE) + b_start), acc, fb)
            t = int32(t + int32(1))

        cuda.syncthreads()
        keep(shared, acc, tid, m_warp, o_warp)
        cuda.syncthreads()
        put(shared, parts, tid, False)

    return jit(tensor_core_weights, launch_bounds=NT)
