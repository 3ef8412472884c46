"""The tile of a product on tensor cores, shared by the warps of a block, and what it takes of shared memory."""

from __future__ import annotations

from typing import NamedTuple

from ..environment import SIMULATED


class WarpTile(NamedTuple):
    """The results of a block, and of each of its warps; all but the stages are powers of two."""

    rows: int  # of the result: m
    columns: int  # n
    words: int  # of k in a stage, of 32 bits
    warp_rows: int
    warp_columns: int
    stages: int  # in shared memory: one is multiplied, the others are on their way

    @property
    def threads(self) -> int:
        return (self.rows // self.warp_rows) * (self.columns // self.warp_columns) * 32


WARP_TILES = (
    WarpTile(rows=128, columns=256, words=32, warp_rows=64, warp_columns=64, stages=3),
    WarpTile(rows=128, columns=128, words=32, warp_rows=64, warp_columns=32, stages=3),
    WarpTile(rows=128, columns=128, words=32, warp_rows=64, warp_columns=64, stages=3),
    WarpTile(rows=128, columns=64, words=32, warp_rows=32, warp_columns=32, stages=4),
    WarpTile(rows=64, columns=64, words=32, warp_rows=32, warp_columns=32, stages=4),
    WarpTile(rows=64, columns=64, words=16, warp_rows=32, warp_columns=32, stages=4),
    WarpTile(rows=128, columns=32, words=16, warp_rows=32, warp_columns=32, stages=4),
    WarpTile(rows=128, columns=16, words=16, warp_rows=32, warp_columns=16, stages=4),
)
SIMULATED_WARP_TILES = (WarpTile(rows=16, columns=16, words=16, warp_rows=16, warp_columns=16, stages=3),)
#: elements of 16 bytes
CHUNK = {"float16": 8, "bfloat16": 8, "float32": 4}


def tiles() -> tuple[WarpTile, ...]:
    return SIMULATED_WARP_TILES if SIMULATED else WARP_TILES


def stage_terms(tile: WarpTile, dtype: str) -> int:
    """Elements of k in a stage."""
    return tile.words * CHUNK[dtype] // CHUNK["float32"]


def fitting(tile: WarpTile, most: int) -> WarpTile:
    """The tile with as many of its stages as fit `most` bytes of shared memory; the order of the sums does not depend on it."""
    while tile.stages > 2 and shared_bytes(tile) > most:
        tile = tile._replace(stages=tile.stages - 1)
    return tile


class Places(NamedTuple):
    """Words of shared memory behind the tile of sums, of which each row and column has one; a negative place is outside the result."""

    rows: int  # where a row's results go, from y's first
    columns: int  # where a column's go, from its row's
    bias: int  # of each column, a float32's bits
    end: int


def places(tile: WarpTile) -> Places:
    rows = sums_end(tile)
    return Places(rows, rows + tile.rows, rows + tile.rows + tile.columns, rows + tile.rows + 2 * tile.columns)


def shared_bytes(tile: WarpTile) -> int:
    """The stages, later the tile of sums in their place; behind them the places of its rows and columns, and the bias."""
    return 4 * places(tile).end


def sums_end(tile: WarpTile) -> int:
    """Words."""
    return max((tile.rows + tile.columns) * tile.words * tile.stages, tile.rows * tile.columns)


def check(tile: WarpTile) -> None:
    """What the kernels take for granted."""
    BM, BN, BK, WM, WN, stages = tile
    assert BM % WM == 0 and BN % WN == 0 and WM % 16 == 0 and WN % 16 == 0 and BK % 8 == 0 and stages >= 2
    assert all(n & (n - 1) == 0 for n in (BM, BN, BK, WM, WN))
