"""The transforms of `winograd`, one axis at a time, on vectors of neighbouring positions.

Sample (u·m + i)·d + r of an axis of dilation d is *phase* i of position u·d + r: the samples that the next tile shares stand d positions further on.
The rows of a shape are the frequencies of the axis, by which `winograd_points` chooses the transform; 1: none.  More than one vector: it is dilated.
"""

from __future__ import annotations

from typing import Any

from ..runtime.launch import by_type, device_function, inlined
from ..simd.runs import join_runs, next_run, split_runs
from ..simd.strided import stepping
from ..simd.tiles import lanes, rows
from ..simd.vector import load, load_between, store, store_n
from .points import filter_row, input_row, output_row, outputs


@inlined
def put_row(out, q, apart, values):
    """Vectors `apart` from each other."""
    for i in range(len(values)):
        store(out, q + i * apart, values[i])


@device_function
def analyse(shape, x, s, phase, shift, first, count, out, q, apart):
    """Bᵀ of `count` positions: sample i is phase k = first + i, at x[s + k % m·phase], k // m tiles of `shift` on; frequency i to out[q + i·apart]."""
    m = outputs(rows(shape))
    p0, p1 = s + first % m * phase + first // m * shift, s + (first + 1) % m * phase + (first + 1) // m * shift
    p2, p3 = s + (first + 2) % m * phase + (first + 2) // m * shift, s + (first + 3) % m * phase + (first + 3) // m * shift
    for v in range(0, count, lanes(shape)):
        p = v + shift  # phases repeat, if m = 4
        y = input_row(
            shape, load(x, p0 + v, shape), load(x, p1 + v, shape), load(x, p2 + v, shape), load(x, p3 + v, shape),
            load(x, p0 + p, shape), load(x, p1 + p, shape), load(x, p2 + p, shape), load(x, p3 + p, shape),
        )  # fmt: skip
        put_row(out, q + v, apart, y)


@inlined
def restored(shape, x, p, apart):
    """Aᵀ of one vector of positions, whose frequencies are at x[p + i·apart]."""
    return output_row(
        shape, load(x, p, shape), load(x, p + apart, shape), load(x, p + 2 * apart, shape), load(x, p + 3 * apart, shape),
        load(x, p + 4 * apart, shape), load(x, p + 5 * apart, shape), load(x, p + 6 * apart, shape), load(x, p + 7 * apart, shape),
    )  # fmt: skip


@device_function
def restore(shape, x, s, apart, count):
    """Aᵀ of `count` positions in place: frequencies at x[s + i·apart] to outputs at x[s + i·apart], i < m."""
    for p in range(s, s + count, lanes(shape)):
        a, b, c, d = restored(shape, x, p, apart)
        store(x, p, a)
        store(x, p + apart, b)
        if outputs(rows(shape)) > 2:
            store(x, p + 2 * apart, c)
            store(x, p + 3 * apart, d)


@inlined
def _samples(shape, x, row, c, width):
    """One vector from column c of the row x[row … row + width), zeros outside."""
    if c >= 0 and c + lanes(shape) <= width:
        return load(x, row + c, shape)
    return load_between(x, row + c, -c, width - c, shape)


@inlined
def _phases(shape, x, row, c, width, m):
    """One vector of each of the m phases, from column c, by shuffles."""
    n = lanes(shape)
    v0, v1 = _samples(shape, x, row, c, width), _samples(shape, x, row, c + n, width)
    x0, x1 = split_runs(shape, v0, v1, 0), split_runs(shape, v0, v1, 1)
    if m == 2:
        return x0, x1, x0, x1
    v2, v3 = _samples(shape, x, row, c + 2 * n, width), _samples(shape, x, row, c + 3 * n, width)
    even, odd = split_runs(shape, v2, v3, 0), split_runs(shape, v2, v3, 1)
    return split_runs(shape, x0, even, 0), split_runs(shape, x1, odd, 0), split_runs(shape, x0, even, 1), split_runs(shape, x1, odd, 1)


@inlined
def _put_joined(shape, out, t, m, a, b, c, d):
    """The reverse: vectors of the phases to out[t] in the order of the samples."""
    n = lanes(shape)
    if m == 2:
        store(out, t, join_runs(shape, a, b, 0))
        store(out, t + n, join_runs(shape, a, b, 1))
    else:
        even, odd = join_runs(shape, a, c, 0), join_runs(shape, b, d, 0)
        store(out, t, join_runs(shape, even, odd, 0))
        store(out, t + n, join_runs(shape, even, odd, 1))
        even, odd = join_runs(shape, a, c, 1), join_runs(shape, b, d, 1)
        store(out, t + 2 * n, join_runs(shape, even, odd, 0))
        store(out, t + 3 * n, join_runs(shape, even, odd, 1))


@inlined
def _copy(shape, x, row, left, width, count, out, q):
    for v in range(0, count, lanes(shape)):
        store(out, q + v, _samples(shape, x, row, left + v, width))


def _fill_plain(shape, x, row, left, width, count, d, out, q, apart, room, phase):  # type: ignore[no-untyped-def]
    """The next tile's phases from the vector before; from the last vector to the first: what it stores too much, the next row overwrites."""
    n, m = lanes(shape), outputs(rows(shape))
    if m == 1:
        _copy(shape, x, row, left, width, count, out, q)
        return
    v = (count + n - 1) // n * n
    y0, y1, y2, y3 = _phases(shape, x, row, left + m * v, width, m)
    while v > 0:
        v -= n
        x0, x1, x2, x3 = _phases(shape, x, row, left + m * v, width, m)
        z0, z1, z2, z3 = next_run(shape, x0, y0, 0), next_run(shape, x1, y1, 0), next_run(shape, x2, y2, 0), next_run(shape, x3, y3, 0)
        if m == 2:
            x2, x3 = z0, z1
        put_row(out, q + v, apart, input_row(shape, x0, x1, x2, x3, z0, z1, z2, z3))
        y0, y1, y2, y3 = x0, x1, x2, x3


