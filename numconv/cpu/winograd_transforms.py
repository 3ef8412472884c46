"""The transforms of `winograd`, one axis at a time, on vectors of neighbouring positions.

Sample (u·m + i)·d + r of an axis of dilation d is *phase* i of position u·d + r: the samples that the next tile shares stand d positions further on.
`f` is the number of frequencies, which says which transform (`winograd_points`); 1: none.
"""

from __future__ import annotations

from .launch import device_function, inlined
from .simd.runs import join_runs, next_run, split_runs
from .simd.strided import stepping
from .simd.tiles import columns, lanes
from .simd.vector import load, load_between, store, store_n
from .winograd_points import (
    filter_row, input_row, long_filter_row, long_input_row, long_output_row, output_row, outputs, short_filter_row, short_input_row, short_output_row,
)  # fmt: skip


@inlined
def _put(out, q, apart, values):
    for i in range(len(values)):
        store(out, q + i * apart, values[i])


@device_function
def analyse(shape, x, s, phase, shift, first, count, f, out, q, apart):
    """Bᵀ of `count` positions: sample i is phase k = first + i, at x[s + k % m·phase], k // m tiles of `shift` on; frequency i to out[q + i·apart]."""
    m = outputs(f)
    p0, p1 = s + first % m * phase + first // m * shift, s + (first + 1) % m * phase + (first + 1) // m * shift
    p2, p3 = s + (first + 2) % m * phase + (first + 2) // m * shift, s + (first + 3) % m * phase + (first + 3) // m * shift
    for v in range(0, count, lanes(shape)):
        x0, x1, x2, x3 = load(x, p0 + v, shape), load(x, p1 + v, shape), load(x, p2 + v, shape), load(x, p3 + v, shape)
        if f == 4:
            _put(out, q + v, apart, short_input_row(x0, x1, x2, x3))
        else:  # m = 4: phases repeat
            x4, x5 = load(x, p0 + shift + v, shape), load(x, p1 + shift + v, shape)
            if f == 6:
                _put(out, q + v, apart, input_row(x0, x1, x2, x3, x4, x5))
            else:
                x6, x7 = load(x, p2 + shift + v, shape), load(x, p3 + shift + v, shape)
                _put(out, q + v, apart, long_input_row(x0, x1, x2, x3, x4, x5, x6, x7))


@inlined
def _four(shape, x, p, apart):
    return load(x, p, shape), load(x, p + apart, shape), load(x, p + 2 * apart, shape), load(x, p + 3 * apart, shape)


@inlined
def _restored(shape, x, p, apart, f):
    """Aᵀ of one vector of positions for m = 4, whose frequencies are at x[p + i·apart]."""
    m0, m1, m2, m3 = _four(shape, x, p, apart)
    m4, m5 = load(x, p + 4 * apart, shape), load(x, p + 5 * apart, shape)
    if f == 6:
        return output_row(m0, m1, m2, m3, m4, m5)
    return long_output_row(m0, m1, m2, m3, m4, m5, load(x, p + 6 * apart, shape), load(x, p + 7 * apart, shape))


@inlined
def _restore_vector(shape, x, p, apart, f, out, t, step):
    """Aᵀ of one vector of positions: frequencies at x[p + i·apart] to outputs at out[t + i·step], i < m."""
    if f == 4:
        m0, m1, m2, m3 = _four(shape, x, p, apart)
        _put(out, t, step, short_output_row(m0, m1, m2, m3))
    else:
        _put(out, t, step, _restored(shape, x, p, apart, f))


@device_function
def restore(shape, x, s, apart, count, f):
    """Aᵀ of `count` positions in place: frequencies at x[s + i·apart] to outputs at x[s + i·apart], i < m."""
    for p in range(s, s + count, lanes(shape)):
        _restore_vector(shape, x, p, apart, f, x, p, apart)


@inlined
def _samples(shape, x, row, c, width):
    """One vector from column c of the row x[row … row + width), zeros outside."""
    if c >= 0 and c + lanes(shape) <= width:
        return load(x, row + c, shape)
    return load_between(x, row + c, -c, width - c, shape)


