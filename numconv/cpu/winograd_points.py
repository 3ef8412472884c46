"""The matrices of Winograd's F(m, r) on vectors: m outputs of a filter of r taps from m + r − 1 samples by as many multiplications, its *frequencies*.

Interpolation points (docs/decisions): F(2, 3) has 0, ±1, ∞; F(4, 3) 0, ±1/2, ±3/2, ∞; F(4, 5) 0, ±1/2, ±1, ±2, ∞.  Neighbouring points ±p share
an even and an odd part.
"""

from __future__ import annotations

from .launch import inlined
from .simd.vector import fma

A, B = 0.5, 1.5  # of six frequencies
A2, B2 = A * A, B * B
P, Q, R = 0.5, 1.0, 2.0  # of eight
P2, Q2, R2 = P * P, Q * Q, R * R
QR, PR, PQ, PQR = Q2 * R2, P2 * R2, P2 * Q2, P2 * Q2 * R2


@inlined
def outputs(frequencies):
    """m of the transform with so many frequencies."""
    return 4 if frequencies > 4 else (frequencies + 1) // 2


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


@inlined
def long_input_row(x0, x1, x2, x3, x4, x5, x6, x7):
    """Bᵀ of eight vectors."""
    even_p, odd_p = fma(x2, QR, fma(x4, -(Q2 + R2), x6)), fma(x1, QR, fma(x3, -(Q2 + R2), x5)) * P
    even_q, odd_q = fma(x2, PR, fma(x4, -(P2 + R2), x6)), fma(x1, PR, fma(x3, -(P2 + R2), x5)) * Q
    even_r, odd_r = fma(x2, PQ, fma(x4, -(P2 + Q2), x6)), fma(x1, PQ, fma(x3, -(P2 + Q2), x5)) * R
    first = fma(x0, -PQR, fma(x2, PQ + PR + QR, fma(x4, -(P2 + Q2 + R2), x6)))
    last = fma(x1, -PQR, fma(x3, PQ + PR + QR, fma(x5, -(P2 + Q2 + R2), x7)))
    return first, even_p + odd_p, even_p - odd_p, even_q + odd_q, even_q - odd_q, even_r + odd_r, even_r - odd_r, last


@inlined
def long_output_row(m0, m1, m2, m3, m4, m5, m6, m7):
    """Aᵀ of eight vectors."""
    sum_p, sum_q, sum_r, dif_p, dif_q, dif_r = m1 + m2, m3 + m4, m5 + m6, m1 - m2, m3 - m4, m5 - m6
    return (
        m0 + sum_p + sum_q + sum_r,
        fma(dif_r, R, fma(dif_q, Q, dif_p * P)),
        fma(sum_r, R2, fma(sum_q, Q2, sum_p * P2)),
        fma(dif_r, R * R2, fma(dif_q, Q * Q2, fma(dif_p, P * P2, m7))),
    )


@inlined
def long_filter_row(g0, g1, g2, g3, g4):
    """G of five vectors."""
    kp, kq, kr = 0.5 / (P2 * (P2 - Q2) * (P2 - R2)), 0.5 / (Q2 * (Q2 - P2) * (Q2 - R2)), 0.5 / (R2 * (R2 - P2) * (R2 - Q2))
    even_p, odd_p = fma(g4, P2 * P2, fma(g2, P2, g0)) * kp, fma(g3, P2, g1) * (P * kp)
    even_q, odd_q = fma(g4, Q2 * Q2, fma(g2, Q2, g0)) * kq, fma(g3, Q2, g1) * (Q * kq)
    even_r, odd_r = fma(g4, R2 * R2, fma(g2, R2, g0)) * kr, fma(g3, R2, g1) * (R * kr)
    return g0 * (-1.0 / PQR), even_p + odd_p, even_p - odd_p, even_q + odd_q, even_q - odd_q, even_r + odd_r, even_r - odd_r, g4


@inlined
def short_output_row(m0, m1, m2, m3):
    """Aᵀ of four vectors, for m = 2."""
    return m0 + m1 + m2, m1 - m2 - m3
