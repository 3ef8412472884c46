"""The transposes of the matrices of `winograd_points`, for gradients: A takes m outputs to frequencies, Gᵀ frequencies to r taps.

As there: a shape's `rows` are the number of frequencies, all functions are given as many vectors as the longest needs.
"""

from __future__ import annotations

from typing import Any

from ...runtime.launch import by_type, inlined
from ...simd.vector import fma
from ..points import A, B, C, D, H, P, Q, R


@inlined
def _at(y0, y1, y2, y3, p):
    """The polynomial of four coefficients at p and −p."""
    even, odd = fma(y2, p * p, y0), fma(y3, p * p, y1) * p
    return even + odd, even - odd


@inlined
def _alone(y0, y1, y2, y3, p):
    return fma(fma(fma(y3, p, y2), p, y1), p, y0)


def _spread_1(shape, y0, y1, y2, y3):
    return (y0,)


def _spread_4(shape, y0, y1, y2, y3):
    return y0, y0 + y1, y0 - y1, y1 * -1.0


def _spread_5(shape, y0, y1, y2, y3):
    plus, minus = _at(y0, y1, y2, y3, 1.0)
    return y0, plus, minus, y3 * -1.0, _alone(y0, y1, y2, y3, D)


def _spread_6(shape, y0, y1, y2, y3):
    (a, b), (c, d) = _at(y0, y1, y2, y3, A), _at(y0, y1, y2, y3, B)
    return y0, a, b, c, d, y3


def _spread_7(shape, y0, y1, y2, y3):
    (a, b), (c, d) = _at(y0, y1, y2, y3, C), _at(y0, y1, y2, y3, D)
    return y0, a, b, c, d, y3, _alone(y0, y1, y2, y3, H)


def _spread_8(shape, y0, y1, y2, y3):
    (a, b), (c, d), (e, f) = _at(y0, y1, y2, y3, P), _at(y0, y1, y2, y3, Q), _at(y0, y1, y2, y3, R)
    return y0, a, b, c, d, e, f, y3


@inlined
def _sums(s1, s2, j, k):
    """Even and odd part of j·s1 and k·s2."""
    return fma(s2, k, s1 * j), fma(s2, -k, s1 * j)


def _taps_1(shape, s0, s1, s2, s3, s4, s5, s6, s7):
    return s0, s0, s0, s0, s0


def _taps_4(shape, s0, s1, s2, s3, s4, s5, s6, s7):
    sum_a, dif_a = s1 + s2, (s1 - s2) * 0.5
    return fma(sum_a, 0.5, s0), dif_a, fma(sum_a, 0.5, s3), dif_a, dif_a


def _taps_5(shape, s0, s1, s2, s3, s4, s5, s6, s7):
    even, odd = _sums(s1, s2, 0.5 / (1.0 - D), -0.5 / (1.0 + D))
    alone = s4 * (1.0 / (D * D * D - D))
    return fma(s0, -1.0 / D, even + alone), fma(alone, D, odd + s3), odd, odd, odd


def _taps_6(shape, s0, s1, s2, s3, s4, s5, s6, s7):
    a, b = 0.5 / (A * A * (A * A - B * B)), 0.5 / (B * B * (B * B - A * A))
    sum_a, sum_b, dif_a, dif_b = s1 + s2, s3 + s4, s1 - s2, s3 - s4
    odd = fma(dif_b, b * B, dif_a * (a * A))
    return fma(sum_b, b, fma(sum_a, a, s0 * (1.0 / (A * A * B * B)))), odd, fma(sum_b, b * B * B, fma(sum_a, a * A * A, s5)), odd, odd


def _taps_7(shape, s0, s1, s2, s3, s4, s5, s6, s7):
    c, d = 0.5 / (C * C * (C * C - D * D)), 0.5 / (D * D * (D * D - C * C))
    (even_c, odd_c), (even_d, odd_d) = _sums(s1, s2, c / (C - H), -c / (C + H)), _sums(s3, s4, d / (D - H), -d / (D + H))
    alone = s6 * (1.0 / (H * (H * H - C * C) * (H * H - D * D)))
    odd_c, odd_d = odd_c * C, odd_d * D
    return (
        fma(s0, -1.0 / (C * C * D * D * H), even_c + even_d + alone), fma(alone, H, odd_c + odd_d),
        fma(alone, H * H, fma(even_d, D * D, even_c * (C * C))), fma(alone, H * H * H, fma(odd_d, D * D, fma(odd_c, C * C, s5))), odd_c,
    )  # fmt: skip


@inlined
def _scale(p, q, r):
    return 0.5 / (p * p * (p * p - q * q) * (p * p - r * r))


def _taps_8(shape, s0, s1, s2, s3, s4, s5, s6, s7):
    p, q, r = _scale(P, Q, R), _scale(Q, P, R), _scale(R, P, Q)
    sum_p, sum_q, sum_r, dif_p, dif_q, dif_r = s1 + s2, s3 + s4, s5 + s6, s1 - s2, s3 - s4, s5 - s6
    return (
        fma(sum_r, r, fma(sum_q, q, fma(sum_p, p, s0 * (-1.0 / (P * P * Q * Q * R * R))))),
        fma(dif_r, r * R, fma(dif_q, q * Q, dif_p * (p * P))),
        fma(sum_r, r * R**2, fma(sum_q, q * Q**2, sum_p * (p * P**2))),
        fma(dif_r, r * R**3, fma(dif_q, q * Q**3, dif_p * (p * P**3))),
        fma(sum_r, r * R**4, fma(sum_q, q * Q**4, fma(sum_p, p * P**4, s7))),
    )  # fmt: skip


_SPREAD = {1: _spread_1, 4: _spread_4, 5: _spread_5, 6: _spread_6, 7: _spread_7, 8: _spread_8}
_TAPS = {1: _taps_1, 4: _taps_4, 5: _taps_5, 6: _taps_6, 7: _taps_7, 8: _taps_8}


@by_type(lambda shape: _SPREAD[shape.rows], inline=True)
def spread_row(shape: Any, *outputs: Any) -> Any:
    """A of the first of four vectors."""


@by_type(lambda shape: _TAPS[shape.rows], inline=True)
def taps_row(shape: Any, *frequencies: Any) -> Any:
    """Gᵀ of the first of eight vectors: five, of which the first r count."""