@device_function
def _fill_runs(shape, x, row, left, width, count, f, out, q, apart):
    """`fill_row` for a dilation of a few lanes, which the type of `shape` knows: phases by shuffles, the next tile's from the vector before.

    From the last vector to the first; what it stores too much, the next row overwrites.
    """
    n, d, m = lanes(shape), columns(shape) // lanes(shape), outputs(f)
    v = (count + n - 1) // n * n
    c = left + m * v
    y0, y1 = _samples(shape, x, row, c, width), _samples(shape, x, row, c + d, width)
    y2, y3 = _samples(shape, x, row, c + 2 * d, width), _samples(shape, x, row, c + 3 * d, width)
    while v > 0:
        v -= n
        c = left + m * v
        v0, v1 = _samples(shape, x, row, c, width), _samples(shape, x, row, c + n, width)
        x0, x1 = split_runs(shape, v0, v1, 0), split_runs(shape, v0, v1, 1)
        if f == 4:
            _put(out, q + v, apart, short_input_row(x0, x1, next_run(shape, x0, y0, 0), next_run(shape, x1, y1, 0)))
        else:
            v2, v3 = _samples(shape, x, row, c + 2 * n, width), _samples(shape, x, row, c + 3 * n, width)
            even, odd = split_runs(shape, v2, v3, 0), split_runs(shape, v2, v3, 1)
            x2, x3 = split_runs(shape, x0, even, 1), split_runs(shape, x1, odd, 1)
            x0, x1 = split_runs(shape, x0, even, 0), split_runs(shape, x1, odd, 0)
            x4, x5 = next_run(shape, x0, y0, 0), next_run(shape, x1, y1, 0)
            if f == 6:
                _put(out, q + v, apart, input_row(x0, x1, x2, x3, x4, x5))
            else:
                x6, x7 = next_run(shape, x2, y2, 0), next_run(shape, x3, y3, 0)
                _put(out, q + v, apart, long_input_row(x0, x1, x2, x3, x4, x5, x6, x7))
                y2, y3 = x2, x3
        y0, y1 = x0, x1


@device_function
def _restore_runs(shape, x, s, apart, count, f, out, o):
    """`restore_rows` for a dilation of a few lanes, which the type of `shape` knows."""
    n = lanes(shape)
    for v in range(0, count, n):
        p, t = s + v, o + outputs(f) * v
        if f == 4:
            m0, m1, m2, m3 = _four(shape, x, p, apart)
            a, b = short_output_row(m0, m1, m2, m3)
            store(out, t, join_runs(shape, a, b, 0))
            store(out, t + n, join_runs(shape, a, b, 1))
        else:
            a, b, c, d = _restored(shape, x, p, apart, f)
            even, odd = join_runs(shape, a, c, 0), join_runs(shape, b, d, 0)
            store(out, t, join_runs(shape, even, odd, 0))
            store(out, t + n, join_runs(shape, even, odd, 1))
            even, odd = join_runs(shape, a, c, 1), join_runs(shape, b, d, 1)
            store(out, t + 2 * n, join_runs(shape, even, odd, 0))
            store(out, t + 3 * n, join_runs(shape, even, odd, 1))


@inlined
def _fill_far(shape, x, row, left, width, count, f, d, out, q, apart):
    """`fill_row` for any other dilation, one tile of d residues after the other; what a store writes too much, the next overwrites."""
    for u in range(0, count, d):
        for r in range(0, d, lanes(shape)):
            c, t = left + u * outputs(f) + r, q + u + r
            x0, x1, x2, x3 = (
                _samples(shape, x, row, c, width), _samples(shape, x, row, c + d, width), _samples(shape, x, row, c + 2 * d, width),
                _samples(shape, x, row, c + 3 * d, width),
            )  # fmt: skip
            if f == 4:
                _put(out, t, apart, short_input_row(x0, x1, x2, x3))
            else:
                x4, x5 = _samples(shape, x, row, c + 4 * d, width), _samples(shape, x, row, c + 5 * d, width)
                if f == 6:
                    _put(out, t, apart, input_row(x0, x1, x2, x3, x4, x5))
                else:
                    x6, x7 = _samples(shape, x, row, c + 6 * d, width), _samples(shape, x, row, c + 7 * d, width)
                    _put(out, t, apart, long_input_row(x0, x1, x2, x3, x4, x5, x6, x7))


