"""The transforms of `winograd`, one axis at a time, on vectors of neighbouring positions.

Sample (u·m + i)·d + r of an axis of dilation d is *phase* i of position u·d + r: the samples that the next tile shares stand d positions
further on.  The rows of a shape are the frequencies of the axis, by which `points` chooses the transform; 1: none.  A shape of more than
one vector: the axis is dilated.  Sources and targets are pointers.
"""

from __future__ import annotations

from typing import Any

from ..runtime.launch import by_type, device_function, inlined
from ..simd.runs import join_runs, next_run, split_runs
from ..simd.strided import stepping
from ..simd.tiles import lanes, rows
from ..simd.vector import load, load_between, moved, store, store_n
from .points import filter_row, input_row, output_row, outputs


@inlined
def put_row(target, pitch, values):
    """Vectors at a pitch."""
    for i in range(len(values)):
        store(target, i * pitch, values[i])


@inlined
def eight(shape, source, pitch):
    """As many vectors at a pitch as the longest transform needs; of those that a transform has no use for no load is left."""
    return (
        load(source, 0, shape),
        load(source, pitch, shape),
        load(source, 2 * pitch, shape),
        load(source, 3 * pitch, shape),
        load(source, 4 * pitch, shape),
        load(source, 5 * pitch, shape),
        load(source, 6 * pitch, shape),
        load(source, 7 * pitch, shape),
    )


