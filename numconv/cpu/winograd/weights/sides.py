"""Which pixels the boxes of `winograd_weights` read, of the input and of the gradient of the output: the tables of `lift`.

Of an outer box: how many rows it reads, their places in a channel, then for each line of positions the rows its transform reads.  Of a box
of W: the first column, how many, then for each position of a line its pixels.  What lies outside is read from zeros.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from ...runtime.record import size_of
from ..axes import CutAxis, TileBox

AWAY = -(1 << 40)  # a row outside of the image, whatever is added


class BoxRows(NamedTuple):
    """Begins the table of an outer box; the rows and the places follow."""

    number: int


class BoxColumns(NamedTuple):
    """Begins the table of a box of W; the places follow."""

    first: int
    number: int


class Places(NamedTuple):
    """Where the samples of a tile lie in the room; as many count as its transform reads, what follows is the next tile's."""

    x0: int
    x1: int
    x2: int
    x3: int
    x4: int
    x5: int
    x6: int
    x7: int


class Side(NamedTuple):
    """The record of a side."""

    size: int  # elements of a channel
    rows: int  # of a box, at most
    pixels: int  # of a row of a box, at most
    lines: int  # of positions of a box
    wide: int  # positions of a line
    rows_at: int  # in the table: the outer boxes …
    rows_pitch: int  # … and integers of one
    columns_at: int  # in the table: the boxes of W …
    columns_pitch: int  # … and integers of one
    frequencies_at: int  # in the room: the rows' frequencies along W, behind the turned rows


class SideReads(NamedTuple):
    """What `side` finds: the tables, and their extents as the record has them."""

    size: int
    rows: int
    pixels: int
    lines: int
    wide: int
    by_rows: np.ndarray  # (outer boxes, integers)
    by_columns: np.ndarray  # (boxes of W, integers)
    turned: int  # elements of the turned rows in the room
    lifted: int  # … and of their frequencies

    def record(self, rows_at: int) -> Side:
        return Side(
            size=self.size,
            rows=self.rows,
            pixels=self.pixels,
            lines=self.lines,
            wide=self.wide,
            rows_at=rows_at,
            rows_pitch=self.by_rows.shape[1],
            columns_at=rows_at + self.by_rows.size,
            columns_pitch=self.by_columns.shape[1],
            frequencies_at=self.turned,
        )


def _samples(x: CutAxis, count: int, boxes: int) -> np.ndarray:
    """(boxes, planes, positions, frequencies): the samples that each position reads, −1 outside."""
    tile = (np.arange(boxes)[:, None] * count + np.arange(count + x.halo)).reshape(boxes, 1, -1, 1, 1)
    inside = ((tile * x.m + np.arange(x.frequencies)) * x.residues + np.arange(x.residues)[:, None]) * x.stride - x.low
    at = np.array(x.planes).reshape(-1, 1, 1, 1) + inside
    return np.where((at >= 0) & (at < x.extent), at, -1).reshape(boxes, len(x.planes), -1, x.frequencies)


def _outputs(x: CutAxis, count: int, boxes: int) -> np.ndarray:
    """The same of the gradient, which has one plane and m in place of the frequencies."""
    tile = (np.arange(boxes)[:, None] * count + np.arange(count)).reshape(boxes, -1, 1, 1)
    at = (tile * x.m + np.arange(x.m)) * x.residues + np.arange(x.residues)[:, None]
    return np.where(at < x.outputs, at, -1).reshape(boxes, 1, -1, x.m)


def _rows(o: np.ndarray, a: np.ndarray, i: np.ndarray) -> np.ndarray:
    """The rows that lines of positions read, negative outside: (outer boxes, planes of (o, i, a) by positions of (o, a, i), samples)."""
    by_o = o.reshape(o.shape[0], 1, 1, o.shape[1], 1, 1, o.shape[2], 1, 1, 1)
    by_i = i.reshape(1, 1, i.shape[0], 1, i.shape[1], 1, 1, 1, i.shape[2], 1)
    by_a = a.reshape(1, a.shape[0], 1, 1, 1, a.shape[1], 1, a.shape[2], 1, a.shape[-1])
    return (by_o + by_i + by_a).reshape(o.shape[0] * a.shape[0] * i.shape[0], -1, a.shape[-1])


def reads_of(box: TileBox, source: bool, lanes: int) -> SideReads:
    """Of the input (`source`) or the gradient of the output."""
    read = _samples if source else _outputs
    *extents, width = (x.extent if source else x.outputs for x in box.axes)
    steps = [x.source_rows if source else x.target_rows for x in box.axes]
    *outer, w = (read(x, count, boxes) for x, count, boxes in zip(box.axes, box.counts, box.boxes, strict=True))
    wide = w.shape[1] * w.shape[2]
    rows = _rows(*(np.where(at < 0, AWAY, at * step) for at, step in zip(outer, steps, strict=False)))
    boxes, lines, _ = rows.shape
    inside = rows >= 0
    read_by = np.zeros((boxes, prod(extents)), bool)
    read_by[np.nonzero(inside)[0], rows[inside]] = True
    counts, rank = read_by.sum(1), np.cumsum(read_by, 1) - 1
    most = max(1, int(counts.max()))
    which, row = np.nonzero(read_by)
    kept = np.zeros((boxes, most), np.int64)
    kept[which, rank[which, row]] = row * width
    places = np.where(inside, np.take_along_axis(rank, np.maximum(rows, 0).reshape(boxes, -1), 1).reshape(rows.shape), most)
    f_w = box.axes.w.frequencies
    w = w.reshape(w.shape[0], -1)
    first = np.minimum(np.where(w < 0, width, w).min(1), width - 1)
    size = np.maximum(w.max(1) + 1 - first, 0)
    pixels = max(1, int(size.max()))
    assert size_of(BoxRows) == 1 and size_of(BoxColumns) == 2
    return SideReads(
        size=prod(extents) * width,
        rows=most,
        pixels=pixels,
        lines=lines,
        wide=wide,
        by_rows=np.concatenate([counts[:, None], kept, places.reshape(boxes, -1) * wide * lanes], 1),
        by_columns=np.concatenate([first[:, None], size[:, None], np.where(w < 0, pixels, w - first[:, None]) * lanes], 1),
        turned=most * (pixels + 1) * lanes,
        lifted=f_w * (most + 1) * wide * lanes,
    )