@device_function
def _split(shape, x, row, left, width, count, m, out, room, phase):
    """Phase i of `count` positions to out[room + i·phase], for a dilation of a few lanes, which the type of `shape` knows."""
    for v in range(0, count, lanes(shape)):
        x0, x1, x2, x3 = _phases(shape, x, row, left + m * v, width, m)
        store(out, room + v, x0)
        store(out, room + phase + v, x1)
        if m > 2:
            store(out, room + 2 * phase + v, x2)
            store(out, room + 3 * phase + v, x3)


def _fill_dilated(shape, x, row, left, width, count, d, out, q, apart, room, phase):  # type: ignore[no-untyped-def]
    """All samples of phase i to out[room + i·phase] first."""
    n, m = lanes(shape), outputs(rows(shape))
    if m == 1:
        _copy(shape, x, row, left, width, count, out, q)
        return
    if d == 1:
        _split(stepping(shape, 1), x, row, left, width, count + d, m, out, room, phase)
    elif d == 2:
        _split(stepping(shape, 2), x, row, left, width, count + d, m, out, room, phase)
    elif d == 4:
        _split(stepping(shape, 4), x, row, left, width, count + d, m, out, room, phase)
    elif d == 8 and n > 8:
        _split(stepping(shape, 8), x, row, left, width, count + d, m, out, room, phase)
    else:
        for u in range(0, count + d, d):
            for i in range(m):
                for r in range(0, d, n):  # what a store writes too much, the next overwrites
                    store(out, room + i * phase + u + r, _samples(shape, x, row, left + u * m + i * d + r, width))
    analyse(shape, out, room, phase, d, 0, count, out, q, apart)


@by_type(lambda shape: _fill_plain if shape.vectors == 1 else _fill_dilated)
def fill_row(shape: Any, *arguments: Any) -> None:
    """`count` positions of the row x[row … row + width) from column `left`, zeros outside: copied to out[q], or frequency j to out[q + j·apart]."""


@device_function
def _join(shape, x, s, apart, count, m, out, o):
    """The reverse of `_split`."""
    for v in range(0, count, lanes(shape)):
        p = s + v
        a, b, c, d = load(x, p, shape), load(x, p + apart, shape), load(x, p + 2 * apart, shape), load(x, p + 3 * apart, shape)
        _put_joined(shape, out, o + m * v, m, a, b, c, d)


def _restore_plain(shape, x, s, apart, count, d, out, o):  # type: ignore[no-untyped-def]
    m = outputs(rows(shape))
    for v in range(0, count, lanes(shape)):
        y0, y1, y2, y3 = restored(shape, x, s + v, apart)
        _put_joined(shape, out, o + m * v, m, y0, y1, y2, y3)


def _restore_dilated(shape, x, s, apart, count, d, out, o):  # type: ignore[no-untyped-def]
    n, m = lanes(shape), outputs(rows(shape))
    restore(shape, x, s, apart, count)
    if d == 1:
        _join(stepping(shape, 1), x, s, apart, count, m, out, o)
    elif d == 2:
        _join(stepping(shape, 2), x, s, apart, count, m, out, o)
    elif d == 4:
        _join(stepping(shape, 4), x, s, apart, count, m, out, o)
    elif d == 8 and n > 8:
        _join(stepping(shape, 8), x, s, apart, count, m, out, o)
    else:
        for u in range(0, count, d):
            for i in range(m):
                for r in range(0, d, n):
                    store(out, o + u * m + i * d + r, load(x, s + i * apart + u + r, shape))


@by_type(lambda shape: _restore_plain if shape.vectors == 1 else _restore_dilated)
def restore_rows(shape: Any, *arguments: Any) -> None:
    """Aᵀ of `count` positions, frequency i at x[s + i·apart], to out[o] in the order of the samples."""


@inlined
def _taps(shape, w, s, step, live, blank):
    """G of a piece that has `live` of the taps; the others are the zeros at w[blank]."""
    return filter_row(
        shape, load(w, s if live > 0 else blank, shape), load(w, s + step if live > 1 else blank, shape),
        load(w, s + 2 * step if live > 2 else blank, shape), load(w, s + 3 * step if live > 3 else blank, shape),
        load(w, s + 4 * step if live > 4 else blank, shape),
    )  # fmt: skip


@inlined
def _put_n(out, q, apart, values, count):
    for i in range(len(values)):
        store_n(out, q + i * apart, values[i], count)


@device_function
def transform_filter(by_a, by_w, w, s, step_a, step_w, live_a, live_w, blank, out, t, apart, count):
    """U of a piece of live_a × live_w taps for one vector of output channels, its first `count` lanes.

    Frequency (i, j) goes to out[t + (i·frequencies of w + j)·apart].
    """
    if rows(by_a) == 1:
        _put_n(out, t, apart, _taps(by_w, w, s, step_w, live_w, blank), count)
    elif rows(by_w) == 1:
        _put_n(out, t, apart, _taps(by_a, w, s, step_a, live_a, blank), count)
    else:  # both of three taps at most
        a, b = _taps(by_a, w, s, step_a, live_a, blank), _taps(by_a, w, s + step_w, step_a, live_a if live_w > 1 else 0, blank)
        c = _taps(by_a, w, s + 2 * step_w, step_a, live_a if live_w > 2 else 0, blank)
        for i in range(len(a)):
            _put_n(out, t + i * rows(by_w) * apart, apart, filter_row(by_w, a[i], b[i], c[i], c[i], c[i]), count)
