"""For `winograd_weights`: tables of rows, columns and positions, and the choice of transforms, register tile, boxes and tasks by a small cost model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.tiles import term_cycles
from ...runtime.workspace import spaced
from ..axes import Axes, Axis, Box, choices, frequencies
from .lift import SIDE

HEAD = 28  # integers before the two sides
AWAY = -(1 << 40)  # a row outside of the image, whatever is added


#: rows × vectors of the register tile, by number of SIMD registers: wider ones are no faster, and waste more channels
TILES = {32: (16, 1), 16: (12, 1)}
#: cycles of a register tile started, of a square turned, of a row's transform by its number of frequencies, of Gᵀ S G by both together; Zen 4, 2026-11
START, SQUARE = 30.0, 105.0
ROW = {1: 4, 4: 14, 5: 18, 6: 22, 7: 26, 8: 30}
TAPS = {4: 14, 5: 17, 6: 20, 7: 23, 8: 26, 16: 50, 25: 70, 36: 95}
LIMIT = 14 << 20  # bytes of a worker


@dataclass(frozen=True, eq=False)
class Plan:
    tile: tuple[int, int, int]  # rows, vectors, lanes
    kinds: tuple[int, int]  # frequencies of A and W
    tasks: int
    worker_pitch: int
    cycles: float  # predicted, of the worker with most to do
    integers: np.ndarray


def _samples(x: Axis, count: int, boxes: int) -> np.ndarray:
    """(boxes, planes, positions, frequencies): the samples that each position reads, −1 outside."""
    tile = (np.arange(boxes)[:, None] * count + np.arange(count + x.halo)).reshape(boxes, 1, -1, 1, 1)
    inside = ((tile * x.m + np.arange(x.frequencies)) * x.residues + np.arange(x.residues)[:, None]) * x.stride - x.low
    at = np.array(x.planes).reshape(-1, 1, 1, 1) + inside
    return np.where((at >= 0) & (at < x.extent), at, -1).reshape(boxes, len(x.planes), -1, x.frequencies)


def _outputs(x: Axis, count: int, boxes: int) -> np.ndarray:
    """The same of the gradient, which has one plane and m in place of the frequencies."""
    tile = (np.arange(boxes)[:, None] * count + np.arange(count)).reshape(boxes, -1, 1, 1)
    at = (tile * x.m + np.arange(x.m)) * x.residues + np.arange(x.residues)[:, None]
    return np.where(at < x.outputs, at, -1).reshape(boxes, 1, -1, x.m)


class Side:
    """Tables of x or y (`winograd_lift`): for each outer box its rows, for each box of W its columns."""

    def __init__(self, box: Box, source: bool, lanes: int) -> None:
        read = _samples if source else _outputs
        extents = [x.extent if source else x.outputs for x in box.axes]
        steps = [x.row_in if source else x.row_out for x in box.axes]
        o, a, i, w = (read(x, count, boxes) for x, count, boxes in zip(box.axes, box.counts, box.boxes, strict=True))
        self.lanes, self.area, self.wide = lanes, prod(extents), w.shape[1] * w.shape[2]
        o, a, i = (np.where(at < 0, AWAY, at * step) for at, step in zip((o, a, i), steps, strict=False))
        rows = (  # outer boxes, planes of (o, i, a), positions of (o, a, i), samples
            o.reshape(o.shape[0], 1, 1, o.shape[1], 1, 1, o.shape[2], 1, 1, 1) + i.reshape(1, 1, i.shape[0], 1, i.shape[1], 1, 1, 1, i.shape[2], 1)
            + a.reshape(1, a.shape[0], 1, 1, 1, a.shape[1], 1, a.shape[2], 1, a.shape[3])
        ).reshape(o.shape[0] * a.shape[0] * i.shape[0], -1, a.shape[3])  # fmt: skip
        self.lines, boxes = rows.shape[1], rows.shape[0]
        inside = rows >= 0
        read_by = np.zeros((boxes, self.area // extents[3]), bool)
        read_by[np.nonzero(inside)[0], rows[inside]] = True
        counts, rank = read_by.sum(1), np.cumsum(read_by, 1) - 1
        self.rows = max(1, int(counts.max()))
        which, row = np.nonzero(read_by)
        kept = np.zeros((boxes, self.rows), np.int64)
        kept[which, rank[which, row]] = row * extents[3]
        places = np.where(inside, np.take_along_axis(rank, np.maximum(rows, 0).reshape(boxes, -1), 1).reshape(rows.shape), self.rows)
        self.by_rows = np.concatenate([counts[:, None], kept, places.reshape(boxes, -1) * self.wide * lanes], 1)
        w = w.reshape(w.shape[0], -1)
        first = np.minimum(np.where(w < 0, extents[3], w).min(1), extents[3] - 1)
        size = np.maximum(w.max(1) + 1 - first, 0)
        self.pixels = max(1, int(size.max()))
        self.by_columns = np.concatenate([first[:, None], size[:, None], np.where(w < 0, self.pixels, w - first[:, None]) * lanes], 1)

    def room(self, f_w: int) -> tuple[int, int]:
        """Elements of the turned rows, and of their frequencies."""
        return self.rows * (self.pixels + 1) * self.lanes, f_w * (self.rows + 1) * self.wide * self.lanes


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _odd(size: int, line: int) -> int:
    """An odd number of cache lines."""
    return line * (-(-size // line) | 1)


def _lift(box: Box, source: bool, lanes: int) -> tuple[float, int]:
    """Cycles of one vector of channels of a box, and elements of the room that takes."""
    o, a, i, w = box.axes
    reach = [
        n * x.m * x.residues * x.stride + (x.taps - 1) * x.dilation if source else n * x.m * x.residues
        for n, x in zip(box.counts, box.axes, strict=True)
    ]
    *rows, pixels = (min(n, x.extent if source else x.outputs) for n, x in zip(reach, box.axes, strict=True))
    slots = box.slots if source else (box.counts[0], box.counts[1] * a.residues, box.counts[2], box.counts[3] * w.residues)
    wide = slots[3] * (len(w.planes) if source else 1)
    lines = prod(slots[:3]) * (len(o.planes) * len(a.planes) * len(i.planes) if source else 1)
    part = 12.0 * lanes if pixels < (w.extent if source else w.outputs) else 0.0  # a line of each channel, which nothing fetches ahead
    each = SQUARE * -(-pixels // lanes) + 15.0 + part + wide * ROW[w.frequencies]
    cycles = prod(rows) * each + lines * (wide * w.frequencies * ROW[a.frequencies] + 20.0)
    return cycles, (prod(rows) + 1) * (pixels + 1 + w.frequencies * wide) * lanes


@dataclass(frozen=True)
class _Way:
    """Transforms, register tile and box, and what does not depend on the splits."""

    box: Box
    tile: tuple[int, int, int]
    terms: int
    positions: int
    lift_x: float
    lift_y: float
    room: int
    frequencies: int
    pieces: int
    chunks: int  # of a sample

    @property
    def run(self) -> int:
        """Tiles of input channels whose sums take some 64 kB, delivered in whole squares."""
        return max(1, (64 << 10) // (4 * self.frequencies * self.pieces * prod(self.tile)))


def _way(axes: Axes, tile: tuple[int, int, int], counts: tuple[int, int, int, int]) -> _Way:
    box = Box(axes, counts, axes[1].residues)
    terms = prod(n * x.residues for n, x in zip(counts, axes, strict=True))
    pieces = prod(len(x.pieces) for x in axes)
    (lift_x, room_x), (lift_y, room_y) = _lift(box, True, tile[2]), _lift(box, False, tile[2])
    return _Way(
        box, tile, terms, prod(box.slots) * box.planes, lift_x, lift_y, max(room_x, room_y), frequencies(axes), pieces, prod(box.boxes)
    )


def _cycles(p: ConvProblem, machine: Machine, way: _Way, split_blocks: int, split_channels: int) -> float:
    """Of one task; more than its share of memory is as good as refused."""
    (mr, vectors, lanes), f, pieces, chunks = way.tile, way.frequencies, way.pieces, p.batch * way.chunks
    width = vectors * lanes
    tiles = -(-split_channels // mr)
    vectors_y = min(split_blocks * vectors, -(-p.group_out // lanes))
    lifted = 4 * f * (way.positions * (split_channels + lanes) + way.terms * split_blocks * width)
    sums = 4 * f * pieces * mr * width * (split_blocks * tiles if chunks > 1 else way.run)
    multiply = f * pieces * tiles * split_blocks * (way.terms * term_cycles(mr, vectors, machine, 0.0, 0.5) + START)
    lift = -(-split_channels // lanes) * way.lift_x + vectors_y * way.lift_y + (lifted / 8 if lifted > machine.l2 else 0.0)
    cycles = chunks * (multiply + lift + (2 * sums / 16 if chunks > 1 else 0.0) + 500.0)
    deliver = (
        split_channels * vectors_y * (pieces * TAPS[f] + SQUARE * p.taps / lanes) + 4 * split_channels * p.taps * split_blocks * width / 16
    )
    return cycles + deliver + (1e12 if lifted + sums + 4 * way.room > LIMIT else 0.0) + 300.0


def _boxes(axes: Axes) -> list[tuple[int, int, int, int]]:
    """All positions, then a half, a quarter … of the outermost axis that is more than one, down to one, then of the next."""
    counts = [x.count for x in axes]
    found = [tuple(counts)]
    for k in range(4):
        parts = 2
        while counts[k] > (16 if k == 3 else 1):
            counts[k] = -(-axes[k].count // parts)
            found.append(tuple(counts))
            parts *= 2
    return found  # type: ignore[return-value]


def _splits(p: ConvProblem, machine: Machine, workers: int, way: _Way) -> tuple[float, int, int]:
    """(cycles of all a worker does, blocks, channels)."""
    mr, vectors, lanes = way.tile
    blocks, tiles = -(-p.group_out // (vectors * lanes)), -(-p.group_in // mr)
    found = []
    for split_blocks, split_tiles in product(_divisions(blocks, workers), _divisions(tiles, workers)):
        tasks = p.groups * -(-blocks // split_blocks) * -(-tiles // split_tiles)
        channels = min(p.group_in, split_tiles * mr)
        found.append((-(-tasks // workers) * _cycles(p, machine, way, split_blocks, channels), split_blocks, channels))
    return min(found)


def _divisions(count: int, workers: int) -> list[int]:
    """Sizes of evenly divided ranges."""
    return sorted({-(-count // k) for k in (1, 2, 4, 8, 16, workers, 2 * workers) if k <= count}, reverse=True)


@lru_cache(maxsize=512)
def _chosen(p: ConvProblem, machine: Machine) -> _Way:
    """For one worker, whatever the call has: the order of the sums depends on it."""
    tile = TILES[32 if machine.registers >= 32 else 16]
    lanes = machine.vector_bytes // np.dtype(p.out_dtype).itemsize
    ways = [_way(axes, (*tile, lanes), counts) for axes in choices(p) for counts in _boxes(axes)]
    return min(ways, key=lambda way: _splits(p, machine, 1, way)[0])


def _built(p: ConvProblem, way: _Way, split_blocks: int, split_channels: int, cycles: float) -> Plan:
    size = np.dtype(p.out_dtype).itemsize
    line = 64 // size
    mr, vectors, lanes = way.tile
    width = vectors * lanes
    box, axes, run = way.box, way.box.axes, min(way.run, -(-split_channels // way.tile[0]))
    o, a, i, w = axes
    f = frequencies(axes)
    x, y = Side(box, True, lanes), Side(box, False, lanes)
    blocks, splits = -(-p.group_out // width), -(-p.group_in // split_channels)
    block_splits = -(-blocks // split_blocks)
    pieces = list(product(*(axis.pieces for axis in axes)))
    so, sa, si, sw = box.slots
    positions = x.lines * x.wide
    pitch = _odd(max(_up(split_channels, lanes), _up(split_channels, mr)), line)
    v_apart = _odd(positions * pitch, line)
    terms = y.lines * y.wide
    y_apart = _odd(split_blocks * terms * width, line)
    s_apart = _odd(len(pieces) * run * mr * width, line)
    rooms = x.room(w.frequencies), y.room(w.frequencies)
    v0 = _up(max(map(sum, rooms)) + lanes, line)
    y0 = v0 + f * v_apart + line
    s0 = y0 + f * y_apart
    one = f * s_apart
    chunks = p.batch * prod(box.boxes)
    runs = split_blocks * -(-split_channels // (run * mr))
    r0 = s0 + one * (runs if chunks > 1 else 1)
    total = r0 + run * mr * p.taps * width + lanes + line
    ko, ka, ki, kw = (n * axis.residues for n, axis in zip(box.counts, axes, strict=True))
    at = np.ogrid[:ko, :ka, :ki, :kw]
    offsets = ((((at[0] * sa + at[1]) * si + at[2]) * x.wide + at[3]) * pitch).ravel()
    table = []
    for by in pieces:
        po, pa, pi, pw = (piece.plane for piece in by)
        lo, la, li, lw = (piece.shift * axis.residues for piece, axis in zip(by, axes, strict=True))
        row = ((po * len(i.planes) + pi) * len(a.planes) + pa) * so * sa * si + (lo * sa + la) * si + li
        first = sum(piece.tap * axis.tap_step for piece, axis in zip(by, axes, strict=True))
        table += [(row * x.wide + pw * sw + lw) * pitch, first, by[1].live, by[3].live]
    start = HEAD + 2 * SIDE
    lists = [offsets, np.array(table), x.by_rows, x.by_columns, y.by_rows, y.by_columns]
    begins = np.cumsum([start, *(v.size for v in lists)])
    integers = [
        p.batch, p.groups, p.group_in, p.group_out, block_splits, split_blocks, splits, split_channels, prod(box.boxes[:3]), box.boxes[3], terms,
        begins[0], len(pieces), begins[1], v0, v_apart, pitch, y0, y_apart, s0, s_apart, one if chunks > 1 else 0, run, r0, p.taps,
        a.tap_step * a.every, w.tap_step * w.every, 0,
    ]  # fmt: skip
    for side, k, room in ((x, 2, rooms[0]), (y, 4, rooms[1])):
        integers += [
            side.area, side.rows, side.pixels, side.lines, side.wide, begins[k], side.by_rows.shape[1], begins[k + 1], side.by_columns.shape[1], room[0],
        ]  # fmt: skip
    return Plan(
        way.tile, (a.frequencies, w.frequencies), p.groups * block_splits * splits, spaced(_up(total, 64) + line, size), cycles,
        np.concatenate([integers, *map(np.ravel, lists), np.zeros(8)]).astype(np.int64),
    )  # fmt: skip


@lru_cache(maxsize=512)
def plan(p: ConvProblem, machine: Machine, workers: int) -> Plan:
    way = _chosen(p, machine)
    cycles, blocks, channels = _splits(p, machine, workers, way)
    return _built(p, way, blocks, channels, cycles)


@lru_cache(maxsize=512)
def predicted(p: ConvProblem, machine: Machine, workers: int) -> float:
    """Cycles of the worker with most to do."""
    return _splits(p, machine, workers, _chosen(p, machine))[0]
