"""Winograd's F(m, r), exactly: where its polynomials are evaluated, and the three matrices that follow.  No device has points of its own.

m outputs of a filter of r taps, from m + r − 1 samples, by as many multiplications, the *frequencies*:

    y = Aᵀ [(G g) ⊙ (Bᵀ x)]        A: powers of each point       G: powers / Π (p − q)       Bᵀ: coefficients of Π (t − q)

with a row for each point p and q all other finite points; the point ∞ stands for the leading coefficient.  Devices compute the same
matrices by sums and differences of pairs ±p, in floating point; tests/test_winograd.py holds their code against what is here.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

Row = tuple[Fraction, ...]

#: p of the pairs ±p, by number of frequencies; docs/decisions/0004 and 0013 have why these
PAIRS: dict[int, tuple[float, ...]] = {4: (1.0,), 5: (1.0,), 6: (0.5, 1.5), 7: (1.0, 2.0), 8: (0.5, 1.0, 2.0)}
#: a point without its opposite, where the number of frequencies is odd
ALONE: dict[int, float] = {5: 2.0, 7: 0.5}
#: rows of Bᵀ written with the opposite sign, which saves a negation; the row of G, or for ∞ that of A, has it too
NEGATED: dict[int, tuple[int, ...]] = {4: (0, 3), 5: (0, 3)}


class Matrices(NamedTuple):
    """Rows by frequency: (m + r − 1) × (m + r − 1), × r, × m."""

    samples: tuple[Row, ...]  # Bᵀ
    filters: tuple[Row, ...]  # G
    outputs: tuple[Row, ...]  # A


def points(frequencies: int) -> tuple[Fraction | None, ...]:
    """Of each frequency, in the order of all code: 0, the pairs, ∞ (None), the one without an opposite."""
    pairs = tuple(Fraction(sign) * Fraction(p) for p in PAIRS[frequencies] for sign in (1, -1))
    alone = (Fraction(ALONE[frequencies]),) if frequencies in ALONE else ()
    return (Fraction(0), *pairs, None, *alone)


def _coefficients(roots: list[Fraction], length: int) -> Row:
    """Of Π (t − root), from the constant on."""
    found = [Fraction(1)]
    for root in roots:
        found = [b - root * a for a, b in zip([*found, Fraction(0)], [Fraction(0), *found], strict=True)]
    return (*found, *[Fraction(0)] * (length - len(found)))


def matrices(frequencies: int, taps: int) -> Matrices:
    """Of F(frequencies − taps + 1, taps)."""
    where, outputs = points(frequencies), frequencies - taps + 1
    finite = [p for p in where if p is not None]
    samples, filters, results = [], [], []
    for i, p in enumerate(where):
        sign = Fraction(-1 if i in NEGATED.get(frequencies, ()) else 1)
        others = [q for q in finite if q != p]
        samples.append(tuple(sign * c for c in _coefficients(others, frequencies)))
        if p is None:
            filters.append(tuple(Fraction(k == taps - 1) for k in range(taps)))
            results.append(tuple(sign * (k == outputs - 1) for k in range(outputs)))
            continue
        scale = sign
        for q in others:
            scale /= p - q
        filters.append(tuple(scale * p**k for k in range(taps)))
        results.append(tuple(p**k for k in range(outputs)))
    return Matrices(tuple(samples), tuple(filters), tuple(results))
