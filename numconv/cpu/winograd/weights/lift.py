"""The transforms of `winograd_weights`: channels in the lanes, pixels found by tables.

A side, the input or the gradient of the output, is described at g[q …]; a box of it by two tables.  That of its rows: how many the box reads, their
places in a plane, then for each line of positions the rows its transform reads.  That of its columns: the first, how many, then for each position of a
line the pixels.  What lies outside is read from zeros.
"""

from __future__ import annotations

from typing import Any

from ...runtime.launch import by_type, device_function, inlined
from ...simd.tiles import lanes, rows
from ...simd.transpose import transpose_part
from ...simd.vector import get, load, moved, store
from ...stages.pack import zero
from ..points import input_row, outputs
from ..transforms import put_row
from .transposes import spread_row, taps_row

SIDE = 10  # integers


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
def _transformed(shape, x, s, p0, p1, p2, p3, p4, p5, p6, p7):
    return _row(
        shape, load(x, s + p0, shape), load(x, s + p1, shape), load(x, s + p2, shape), load(x, s + p3, shape), load(x, s + p4, shape),
        load(x, s + p5, shape), load(x, s + p6, shape), load(x, s + p7, shape),
    )  # fmt: skip


@inlined
def _places(g, at):
    return get(g, at), get(g, at + 1), get(g, at + 2), get(g, at + 3), get(g, at + 4), get(g, at + 5), get(g, at + 6), get(g, at + 7)


@device_function
def lift(line, by_a, by_w, x, base, valid, by_rows, by_columns, g, q, scratch, s, target, pitch, apart):
    """`valid` channels, at most a vector, of a box: frequency f of position p to scratch[target + f·apart + p·pitch].

    From s: the rows with channels in the lanes, after each a pixel of zeros; then their frequencies along W, after those of all rows one of zeros.
    """
    n, area, most, lines, wide, tmp = lanes(line), get(g, q), get(g, q + 1), get(g, q + 3), get(g, q + 4), s + get(g, q + 9)
    row_size, blank, f_w = (get(g, q + 2) + 1) * n, most * wide * n, rows(by_w)
    step = blank + wide * n  # between frequencies
    first, count = get(g, by_columns), get(g, by_columns + 1)
    for row in range(get(g, by_rows)):
        source, room = base + get(g, by_rows + 1 + row) + first, s + row * row_size
        for p in range(0, count, n):
            run = min(n, count - p)
            transpose_part(line, moved(x, source + p), area, None, valid, moved(scratch, room + p * n), n, run, n)
        zero(line, moved(scratch, room + row_size - n), n)
        for p in range(wide):
            p0, p1, p2, p3, p4, p5, p6, p7 = _places(g, by_columns + 2 + p * _reads(by_w))
            put_row(scratch, tmp + (row * wide + p) * n, step, _transformed(by_w, scratch, room, p0, p1, p2, p3, p4, p5, p6, p7))
    for j in range(f_w):
        zero(line, moved(scratch, tmp + j * step + blank), wide * n)
    for k in range(lines):
        p0, p1, p2, p3, p4, p5, p6, p7 = _places(g, by_rows + 1 + most + k * _reads(by_a))
        for j in range(f_w):
            for p in range(wide):
                values = _transformed(by_a, scratch, tmp + j * step + p * n, p0, p1, p2, p3, p4, p5, p6, p7)
                put_row(scratch, target + j * apart + (k * wide + p) * pitch, f_w * apart, values)


@inlined
def _frequencies(shape, s, p, apart):
    """Gᵀ of one vector."""
    return taps_row(
        shape, load(s, p, shape), load(s, p + apart, shape), load(s, p + 2 * apart, shape), load(s, p + 3 * apart, shape),
        load(s, p + 4 * apart, shape), load(s, p + 5 * apart, shape), load(s, p + 6 * apart, shape), load(s, p + 7 * apart, shape),
    )  # fmt: skip


@inlined
def _taps(shape):
    return rows(shape) - outputs(rows(shape)) + 1


@inlined
def _column(shape, out, q, step, live, away, s0, s1, s2, s3, s4, s5, s6, s7):
    values = taps_row(shape, s0, s1, s2, s3, s4, s5, s6, s7)
    for i in range(len(values)):
        if i < _taps(shape):
            store(out, q + i * step if i < live else away, values[i])


@device_function
def taps(by_a, by_w, s, p, apart, out, q, step_a, step_w, live_a, live_w, away):
    """Gᵀ S G of one vector of output channels, frequency f at s[p + f·apart]: tap (i, j) to out[q + i·step_a + j·step_w], or else to out[away].

    No branches: what they need later would stay in registers, and spill.
    """
    r = rows(by_w) * apart
    a, b = _frequencies(by_w, s, p, apart), _frequencies(by_w, s, p + r, apart)
    c, d = _frequencies(by_w, s, p + 2 * r, apart), _frequencies(by_w, s, p + 3 * r, apart)
    e, f = _frequencies(by_w, s, p + 4 * r, apart), _frequencies(by_w, s, p + 5 * r, apart)
    g, h = _frequencies(by_w, s, p + 6 * r, apart), _frequencies(by_w, s, p + 7 * r, apart)
    _column(by_a, out, q, step_a, live_a, away, a[0], b[0], c[0], d[0], e[0], f[0], g[0], h[0])
    if _taps(by_w) > 1:
        _column(by_a, out, q + step_w, step_a, live_a if live_w > 1 else 0, away, a[1], b[1], c[1], d[1], e[1], f[1], g[1], h[1])
    if _taps(by_w) > 2:
        _column(by_a, out, q + 2 * step_w, step_a, live_a if live_w > 2 else 0, away, a[2], b[2], c[2], d[2], e[2], f[2], g[2], h[2])
    if _taps(by_w) > 3:
        _column(by_a, out, q + 3 * step_w, step_a, live_a if live_w > 3 else 0, away, a[3], b[3], c[3], d[3], e[3], f[3], g[3], h[3])
    if _taps(by_w) > 4:
        _column(by_a, out, q + 4 * step_w, step_a, live_a if live_w > 4 else 0, away, a[4], b[4], c[4], d[4], e[4], f[4], g[4], h[4])
