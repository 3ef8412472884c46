"""What a task of `spread` costs, in cycles of one worker at the clock that Machine.flops assumes.

Measured on a Zen 4 (AVX-512) up to 2026-11-24 unless said otherwise; decisions 12, 16, 26, 28, 32 and 33 have the layers.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....kernel import Machine
from ...geometry.tiles import over, term_cycles
from .layout import SpreadLayout

SPREAD_TASK = 200.0  # cycles a task
SPREAD_LOOP = 0.25  # cycles a term of a tile beside its multiply-adds
LOADS_PER_VECTOR = 2  # steps of the load units a vector of weights: it comes from the second cache
SPREAD_TILE = 10.0  # cycles a tile begun and stored …
SPREAD_TILE_PER_SQUARED_SUM = 0.15  # … and per square of its registers of sums: twice 14 sums take less than 28
STREAM = 12.0  # bytes a cycle that come from the second cache while a tile computes
SCATTERED_SHARE = 0.15  # of a term's cycles more, where the lines of its samples share few sets of the first cache …
SCATTERED = 2.2  # … and cycles at least: a line that has left the first cache
FAR_FILTERS = 1.1  # a term's cycles where a block of filters fills half of the second cache
FETCH_ROWS = 0.05  # cycles a byte from beyond the second cache, in long rows …
FETCH_PIECES = 0.15  # … in short pieces, read at a step …
FETCH_FILTERS = 0.1  # … of filters
FAR_PIECE = 300.0  # cycles a plane of a channel that is copied from beyond the second cache
COPY_PLANE = 8.0  # cycles a plane of a channel copied …
COPY_ROW = 14.0  # … a row of it …
COPY_VECTOR = 3.0  # … a vector of that; a pixel copied by itself costs as much again
SPREAD_SQUARE = 80.0  # cycles a square of 16 × 16 sums transposed and stored …
SQUARE_BY_ROWS = 140.0  # … more by way of rows, or where the result goes to memory …
SQUARE_LANES = 16.0  # … by the square of the lanes in other widths (Zen 3, 2026-11-28)
ROW_OF_CHANNEL = 4.0  # cycles a row of a channel's targets stored apart
STORE_VECTOR = 4.0  # cycles a vector of sums stored as pixels
PACK, PACK_BLOCK = (
    2.3,
    0.8,
)  # cycles a weight packed: ahead of all tasks; of a block, by the task that then reads it from its cache (2026-11-30)
PADDED_SAMPLE = 2.0  # cycles a sample of an image that is padded by another mode first
CACHE_LINE = 64  # bytes
NEAR = 1 << 20  # bytes of an image that the second cache holds, about
PAGE = 4096  # bytes: samples so far apart, or a multiple of it, share their sets of the first cache
MANY_STREAMS = 32  # rows at a time that no prefetcher follows


class Tiles(NamedTuple):
    """Some tiles, as arrays of floats."""

    positions: Any
    vectors: Any
    term: Any  # cycles a term
    start: Any  # cycles a tile beside its terms


class Candidates(NamedTuple):
    """Of a choice, all at once: arrays of floats whose shapes broadcast to (tiles, boxes, copied or not, splits)."""

    tiles: Tiles
    box: tuple[Any, Any, Any]  # targets of a task
    copied: Any  # the rows of a box, between zeros
    splits: Any  # of the channels


def extents(a: SpreadLayout, box: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Planes, rows and columns that a box reads."""
    et, eh, ew = ((b - 1) * x.taps.step + x.reach + 1 for x, b in zip(a.axes, box, strict=True))
    return np.minimum(a.axes[0].taps.source, et), np.minimum(a.axes[1].taps.source, eh), ew


def tile_term(positions: int, vectors: int, machine: Machine) -> float:
    """Cycles a term of a tile: its multiply-adds, the weights from the second cache, or the one chain."""
    return term_cycles(positions, vectors, machine, LOADS_PER_VECTOR * vectors / machine.multiply_adds, SPREAD_LOOP)


def tile_start(positions: int, vectors: int) -> float:
    """Cycles a tile beside its terms."""
    return SPREAD_TILE + SPREAD_TILE_PER_SQUARED_SUM * (positions * vectors) ** 2


def most_terms(tile: tuple[int, int], machine: Machine) -> int:
    """So many that their weights and a line of each sample, with what else is read, stay in the first cache from one tile to the next.

    Where the second is fast enough, no end to them.
    """
    bytes_ = tile[1] * machine.vector_bytes + CACHE_LINE
    return machine.l1 * 3 // 8 // bytes_ if bytes_ > STREAM * tile_term(*tile, machine) else 1 << 40


