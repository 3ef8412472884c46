"""The matrices of Winograd's F(m, r) on vectors: m outputs of a filter of r taps from m + r − 1 samples.

By as many multiplications, its *frequencies*.  F(2, 3) has the interpolation points 0, ±1, ∞; F(4, 3) 0, ±1/2, ±3/2, ∞; F(4, 5) 0, ±1/2,
±1, ±2, ∞ (docs/decisions).  Points ±p share an even and an odd part.  F(4, 2) and F(4, 4) have one point without its opposite, last: the
others see the samples less it times the samples before.

`input_row`, `output_row` and `filter_row` take a shape whose `rows` are the number of frequencies, which chooses among the functions here
by type, so that a kernel holds the transforms of its axes only.  All are given as many vectors as the longest needs.
"""

from __future__ import annotations

from typing import Any

from ...winograd import ALONE, PAIRS
from ..runtime.launch import by_type, inlined
from ..simd.vector import fma

A, B = PAIRS[6]
(C, D), H = PAIRS[7], ALONE[7]  # H alone; of five frequencies 0, ±C, ∞ and D alone
P, Q, R = PAIRS[8]


@inlined
def outputs(frequencies):
    """m of the transform with so many frequencies."""
    return 4 if frequencies > 4 else (frequencies + 1) // 2


def _input_4(shape, x0, x1, x2, x3, x4, x5, x6, x7):
    """Bᵀ of four vectors."""
    return x0 - x2, x1 + x2, x2 - x1, x1 - x3


def _output_4(shape, m0, m1, m2, m3, m4, m5, m6, m7):
    """Aᵀ of four vectors; m = 2, so that only the first two of the result count."""
    a, b = m0 + m1 + m2, m1 - m2 - m3
    return a, b, a, b


def _filter_4(shape, g0, g1, g2, g3, g4):
    """G of three vectors: [1, p, p²] / Π(p − q) for each point p."""
    even, odd = (g0 + g2) * 0.5, g1 * 0.5
    return g0, even + odd, even - odd, g2


def _input_5(shape, x0, x1, x2, x3, x4, x5, x6, x7):
    y0, y1, y2, y3 = fma(x0, -D, x1), fma(x1, -D, x2), fma(x2, -D, x3), fma(x3, -D, x4)
    return y0 - y2, y1 + y2, y2 - y1, y1 - y3, x3 - x1


def _output_5(shape, m0, m1, m2, m3, m4, m5, m6, m7):
    plus, minus = m1 + m2, m1 - m2
    return m0 + plus + m4, fma(m4, D, minus), fma(m4, D * D, plus), fma(m4, D * D * D, minus - m3)


def _filter_5(shape, g0, g1, g2, g3, g4):
    return g0 * (-1.0 / D), (g0 + g1) * (0.5 / (1.0 - D)), (g0 - g1) * (-0.5 / (1.0 + D)), g1, fma(g1, D, g0) * (1.0 / (D * D * D - D))


@inlined
def _input_pairs(x0, x1, x2, x3, x4, x5, a, b):
    """For the points 0, ±a, ±b, ∞."""
    even_a, odd_a = fma(x2, -b * b, x4), fma(x1, -b * b, x3) * a
    even_b, odd_b = fma(x2, -a * a, x4), fma(x1, -a * a, x3) * b
    first, last = fma(x0, a * a * b * b, fma(x2, -(a * a + b * b), x4)), fma(x1, a * a * b * b, fma(x3, -(a * a + b * b), x5))
    return first, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, last


@inlined
def _output_pairs(m0, m1, m2, m3, m4, m5, a, b):
    sum_a, sum_b, dif_a, dif_b = m1 + m2, m3 + m4, m1 - m2, m3 - m4
    return (
        m0 + sum_a + sum_b,
        fma(dif_b, b, dif_a * a),
        fma(sum_b, b * b, sum_a * (a * a)),
        fma(dif_b, b * b * b, fma(dif_a, a * a * a, m5)),
    )


def _input_6(shape, x0, x1, x2, x3, x4, x5, x6, x7):
    return _input_pairs(x0, x1, x2, x3, x4, x5, A, B)


def _output_6(shape, m0, m1, m2, m3, m4, m5, m6, m7):
    return _output_pairs(m0, m1, m2, m3, m4, m5, A, B)


def _filter_6(shape, g0, g1, g2, g3, g4):
    a, b = 0.5 / (A * A * (A * A - B * B)), 0.5 / (B * B * (B * B - A * A))
    even_a, odd_a = fma(g2, A * A, g0) * a, g1 * (A * a)
    even_b, odd_b = fma(g2, B * B, g0) * b, g1 * (B * b)
    return g0 * (1.0 / (A * A * B * B)), even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, g2


def _input_7(shape, x0, x1, x2, x3, x4, x5, x6, x7):
    a, b, c, d, e, f = _input_pairs(
        fma(x0, -H, x1), fma(x1, -H, x2), fma(x2, -H, x3), fma(x3, -H, x4), fma(x4, -H, x5), fma(x5, -H, x6), C, D
    )
    return a, b, c, d, e, f, fma(x1, C * C * D * D, fma(x3, -(C * C + D * D), x5))


