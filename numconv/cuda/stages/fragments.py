"""What kernels on tensor cores share: tiles in swizzled shared memory, fragments read from them by `ldmatrix`, and the products of a stage.

C[m, n] += Σ_k A[m, k] · B[n, k] by `mma.sync`, m16n8k8 for tf32, m16n8k16 for half types: in 32-bit words both have one fragment layout, 8
words of k.  A stage holds BM × BK words of A and BN × BK words of B, each in rows of 16-byte chunks, in one of two orders:

rows along m (or n)   a row is BK words of k: fragments by `ldmatrix`, for tf32 as pairs of b16
rows along k          a row is BM elements of one k: fragments by `ldmatrix.trans`, for tf32 word by word

A chunk lies at chunk ^ swizzle(row), so that what a warp reads or writes at once falls in different banks:
`tests/gpu/test_simulator_fragments.py` computes the conflicts of every tile.  Tiles are powers of two, so an offset along the swizzled
axis is an exclusive or by a constant, along the other an addition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numba.cuda.types import float32, int32, uint32

from ..ptx import (
    cvt_rna_tf32,
    f32_bits,
    f32_from_bits,
    idiv,
    imod,
    imul,
    ldmatrix4,
    ldmatrix4_trans,
    mma_m16n8k8_tf32,
    mma_m16n8k16_bf16,
    mma_m16n8k16_f16,
)
from ..runtime.launch import inlined
from .warp_tiles import CHUNK, WarpTile, places

MMA = {"float16": mma_m16n8k16_f16, "bfloat16": mma_m16n8k16_bf16, "float32": mma_m16n8k8_tf32}


@dataclass(frozen=True)
class Operand:
    """One operand's part of a stage: `extent` elements of m or n by `words` words of k."""

    dtype: str
    extent: int
    words: int
    along_k: bool  # rows run along k

    @property
    def rows(self) -> int:
        return self.words * CHUNK[self.dtype] // 4 if self.along_k else self.extent

    @property
    def chunks(self) -> int:
        """Of a row."""
        return self.extent // CHUNK[self.dtype] if self.along_k else self.words // 4

    @property
    def by_words(self) -> bool:
        """`ldmatrix.trans` transposes 16-bit elements: a 32-bit operand whose rows run along k is read word by word."""
        return self.along_k and self.dtype == "float32"


def make_shares(tile: WarpTile) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """block(index, tiles_m, tiles_n) → (first row, first column, what is left of the index);
    warp(thread) → (lane, first row, first column)."""
    BM, BN, _, WM, WN, _ = tile
    WARPS_N = BN // WN

    @inlined
    def block(index, tiles_m, tiles_n):
        q = idiv(index, tiles_n)
        rest = idiv(q, tiles_m)
        return int32(int32(q - imul(rest, tiles_m)) * int32(BM)), int32(int32(index - imul(q, tiles_n)) * int32(BN)), rest

    @inlined
    def warp(thread):
        index = idiv(thread, int32(32))
        return imod(thread, int32(32)), int32(idiv(index, int32(WARPS_N)) * int32(WM)), int32(imod(index, int32(WARPS_N)) * int32(WN))

    return block, warp


def make_swizzle(operand: Operand) -> Callable[[Any], Any]:
    """swizzle(row): what the chunks of a row are exchanged by."""
    assert operand.chunks in (2, 4, 8, 16, 32, 64)
    SHIFT = max(0, 3 - operand.chunks.bit_length() + 1)  # rows shorter than all banks share a line of them
    UP = 1 if operand.by_words else 0  # a read by words takes two chunks of four rows, else one of eight
    MASK = min(8, operand.chunks) // (2 if operand.by_words else 1) - 1

    @inlined
    def swizzle(row):
        return int32(int32(int32(row >> int32(SHIFT)) & int32(MASK)) << int32(UP))

    return swizzle


def make_start(operand: Operand) -> Callable[[Any, Any], Any]:
    """start(lane, first): the word of the tile at which a lane begins to read the fragments from element `first` of m or n on."""
    ALONG_K, BY_WORDS, PITCH, CHUNK_ELEMENTS = operand.along_k, operand.by_words, 4 * operand.chunks, CHUNK[operand.dtype]
    swizzle = make_swizzle(operand)

    @inlined
    def start(lane, first):
        chunk = int32(lane >> int32(4))  # lanes address rows: 0 to 15 those of the first chunk, the others those of the second
        row = int32(int32(lane & int32(15)) + first)
        within = int32(0)
        if BY_WORDS:
            row = int32(lane & int32(3))
            chunk = int32(int32(first >> int32(2)) + int32(lane >> int32(4)))
            within = int32(int32(lane >> int32(2)) & int32(3))
        elif ALONG_K:  # the second eight lanes read the next chunk of m, the later sixteen the next eight k
            row = int32(int32(lane & int32(7)) + int32(int32(lane >> int32(4)) << int32(3)))
            chunk = int32(int32(first >> int32(3 if CHUNK_ELEMENTS == 8 else 2)) + int32(int32(lane >> int32(3)) & int32(1)))
        return int32(row * int32(PITCH) + int32(chunk ^ swizzle(row)) * int32(4) + within)

    return start