def pixel_copy(a: SpreadLayout, size: int) -> tuple[int, bool]:
    """Elements from one pixel to the next in a copy; whether each is copied by itself: one group's, or to spread over the caches' sets."""
    line = CACHE_LINE // size
    if not a.last or (a.pixel_pitch == a.summed and not scattered(a, size)):
        return a.pixel_pitch, False
    return (-(-a.summed // line) | 1) * line if a.summed >= 2 * line else a.summed, True


def scattered(a: SpreadLayout, size: int) -> bool:
    """Many channels that share few sets of the caches, or of which short pieces are read that no prefetcher follows: better copied."""
    if a.last:
        return a.summed >= MANY_STREAMS and a.pixel_pitch * a.axes[2].taps.step * size % PAGE == 0
    streams = a.summed * (a.taps // a.axes[2].taps.kernel) if a.summed * prod(a.source) * size > NEAR else a.summed
    shared = a.summed >= MANY_STREAMS and prod(a.source) * size % PAGE == 0
    return shared or (a.axes[2].taps.step > 1 and a.taps > 1 and streams >= MANY_STREAMS)


def task_cycles(a: SpreadLayout, c: Candidates, lanes: int, machine: Machine, size: int) -> Any:
    """Of one task, for all candidates; `size`: bytes of an element."""
    width, targets, read = c.tiles.vectors * lanes, c.box[0] * c.box[1] * c.box[2], extents(a, c.box)
    blocks = over(over(a.produced, width), c.splits)
    image, filters = a.summed * size * (read[0] * read[1] * read[2]), blocks * width * (a.terms * size)
    far = a.summed * prod(a.source) * size > machine.l2
    fetches = far + np.where(image + 2 * size * targets * width > machine.l2 * 3 // 4, blocks, 0.0)
    bytes_ = FETCH_ROWS * fetches
    if a.axes[2].taps.step > 1 and far:
        bytes_ = np.where(c.copied, bytes_, FETCH_PIECES)
    copies = np.where(c.copied, _copies(a, read, lanes, far, size), 0.0)
    outer = SPREAD_TASK + copies + np.where(filters > machine.l2 // 2, FETCH_FILTERS * filters, 0.0)
    return outer + bytes_ * image + blocks * _sums(a, c, targets, lanes, machine, size)


def row_tiles(a: SpreadLayout, box: Any, positions: Any) -> tuple[Any, Any]:
    """Tiles of so many targets of a row, and inner taps of all of them together."""
    w = a.axes[2]
    if not a.in_pieces:
        return (tiles := over(box, positions)), tiles * w.taps.taps
    length, taps = w.pieces
    tiles = over(length, np.asarray(positions)[..., None])
    return tiles.sum(-1) * (box / w.count), (tiles * taps).sum(-1) * (box / w.count)


def _sums(a: SpreadLayout, c: Candidates, targets: Any, lanes: int, machine: Machine, size: int) -> Any:
    """Of the tiles of one block, and of the way out of their sums; over all phases."""
    near, width = c.tiles.term, c.tiles.vectors * lanes
    term = np.where(a.terms * size * width > machine.l2 // 2, near * FAR_FILTERS, near)
    if scattered(a, size):
        term = np.where(c.copied, term, near + np.maximum(SCATTERED_SHARE * near, SCATTERED))
    rows, phases = c.box[0] * c.box[1], a.phases
    tiles, taps = row_tiles(a, c.box[2], c.tiles.positions)
    cycles = rows * (taps * (a.lines * term) + tiles * (phases * c.tiles.start))
    if a.last:
        return cycles + phases * STORE_VECTOR * targets * c.tiles.vectors
    # targets of one phase; or the result goes to memory, which costs as much
    apart = phases > 1 or a.produced * prod(a.target) * size > machine.l2
    squares = over(targets, lanes) * ((SPREAD_SQUARE + apart * SQUARE_BY_ROWS) * (lanes / SQUARE_LANES) ** 2)
    return cycles + phases * c.tiles.vectors * (squares + rows * (apart * lanes * ROW_OF_CHANNEL))


def least_cycles(a: SpreadLayout, tiles: Tiles, lanes: int, long: int) -> float:
    """Of all tasks of a group, at least: every target's terms and its store; rows of up to `long` targets are not cut."""
    planes, rows, columns = (x.count for x in a.axes)
    across = over(columns, tiles.positions) if columns <= long and not a.in_pieces else columns / tiles.positions
    sums = planes * rows * across * (a.seen * tiles.term + a.phases * tiles.start)
    store = STORE_VECTOR if a.last else SPREAD_SQUARE * (lanes / SQUARE_LANES) ** 2 / lanes
    stores = a.phases * tiles.vectors * (planes * rows * columns * store)
    return float((over(a.produced, tiles.vectors * lanes) * (sums + stores)).min())


def _copies(a: SpreadLayout, read: tuple[Any, Any, Any], lanes: int, far: bool, size: int) -> Any:
    """Of the rows that a box reads."""
    planes, lines, wide = read
    if not a.last:
        return a.summed * planes * (COPY_PLANE + FAR_PIECE * far + lines * (COPY_ROW + COPY_VECTOR * over(wide, lanes)))
    run, pieces = (a.summed, wide) if pixel_copy(a, size)[1] else (wide * a.pixel_pitch, 1)
    return planes * lines * (COPY_ROW + pieces * (COPY_VECTOR + COPY_VECTOR * over(run, lanes)))
