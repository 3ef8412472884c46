"""The transforms of `winograd`, one axis at a time, on vectors of neighbouring positions.

F(m, 3) makes m outputs of a 3-tap filter from m + 2 samples by m + 2 multiplications, its *frequencies*.  m = 4 has the interpolation points 0, ±1/2,
±3/2, ∞ (docs/decisions); m = 2 has 0, ±1, ∞.  Sample (u·m + i)·d + r of an axis of dilation d is *phase* i of position u·d + r: the samples
that the next tile shares stand d positions further on.
"""

from __future__ import annotations

from .launch import device_function, inlined
from .simd.tiles import lanes
from .simd.vector import deinterleave, fma, get, interleave, load, load_between, put, store, store_n

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
            store(out, q + v, x0 - y0)
            store(out, q + v + apart, x1 + y0)
            store(out, q + v + 2 * apart, y0 - x1)
            store(out, q + v + 3 * apart, x1 - y1)


@device_function
def restore(shape, x, s, apart, count, m):
    """Aᵀ of `count` positions in place: frequencies at x[s + i·apart], i < m + 2, to outputs at x[s + i·apart], i < m."""
    n = lanes(shape)
    for p in range(s, s + count, n):
        m0, m1, m2, m3 = load(x, p, shape), load(x, p + apart, shape), load(x, p + 2 * apart, shape), load(x, p + 3 * apart, shape)
        if m == 4:
            r = output_row(m0, m1, m2, m3, load(x, p + 4 * apart, shape), load(x, p + 5 * apart, shape))
            for i in range(4):
                store(x, p + i * apart, r[i])
        else:
            store(x, p, m0 + m1 + m2)
            store(x, p + apart, m1 - m2 - m3)


@inlined
def _samples(shape, x, row, c, width):
    """One vector from column c of the row x[row … row + width), zeros outside."""
    if c >= 0 and c + lanes(shape) <= width:
        return load(x, row + c, shape)
    return load_between(x, row + c, -c, width - c, shape)


@inlined
def _split_plain(shape, x, row, left, width, tiles, m, out, q, pitch):
    """`split_row` of an axis without dilation."""
    n = lanes(shape)
    for v in range(0, tiles, n):
        c = left + m * v
        v0, v1 = _samples(shape, x, row, c, width), _samples(shape, x, row, c + n, width)
        even0, odd0 = deinterleave(v0, v1, 0), deinterleave(v0, v1, 1)
        if m == 4:
            v2, v3 = _samples(shape, x, row, c + 2 * n, width), _samples(shape, x, row, c + 3 * n, width)
            even1, odd1 = deinterleave(v2, v3, 0), deinterleave(v2, v3, 1)
            store(out, q + v, deinterleave(even0, even1, 0))
            store(out, q + pitch + v, deinterleave(odd0, odd1, 0))
            store(out, q + 2 * pitch + v, deinterleave(even0, even1, 1))
            store(out, q + 3 * pitch + v, deinterleave(odd0, odd1, 1))
        else:
            store(out, q + v, even0)
            store(out, q + pitch + v, odd0)
    for i in range(2):
        c = left + m * tiles + i
        if c >= 0 and c < width:
            put(out, q + i * pitch + tiles, get(x, row + c))
        else:
            put(out, q + i * pitch + tiles, 0)


@inlined
def _copy(shape, x, row, left, width, count, out, q):
    """`count` samples from column `left`; a whole vector is stored, and what follows overwrites what is too much."""
    for v in range(0, count, lanes(shape)):
        store(out, q + v, _samples(shape, x, row, left + v, width))


@device_function
def fill_row(shape, x, row, left, width, count, m, d, scratch, line, q, apart):
    """`count` positions of the row x[row … row + width) from column `left`, zeros outside, to scratch[q].

    m = 1: copied.  Otherwise frequency j goes to scratch[q + j·apart]; `line` is room for the row and its phases.
    """
    n = lanes(shape)
    if m == 1:
        _copy(shape, x, row, left, width, count, scratch, q)
        return
    pitch = count + d + n
    if d == 1:
        _split_plain(shape, x, row, left, width, count, m, scratch, line, pitch)
    else:
        phases, line = line, line + m * pitch
        _copy(shape, x, row, left, width, m * count + 2 * d, scratch, line)
        if 2 * d >= n:  # the d positions of a tile fill a vector: no need to bring several tiles together
            for u in range(0, count, d):
                analyse(shape, scratch, line + u * m, d, m * d, d, m, scratch, q + u, apart)
            return
        for run in range(m * (count // d) + 2):  # d < n/2 samples
            store(scratch, phases + run % m * pitch + run // m * d, load(scratch, line + run * d, shape))
        line = phases
    analyse(shape, scratch, line, pitch, d, count, m, scratch, q, apart)


@device_function
def merge_rows(shape, x, s, pitch, count, m, d, out, o):
    """The m phases of `count` positions at x[s + i·pitch], back in the order of the samples, to out[o]."""
    n = lanes(shape)
    if d > 1:
        for run in range(count // d * m):
            source = s + run % m * pitch + run // m * d
            for r in range(0, d, n):
                store(out, o + run * d + r, load(x, source + r, shape))
        return
    for v in range(0, count, n):
        p, t = s + v, o + m * v
        a, b = load(x, p, shape), load(x, p + pitch, shape)
        if m == 4:
            c, d_ = load(x, p + 2 * pitch, shape), load(x, p + 3 * pitch, shape)
            even, even_high, odd, odd_high = interleave(a, c, 0), interleave(a, c, 1), interleave(b, d_, 0), interleave(b, d_, 1)
            store(out, t, interleave(even, odd, 0))
            store(out, t + n, interleave(even, odd, 1))
            store(out, t + 2 * n, interleave(even_high, odd_high, 0))
            store(out, t + 3 * n, interleave(even_high, odd_high, 1))
        else:
            store(out, t, interleave(a, b, 0))
            store(out, t + n, interleave(a, b, 1))


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
