"""Which sums stand for others: along axes, over all of them at once, of the transpose.  Only where the order of sums is ours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from ..arguments.filters import MODES, Sum, Wanted
from ..problem import Ints
from .passes import AXES, Pass, Step, Types, compute_type, passes

NARROW, TALL = 16, 8  # pixels of a row; rows are at least so many times as many
FEW_TAPS = 27  # of a sum that stands for several in turn, and no more than so many times theirs (3 × 3, 4 × 4, 3 × 3 × 3; 2026-12-01)
SEPARABLE = 3  # times the taps of the lines: a kernel of so many is summed along them (7 × 7; 2026-12-01)
NEARLY = 2.0**-22  # of a weight: what rounding each to float32 makes of a product


def tall(shape: Ints, chains: Sequence[Sequence[Step]], types: Types) -> bool:
    """Whether an image is filtered as its transpose: rows of a few pixels, along which sums are made too, would leave registers empty.

    Not where sums over both axes are made in SciPy's order, which is that of the rows.
    """
    if len(shape) != 2 or not (shape[1] < NARROW and shape[0] >= TALL * shape[1]):
        return False
    flat = [step for chain in chains for step in chain]
    free = all(step.line for step in flat) or compute_type(types, flat) == "float32"
    return free and any(1 in step.sum.axes for step in flat)


def transposed(step: Step) -> Step:
    """The same sum over the transpose of an image."""
    axes, extents, origins, mode = step.sum
    return step._replace(
        sum=Sum(tuple(1 - a for a in reversed(axes)), extents[::-1], origins[::-1], mode), weights=np.ascontiguousarray(step.weights.T)
    )


def together(chains: Sequence[Sequence[Step]], types: Types) -> Sequence[Sequence[Step]]:
    """Chains of one sum each along an axis of its own as one sum over all of them, a cross: in float32, whose order of sums is ours."""
    flat = [step for chain in chains for step in chain]
    axes = sorted(axis for step in flat for axis in step.sum.axes)
    apart = len(flat) == len(chains) == len(set(axes)) and all(s.line and s.weights.size % 2 and s.sum.origins == (0,) for s in flat)
    if not (apart and 1 < len(flat) <= AXES and len({s.sum.mode for s in flat}) == 1 and compute_type(types, flat) == "float32"):
        return chains
    flat.sort(key=lambda s: s.sum.axes)
    extents = tuple(s.weights.size for s in flat)
    cross = np.zeros(extents)
    for i, step in enumerate(flat):
        line: list[Any] = [n // 2 for n in extents]
        line[i] = slice(None)
        cross[tuple(line)] += step.weights
    return [[Step(Sum(tuple(axes), extents, (0,) * len(flat), flat[0].sum.mode), cross, False)]]


def at_once(steps: Sequence[Step]) -> Sequence[Step]:
    """Few taps along an axis each, the axes rising, as one sum over all of them, whose registers each row of samples meets once."""
    axes = [axis for step in steps for axis in step.sum.axes]
    sizes, apart = [step.weights.size for step in steps], len(axes) == len(set(axes)) == len(steps)
    few = prod(sizes) <= min(FEW_TAPS, len(steps) * sum(sizes))
    if len(steps) < 2 or not few or not apart or len({step.sum.mode for step in steps}) > 1:
        return steps
    weights = reduce(np.multiply.outer, [step.weights for step in steps])
    origins = tuple(o for step in steps for o in step.sum.origins)
    return [Step(Sum(tuple(axes), weights.shape, origins, steps[0].sum.mode), weights, line=False, every=True)]


def factors(step: Step, types: Types) -> Sequence[Step]:
    """Sums along an axis each in place of one over several, where weights are a product of lines and these have far fewer taps.

    A product may differ from a weight by NEARLY: with the rounding of the sums in turn that is within the bound of the one sum.  Integers
    are exact or stay.  A weight of 0 in a line would see what is no number.
    """
    w, whole = step.weights, types.source.kind in "iu"
    if step.line or w.ndim < 2 or w.size <= SEPARABLE * sum(w.shape) or not (w.any() if whole else w.all()):
        return [step]
    pivot = tuple(int(i) for i in np.unravel_index(np.abs(w).argmax(), w.shape))
    lines = [np.moveaxis(w, i, -1)[(*pivot[:i], *pivot[i + 1 :])] for i in range(w.ndim)]
    if whole:
        lines = [line / np.gcd.reduce(line.astype(np.int64)) for line in lines]
    lines[0] = lines[0] * (w[pivot] / prod(float(line[at]) for line, at in zip(lines, pivot, strict=True)))
    if not np.all(np.abs(reduce(np.multiply.outer, lines) - w) <= (0.0 if whole else NEARLY) * np.abs(w)):
        return [step]
    if not whole:  # no sum in between is larger than the samples; powers of two round nothing
        for i, line in enumerate(lines[:-1]):
            shift = 2.0 ** -np.ceil(np.log2(np.abs(line).sum()))
            lines[i], lines[-1] = line * shift, lines[-1] / shift
    of_each = zip(step.sum.axes, lines, step.sum.origins, strict=True)
    found = [Step(Sum((axis,), line.shape, (origin,), step.sum.mode), np.ascontiguousarray(line)) for axis, line, origin in of_each]
    return found if compute_type(types, found) == "float32" else [step]


def passes_of(shape: Ints, steps: Sequence[Step], types: Types, cuts: tuple[Wanted, ...] | None = None) -> list[Pass]:
    """Of a chain, rewritten."""
    same = types.beyond == 0 or not any(MODES[s.sum.mode] == "zeros" for s in steps)
    if same and compute_type(types, steps) == "float32":
        steps = [one for step in steps for one in factors(step, types)]
        if types.divisor == 1 and all(s.line for s in steps):  # in whatever order
            steps = at_once(sorted(steps, key=lambda s: s.sum.axes))
    return passes(shape, steps, types, cuts)
