"""The transforms of `winograd_weights`: channels in the lanes, pixels found by lists (`sides`).  What lies outside is read from zeros."""

from __future__ import annotations

from typing import Any

from ...runtime.launch import by_type, device_function, inlined
from ...runtime.record import reader, size_of
from ...simd.tiles import lanes, rows
from ...simd.transpose import transpose_part
from ...simd.vector import get, load, moved, store
from ...stages.pack import zero
from ..points import input_row, outputs
from ..transforms import eight, put_row
from .sides import BoxColumns, BoxRows, Places
from .transposes import spread_row, taps_row

box_rows_at, box_columns_at, places_at = reader(BoxRows), reader(BoxColumns), reader(Places)
ROWS_BEGIN, COLUMNS_BEGIN = size_of(BoxRows), size_of(BoxColumns)


def _of_samples(shape, x0, x1, x2, x3, x4, x5, x6, x7):  # type: ignore[no-untyped-def]
    return input_row(shape, x0, x1, x2, x3, x4, x5, x6, x7)


def _of_outputs(shape, x0, x1, x2, x3, x4, x5, x6, x7):  # type: ignore[no-untyped-def]
    return spread_row(shape, x0, x1, x2, x3)


@by_type(lambda shape: _of_samples if shape.vectors == 1 else _of_outputs, inline=True)
def _row(shape: Any, *vectors: Any) -> Any:
    """The frequencies of eight vectors: of samples, Bᵀ, or under a shape of two vectors of outputs, A."""


@by_type(lambda shape: (lambda shape: rows(shape)) if shape.vectors == 1 else (lambda shape: outputs(rows(shape))), inline=True)
def _reads(shape: Any) -> Any:
    """How many of them count."""


@inlined
def _places(lists, at):
    """Eight places, in registers."""
    p = places_at(lists, at)
    return p.x0, p.x1, p.x2, p.x3, p.x4, p.x5, p.x6, p.x7


@inlined
def _transformed(shape, x, places):
    p0, p1, p2, p3, p4, p5, p6, p7 = places
    return _row(
        shape,
        load(x, p0, shape),
        load(x, p1, shape),
        load(x, p2, shape),
        load(x, p3, shape),
        load(x, p4, shape),
        load(x, p5, shape),
        load(x, p6, shape),
        load(x, p7, shape),
    )


@device_function
def lift(shape, by_a, by_w, side, spectrum, task, x, valid, target):
    """`valid` channels, at most a vector, of a box: frequency f of position p to target[f·pitch + p·position_pitch].

    In the room from its beginning: the rows with channels in the lanes, after each a pixel of zeros; then their frequencies along W, after
    those of all rows one of zeros.
    """
    n, size, most, lines, wide, lists = lanes(shape), side.size, side.rows, side.lines, side.wide, task.offsets
    pitch, position_pitch, along_w = spectrum.pitch, spectrum.position_pitch, moved(task.room, side.frequencies_at)
    row_size, blank, f_w = (side.pixels + 1) * n, most * wide * n, rows(by_w)
    rows_begin, columns_begin = side.rows_at, side.columns_at
    of_rows, of_columns = box_rows_at(lists, rows_begin), box_columns_at(lists, columns_begin)
    step = blank + wide * n  # between frequencies
    first, count = of_columns.first, of_columns.number
    for row in range(of_rows.number):
        source, room = moved(x, get(lists, rows_begin + ROWS_BEGIN + row) + first), moved(task.room, row * row_size)
        for p in range(0, count, n):
            some = min(n, count - p)
            transpose_part(shape, moved(source, p), size, None, valid, moved(room, p * n), n, some, n)
        zero(shape, moved(room, row_size - n), n)
        for p in range(wide):
            places = _places(lists, columns_begin + COLUMNS_BEGIN + p * _reads(by_w))
            put_row(moved(along_w, (row * wide + p) * n), step, _transformed(by_w, room, places))
    for j in range(f_w):
        zero(shape, moved(along_w, j * step + blank), wide * n)
    for k in range(lines):
        places = _places(lists, rows_begin + ROWS_BEGIN + most + k * _reads(by_a))
        for j in range(f_w):
            for p in range(wide):
                values = _transformed(by_a, moved(along_w, j * step + p * n), places)
                put_row(moved(target, j * pitch + (k * wide + p) * position_pitch), f_w * pitch, values)


@inlined
def _frequencies(shape, sums, pitch):
    """Gᵀ of one vector."""
    return taps_row(shape, *eight(shape, sums, pitch))


@inlined
def _taps(shape):
    return rows(shape) - outputs(rows(shape)) + 1


@inlined
def _column(shape, target, pitch, live, away, sums):
    values = taps_row(shape, *sums)
    for i in range(len(values)):
        if i < _taps(shape):
            store(moved(target, i * pitch) if i < live else away, 0, values[i])


@device_function
def taps(by_a, by_w, sums, frequency_pitch, target, pitches, live, away):
    """Gᵀ S G of one vector of output channels: tap (i, j) to target[i·pitches[0] + j·pitches[1]], or else, where dead, to `away`.

    No branches: what they need later would stay in registers, and spill.
    """
    (pitch_a, pitch_w), (live_a, live_w) = pitches, live
    r = rows(by_w) * frequency_pitch
    a, b = _frequencies(by_w, sums, frequency_pitch), _frequencies(by_w, moved(sums, r), frequency_pitch)
    c, d = _frequencies(by_w, moved(sums, 2 * r), frequency_pitch), _frequencies(by_w, moved(sums, 3 * r), frequency_pitch)
    e, f = _frequencies(by_w, moved(sums, 4 * r), frequency_pitch), _frequencies(by_w, moved(sums, 5 * r), frequency_pitch)
    g, h = _frequencies(by_w, moved(sums, 6 * r), frequency_pitch), _frequencies(by_w, moved(sums, 7 * r), frequency_pitch)
    _column(by_a, target, pitch_a, live_a, away, (a[0], b[0], c[0], d[0], e[0], f[0], g[0], h[0]))
    if _taps(by_w) > 1:
        _column(by_a, moved(target, pitch_w), pitch_a, live_a if live_w > 1 else 0, away, (a[1], b[1], c[1], d[1], e[1], f[1], g[1], h[1]))
    if _taps(by_w) > 2:
        _column(
            by_a, moved(target, 2 * pitch_w), pitch_a, live_a if live_w > 2 else 0, away, (a[2], b[2], c[2], d[2], e[2], f[2], g[2], h[2])
        )
    if _taps(by_w) > 3:
        _column(
            by_a, moved(target, 3 * pitch_w), pitch_a, live_a if live_w > 3 else 0, away, (a[3], b[3], c[3], d[3], e[3], f[3], g[3], h[3])
        )
    if _taps(by_w) > 4:
        _column(
            by_a, moved(target, 4 * pitch_w), pitch_a, live_a if live_w > 4 else 0, away, (a[4], b[4], c[4], d[4], e[4], f[4], g[4], h[4])
        )
