"""The transforms of `winograd`, one axis at a time, on vectors of neighbouring positions.

F(m, 3) makes m outputs of a 3-tap filter from m + 2 samples by m + 2 multiplications, its *frequencies*.  m = 4 has the interpolation points 0, ±1/2,
±3/2, ∞ (docs/decisions); m = 2 has 0, ±1, ∞.  Sample (u·m + i)·d + r of an axis of dilation d is *phase* i of position u·d + r: the samples
that the next tile shares stand d positions further on.
"""

from __future__ import annotations

from .launch import device_function, inlined
from .simd.runs import join_runs, next_run, split_runs
from .simd.strided import stepping
from .simd.tiles import columns, lanes
from .simd.vector import fma, load, load_between, store, store_n

A, B = 0.5, 1.5  # the points of m = 4 are 0, ±A, ±B and infinity
A2, B2 = A * A, B * B


@inlined
def input_row(x0, x1, x2, x3, x4, x5):
    """Bᵀ of six vectors."""
    even_a, odd_a = fma(x2, -B2, x4), fma(x1, -B2, x3) * A
    even_b, odd_b = fma(x2, -A2, x4), fma(x1, -A2, x3) * B
    first = fma(x0, A2 * B2, fma(x2, -(A2 + B2), x4))
    return first, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, fma(x1, A2 * B2, fma(x3, -(A2 + B2), x5))


@inlined
def output_row(m0, m1, m2, m3, m4, m5):
    """Aᵀ of six vectors."""
    sum_a, sum_b, dif_a, dif_b = m1 + m2, m3 + m4, m1 - m2, m3 - m4
    return m0 + sum_a + sum_b, fma(dif_b, B, dif_a * A), fma(sum_b, B2, sum_a * A2), fma(dif_b, B * B2, fma(dif_a, A * A2, m5))


@inlined
def filter_row(g0, g1, g2):
    """G of three vectors: [1, p, p²] / Π(p − q) for each point p."""
    na, nb = 1.0 / (2 * A2 * (A2 - B2)), 1.0 / (2 * B2 * (B2 - A2))
    even_a, odd_a = fma(g2, A2, g0) * na, g1 * (A * na)
    even_b, odd_b = fma(g2, B2, g0) * nb, g1 * (B * nb)
    return g0 * (1.0 / (A2 * B2)), even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, g2


@inlined
def short_input_row(x0, x1, x2, x3):
    """Bᵀ of four vectors, for m = 2."""
    return x0 - x2, x1 + x2, x2 - x1, x1 - x3


@inlined
def short_filter_row(g0, g1, g2):
    """G of three vectors for m = 2."""
    even, odd = (g0 + g2) * 0.5, g1 * 0.5
    return g0, even + odd, even - odd, g2


@device_function
def analyse(shape, x, s, phase, shift, count, m, out, q, apart):
    """Bᵀ of `count` positions: phase i from x[s + i·phase], the next tile `shift` further; frequency i to out[q + i·apart]."""
    n = lanes(shape)
    for v in range(0, count, n):
        p = s + v
        x0, x1, y0, y1 = load(x, p, shape), load(x, p + phase, shape), load(x, p + shift, shape), load(x, p + phase + shift, shape)
        if m == 4:
            r = input_row(x0, x1, load(x, p + 2 * phase, shape), load(x, p + 3 * phase, shape), y0, y1)
            for i in range(6):
                store(out, q + v + i * apart, r[i])
        else:
            z = short_input_row(x0, x1, y0, y1)
            for i in range(4):
                store(out, q + v + i * apart, z[i])


@inlined
def _restore_vector(shape, x, p, apart, m, out, t, step):
    """Aᵀ of one vector of positions: frequencies at x[p + i·apart], i < m + 2, to outputs at out[t + i·step], i < m."""
    m0, m1, m2, m3 = load(x, p, shape), load(x, p + apart, shape), load(x, p + 2 * apart, shape), load(x, p + 3 * apart, shape)
    if m == 4:
        r = output_row(m0, m1, m2, m3, load(x, p + 4 * apart, shape), load(x, p + 5 * apart, shape))
        for i in range(4):
            store(out, t + i * step, r[i])
    else:
        store(out, t, m0 + m1 + m2)
        store(out, t + step, m1 - m2 - m3)


