"""What a kernel promises of its result: how far an element may be from the exact one (docs/accuracy.md).

    γ(n) = n·u / (1 − n·u)        n roundings in turn, u the unit roundoff of the type that sums are made in

A sum of n products is within γ(n)·Σ|x||w| of the exact one in whatever order it is made, element by element.  Transforms mix samples:
the error of an element goes with what is largest where they reach.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import gcd, prod
from typing import Any, NamedTuple

from .problem import (
    AttentionProblem,
    ConvProblem,
    DeformProblem,
    FilterProblem,
    Ints,
    MixProblem,
    PatchProblem,
    ResizeProblem,
    SeparableProblem,
)
from .winograd import ALONE, PAIRS, matrices, points

#: what the error of an element goes with
ELEMENT, TILE, SIGNAL = "element", "tile", "signal"
WORDS = {
    ELEMENT: "Σ|x||w| of the element itself",
    TILE: "Σ max|x|·max|w|, where an element's tile reaches (docs/accuracy.md)",
    SIGNAL: "Σ‖x‖₂·‖w‖₂ over the whole signal of each channel",
}
ROUNDOFF = {"float64": 2.0**-53, "complex128": 2.0**-53}  # of sums; 2⁻²⁴ of all other numbers with a point
STORED = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # of a result that is rounded once more

TRANSFORM = 24  # roundings of a sample, a filter and an output on their way through the transforms of one axis, constants counted
BLEND = 8  # roundings of a sample between four pixels: two weights, their product, four products, their sum, a mask


class Bound(NamedTuple):
    """|result − exact| ≤ factor · (what it goes with) + stored · |result|, before the activation."""

    goes_with: str  # "element", "tile" or "signal"
    factor: float
    stored: float = 0.0  # rounding of the finished result to a type narrower than that of the sums

    def __str__(self) -> str:
        if self.factor == 0:
            return "exact; integers wrap"
        narrow = f" + {self.stored:.2g}·|result|" if self.stored else ""
        return f"at most {self.factor:.2g} · {WORDS[self.goes_with]}{narrow}"


def roundoff(dtype: str) -> float:
    return 0.0 if "int" in dtype else ROUNDOFF.get(dtype, 2.0**-24)


def gamma(roundings: float, dtype: str) -> float:
    """γ(n); infinite where n·u reaches 1 and no digit is promised."""
    total = roundings * roundoff(dtype)
    return total / (1 - total) if total < 1 else float("inf")


def products(p: ConvProblem) -> int:
    """The most that are summed for an element, its bias counted."""
    if p.direction == "weight_grad":
        return p.batch * prod(p.outputs)
    if p.direction == "forward":
        return p.group_in * p.taps + p.bias
    periods = (s // gcd(s, d) for s, d in zip(p.stride, p.dilation, strict=True))  # taps from one that an element sees to the next
    return p.group_out * prod(-(-k // period) for k, period in zip(p.kernel, periods, strict=True)) + p.bias


def of_sums(problem: Any) -> float:
    """The factor of a plain sum, by elements.  Of complex numbers: of each part."""
    kind = type(problem)
    if kind is ConvProblem:
        return gamma(products(problem) * (2 if "complex" in problem.dtype else 1), problem.dtype)
    if kind is DeformProblem:
        return gamma(products(problem.conv) + BLEND, problem.dtype)
    if kind is SeparableProblem:
        return gamma(problem.column.taps + products(problem.row), problem.dtype)
    if kind is FilterProblem:
        return gamma(problem.terms, problem.compute)
    if kind is MixProblem:
        return gamma(problem.kernels, problem.dtype)
    if kind is ResizeProblem:
        return gamma(BLEND, problem.dtype) if problem.mode == "bilinear" else 0.0
    if kind is PatchProblem:
        return gamma(problem.conv.taps, problem.dtype) if problem.direction == "fold" else 0.0
    if kind is AttentionProblem:  # a mean, two layers, an exponential
        return gamma(prod(problem.spatial) + problem.channels + problem.hidden + 2 * problem.kernels + BLEND, problem.dtype)
    return 0.0  # moved, not computed


def _rows(frequencies: int, taps: int) -> tuple[tuple[Fraction, Fraction, tuple[Fraction, ...]], ...]:
    """By frequency: Σ|Bᵀ| as it is computed, in factors t² − q² and t − p of its polynomial; Σ|G|; |A|."""
    exact, found = matrices(frequencies, taps), []
    alone = Fraction(ALONE.get(frequencies, 0))
    for point, g, a in zip(points(frequencies), exact.filters, exact.outputs, strict=True):
        samples = Fraction(1) if point == alone else 1 + alone
        for q in map(Fraction, PAIRS[frequencies]):
            samples *= 1 + (q if point in (q, -q) else q * q)
        found.append((samples, Fraction(sum(map(abs, g))), tuple(map(abs, a))))
    return tuple(found)


@cache
def amplification(frequencies: int, taps: int, direction: str = "forward") -> float:
    """How many times the largest product of a sample and a tap the intermediate numbers of F(m, r) may sum up to, on one axis.

    Forward, the largest over the outputs i:       Σ_f |A_fi|·Σ_j|B_fj|·Σ_r|G_fr|
    Weight gradient, the largest over the taps r:  Σ_f |G_fr|·Σ_j|B_fj|·Σ_i|A_fi|
    """
    if frequencies == 1:
        return 1.0
    rows = _rows(frequencies, taps)
    if direction == "weight_grad":
        filters = matrices(frequencies, taps).filters
        return float(max(sum(abs(g[r]) * b * sum(a) for g, (b, _, a) in zip(filters, rows, strict=True)) for r in range(taps)))
    return float(max(sum(a[i] * b * g for b, g, a in rows) for i in range(frequencies - taps + 1)))


def of_tiles(kinds: tuple[tuple[int, int], ...], terms: float, pieces: int, dtype: str, direction: str = "forward") -> float:
    """The factor of Winograd's transforms: (frequencies, taps) of each axis, terms summed at a frequency, pieces that taps are cut into."""
    axes = [kind for kind in kinds if kind[0] > 1]
    return gamma(terms + TRANSFORM * len(axes), dtype) * pieces * prod(amplification(*kind, direction) for kind in axes)


def of_transforms(extents: Ints, channels: int, dtype: str) -> float:
    """The factor of real FFTs of these lengths, there and back: each of about log₂ steps, a few roundings in each (Higham, chapter 24)."""
    steps = sum(max(n - 1, 1).bit_length() for n in extents)
    return gamma(3 * 8 * steps + 2 * channels + 8, dtype)
