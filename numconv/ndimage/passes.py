"""Sums in turn as passes over the array, each one kernel on the host: which two become one, in which type and order they are made."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..arguments.filters import LEFT_ALONE, MODES, Sum, spans
from ..dropin import NotServedError
from ..problem import FilterProblem, Ints

Array = np.ndarray[Any, Any]

AXES = 3  # of a problem
LONG_INNER = 32  # elements: axes behind the filtered ones that are at least so long together are an axis of their own
NARROW, TALL = 16, 8  # pixels of a row; rows are at least so many times as many
EXACT = {"float32": 2**24, "float64": 2**53}  # integers up to here
FEW_TAPS = 27  # of a sum that stands for several in turn, and no more than so many times theirs (3 × 3, 4 × 4, 3 × 3 × 3; 2026-12-01)
SEPARABLE = 3  # times the taps of the lines: a kernel of so many is summed along them (7 × 7; 2026-12-01)
NEARLY = 2.0**-22  # of a weight: what rounding each to float32 makes of a product
INT32 = 2**31 - 1
LEAST_WEIGHT = float(np.finfo(np.float64).eps)  # SciPy's: weights of no more are left out, and differ from others by nothing
#: types that kernels read, and write where they read them or where they are of numbers with a point; all others go by way of float64 …
NATIVE = frozenset({"float32", "float64", "uint8", "int16", "uint16"})
#: … but for pairs of which the second holds sums of the first
WIDER = frozenset({("uint8", "int16"), ("uint8", "int32"), ("int16", "int32"), ("uint16", "int32")})
#: where SciPy's compiled loops round each product: those of ARM fuse it with its sum
ROUNDS_EACH = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")


class Step(NamedTuple):
    """One sum and its weights, as it correlates."""

    sum: Sum
    weights: Array  # float64
    line: bool = True  # of SciPy's functions for one axis, whose loops take taps in another order
    every: bool = False  # over several axes: weights of 0 see what is no number, too


class Pass(NamedTuple):
    problem: FilterProblem
    weights: Array  # float64, flat


class Types(NamedTuple):
    source: np.dtype[Any]
    result: np.dtype[Any]
    beyond: float
    divisor: int = 1  # of each sum


WIDE = Types(np.dtype(np.float64), np.dtype(np.float64), 0.0)


def native(types: Types) -> bool:
    known = types.result == types.source or types.result.kind == "f" or (types.source.name, types.result.name) in WIDER
    return types.source.name in NATIVE and known


def largest(types: Types, steps: Sequence[Step]) -> float:
    """The largest number that sums in turn may meet; infinite of numbers with a point."""
    if types.source.kind == "f":
        return float("inf")
    grown = (max if types.divisor > 1 else prod)([max(1.0, float(np.abs(s.weights).sum())) for s in steps])  # a mean is no larger
    most = max(abs(types.beyond), float(max(abs(int(np.iinfo(types.source).min)), int(np.iinfo(types.source).max))))
    if types.result.kind in "iu" and most * grown > np.iinfo(types.result).max:  # what a sum is rounded to may be any number of that type
        most = max(most, float(max(abs(int(np.iinfo(types.result).min)), int(np.iinfo(types.result).max))))
    return most * grown


def compute_type(types: Types, steps: Sequence[Step]) -> str:
    """SciPy sums in float64 whatever the types; float32 is kept to itself, and sums that are exact in float32 are the same there."""
    if types.source == types.result == np.float32:
        return "float32"
    if not native(types) or (types.divisor > 1 and types.result.kind == "f"):
        return "float64"
    whole = all(bool(np.all(s.weights == np.rint(s.weights))) for s in steps) and types.beyond == np.rint(types.beyond)
    most = largest(types, steps)
    if whole and most <= EXACT["float32"]:
        return "float32"
    if not ROUNDS_EACH and types.result.kind in "iu" and not (whole and most <= EXACT["float64"]):
        raise NotServedError("integers by weights that are none: the last bit of a sum decides how it is rounded")
    return "float64"


def symmetry(w: Array) -> str:
    """As SciPy sees it."""
    if w.size % 2 == 0:
        return "line"
    if bool(np.all(np.abs(w - w[::-1]) <= LEAST_WEIGHT)):
        return "even"
    half = w.size // 2
    return "odd" if bool(np.all(np.abs(w + w[::-1])[:half] <= LEAST_WEIGHT)) else "line"


def _order(step: Step, compute: str, types: Types, last: bool) -> str:
    """`last`: along the rows, where columns have one tap."""
    w = step.weights
    if step.line:
        return symmetry(w) if compute == "float64" else "all" if last else "columns"
    if compute == "float64":
        return "in turn"
    if step.every:
        return "fused"
    there = int(np.count_nonzero(w))
    most = w.size if types.source.kind == "f" else 1.5 * there  # 0 times infinity is no number
    return "fused" if w.size <= most and (there == w.size or types.source.kind != "f") else "listed"


class Seen(NamedTuple):
    """An array as sums along some of its axes see it."""

    batch: int
    spatial: tuple[int, ...]
    which: tuple[int, ...]  # of the sums' axes each is, or LEFT_ALONE
    step: int


def seen(shape: Ints, axes: Ints) -> Seen:
    found = spans(shape, axes)
    step, behind = 1, found[-1].which == LEFT_ALONE if found else False
    if behind and (found[-1].extent < LONG_INNER or len([s for s in found if s.which != LEFT_ALONE]) == AXES):
        step = found.pop().extent
    batch = 1
    if len(found) > 2 and found[0].which == LEFT_ALONE:
        batch = found.pop(0).extent
    if len(found) > AXES:
        raise NotServedError(f"axes {axes} of {len(shape)}")
    front = AXES - len(found)
    spatial = [1] * front + [s.extent for s in found]
    spatial[-1] *= step
    return Seen(batch, tuple(spatial), (*[LEFT_ALONE] * front, *(s.which for s in found)), step)


def problem_of(shape: Ints, steps: Sequence[Step], types: Types, compute: str) -> Pass:
    """Of one sum, or of two along two axes."""
    axes = tuple(axis for s in steps for axis in s.sum.axes)
    extents, origins = ([n for s in steps for n in getattr(s.sum, name)] for name in ("extents", "origins"))
    modes = [MODES[s.sum.mode] for s in steps for _ in s.sum.axes]
    view = seen(shape, axes)
    kernel = tuple(extents[i] if i >= 0 else 1 for i in view.which)
    last = view.which[-1] == len(axes) - 1
    whole = all(bool(np.all(s.weights == np.rint(s.weights))) for s in steps)
    most = largest(types, steps)
    narrower = types.result.kind in "iu" or types.result.itemsize < np.dtype(compute).itemsize
    terms = sum(int(np.count_nonzero(s.weights)) for s in steps)
    orders = tuple(_order(s, compute, types, last and s is steps[-1]) for s in steps)
    problem = FilterProblem(
        batch=view.batch,
        spatial=view.spatial,
        outputs=view.spatial,
        kernel=kernel,
        step=view.step,
        pad_low=tuple(extents[i] // 2 + origins[i] if i >= 0 else 0 for i in view.which),
        modes=tuple(modes[i] if i >= 0 else "zeros" for i in view.which),  # type: ignore[arg-type]
        beyond=types.beyond if "zeros" in modes else 0.0,
        orders=orders,
        terms=max(terms, 1),
        dtype=types.source.name,
        out_dtype=types.result.name,
        compute=compute,
        rounded=len(steps) > 1 and narrower and not (whole and types.divisor == 1 and most <= EXACT[compute]),
        narrow=most < INT32,
        divisor=types.divisor,
    )
    return Pass(problem, np.concatenate([s.weights.ravel() if compute == "float64" else in_float32(s.weights) for s in steps]))


def in_float32(weights: Array) -> Array:
    """Flat, as numbers of float32.  Of weights that sum to 1 these do, too: what rounding takes from their sum goes to the largest."""
    found = weights.ravel().astype(np.float32)
    if weights.ndim == 1 and abs(weights.sum() - 1) < len(weights) * np.finfo(np.float64).eps:
        found[np.argmax(found)] += np.float32(1 - found.sum(dtype=np.float64))
    return found.astype(np.float64)


def _neighbours(shape: Ints, one: Step, other: Step) -> bool:
    """Whether two sums along an axis each are one pass: the second axis follows the first."""
    if not (one.line and other.line):
        return False
    (a,), (b,) = one.sum.axes, other.sum.axes
    return a < b and prod(shape[a + 1 : b]) == 1 and prod(shape[b + 1 :]) < LONG_INNER and shape[a] > 1


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
    """Few taps along an axis each, in whatever order, as one sum over all axes, whose registers each row of samples meets once."""
    axes = [axis for step in steps for axis in step.sum.axes]
    sizes, apart = [step.weights.size for step in steps], len(axes) == len(set(axes)) == len(steps)
    few = prod(sizes) <= min(FEW_TAPS, len(steps) * sum(sizes))
    if len(steps) < 2 or not few or not apart or len({step.sum.mode for step in steps}) > 1:
        return steps
    ordered = sorted(steps, key=lambda s: s.sum.axes)
    weights = ordered[0].weights
    for step in ordered[1:]:
        weights = np.multiply.outer(weights, step.weights)
    origins = tuple(o for step in ordered for o in step.sum.origins)
    return [Step(Sum(tuple(sorted(axes)), weights.shape, origins, steps[0].sum.mode), weights, False, True)]


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


def passes(shape: Ints, steps: Sequence[Step], types: Types) -> list[Pass]:
    """Of a chain."""
    compute = compute_type(types, steps)
    same = types.beyond == 0 or not any(MODES[s.sum.mode] == "zeros" for s in steps)
    if compute == "float32" and same:
        steps = [one for step in steps for one in factors(step, types)]
    if compute == "float32" and same and types.divisor == 1 and all(s.line for s in steps):  # in whatever order
        steps = at_once(sorted(steps, key=lambda s: s.sum.axes))
    groups: list[list[Step]] = []
    alone = not native(types)
    for step in reversed(steps):
        if groups and not alone and len(groups[0]) == 1 and _neighbours(shape, step, groups[0][0]):
            groups[0].insert(0, step)
        else:
            groups.insert(0, [step])
    found = []
    for group in groups:
        found.append(problem_of(shape, group, WIDE._replace(beyond=types.beyond, divisor=types.divisor) if alone else types, compute))
        types = types._replace(source=types.result)
    return found
