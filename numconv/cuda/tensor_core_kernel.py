"""Implicit GEMM on tensor cores: `mma.sync` with float32 accumulation for float16, bfloat16, and float32 rounded to tf32 when asked for.

Y[m, o] = Σ_k X[m, k] · W[o, k], k over (tap, chunk of channels); a chunk is 16 bytes: 8 half numbers or 4 tf32.  Inside, the image is
channels last with each group padded to whole chunks, and the weights are (group, target, tap, padded channel); an image that is so
already is read in place, another is transposed once into a workspace.  The result is stored in the caller's layout.

Tiles travel by `cp.async` through STAGES stages of shared memory; the source-size operand zero-fills the padding.  Rows of 64 bytes are
swizzled, chunk' = chunk ^ (row >> 1 & 3): the 8 rows × 4 words that a fragment read touches fall in 32 different banks.  Fragments have
one layout in 32-bit words for m16n8k8.tf32 and m16n8k16.f16/bf16, so that one kernel serves the three.

k ascends, the accumulation within an `mma` is the hardware's.  Writes are disjoint.  Needs compute capability 8.0.  Proved in the
simulator (with fragment layouts as we read the PTX ISA) and by compiling; not yet run on a GPU.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.types import float32, int32, uint32

from . import geometry as at
from .launch import jit, kernel_factory
from .ptx import (
    cp_async16,
    cp_async_commit,
    cvt_rna_tf32,
    f32_from_bits,
    idiv,
    imod,
    imul,
    load4,
    make_cp_async_wait,
    mma_m16n8k8_tf32,
    mma_m16n8k16_bf16,
    mma_m16n8k16_f16,
)  # fmt: skip
from .scalars import activation, bias_loader, storer

#: (BM, BN, words of k, WM, WN, stages); a warp computes WM × WN
Tile = tuple[int, int, int, int, int, int]
TILES: tuple[Tile, ...] = (
    (128, 128, 16, 64, 32, 3),
    (128, 64, 16, 32, 32, 4),
    (64, 64, 16, 32, 32, 4),
    (128, 32, 16, 32, 32, 4),
    (128, 16, 16, 32, 16, 4),
)
SIMULATED_TILES: tuple[Tile, ...] = ((16, 8, 16, 16, 8, 3),)
CHUNK = {"float16": 8, "bfloat16": 8, "float32": 4}


@kernel_factory
def make_tensor_core(
    dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, outer: bool, tile: Tile, split: bool = False
) -> Any:
    """The kernel for these types and tile; `outer`: the third axis takes part; `split`: y is the workspace of split-K's parts."""
    BM, BN, BK, WM, WN, STAGES = tile
    WARPS_N = BN // WN
    NT = (BM // WM) * WARPS_N * 32
    CH = BK // 4  # chunks of a row
    STEP = NT // CH  # rows loaded at once
    A_ROWS, B_ROWS = max(1, BM // STEP), max(1, BN // STEP)
    MT, NJ = WM // 16, WN // 8
    A_STAGE, B_STAGE = BM * BK, BN * BK
    A_ALL, B_ALL = STAGES * A_STAGE, STAGES * B_STAGE
    assert BK == 16 and WM % 16 == 0 and WN % 8 == 0 and (BM % STEP == 0 or STEP % BM == 0)
    OUTSIDE = -(1 << 30)
    TF32 = dtype == "float32"
    mma = {"float16": mma_m16n8k16_f16, "bfloat16": mma_m16n8k16_bf16, "float32": mma_m16n8k8_tf32}[dtype]
    wait = make_cp_async_wait(STAGES - 2)
    store, load_bias, apply = storer(out_dtype, "float32"), bias_loader(bias_dtype, "float32"), activation(act, "float32")

    def tensor_core(x, w, bias, y, tab, tiles_m, tiles_n):
        As = cuda.shared.array(A_ALL, uint32, alignment=16)
        Bs = cuda.shared.array(B_ALL, uint32, alignment=16)
        acc = cuda.local.array((MT, NJ, 4), float32)
        fb = cuda.local.array((NJ, 2), uint32)
        base = cuda.local.array(A_ROWS, int32)
        t0 = cuda.local.array(A_ROWS, int32)
        h0 = cuda.local.array(A_ROWS, int32)
        w0 = cuda.local.array(A_ROWS, int32)
        channel = cuda.local.array((NJ, 2), int32)
        beta = cuda.local.array((NJ, 2), float32)

        tid = int32(cuda.threadIdx.x)
        rest = int32(cuda.blockIdx.x)
        q = idiv(rest, tiles_n)
        o_first = int32(int32(rest - imul(q, tiles_n)) * int32(BN))
        z = idiv(q, tiles_m)
        m_first = int32(int32(q - imul(z, tiles_m)) * int32(BM))
        part = int32(0)
        if split:
            part = idiv(z, int32(tab[at.GROUPS] * tab[at.PHASES]))
            z = int32(z - imul(part, int32(tab[at.GROUPS] * tab[at.PHASES])))
        phase = idiv(z, tab[at.GROUPS])
        g = int32(z - imul(phase, tab[at.GROUPS]))
        f = int32(tab[at.FIRST_PHASE] + phase * int32(at.PHASE))
        kstart, kcount = tab[uint32(f)], tab[uint32(f + int32(1))]
        if split:
            parts = idiv(int32(cuda.gridDim.x), imul(imul(tiles_m, tiles_n), int32(tab[at.GROUPS] * tab[at.PHASES])))
            length = int32(idiv(int32(idiv(int32(kcount + int32(CH - 1)), int32(CH)) + parts - int32(1)), parts) * int32(CH))
            first = min(imul(part, length), kcount)
            kstart = int32(kstart + first)
            kcount = min(length, int32(kcount - first))
        nh, nw, positions = tab[uint32(f + int32(3))], tab[uint32(f + int32(4))], tab[uint32(f + int32(6))]
        M = int32(positions * tab[at.BATCH])
        targets = tab[at.TARGETS]
        it, ih, iw = uint32(tab[at.IT]), uint32(tab[at.IH]), uint32(tab[at.IW])
        all_k = idiv(int32(tab[at.FIRST_OUTER] - tab[at.FIRST_TAP]), int32(4))
        first_tap, first_outer = int32(tab[at.FIRST_TAP] + kstart * int32(4)), int32(tab[at.FIRST_OUTER] + kstart)

        chunk, row = imod(tid, int32(CH)), idiv(tid, int32(CH))
        for j in range(A_ROWS):
            r = int32(row + int32(j * STEP))
            m = int32(m_first + r)
            n = idiv(m, positions)
            p = int32(m - imul(n, positions))
            q = idiv(p, nw)
            jw = int32(p - imul(q, nw))
            jt = idiv(q, nh)
            jh = int32(q - imul(jt, nh))
            base[j] = int32(n * tab[at.XN] + g * tab[at.XG] + jt * tab[at.XT] + jh * tab[at.XH] + jw * tab[at.XW])
            t0[j] = int32(jt * tab[at.ST])
            h0[j] = int32(jh * tab[at.SH])
            w0[j] = int32(jw * tab[at.SW]) if m < M else int32(OUTSIDE)
        # rows of a fragment differ by multiples of 8, so the swizzle of a loaded row is one value for each thread
        place = int32(int32(row * int32(BK)) + int32(int32(chunk ^ (int32(row >> int32(1)) & int32(3))) * int32(4)))
        w_row = int32(imul(int32(imul(g, targets) + o_first + row), all_k) + kstart)

        for i in range(MT):
            for j in range(NJ):
                for e in range(4):
                    acc[i, j, e] = float32(0)
        steps = idiv(int32(kcount + int32(CH - 1)), int32(CH))
        lane = imod(tid, int32(32))
        warp = idiv(tid, int32(32))
        lg, lt = idiv(lane, int32(4)), imod(lane, int32(4))
        m_warp = int32(idiv(warp, int32(WARPS_N)) * int32(WM))
        o_warp = int32(imod(warp, int32(WARPS_N)) * int32(WN))
        swizzle = int32(int32(lg >> int32(1)) & int32(3))
        a_at = int32(int32(m_warp + lg) * int32(BK) + lt)
        b_at = int32(int32(o_warp + lg) * int32(BK) + lt)

        t = int32(1 - STAGES)
        while t < steps:
            if t >= int32(0):
                wait()
                cuda.syncthreads()
            ahead = int32(t + int32(STAGES - 1))
            if ahead < steps:
                stage = imod(ahead, int32(STAGES))
                k = int32(ahead * int32(CH) + chunk)
                inside = k < kcount
                e = load4(tab, int32(first_tap + (k * int32(4) if inside else int32(0))))
                dt = int32(0)
                if outer:
                    dt = tab[uint32(int32(first_outer + (k if inside else int32(0))))]
                for j in range(A_ROWS):
                    if int32(row + int32(j * STEP)) < int32(BM):
                        ok = inside and uint32(int32(h0[j] + e[2])) < ih and uint32(int32(w0[j] + e[3])) < iw
                        if outer:
                            ok = ok and uint32(int32(t0[j] + dt)) < it
                        source = int32(base[j] + e[0]) if ok else int32(0)
                        count = uint32(16) if ok else uint32(0)
                        target = int32(stage * int32(A_STAGE) + place + int32(j * STEP * BK))
                        cp_async16(As, target, x, int32(source * int32(4)), count)
                for j in range(B_ROWS):
                    r = int32(row + int32(j * STEP))
                    if r < int32(BN):
                        ok = inside and int32(o_first + r) < targets
                        source = int32(w_row + imul(int32(j * STEP), all_k) + k) if ok else int32(0)
                        count = uint32(16) if ok else uint32(0)
                        target = int32(stage * int32(B_STAGE) + place + int32(j * STEP * BK))
                        cp_async16(Bs, target, w, int32(source * int32(4)), count)
            cp_async_commit()
            if t >= int32(0):
                stage = imod(t, int32(STAGES))
                a_stage, b_stage = int32(stage * int32(A_STAGE) + a_at), int32(stage * int32(B_STAGE) + b_at)
                for ks in range(BK // 8):
                    near = int32(int32(int32(2 * ks) ^ swizzle) * int32(4))
                    far = int32(int32(int32(2 * ks + 1) ^ swizzle) * int32(4))
                    for j in range(NJ):
                        b0 = Bs[uint32(b_stage + int32(j * 8 * BK) + near)]
                        b1 = Bs[uint32(b_stage + int32(j * 8 * BK) + far)]
                        if TF32:
                            b0, b1 = cvt_rna_tf32(f32_from_bits(b0)), cvt_rna_tf32(f32_from_bits(b1))
                        fb[j, 0] = b0
                        fb[j, 1] = b1
                    for i in range(MT):
                        a0 = As[uint32(a_stage + int32(i * 16 * BK) + near)]
                        a1 = As[uint32(a_stage + int32((i * 16 + 8) * BK) + near)]
                        a2 = As[uint32(a_stage + int32(i * 16 * BK) + far)]
                        a3 = As[uint32(a_stage + int32((i * 16 + 8) * BK) + far)]
                        if TF32:
                            a0, a1 = cvt_rna_tf32(f32_from_bits(a0)), cvt_rna_tf32(f32_from_bits(a1))
                            a2, a3 = cvt_rna_tf32(f32_from_bits(a2)), cvt_rna_tf32(f32_from_bits(a3))
                        for j in range(NJ):
                            d = mma((a0, a1, a2, a3), (fb[j, 0], fb[j, 1]), (acc[i, j, 0], acc[i, j, 1], acc[i, j, 2], acc[i, j, 3]))
                            acc[i, j, 0] = d[0]
                            acc[i, j, 1] = d[1]
                            acc[i, j, 2] = d[2]
                            acc[i, j, 3] = d[3]
            t = int32(t + int32(1))

        sg = tab[at.SHUFFLE]
        size = idiv(tab[at.CHANNELS], sg)
        for j in range(NJ):
            for e in range(2):
                o = int32(o_first + o_warp + int32(j * 8 + e) + lt * int32(2))
                c = int32(imul(g, targets) + o)
                channel[j, e] = int32(-1)
                beta[j, e] = float32(0)
                if o < targets:
                    if not split:
                        beta[j, e] = load_bias(bias, c)
                    q = idiv(c, size)
                    channel[j, e] = imul(int32(imul(int32(c - imul(q, size)), sg) + q), tab[at.YC])
        for i in range(MT):
            for half in range(2):
                m = int32(m_first + m_warp + int32(i * 16 + half * 8) + lg)
                n = idiv(m, positions)
                p = int32(m - imul(n, positions))
                q = idiv(p, nw)
                jw = int32(p - imul(q, nw))
                jt = idiv(q, nh)
                jh = int32(q - imul(jt, nh))
                where = int32(tab[uint32(f + int32(5))] + n * tab[at.YN] + jt * tab[at.YT] + jh * tab[at.YH] + jw * tab[at.YW])
                if split:
                    where = int32(where + imul(part, imul(tab[at.BATCH], tab[at.YN])))
                if m < M:
                    for j in range(NJ):
                        for e in range(2):
                            if channel[j, e] >= int32(0):
                                store(y, int32(where + channel[j, e]), apply(float32(acc[i, j, half * 2 + e] + beta[j, e])))

    return jit(tensor_core, launch_bounds=NT)


def threads(tile: Tile) -> int:
    return (tile[0] // tile[3]) * (tile[1] // tile[4]) * 32