@device_function
def analyse(shape, source, phase_pitch, tile_pitch, first, count, target, frequency_pitch):
    """Bᵀ of `count` positions; their sample i is phase first + i, counted on into the next tiles.  To target[frequency·frequency_pitch]."""
    m = outputs(rows(shape))
    x0 = moved(source, first % m * phase_pitch + first // m * tile_pitch)
    x1 = moved(source, (first + 1) % m * phase_pitch + (first + 1) // m * tile_pitch)
    x2 = moved(source, (first + 2) % m * phase_pitch + (first + 2) // m * tile_pitch)
    x3 = moved(source, (first + 3) % m * phase_pitch + (first + 3) // m * tile_pitch)
    for v in range(0, count, lanes(shape)):
        u = v + tile_pitch  # phases repeat, if m = 4
        y = input_row(
            shape,
            load(x0, v, shape),
            load(x1, v, shape),
            load(x2, v, shape),
            load(x3, v, shape),
            load(x0, u, shape),
            load(x1, u, shape),
            load(x2, u, shape),
            load(x3, u, shape),
        )
        put_row(moved(target, v), frequency_pitch, y)


@inlined
def restored(shape, source, pitch):
    """Aᵀ of one vector of positions, whose frequencies are at that pitch."""
    return output_row(shape, *eight(shape, source, pitch))


@device_function
def restore(shape, sums, pitch, count):
    """Aᵀ of `count` positions in place: from frequencies at that pitch to as many outputs as there are."""
    for p in range(0, count, lanes(shape)):
        at = moved(sums, p)
        a, b, c, d = restored(shape, at, pitch)
        store(at, 0, a)
        store(at, pitch, b)
        if outputs(rows(shape)) > 2:
            store(at, 2 * pitch, c)
            store(at, 3 * pitch, d)


@inlined
def _samples(shape, row, c, width):
    """One vector from column c of a row of that width, zeros outside."""
    if c >= 0 and c + lanes(shape) <= width:
        return load(row, c, shape)
    return load_between(row, c, -c, width - c, shape)


@inlined
def _phases(shape, row, c, width, m):
    """One vector of each of the m phases, from column c, by shuffles."""
    n = lanes(shape)
    v0, v1 = _samples(shape, row, c, width), _samples(shape, row, c + n, width)
    x0, x1 = split_runs(shape, v0, v1, 0), split_runs(shape, v0, v1, 1)
    if m == 2:
        return x0, x1, x0, x1
    v2, v3 = _samples(shape, row, c + 2 * n, width), _samples(shape, row, c + 3 * n, width)
    even, odd = split_runs(shape, v2, v3, 0), split_runs(shape, v2, v3, 1)
    return split_runs(shape, x0, even, 0), split_runs(shape, x1, odd, 0), split_runs(shape, x0, even, 1), split_runs(shape, x1, odd, 1)


@inlined
def _put_joined(shape, target, m, a, b, c, d):
    """The reverse: vectors of the phases in the order of the samples."""
    n = lanes(shape)
    if m == 2:
        store(target, 0, join_runs(shape, a, b, 0))
        store(target, n, join_runs(shape, a, b, 1))
    else:
        even, odd = join_runs(shape, a, c, 0), join_runs(shape, b, d, 0)
        store(target, 0, join_runs(shape, even, odd, 0))
        store(target, n, join_runs(shape, even, odd, 1))
        even, odd = join_runs(shape, a, c, 1), join_runs(shape, b, d, 1)
        store(target, 2 * n, join_runs(shape, even, odd, 0))
        store(target, 3 * n, join_runs(shape, even, odd, 1))


@inlined
def _copy(shape, row, width, left, count, target):
    for v in range(0, count, lanes(shape)):
        store(target, v, _samples(shape, row, left + v, width))


def _fill_dense(shape, row, width, left, count, residues, target, pitch, phases, phase_pitch):  # type: ignore[no-untyped-def]
    """The next tile's phases from the vector before; from the last vector to the first: the next row overwrites what is too much."""
    n, m = lanes(shape), outputs(rows(shape))
    if m == 1:
        _copy(shape, row, width, left, count, target)
        return
    v = (count + n - 1) // n * n
    y0, y1, y2, y3 = _phases(shape, row, left + m * v, width, m)
    while v > 0:
        v -= n
        x0, x1, x2, x3 = _phases(shape, row, left + m * v, width, m)
        z0, z1, z2, z3 = next_run(shape, x0, y0, 0), next_run(shape, x1, y1, 0), next_run(shape, x2, y2, 0), next_run(shape, x3, y3, 0)
        if m == 2:
            x2, x3 = z0, z1
        put_row(moved(target, v), pitch, input_row(shape, x0, x1, x2, x3, z0, z1, z2, z3))
        y0, y1, y2, y3 = x0, x1, x2, x3


@device_function
def _split(shape, row, width, left, count, m, phases, pitch):
    """The phases of `count` positions at a pitch, for a dilation of a few lanes, which the type of `shape` knows."""
    for v in range(0, count, lanes(shape)):
        x0, x1, x2, x3 = _phases(shape, row, left + m * v, width, m)
        store(phases, v, x0)
        store(phases, pitch + v, x1)
        if m > 2:
            store(phases, 2 * pitch + v, x2)
            store(phases, 3 * pitch + v, x3)


def _fill_dilated(shape, row, width, left, count, residues, target, pitch, phases, phase_pitch):  # type: ignore[no-untyped-def]
    """All samples of each phase first."""
    n, m, d = lanes(shape), outputs(rows(shape)), residues
    if m == 1:
        _copy(shape, row, width, left, count, target)
        return
    if d == 1:
        _split(stepping(shape, 1), row, width, left, count + d, m, phases, phase_pitch)
    elif d == 2:
        _split(stepping(shape, 2), row, width, left, count + d, m, phases, phase_pitch)
    elif d == 4:
        _split(stepping(shape, 4), row, width, left, count + d, m, phases, phase_pitch)
    elif d == 8 and n > 8:
        _split(stepping(shape, 8), row, width, left, count + d, m, phases, phase_pitch)
    else:
        for u in range(0, count + d, d):
            for i in range(m):
                for r in range(0, d, n):  # what a store writes too much, the next overwrites
                    store(phases, i * phase_pitch + u + r, _samples(shape, row, left + u * m + i * d + r, width))
    analyse(shape, phases, phase_pitch, d, 0, count, target, pitch)


@by_type(lambda shape: _fill_dense if shape.vectors == 1 else _fill_dilated)
def fill_row(shape: Any, *arguments: Any) -> None:
    """`count` positions of a row of that width from column `left`, zeros outside: copied to the target, or its frequencies at a pitch.

    Under a dilation by way of the samples of each phase, in the room `phases`.
    """


@device_function
def _join(shape, sums, pitch, count, m, target):
    """The reverse of `_split`."""
    for v in range(0, count, lanes(shape)):
        at = moved(sums, v)
        a, b, c, d = load(at, 0, shape), load(at, pitch, shape), load(at, 2 * pitch, shape), load(at, 3 * pitch, shape)
        _put_joined(shape, moved(target, m * v), m, a, b, c, d)


def _restore_dense(shape, sums, pitch, count, residues, target):  # type: ignore[no-untyped-def]
    m = outputs(rows(shape))
    for v in range(0, count, lanes(shape)):
        y0, y1, y2, y3 = restored(shape, moved(sums, v), pitch)
        _put_joined(shape, moved(target, m * v), m, y0, y1, y2, y3)


def _restore_dilated(shape, sums, pitch, count, residues, target):  # type: ignore[no-untyped-def]
    n, m, d = lanes(shape), outputs(rows(shape)), residues
    restore(shape, sums, pitch, count)
    if d == 1:
        _join(stepping(shape, 1), sums, pitch, count, m, target)
    elif d == 2:
        _join(stepping(shape, 2), sums, pitch, count, m, target)
    elif d == 4:
        _join(stepping(shape, 4), sums, pitch, count, m, target)
    elif d == 8 and n > 8:
        _join(stepping(shape, 8), sums, pitch, count, m, target)
    else:
        for u in range(0, count, d):
            for i in range(m):
                for r in range(0, d, n):
                    store(target, u * m + i * d + r, load(sums, i * pitch + u + r, shape))


@by_type(lambda shape: _restore_dense if shape.vectors == 1 else _restore_dilated)
def restore_rows(shape: Any, *arguments: Any) -> None:
    """Aᵀ of `count` positions, frequencies at a pitch, to the target in the order of the samples."""


@inlined
def _taps(shape, weights, pitch, live, blank):
    """G of a piece that has `live` of the taps; the others are the zeros at `blank`."""
    return filter_row(
        shape,
        load(weights if live > 0 else blank, 0, shape),
        load(moved(weights, pitch) if live > 1 else blank, 0, shape),
        load(moved(weights, 2 * pitch) if live > 2 else blank, 0, shape),
        load(moved(weights, 3 * pitch) if live > 3 else blank, 0, shape),
        load(moved(weights, 4 * pitch) if live > 4 else blank, 0, shape),
    )


@inlined
def _put_n(target, pitch, values, count):
    for i in range(len(values)):
        store_n(target, i * pitch, values[i], count)


@device_function
def transform_filter(by_a, by_w, weights, pitches, live, blank, target, frequency_pitch, count):
    """U of a piece of live[0] × live[1] taps, at pitches along A and W, for one vector of output channels, its first `count` lanes."""
    (pitch_a, pitch_w), (live_a, live_w) = pitches, live
    if rows(by_a) == 1:
        _put_n(target, frequency_pitch, _taps(by_w, weights, pitch_w, live_w, blank), count)
    elif rows(by_w) == 1:
        _put_n(target, frequency_pitch, _taps(by_a, weights, pitch_a, live_a, blank), count)
    else:  # both of three taps at most
        a = _taps(by_a, weights, pitch_a, live_a, blank)
        b = _taps(by_a, moved(weights, pitch_w), pitch_a, live_a if live_w > 1 else 0, blank)
        c = _taps(by_a, moved(weights, 2 * pitch_w), pitch_a, live_a if live_w > 2 else 0, blank)
        for i in range(len(a)):
            row = moved(target, i * rows(by_w) * frequency_pitch)
            _put_n(row, frequency_pitch, filter_row(by_w, a[i], b[i], c[i], c[i], c[i]), count)