def make_read(operand: Operand) -> Callable[..., Any]:
    """read(shared, at, ks, i): the four words of a lane for k step `ks` of the sixteen rows `i` of m, as `mma` has them in A.

    `at` is where the operand's stage begins plus the lane's start.  Words 0 and 2 are the first eight rows, 1 and 3 the second: two
    fragments of B.
    """
    ALONG_K, PITCH, STEP = operand.along_k, 4 * operand.chunks, 2 * CHUNK[operand.dtype]
    TF32 = operand.dtype == "float32"
    ACROSS = 4 * 16 // CHUNK[operand.dtype]  # words of sixteen elements of m, where rows run along k

    @inlined
    def rounded(word):
        if TF32:
            return cvt_rna_tf32(f32_from_bits(word))
        return word

    if operand.by_words:

        @inlined
        def read(shared, at, ks, i):
            near = int32(int32(at ^ int32(i * ACROSS)) + int32(ks * STEP * PITCH))
            far = int32(int32(at ^ int32(i * ACROSS + 8)) + int32(ks * STEP * PITCH))
            down = int32(4 * PITCH)
            a, b = shared[uint32(near)], shared[uint32(far)]
            c, d = shared[uint32(int32(near + down))], shared[uint32(int32(far + down))]
            return rounded(a), rounded(b), rounded(c), rounded(d)

    elif ALONG_K:

        @inlined
        def read(shared, at, ks, i):
            return ldmatrix4_trans(shared, int32(int32(at ^ int32(i * ACROSS)) + int32(ks * STEP * PITCH)))

    else:

        @inlined
        def read(shared, at, ks, i):
            a, b, c, d = ldmatrix4(shared, int32(int32(at ^ int32(ks * 8)) + int32(i * 16 * PITCH)))
            return rounded(a), rounded(b), rounded(c), rounded(d)

    return read


def operands(dtype: str, tile: WarpTile, along_k: bool) -> tuple[Operand, Operand]:
    return Operand(dtype, tile.rows, tile.words, along_k), Operand(dtype, tile.columns, tile.words, along_k)


def make_multiply(dtype: str, tile: WarpTile, along_k: bool) -> Callable[..., Any]:
    """multiply(shared, a_at, b_at, acc, fb): acc[i, j] += the products of one stage; `fb` room for (WN / 8, 2) words."""
    _, _, BK, WM, WN, _ = tile
    MT, PAIRS, KS = WM // 16, WN // 16, BK // 8
    left, right = operands(dtype, tile, along_k)
    read_a, read_b, mma = make_read(left), make_read(right), MMA[dtype]

    @inlined
    def multiply(shared, a_at, b_at, acc, fb):
        for ks in range(KS):
            for p in range(PAIRS):
                fb[2 * p, 0], fb[2 * p + 1, 0], fb[2 * p, 1], fb[2 * p + 1, 1] = read_b(shared, b_at, ks, p)
            for i in range(MT):
                a = read_a(shared, a_at, ks, i)
                for j in range(2 * PAIRS):
                    acc[i, j, 0], acc[i, j, 1], acc[i, j, 2], acc[i, j, 3] = mma(
                        a, (fb[j, 0], fb[j, 1]), (acc[i, j, 0], acc[i, j, 1], acc[i, j, 2], acc[i, j, 3])
                    )

    return multiply


def make_slot(extent: int) -> Callable[[Any, Any], Any]:
    """slot(m, n): where a sum waits to be stored.

    A column of sums is exchanged by a number that differs for 32 neighbouring columns, and by eights for those of a fragment: no bank is
    met twice, writing fragments, reading along m, or along n.
    """
    SHIFT, MASK = extent.bit_length() - 1, extent - 1

    @inlined
    def slot(m, n):
        f = int32(int32(int32(int32(n >> int32(1)) & int32(3)) << int32(3)) | int32(int32(int32(n >> int32(3)) & int32(3)) << int32(1)))
        f = int32(int32(f | int32(n & int32(1))) & int32(MASK))
        return uint32(int32(n << int32(SHIFT)) + int32(m ^ f))

    return slot


def make_epilogue(tile: WarpTile, store: Callable[..., Any], apply: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """y[row's place + column's place] = apply(sum + bias), in two steps with a barrier before each.

    keep(shared, acc, tid, m_warp, n_warp) puts a warp's sums in the place of the stages; put(shared, y, tid, across) stores them,
    neighbouring threads along n if `across`, else along m: whole sectors in either layout, and the code of a store is there once.  Rows
    and columns outside have negative places.
    """
    BM, BN, _, WM, WN, _ = tile
    MT, NJ, NT = WM // 16, WN // 8, tile.threads
    ROW_PLACES, COLUMN_PLACES, BIAS, _ = places(tile)
    slot = make_slot(BM)
    SHIFT_M, SHIFT_N = BM.bit_length() - 1, BN.bit_length() - 1

    @inlined
    def keep(shared, acc, tid, m_warp, n_warp):
        lane = int32(tid & int32(31))
        row, column = int32(m_warp + int32(lane >> int32(2))), int32(n_warp + int32(int32(lane & int32(3)) << int32(1)))
        for i in range(MT):
            for j in range(NJ):
                for e in range(4):
                    at = slot(int32(row + int32(i * 16 + e // 2 * 8)), int32(column + int32(j * 8 + e % 2)))
                    shared[at] = f32_bits(acc[i, j, e])

    @inlined
    def put(shared, y, tid, across):
        i = tid
        while i < int32(BM * BN):
            m, n = int32(i & int32(BM - 1)), int32(i >> int32(SHIFT_M))
            if across:
                m, n = int32(i >> int32(SHIFT_N)), int32(i & int32(BN - 1))
            first, second = int32(shared[uint32(m + int32(ROW_PLACES))]), int32(shared[uint32(n + int32(COLUMN_PLACES))])
            if first >= int32(0) and second >= int32(0):
                total = float32(f32_from_bits(shared[slot(m, n)]) + f32_from_bits(shared[uint32(n + int32(BIAS))]))
                store(y, int32(first + second), apply(total))
            i = int32(i + int32(NT))

    return keep, put
