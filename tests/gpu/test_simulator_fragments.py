"""Shared memory of the tensor-core kernels at every production tile: each lane gets its fragment, and no access meets a bank twice.

The kernels' own address functions are called for all lanes of a warp; `ldmatrix` is modelled one lane after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from numconv.cuda.stages import fragments
from numconv.cuda.stages.fragments import Operand, make_read, make_slot, make_start, make_swizzle, operands
from numconv.cuda.stages.warp_tiles import CHUNK, WARP_TILES

CASES = [(dtype, tile, along_k) for dtype in ("float16", "float32") for tile in WARP_TILES for along_k in (False, True)]
LANES = [np.int32(lane) for lane in range(32)]


def places(operand: Operand) -> np.ndarray[Any, Any]:
    """(rows, chunks): the word at which each chunk lies."""
    swizzle = make_swizzle(operand)
    return np.array(
        [[4 * (row * operand.chunks + (chunk ^ swizzle(np.int32(row)))) for chunk in range(operand.chunks)] for row in range(operand.rows)]
    )


class Words:
    """Shared memory that notes which words are read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __getitem__(self, index: Any) -> np.uint32:
        self.read.append(int(index))
        return np.uint32(0)


@pytest.mark.parametrize(("dtype", "tile", "along_k"), CASES)
def test_a_copy_fills_every_chunk_once_and_meets_no_bank_twice(dtype: str, tile: Any, along_k: bool) -> None:
    for operand in operands(dtype, tile, along_k):
        found = places(operand)
        assert sorted(found.reshape(-1)) == list(range(0, found.size * 4, 4))
        for eight in found.reshape(-1, 8):  # neighbouring threads copy neighbouring chunks; eight of 16 bytes are one access
            assert len({at // 4 % 8 for at in eight}) == 8
        step = tile.threads // operand.chunks
        swizzle = make_swizzle(operand)
        for row in range(min(step, operand.rows)):  # a thread reckons its place once, and copies every `step` rows from there
            assert len({int(swizzle(np.int32(r))) for r in range(row, operand.rows, step)}) == 1


def element(operand: Operand, where: dict[int, tuple[int, int]], word: int, half: int = 0) -> tuple[int, int]:
    """(m, k) of the element at a word (of 16 bits: its lower or upper half)."""
    row, chunk = where[word // 4 * 4]
    column = chunk * CHUNK[operand.dtype] + (word % 4 if operand.dtype == "float32" else word % 4 * 2 + half)
    return (column, row) if operand.along_k else (row, column)


@pytest.mark.parametrize(("dtype", "tile", "along_k"), CASES)
def test_a_read_gives_each_lane_its_fragment_and_meets_no_bank_twice(
    dtype: str, tile: Any, along_k: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noted(shared: Words, at: Any) -> Any:
        shared.read.append(int(at))
        return (np.uint32(0),) * 4

    monkeypatch.setattr(fragments, "ldmatrix4", noted)
    monkeypatch.setattr(fragments, "ldmatrix4_trans", noted)
    halves = (0, 1) if dtype == "float16" else (0,)
    for operand, warp in zip(operands(dtype, tile, along_k), (tile.warp_rows, tile.warp_columns), strict=True):
        where = {at: (row, chunk) for row, line in enumerate(places(operand).tolist()) for chunk, at in enumerate(line)}
        start, read = make_start(operand), make_read(operand)
        for first in range(0, operand.extent, warp):
            for ks in range(tile.words // 8):
                for i in range(warp // 16):
                    lanes = []
                    for lane in LANES:
                        words = Words()
                        read(words, start(lane, np.int32(first)), ks, i)
                        lanes.append(words.read)
                    for q in range(4):
                        rows, depth = first + 16 * i + 8 * (q % 2), (8 * ks + 4 * (q // 2)) * len(halves)
                        wanted = [[(rows + lane // 4, depth + lane % 4 * len(halves) + h) for h in halves] for lane in range(32)]
                        if operand.by_words:
                            got = [[element(operand, where, lanes[lane][q])] for lane in range(32)]
                            assert len({lanes[lane][q] % 32 for lane in range(32)}) == 32
                        else:
                            eight = [lanes[lane][0] for lane in range(8 * q, 8 * q + 8)]
                            assert len({at // 4 % 8 for at in eight}) == 8
                            if along_k:  # transposed: the lane's column of the two rows of its pair
                                got = [
                                    [element(operand, where, eight[lane % 4 * 2 + h] + lane // 8, lane // 4 % 2) for h in halves]
                                    for lane in range(32)
                                ]
                            else:
                                got = [[element(operand, where, eight[lane // 4] + lane % 4, h) for h in halves] for lane in range(32)]
                        assert got == wanted


@pytest.mark.parametrize("extent", sorted({tile.rows for tile in WARP_TILES}))
def test_sums_wait_in_places_of_their_own_and_meet_no_bank_twice(extent: int) -> None:
    slot = make_slot(extent)
    table = np.array([[int(slot(np.int32(m), np.int32(n))) for m in range(extent)] for n in range(64)])
    assert sorted(table.reshape(-1)) == list(range(64 * extent))
    for n in range(0, 64, 8):
        for m in range(0, extent, 8):
            for e in (0, 1):  # a warp's fragment: columns 2t + e, rows g
                assert len({table[n + lane % 4 * 2 + e, m + lane // 4] % 32 for lane in range(32)}) == 32
    for m in range(extent):
        assert len(set(table[:32, m] % 32)) == 32
    for line in table.reshape(-1, 32):
        assert len(set(line % 32)) == 32
