"""Which pixels a box of `winograd_weights` reads, of the input and of the output's gradient: lists that each worker writes in its room.

Of the outer axes: how many rows the box reads, their places in a channel, then for each line of positions the rows its transform reads.  Of
W: the first column, how many, then for each position of a line its pixels.  What lies outside is read from zeros.
Rows have numbers by axis, phase after phase of the taps, in each the samples that lie inside.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ...runtime.launch import device_function
from ...runtime.record import size_of
from ...simd.vector import compact, get, moved, put
from ..axes import CutAxis, TileBox
from ..taps import TapCut

PLAIN = TapCut(phases=1, longer=1, taps=1, most=1, fewer=0, repeat=1, shift=1, piece=1, tap_pitch=1)


class BoxRows(NamedTuple):
    """Begins the list of the rows; the rows and the places follow."""

    number: int


class BoxColumns(NamedTuple):
    """Begins the list of the columns; the places follow."""

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


class SideAxis(NamedTuple):
    """One of the axes of the input, or of the gradient of the output, which has one plane and no taps."""

    extent: int
    low: int  # padding before it
    stride: int
    dilation: int
    residues: int
    m: int  # samples from one tile to the next
    reads: int  # samples of a tile
    box: int  # tiles of a box …
    tiles: int  # … with those that only shifted pieces read
    boxes: int
    planes: int
    rows: int  # of a channel, from one sample to the next
    most: int  # samples that a box reads, at most
    numbers_at: int  # in the lists: the number of each (plane, position, sample), −1 outside …
    samples_at: int  # … how many there are, and from here on the sample of each number
    cut: TapCut


class Side(NamedTuple):
    """The record of a side."""

    o: SideAxis
    a: SideAxis
    i: SideAxis
    w: SideAxis
    size: int  # elements of a channel
    rows: int  # of a box, at most
    pixels: int  # of a row of a box, at most
    span: int  # columns from the first that a box reads to its last, in the padding perhaps
    lines: int  # of positions of a box
    wide: int  # positions of a line
    rows_at: int  # in the lists
    columns_at: int  # in the lists
    frequencies_at: int  # in the room: the rows' frequencies along W, behind the turned rows


def _axis(x: CutAxis, count: int, source: bool, at: int) -> tuple[SideAxis, int, int]:
    """With its positions, and where its lists end that begin at `at`."""
    reads, tiles, cut = (x.frequencies, count + x.halo, x.cut) if source else (x.m, count, PLAIN)
    of_phase, planes = (tiles * x.m + reads - x.m) * x.residues, x.planes if source else 1
    extent = x.extent if source else x.outputs
    most = cut.phases * of_phase + (x.reaches * x.residues if source else 0)
    numbers = planes * tiles * x.residues * reads
    axis = SideAxis(
        extent=extent,
        low=x.low if source else 0,
        stride=x.stride if source else 1,
        dilation=x.dilation if source else 0,
        residues=x.residues,
        m=x.m,
        reads=reads,
        box=count,
        tiles=tiles,
        boxes=-(-x.tiles // count),
        planes=planes,
        rows=x.source_rows if source else x.target_rows,
        most=min(extent, most),
        numbers_at=at,
        samples_at=at + numbers + 1,
        cut=cut,
    )
    return axis, planes * tiles * x.residues, at + numbers + 1 + axis.most


def side_of(box: TileBox, source: bool, lanes: int, at: int) -> tuple[Side, int, int]:
    """Of the input (`source`) or the gradient of the output; with the elements of the room it takes and where its lists end."""
    axes, positions, end = [], [], at
    for x, count in zip(box.axes, box.counts, strict=True):
        at = end
        axis, number, end = _axis(x, count, source, at)
        axes.append(axis)
        positions.append(number)
    o, a, i, w = axes  # the lists of W are its columns
    *outer, wide = positions
    rows, lines = prod(x.most for x in (o, a, i)), prod(outer)
    span = _span(w)
    pixels, columns_at = min(w.extent, span), at + size_of(BoxRows) + rows + lines * a.reads + size_of(Places)
    side = Side(
        o=o,
        a=a,
        i=i,
        w=w,
        size=prod(x.extent for x in axes),
        rows=rows,
        pixels=pixels,
        span=span,
        lines=lines,
        wide=wide,
        rows_at=at,
        columns_at=columns_at,
        frequencies_at=rows * (pixels + 1) * lanes,
    )
    f_w, end = box.axes.w.frequencies, columns_at + size_of(BoxColumns) + wide * w.reads + size_of(Places)
    return side, side.frequencies_at + f_w * (rows + 1) * wide * lanes, end


def _span(w: SideAxis) -> int:
    """From the first column that a box reads to its last; the last phase begins last, the first reaches furthest."""
    c = w.cut
    reach = (min(c.repeat, c.most) - 1) * c.piece
    return (c.phases - 1) * w.dilation + ((w.tiles * w.m + w.reads - w.m + reach) * w.residues - 1) * w.stride + 1


@device_function
def _numbered(axis, box, lists):
    """The numbers of the samples that box `box` of an axis reads, and the samples; how many."""
    compact()
    numbers, samples, count, at = moved(lists, axis.numbers_at), moved(lists, axis.samples_at), 0, 0
    cut, residues, m, reads, stride, extent = axis.cut, axis.residues, axis.m, axis.reads, axis.stride, axis.extent
    for phase in range(cut.phases):
        planes = min(cut.repeat, cut.most if phase < cut.longer else cut.fewer)
        place = phase * axis.dilation - axis.low
        begin = box * axis.box * m * residues
        end = begin + ((planes - 1) * cut.piece + axis.tiles * m + reads - m) * residues
        first = max(begin, -(place // stride))
        last = min(end, (extent - place + stride - 1) // stride)
        for u in range(first, last):
            put(samples, count + u - first, place + u * stride)
        for k in range(planes):
            for tile in range(axis.tiles):
                for r in range(residues):
                    for s in range(reads):
                        u = begin + (k * cut.piece + tile * m + s) * residues + r
                        put(numbers, at, count + u - first if u >= first and u < last else -1)
                        at += 1
        count += max(0, last - first)
    put(lists, axis.samples_at - 1, count)
    return count


@device_function
def _places(o, a, i, blank, pitch, lists, places):
    """Of each line of positions where its rows lie in the room: of each plane of o, i, a, each position of o, a, i."""
    compact()
    of_o, of_a, of_i, at = o.tiles * o.residues, a.tiles * a.residues, i.tiles * i.residues, 0
    reads, rows_a, rows_i = a.reads, get(lists, a.samples_at - 1), get(lists, i.samples_at - 1)
    for plane_o in range(o.planes):
        for plane_i in range(i.planes):
            for plane_a in range(a.planes):
                for position_o in range(of_o):
                    row_o = get(lists, o.numbers_at + plane_o * of_o + position_o)
                    for position_a in range(of_a):
                        for position_i in range(of_i):
                            row_i = get(lists, i.numbers_at + plane_i * of_i + position_i)
                            for s in range(reads):
                                row_a = get(lists, a.numbers_at + (plane_a * of_a + position_a) * reads + s)
                                row = (row_o * rows_a + row_a) * rows_i + row_i
                                put(places, at, (row if min(row_o, row_a, row_i) >= 0 else blank) * pitch)
                                at += 1


@device_function
def write_rows(side, box, n, lists):
    """Of an outer box; n channels side by side."""
    compact()
    o, a, i, w, rows, number = side.o, side.a, side.i, side.w, moved(lists, side.rows_at), 0
    rows_o = _numbered(o, box // (a.boxes * i.boxes), lists)
    rows_a, rows_i = _numbered(a, box // i.boxes % a.boxes, lists), _numbered(i, box % i.boxes, lists)
    for of_o in range(rows_o):
        for of_a in range(rows_a):
            for of_i in range(rows_i):
                row = get(lists, o.samples_at + of_o) * o.rows + get(lists, a.samples_at + of_a) * a.rows
                number += 1
                put(rows, number, (row + get(lists, i.samples_at + of_i) * i.rows) * w.extent)
    put(rows, 0, number)
    _places(o, a, i, side.rows, side.wide * n, lists, moved(rows, 1 + side.rows))


@device_function
def write_columns(side, box, n, lists):
    """Of a box of W."""
    compact()
    w, columns, at = side.w, moved(lists, side.columns_at), 2
    cut, residues, m, reads, stride, extent, blank = w.cut, w.residues, w.m, w.reads, w.stride, w.extent, side.pixels * n
    begin = box * w.box * m * residues
    first = min(max(0, begin * stride - w.low), extent - 1)
    put(columns, 0, first)
    put(columns, 1, max(0, min(side.span + begin * stride - w.low, extent) - first))
    for phase in range(cut.phases):
        for k in range(min(cut.repeat, cut.most if phase < cut.longer else cut.fewer)):
            for tile in range(w.tiles):
                for r in range(residues):
                    for s in range(reads):
                        place = phase * w.dilation - w.low + (begin + (k * cut.piece + tile * m + s) * residues + r) * stride
                        put(columns, at, (place - first) * n if place >= 0 and place < extent else blank)
                        at += 1