@device_function
def restore(shape, x, s, apart, count, m):
    """Aᵀ of `count` positions in place: frequencies at x[s + i·apart], i < m + 2, to outputs at x[s + i·apart], i < m."""
    n = lanes(shape)
    for p in range(s, s + count, n):
        _restore_vector(shape, x, p, apart, m, x, p, apart)


@inlined
def _samples(shape, x, row, c, width):
    """One vector from column c of the row x[row … row + width), zeros outside."""
    if c >= 0 and c + lanes(shape) <= width:
        return load(x, row + c, shape)
    return load_between(x, row + c, -c, width - c, shape)


@device_function
def _fill_runs(shape, x, row, left, width, count, m, out, q, apart):
    """`fill_row` for a dilation of a few lanes, which the type of `shape` knows: phases by shuffles, the next tile's from the vector before.

    From the last vector to the first; what it stores too much, the next row overwrites.
    """
    n, d = lanes(shape), columns(shape) // lanes(shape)
    v = (count + n - 1) // n * n
    c = left + m * v
    next0, next1 = _samples(shape, x, row, c, width), _samples(shape, x, row, c + d, width)
    while v > 0:
        v -= n
        c = left + m * v
        v0, v1 = _samples(shape, x, row, c, width), _samples(shape, x, row, c + n, width)
        x0, x1 = split_runs(shape, v0, v1, 0), split_runs(shape, v0, v1, 1)
        if m == 4:
            v2, v3 = _samples(shape, x, row, c + 2 * n, width), _samples(shape, x, row, c + 3 * n, width)
            even, odd = split_runs(shape, v2, v3, 0), split_runs(shape, v2, v3, 1)
            x2, x3 = split_runs(shape, x0, even, 1), split_runs(shape, x1, odd, 1)
            x0, x1 = split_runs(shape, x0, even, 0), split_runs(shape, x1, odd, 0)
            r = input_row(x0, x1, x2, x3, next_run(shape, x0, next0, 0), next_run(shape, x1, next1, 0))
            for i in range(6):
                store(out, q + v + i * apart, r[i])
        else:
            s = short_input_row(x0, x1, next_run(shape, x0, next0, 0), next_run(shape, x1, next1, 0))
            for i in range(4):
                store(out, q + v + i * apart, s[i])
        next0, next1 = x0, x1


@device_function
def _restore_runs(shape, x, s, apart, count, m, out, o):
    """`restore_rows` for a dilation of a few lanes, which the type of `shape` knows."""
    n = lanes(shape)
    for v in range(0, count, n):
        p, t = s + v, o + m * v
        m0, m1, m2, m3 = load(x, p, shape), load(x, p + apart, shape), load(x, p + 2 * apart, shape), load(x, p + 3 * apart, shape)
        if m == 4:
            a, b, c, d = output_row(m0, m1, m2, m3, load(x, p + 4 * apart, shape), load(x, p + 5 * apart, shape))
            even, odd = join_runs(shape, a, c, 0), join_runs(shape, b, d, 0)
            store(out, t, join_runs(shape, even, odd, 0))
            store(out, t + n, join_runs(shape, even, odd, 1))
            even, odd = join_runs(shape, a, c, 1), join_runs(shape, b, d, 1)
            store(out, t + 2 * n, join_runs(shape, even, odd, 0))
            store(out, t + 3 * n, join_runs(shape, even, odd, 1))
        else:
            a, b = m0 + m1 + m2, m1 - m2 - m3
            store(out, t, join_runs(shape, a, b, 0))
            store(out, t + n, join_runs(shape, a, b, 1))


@inlined
def _fill_far(shape, x, row, left, width, count, m, d, out, q, apart):
    """`fill_row` for any other dilation, one tile of d residues after the other; what a store writes too much, the next overwrites."""
    for u in range(0, count, d):
        for r in range(0, d, lanes(shape)):
            c, t = left + u * m + r, q + u + r
            x0, x1, x2, x3 = (
                _samples(shape, x, row, c, width), _samples(shape, x, row, c + d, width), _samples(shape, x, row, c + 2 * d, width),
                _samples(shape, x, row, c + 3 * d, width),
            )  # fmt: skip
            if m == 4:
                z = input_row(x0, x1, x2, x3, _samples(shape, x, row, c + 4 * d, width), _samples(shape, x, row, c + 5 * d, width))
                for i in range(6):
                    store(out, t + i * apart, z[i])
            else:
                s = short_input_row(x0, x1, x2, x3)
                for i in range(4):
                    store(out, t + i * apart, s[i])