def _output_7(shape, m0, m1, m2, m3, m4, m5, m6, m7):
    a, b, c, d = _output_pairs(m0, m1, m2, m3, m4, m5, C, D)
    return a + m6, fma(m6, H, b), fma(m6, H * H, c), fma(m6, H * H * H, d)


def _filter_7(shape, g0, g1, g2, g3, g4):
    c, d = 0.5 / (C * C * (C * C - D * D)), 0.5 / (D * D * (D * D - C * C))
    even_c, odd_c = fma(g2, C * C, g0), fma(g3, C * C, g1) * C
    even_d, odd_d = fma(g2, D * D, g0), fma(g3, D * D, g1) * D
    alone = fma(fma(fma(g3, H, g2), H, g1), H, g0) * (1.0 / (H * (H * H - C * C) * (H * H - D * D)))
    return (
        g0 * (-1.0 / (C * C * D * D * H)), (even_c + odd_c) * (c / (C - H)), (even_c - odd_c) * (-c / (C + H)),
        (even_d + odd_d) * (d / (D - H)), (even_d - odd_d) * (-d / (D + H)), g3, alone,
    )  # fmt: skip


@inlined
def _cubic(x1, x2, x3, x4, x5, x6, p, q, r):
    """Even and odd part for the points ±p, where the other pairs are ±q and ±r."""
    return fma(x2, q * q * r * r, fma(x4, -(q * q + r * r), x6)), fma(x1, q * q * r * r, fma(x3, -(q * q + r * r), x5)) * p


def _input_8(shape, x0, x1, x2, x3, x4, x5, x6, x7):
    even_p, odd_p = _cubic(x1, x2, x3, x4, x5, x6, P, Q, R)
    even_q, odd_q = _cubic(x1, x2, x3, x4, x5, x6, Q, P, R)
    even_r, odd_r = _cubic(x1, x2, x3, x4, x5, x6, R, P, Q)
    one, two, three = P * P + Q * Q + R * R, P * P * (Q * Q + R * R) + Q * Q * R * R, P * P * Q * Q * R * R
    first, last = fma(x0, -three, fma(x2, two, fma(x4, -one, x6))), fma(x1, -three, fma(x3, two, fma(x5, -one, x7)))
    return first, even_p + odd_p, even_p - odd_p, even_q + odd_q, even_q - odd_q, even_r + odd_r, even_r - odd_r, last


def _output_8(shape, m0, m1, m2, m3, m4, m5, m6, m7):
    a, b, c, d = _output_pairs(m0, m1, m2, m3, m4, m7, P, Q)
    plus, minus = m5 + m6, m5 - m6
    return a + plus, fma(minus, R, b), fma(plus, R * R, c), fma(minus, R * R * R, d)


@inlined
def _quartic(g0, g1, g2, g3, g4, p, q, r):
    """At the points p and −p."""
    k = 0.5 / (p * p * (p * p - q * q) * (p * p - r * r))
    even, odd = fma(g4, p * p * p * p, fma(g2, p * p, g0)) * k, fma(g3, p * p, g1) * (p * k)
    return even + odd, even - odd


def _filter_8(shape, g0, g1, g2, g3, g4):
    (a, b), (c, d), (e, f) = (
        _quartic(g0, g1, g2, g3, g4, P, Q, R),
        _quartic(g0, g1, g2, g3, g4, Q, P, R),
        _quartic(g0, g1, g2, g3, g4, R, P, Q),
    )
    return g0 * (-1.0 / (P * P * Q * Q * R * R)), a, b, c, d, e, f, g4


def _input_1(shape, x0, x1, x2, x3, x4, x5, x6, x7):
    return (x0,)


def _output_1(shape, m0, m1, m2, m3, m4, m5, m6, m7):
    return m0, m0, m0, m0


def _filter_1(shape, g0, g1, g2, g3, g4):
    return (g0,)


_INPUT = {1: _input_1, 4: _input_4, 5: _input_5, 6: _input_6, 7: _input_7, 8: _input_8}
_OUTPUT = {1: _output_1, 4: _output_4, 5: _output_5, 6: _output_6, 7: _output_7, 8: _output_8}
_FILTER = {1: _filter_1, 4: _filter_4, 5: _filter_5, 6: _filter_6, 7: _filter_7, 8: _filter_8}


@by_type(lambda shape: _INPUT[shape.rows], inline=True)
def input_row(shape: Any, *samples: Any) -> Any:
    """Bᵀ of the first of eight vectors."""


@by_type(lambda shape: _OUTPUT[shape.rows], inline=True)
def output_row(shape: Any, *products: Any) -> Any:
    """Aᵀ of the first of eight vectors: four, of which the first m count."""


@by_type(lambda shape: _FILTER[shape.rows], inline=True)
def filter_row(shape: Any, *taps: Any) -> Any:
    """G of the first of five vectors."""