@device_function
def fill_row(shape, x, row, left, width, count, f, d, out, q, apart):
    """`count` positions of the row x[row … row + width) from column `left`, zeros outside: copied to out[q], or, f > 1, frequency j to out[q + j·apart]."""
    n = lanes(shape)
    if f == 1:
        for v in range(0, count, n):
            store(out, q + v, _samples(shape, x, row, left + v, width))
    elif d == 1:
        _fill_runs(stepping(shape, 1), x, row, left, width, count, f, out, q, apart)
    elif d == 2:
        _fill_runs(stepping(shape, 2), x, row, left, width, count, f, out, q, apart)
    elif d == 4:
        _fill_runs(stepping(shape, 4), x, row, left, width, count, f, out, q, apart)
    elif d == 8 and n > 8:
        _fill_runs(stepping(shape, 8), x, row, left, width, count, f, out, q, apart)
    else:
        _fill_far(shape, x, row, left, width, count, f, d, out, q, apart)


@inlined
def _restore_far(shape, x, s, apart, count, f, d, out, o):
    """`restore_rows` for any other dilation: the last vector of a run first, for what it stores too much the first of the next run overwrites."""
    n = lanes(shape)
    for u in range(0, count, d):
        for k in range((d - 1) // n, -1, -1):
            _restore_vector(shape, x, s + u + k * n, apart, f, out, o + u * outputs(f) + k * n, d)


@device_function
def restore_rows(shape, x, s, apart, count, f, d, out, o):
    """Aᵀ of `count` positions, frequency i at x[s + i·apart], to out[o] in the order of the samples."""
    n = lanes(shape)
    if d == 1:
        _restore_runs(stepping(shape, 1), x, s, apart, count, f, out, o)
    elif d == 2:
        _restore_runs(stepping(shape, 2), x, s, apart, count, f, out, o)
    elif d == 4:
        _restore_runs(stepping(shape, 4), x, s, apart, count, f, out, o)
    elif d == 8 and n > 8:
        _restore_runs(stepping(shape, 8), x, s, apart, count, f, out, o)
    else:
        _restore_far(shape, x, s, apart, count, f, d, out, o)


@inlined
def _tap(shape, w, s, step, k, live, blank):
    """Tap k of a piece that has `live` of them, else the zeros at w[blank]."""
    return load(w, s + k * step if k < live else blank, shape)


@inlined
def _taps(shape, w, s, step, live, blank):
    return _tap(shape, w, s, step, 0, live, blank), _tap(shape, w, s, step, 1, live, blank), _tap(shape, w, s, step, 2, live, blank)


@inlined
def _put_n(out, q, apart, values, count):
    for i in range(len(values)):
        store_n(out, q + i * apart, values[i], count)


@device_function
def transform_filter(shape, w, s, step_a, step_w, live_a, live_w, blank, f_a, f_w, out, t, apart, count):
    """U of a piece of live_a × live_w taps for one vector of output channels, its first `count` lanes; frequency (i, j) goes to
    out[t + (i·frequencies of w + j)·apart]."""
    if f_a == 1 or f_w == 1:
        step, live, f = step_a * (f_a > 1) + step_w * (f_w > 1), live_a * live_w, f_a * f_w
        g0, g1, g2 = _taps(shape, w, s, step, live, blank)
        if f == 4:
            _put_n(out, t, apart, short_filter_row(g0, g1, g2), count)
        elif f == 6:
            _put_n(out, t, apart, filter_row(g0, g1, g2), count)
        else:
            g3, g4 = _tap(shape, w, s, step, 3, live, blank), _tap(shape, w, s, step, 4, live, blank)
            _put_n(out, t, apart, long_filter_row(g0, g1, g2, g3, g4), count)
        return
    a0, a1, a2 = _taps(shape, w, s, step_a, live_a, blank)
    b0, b1, b2 = _taps(shape, w, s + step_w, step_a, live_a if live_w > 1 else 0, blank)
    c0, c1, c2 = _taps(shape, w, s + 2 * step_w, step_a, live_a if live_w > 2 else 0, blank)
    if f_a == 6:
        a, b, c = filter_row(a0, a1, a2), filter_row(b0, b1, b2), filter_row(c0, c1, c2)
        for i in range(6):
            _put_n(out, t + 6 * i * apart, apart, filter_row(a[i], b[i], c[i]), count)
    else:
        d, e, h = short_filter_row(a0, a1, a2), short_filter_row(b0, b1, b2), short_filter_row(c0, c1, c2)
        for i in range(4):
            _put_n(out, t + 4 * i * apart, apart, short_filter_row(d[i], e[i], h[i]), count)
