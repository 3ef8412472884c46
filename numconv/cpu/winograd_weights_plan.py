"""For `winograd_weights`: tables of rows, columns and positions, and the choice of transforms, register tile, boxes and tasks by a small cost model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from ..kernel import Machine
from ..problem import ConvProblem
from .winograd_axes import Axes, Axis, choices, frequencies
from .winograd_blocking import Box

HEAD = 28  # integers before the two sides
AWAY = -(1 << 40)  # a row outside of the image, whatever is added


@dataclass(frozen=True, eq=False)
class Plan:
    tile: tuple[int, int, int]  # rows, vectors, lanes
    kinds: tuple[int, int]  # frequencies of A and W
    tasks: int
    worker_pitch: int
    cycles: float  # predicted, of the worker with most to do
    integers: np.ndarray


@dataclass(frozen=True)
class Choice:
    tile: tuple[int, int, int]
    box: Box
    split_blocks: int
    split_channels: int
    run: int  # tiles of input channels whose sums are delivered together


def _samples(x: Axis, count: int, box: int) -> np.ndarray:
    """(planes·positions, frequencies): the samples that each position of a box reads, −1 outside."""
    tile, residue, k = np.ogrid[box * count : (box + 1) * count + x.halo, : x.residues, : x.frequencies]
    inside = ((tile * x.m + k) * x.residues + residue) * x.stride - x.low
    at = np.array(x.planes).reshape(-1, 1, 1, 1) + inside
    return np.where((at >= 0) & (at < x.extent), at, -1).reshape(-1, x.frequencies)


def _outputs(x: Axis, count: int, box: int) -> np.ndarray:
    """The same of the gradient: (positions, m)."""
    tile, residue, k = np.ogrid[box * count : (box + 1) * count, : x.residues, : x.m]
    at = (tile * x.m + k) * x.residues + residue
    return np.where(at < x.outputs, at, -1).reshape(-1, x.m)


class Side:
    """Tables of x or y: for each outer box the rows it reads, for each box of W the columns."""

    def __init__(self, box: Box, source: bool, lanes: int) -> None:
        self.lanes = lanes
        read = _samples if source else _outputs
        o, a, i, w = box.axes
        step_o, step_a, step_i = (x.row_in if source else x.row_out for x in (o, a, i))
        self.width = w.extent if source else w.outputs
        self.area = self.width * prod((x.extent if source else x.outputs) for x in (o, a, i))
        boxes = [range(b) for b in (o_a_i_boxes(box))]
        found = []
        for bo, ba, bi in product(*boxes):
            by_o, by_a, by_i = read(o, box.counts[0], bo)[:, 0], read(a, box.counts[1], ba), read(i, box.counts[2], bi)[:, 0]
            planes = (len(o.planes), len(i.planes), len(a.planes)) if source else (1, 1, 1)
            rows_o, rows_a, rows_i = (np.where(at < 0, AWAY, at * step) for at, step in ((by_o, step_o), (by_a, step_a), (by_i, step_i)))
            rows_o = rows_o.reshape(planes[0], 1, 1, -1, 1, 1, 1)
            rows_i = rows_i.reshape(1, planes[1], 1, 1, 1, rows_i.size // planes[1], 1)
            rows_a = rows_a.reshape(1, 1, planes[2], 1, rows_a.shape[0] // planes[2], 1, rows_a.shape[1])
            found.append((rows_o + rows_a + rows_i).reshape(-1, rows_a.shape[-1]))
        self.lines = found[0].shape[0]
        kept = [np.unique(rows[rows >= 0]) for rows in found]
        self.rows = max(1, *(rows.size for rows in kept))
        columns = [read(w, box.counts[3], b) for b in range(box.boxes[3])]
        self.wide = columns[0].shape[0]
        firsts = [int(at[at >= 0].min()) if (at >= 0).any() else 0 for at in columns]
        sizes = [int(at.max()) + 1 - first for at, first in zip(columns, firsts, strict=True)]
        self.pixels = max(1, *sizes)
        self.by_rows = [
            np.concatenate([
                [rows.size], rows * self.width, np.zeros(self.rows - rows.size, np.int64),
                np.where(places >= 0, np.searchsorted(rows, places), self.rows).ravel() * self.wide * lanes,
            ])
            for rows, places in zip(kept, found, strict=True)
        ]  # fmt: skip
        self.by_columns = [
            np.concatenate([[first, max(0, size)], np.where(at >= 0, at - first, self.pixels).ravel() * lanes])
            for first, size, at in zip(firsts, sizes, columns, strict=True)
        ]

    def room(self, f_w: int) -> tuple[int, int]:
        """Elements of the turned rows, and of their frequencies."""
        return self.rows * (self.pixels + 1) * self.lanes, f_w * (self.rows + 1) * self.wide * self.lanes


def o_a_i_boxes(box: Box) -> tuple[int, int, int]:
    return box.boxes[:3]


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _odd(size: int, line: int) -> int:
    """An odd number of cache lines."""
    return line * (-(-size // line) | 1)


def built(p: ConvProblem, c: Choice, cycles: float) -> Plan:
    size = np.dtype(p.out_dtype).itemsize
    line = 64 // size
    mr, vectors, lanes = c.tile
    width = vectors * lanes
    box, axes = c.box, c.box.axes
    o, a, i, w = axes
    f = frequencies(axes)
    x, y = Side(box, True, lanes), Side(box, False, lanes)
    blocks, splits = -(-p.group_out // width), -(-p.group_in // c.split_channels)
    block_splits = -(-blocks // c.split_blocks)
    pieces = list(product(*(axis.pieces for axis in axes)))
    so, sa, si, sw = box.slots
    positions = x.lines * x.wide
    pitch = _odd(max(_up(c.split_channels, lanes), _up(c.split_channels, mr)), line)
    v_apart = _odd(positions * pitch, line)
    terms = y.lines * y.wide
    y_apart = _odd(c.split_blocks * terms * width, line)
    s_apart = _odd(len(pieces) * c.run * mr * width, line)
    rooms = x.room(w.frequencies), y.room(w.frequencies)
    v0 = _up(max(map(sum, rooms)) + lanes, line)
    y0 = v0 + f * v_apart + line
    s0 = y0 + f * y_apart
    one = f * s_apart
    chunks = p.batch * prod(box.boxes)
    runs = c.split_blocks * -(-c.split_channels // (c.run * mr))
    r0 = s0 + one * (runs if chunks > 1 else 1)
    total = r0 + c.run * mr * p.taps * width + lanes + line
    ko, ka, ki, kw = (n * axis.residues if axis.m > 1 else n for n, axis in zip(box.counts, axes, strict=True))
    at = np.ogrid[:ko, :ka, :ki, :kw]
    offsets = ((((at[0] * sa + at[1]) * si + at[2]) * x.wide + at[3]) * pitch).ravel()
    table = []
    for by in pieces:
        po, pa, pi, pw = (piece.plane for piece in by)
        lo, la, li, lw = (piece.shift * axis.residues for piece, axis in zip(by, axes, strict=True))
        row = ((po * len(i.planes) + pi) * len(a.planes) + pa) * so * sa * si + (lo * sa + la) * si + li
        first = sum(piece.tap * axis.tap_step for piece, axis in zip(by, axes, strict=True))
        table += [(row * x.wide + pw * sw + lw) * pitch, first, by[1].live, by[3].live]
    start = HEAD + 2 * 10
    lists = [offsets, np.array(table), *x.by_rows, *x.by_columns, *y.by_rows, *y.by_columns]
    begins = np.cumsum([start, *(v.size for v in lists)])
    first_x, first_xw, first_y, first_yw = begins[np.cumsum([2, len(x.by_rows), len(x.by_columns), len(y.by_rows)])]
    integers = [
        p.batch, p.groups, p.group_in, p.group_out, block_splits, c.split_blocks, splits, c.split_channels, prod(box.boxes[:3]), box.boxes[3], terms,
        begins[0], len(pieces), begins[1], v0, v_apart, pitch, y0, y_apart, s0, s_apart, one if chunks > 1 else 0, c.run, r0, p.taps,
        a.tap_step * a.every, w.tap_step * w.every, 0,
    ]  # fmt: skip
    for side, rows, columns, room in ((x, first_x, first_xw, rooms[0]), (y, first_y, first_yw, rooms[1])):
        integers += [side.area, side.rows, side.pixels, side.lines, side.wide, rows, side.by_rows[0].size, columns, side.by_columns[0].size, room[0]]
    return Plan(
        c.tile, (a.frequencies, w.frequencies), p.groups * block_splits * splits, _up(total, 64) + line, cycles,
        np.concatenate([integers, *lists, np.zeros(8)]).astype(np.int64),
    )  # fmt: skip


@lru_cache(maxsize=512)
def plan(p: ConvProblem, machine: Machine, workers: int) -> Plan:
    import os
    size = np.dtype(p.out_dtype).itemsize
    lanes = machine.vector_bytes // size
    axes = choices(p)[int(os.environ.get('AX', 0))]
    tile = tuple(map(int, os.environ.get('TILE', '16,1').split(',')))
    counts = tuple(x.count for x in axes)
    if 'BOX' in os.environ:
        counts = tuple(min(c, b) for c, b in zip(counts, map(int, os.environ['BOX'].split(','))))
    box = Box(axes, counts, axes[1].residues)
    blocks = -(-p.group_out // (tile[1] * lanes))
    sb = int(os.environ.get('SB', blocks))
    sc = int(os.environ.get('SC', p.group_in))
    return built(p, Choice((*tile, lanes), box, sb, sc, int(os.environ.get('RUN', 2))), 1.0)


def chosen(*args): ...
