"""Sums in turn as passes over the array, each one kernel on the host: which two become one, in which type and order they are made."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..arguments.filters import LEFT_ALONE, MODES, Sum, Wanted, spans
from ..dropin import NotServedError
from ..problem import FilterProblem, Ints

Array = np.ndarray[Any, Any]

AXES = 3  # of a problem
LONG_INNER = 32  # elements: axes behind the filtered ones that are at least so long together are an axis of their own
EXACT = {"float32": 2**24, "float64": 2**53}  # integers up to here
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
    shape: Ints  # of the array that comes of it


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


def problem_of(shape: Ints, steps: Sequence[Step], types: Types, compute: str, cuts: tuple[Wanted, ...]) -> Pass:
    """Of one sum, or of two along two axes; along these it gives what is wanted."""
    axes = tuple(axis for s in steps for axis in s.sum.axes)
    extents, origins = ([n for s in steps for n in getattr(s.sum, name)] for name in ("extents", "origins"))
    modes = [MODES[s.sum.mode] for s in steps for _ in s.sum.axes]
    view = seen(shape, axes)
    outputs = [cuts[axes[i]].number if i >= 0 else n for i, n in zip(view.which, view.spatial, strict=True)]
    outputs[-1] *= view.step if view.which[-1] >= 0 else 1
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
        outputs=tuple(outputs),
        kernel=kernel,
        step=view.step,
        pad_low=tuple(extents[i] // 2 + origins[i] - cuts[axes[i]].first if i >= 0 else 0 for i in view.which),
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
    weights = np.concatenate([s.weights.ravel() if compute == "float64" else in_float32(s.weights) for s in steps])
    return Pass(problem, weights, tuple(cuts[i].number if i in axes else n for i, n in enumerate(shape)))


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


def passes(shape: Ints, steps: Sequence[Step], types: Types, cuts: tuple[Wanted, ...] | None = None) -> list[Pass]:
    """Of a chain; of a block of an array what is wanted of it, along the axes of the sums."""
    cuts = cuts or tuple(Wanted(0, n) for n in shape)
    compute = compute_type(types, steps)
    groups: list[list[Step]] = []
    alone = not native(types)
    for step in reversed(steps):
        if groups and not alone and len(groups[0]) == 1 and _neighbours(shape, step, groups[0][0]):
            groups[0].insert(0, step)
        else:
            groups.insert(0, [step])
    found = []
    for group in groups:
        kinds = WIDE._replace(beyond=types.beyond, divisor=types.divisor) if alone else types
        found.append(problem_of(shape, group, kinds, compute, cuts))
        shape, types = found[-1].shape, types._replace(source=types.result)
    return found
