"""Implicit GEMM on CUDA cores: a block computes BM positions × BN channels from double-buffered tiles in shared memory.

Loop: Y[m, o] = Σ_k X[m, k] · W[k, o], where X[m, k] = x[base(m) + xoff[k]] is gathered through the table of taps (zero outside the
source), K = source channels × taps of one stride phase.  Forward, and the input gradient as one GEMM per stride phase, in one launch.

Shared memory: As[2][BK][BM + 4], Bs[2][BK][BN + 4].  Each thread owns TM × TN sums in registers, in rows of four so that fragments are
128-bit reads.  While tile t is multiplied, tile t + 1 is on its way from global memory to registers.  k ascends: the order of summation
depends on the problem alone.  Writes are disjoint: each output belongs to one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ...geometry import axes as at
from ...ptx import idiv, imod, imul, load4
from ...runtime.launch import jit, kernel_factory
from ...scalars import activation, bias_loader, quad_loader, quad_storer, scalars

#: (BM, BN, BK, TM, TN); threads = BM/TM · BN/TN
Tile = tuple[int, int, int, int, int]
TILES: tuple[Tile, ...] = (
    (128, 128, 8, 8, 8),
    (128, 64, 8, 8, 4),
    (64, 64, 8, 4, 4),
    (128, 32, 8, 4, 4),
    (64, 32, 8, 4, 4),
    (256, 16, 16, 4, 4),
    (256, 8, 16, 4, 4),
)
#: for types of 8 bytes and more: a quarter of the sums, so that they fit the registers
WIDE_TILES: tuple[Tile, ...] = ((64, 64, 8, 4, 4), (128, 32, 8, 4, 4), (256, 16, 16, 4, 4), (256, 8, 16, 4, 4))
SIMULATED_TILES: tuple[Tile, ...] = ((16, 8, 4, 4, 4),)


@dataclass(frozen=True)
class Form:
    """What of the problem's form is compiled into a kernel.

    reads: how a block's threads divide a tile of X.  "positions": neighbours read neighbouring positions (channels first); "channels":
    neighbouring terms of k, which the table has as neighbouring channels (channels last); "quads": four positions by one 128-bit load (a
    pointwise convolution whose positions are a multiple of four).
    """

    outer: bool = False  # the third axis takes part
    reads: str = "positions"
    quad_stores: bool = False  # four positions of a result by one 128-bit store
    split: bool = False  # y is the workspace of split-K's parts


@kernel_factory
def make_implicit_gemm(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, form: Form, tile: Tile) -> Any:
    """The kernel for these types, form and tile."""
    BM, BN, BK, TM, TN = tile
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)
    COLUMNS = BM // TM  # threads along m
    NT = COLUMNS * (BN // TN)
    outer, split, quads, channels_last, quad_stores = (
        form.outer, form.split, form.reads == "quads", form.reads == "channels", form.quad_stores
    )  # fmt: skip
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
        rest = idiv(block, tiles_n)
        o_first = int32(int32(block - imul(rest, tiles_n)) * int32(BN))
        z = idiv(rest, tiles_m)
        m_first = int32(int32(rest - imul(z, tiles_m)) * int32(BM))
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
            length = int32(idiv(int32(idiv(int32(kcount + int32(BK - 1)), int32(BK)) + parts - int32(1)), parts) * int32(BK))
            first = min(imul(part, length), kcount)
            kstart = int32(kstart + first)
            kcount = min(length, int32(kcount - first))
        nh, nw, positions = tab[uint32(f + int32(3))], tab[uint32(f + int32(4))], tab[uint32(f + int32(6))]
        M = int32(positions * tab[at.BATCH])
        targets = tab[at.TARGETS]
        it, ih, iw = uint32(tab[at.IT]), uint32(tab[at.IH]), uint32(tab[at.IW])
        first_tap, first_outer = int32(tab[at.FIRST_TAP] + kstart * int32(4)), int32(tab[at.FIRST_OUTER] + kstart)

        a_row, a_column = idiv(tid, int32(ACROSS)), imod(tid, int32(ACROSS))
        if quads:
            a_column = int32(a_column * int32(4))
        if channels_last:
            a_row, a_column = imod(tid, int32(BK)), idiv(tid, int32(BK))
        for j in range(PER):
            m = int32(m_first + a_column + int32(j * M_STEP))
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
        b_row, b_column = imod(tid, int32(BK)), idiv(tid, int32(BK))
        wo = tab[at.WO]
        wbase = int32(g * tab[at.WG] + int32(o_first + b_column) * wo)
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
                            v = quad(x, int32(base[0] + tab[uint32(int32(first_tap + k * int32(4)))]))
                            a_next[i, 0] = v[0]
                            a_next[i, 1] = v[1]
                            a_next[i, 2] = v[2]
                            a_next[i, 3] = v[3]
                    elif k < kcount:
                        e = load4(tab, int32(first_tap + k * int32(4)))
                        dt = int32(0)
                        if outer:
                            dt = tab[uint32(int32(first_outer + k))]
                        for j in range(PER):
                            ok = uint32(int32(h0[j] + e[2])) < ih and uint32(int32(w0[j] + e[3])) < iw
                            if outer:
                                ok = ok and uint32(int32(t0[j] + dt)) < it
                            if ok:
                                a_next[i, j] = load(x, int32(base[j] + e[0]))
                k = int32(k0 + b_row)
                for i in range(B_STEPS):
                    b_next[i] = kind(0)
                if k < kcount:
                    offset = int32(wbase + tab[uint32(int32(first_tap + k * int32(4) + int32(1)))])
                    for i in range(B_STEPS):
                        if int32(o_first + b_column + int32(i * O_STEP)) < targets:
                            b_next[i] = load(w, int32(offset + imul(int32(i * O_STEP), wo)))
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

        sg = tab[at.SHUFFLE]
        size = idiv(tab[at.CHANNELS], sg)
        for j in range(TN):  # once for each channel, so that the loop over sums stays small enough to unroll into registers
            o = int32(o_first + o_thread + int32((j // 4) * (4 * (BN // TN)) + j % 4))
            c = int32(g * targets + o)
            channel[j] = int32(-1)
            fb[j] = kind(0)
            if o < targets:
                if not split:
                    fb[j] = load_bias(bias, c)
                q = idiv(c, size)
                channel[j] = imul(int32(imul(int32(c - imul(q, size)), sg) + q), tab[at.YC])
        for i in range(TM):
            if i % 4 == 0 or not quad_stores:
                m = int32(m_first + m_thread + int32((i // 4) * 4 * COLUMNS + i % 4))
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
                    for j in range(TN):
                        if channel[j] >= int32(0):
                            if quad_stores:
                                put_four(
                                    y, int32(where + channel[j]), apply(kind(acc[i, j] + fb[j])), apply(kind(acc[i + 1, j] + fb[j])),
                                    apply(kind(acc[i + 2, j] + fb[j])), apply(kind(acc[i + 3, j] + fb[j])),
                                )  # fmt: skip
                            else:
                                store(y, int32(where + channel[j]), apply(kind(acc[i, j] + fb[j])))

    return jit(implicit_gemm, launch_bounds=NT)


def threads(tile: Tile) -> int:
    return (tile[0] // tile[3]) * (tile[1] // tile[4])