@device_function
def fill_row(shape, x, row, left, width, count, m, d, out, q, apart):
    """`count` positions of the row x[row … row + width) from column `left`, zeros outside: copied to out[q], or, m > 1, frequency j to out[q + j·apart]."""
    n = lanes(shape)
    if m == 1:
        for v in range(0, count, n):
            store(out, q + v, _samples(shape, x, row, left + v, width))
    elif d == 1:
        _fill_runs(stepping(shape, 1), x, row, left, width, count, m, out, q, apart)
    elif d == 2:
        _fill_runs(stepping(shape, 2), x, row, left, width, count, m, out, q, apart)
    elif d == 4:
        _fill_runs(stepping(shape, 4), x, row, left, width, count, m, out, q, apart)
    elif d == 8 and n > 8:
        _fill_runs(stepping(shape, 8), x, row, left, width, count, m, out, q, apart)
    else:
        _fill_far(shape, x, row, left, width, count, m, d, out, q, apart)


@inlined
def _restore_far(shape, x, s, apart, count, m, d, out, o):
    """`restore_rows` for any other dilation: the last vector of a run first, for what it stores too much the first of the next run overwrites."""
    n = lanes(shape)
    for u in range(0, count, d):
        for k in range((d - 1) // n, -1, -1):
            _restore_vector(shape, x, s + u + k * n, apart, m, out, o + u * m + k * n, d)


@device_function
def restore_rows(shape, x, s, apart, count, m, d, out, o):
    """Aᵀ of `count` positions, frequency i at x[s + i·apart], to out[o] in the order of the samples."""
    n = lanes(shape)
    if d == 1:
        _restore_runs(stepping(shape, 1), x, s, apart, count, m, out, o)
    elif d == 2:
        _restore_runs(stepping(shape, 2), x, s, apart, count, m, out, o)
    elif d == 4:
        _restore_runs(stepping(shape, 4), x, s, apart, count, m, out, o)
    elif d == 8 and n > 8:
        _restore_runs(stepping(shape, 8), x, s, apart, count, m, out, o)
    else:
        _restore_far(shape, x, s, apart, count, m, d, out, o)


@inlined
def _taps(shape, w, s, step):
    return load(w, s, shape), load(w, s + step, shape), load(w, s + 2 * step, shape)


@device_function
def transform_filter(shape, w, s, step_a, step_w, m_a, m_w, out, t, apart, count):
    """U of one vector of output channels, its first `count` lanes; frequency (i, j) goes to out[t + (i·frequencies of w + j)·apart]."""
    if m_a == 1 or m_w == 1:
        g0, g1, g2 = _taps(shape, w, s, step_w if m_a == 1 else step_a)
        if m_a + m_w == 5:
            r = filter_row(g0, g1, g2)
            for i in range(6):
                store_n(out, t + i * apart, r[i], count)
        else:
            q = short_filter_row(g0, g1, g2)
            for i in range(4):
                store_n(out, t + i * apart, q[i], count)
        return
    a0, a1, a2 = _taps(shape, w, s, step_a)
    b0, b1, b2 = _taps(shape, w, s + step_w, step_a)
    c0, c1, c2 = _taps(shape, w, s + 2 * step_w, step_a)
    if m_a == 4:
        a, b, c = filter_row(a0, a1, a2), filter_row(b0, b1, b2), filter_row(c0, c1, c2)
        for i in range(6):
            r = filter_row(a[i], b[i], c[i])
            for j in range(6):
                store_n(out, t + (6 * i + j) * apart, r[j], count)
    else:
        d, e, f = short_filter_row(a0, a1, a2), short_filter_row(b0, b1, b2), short_filter_row(c0, c1, c2)
        for i in range(4):
            q = short_filter_row(d[i], e[i], f[i])
            for j in range(4):
                store_n(out, t + (4 * i + j) * apart, q[j], count)
