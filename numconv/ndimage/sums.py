"""Sums over neighbours on the kernels of an array's device, by SciPy's rules of types."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import devices, hosts
from ..arguments.filters import MODES, Chains, Sum, filters, fits
from ..call import call
from ..dropin import NotServedError
from ..planning import ELEMENTWISE
from ..problem import Problem
from ..session import Session
from ..watching import Recorder, watched

Array = np.ndarray[Any, Any]

SERVED = frozenset({"float32", "float64", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))})
EXACT = 2**31 - 1  # of sums in int32


class Source(NamedTuple):
    """The array to be filtered, and the type of the result."""

    array: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    result: np.dtype[Any]
    output: Any  # an array of the user's to write into, or None


def source_of(array: Any, output: Any) -> Source:
    if not hasattr(array, "dtype") or not hasattr(array, "shape"):
        array = np.asarray(array)
    shape = tuple(array.shape)
    dtype = np.dtype(array.dtype) if isinstance(array, np.ndarray) or devices.kind(array) != "cpu" else hosts.adopt(array).dtype
    target = None if output is None or isinstance(output, str | type | np.dtype) else output
    if target is not None and not (isinstance(target, np.ndarray) and target.shape == shape and target.flags.writeable):
        raise NotServedError(f"output is {type(output).__name__}")
    try:
        result = dtype if output is None else np.dtype(target.dtype if target is not None else output)
    except TypeError:
        raise NotServedError("output is no type") from None
    if not shape or 0 in shape or dtype.name not in SERVED or result.name not in SERVED or not dtype.isnative or not result.isnative:
        raise NotServedError(f"shape {shape}, types {dtype} and {result}")
    return Source(array, shape, dtype, result, target)


def axes_of(rank: int, axes: Any) -> tuple[int, ...]:
    """Those to be filtered, from the front; all by default."""
    if axes is None:
        return tuple(range(rank))
    try:
        given = [operator.index(a) for a in (axes if isinstance(axes, Iterable) else (axes,))]
    except (TypeError, ValueError):
        raise NotServedError(f"axes={axes!r}") from None
    found = tuple(a % rank for a in given if -rank <= a < rank)
    if len(set(found)) < len(given):
        raise NotServedError(f"axes={axes!r}")
    return found


def each(value: Any, count: int) -> list[Any]:
    """One for each axis."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [value] * count
    found = list(value)
    if len(found) != count:
        raise NotServedError(f"{len(found)} values for {count} axes")
    return found


def one_sum(shape: tuple[int, ...], axes: Sequence[int], weights: Array, mode: Any, origins: Sequence[Any]) -> Sum:
    """`weights`: of as many axes."""
    order = sorted(range(len(axes)), key=lambda i: axes[i])
    if len(weights.shape) != len(axes) or 0 in weights.shape or order != list(range(len(axes))):
        raise NotServedError(f"weights of shape {weights.shape} for the axes {tuple(axes)}")
    if not isinstance(mode, str) or mode not in MODES:
        raise NotServedError(f"mode={mode!r}")
    if not all(isinstance(o, int | np.integer) and -(k // 2) <= o <= (k - 1) // 2 for o, k in zip(origins, weights.shape, strict=True)):
        raise NotServedError(f"origin={tuple(origins)}")
    if not fits(shape, tuple(axes)):
        raise NotServedError(f"axes {tuple(axes)} of {len(shape)}")
    return Sum(tuple(axes), tuple(weights.shape), tuple(map(int, origins)), mode)


def _type_of_sums(source: Source, weights: Sequence[Array]) -> str:
    """SciPy sums in float64 whatever the types; exact sums of small integers are the same, and float32 is kept to itself."""
    if source.dtype == source.result == np.float32:
        return "float32"
    whole = [np.all(w == np.rint(w)) for w in weights]
    if source.dtype.kind in "iu" and source.result.kind in "iu" and all(whole):
        most = max(max(abs(int(i.min)), int(i.max)) for i in (np.iinfo(source.dtype), np.iinfo(source.result)))
        if all(most * float(np.abs(w).sum()) <= EXACT for w in weights):
            return "int32"
    if source.result.kind in "iu" and not all(whole):
        raise NotServedError("integers by weights that are none: the last bit of a sum decides how it is rounded")
    return "float64"


def filtered(
    name: str, source: Source, chains: Chains, weights: Sequence[Any], cval: Any = 0.0, divisor: int = 1, turned: bool = False
) -> Any:
    """The sum over all chains of their sums in turn, each rounded to the type of the result, as SciPy does.

    `divisor`: of each sum; `turned`: with the weights reversed.
    """
    beyond = _number(cval) if any(one.mode in ("constant", "grid-constant") for chain in chains for one in chain) else 0.0
    on_host = devices.kind(source.array) == "cpu"
    if beyond and (not on_host or watched()):
        raise NotServedError(f"cval={cval!r}")
    known = [w for w in weights if isinstance(w, np.ndarray)]
    dtype = _type_of_sums(source, known) if len(known) == len(weights) else "float64" if source.result == np.float64 else "float32"
    if dtype == "int32" and beyond != int(beyond):
        dtype = "float64"
    steps = partial(_in_turn, chains, source.result.name, beyond, divisor, turned)
    labels = ("input", *("weights" if len(weights) == 1 else f"weights{i}" for i in range(len(weights))))
    upload = devices.device(devices.kind(source.array)).upload
    ready = [upload(w if watched() else _in_type(w, dtype)) if isinstance(w, np.ndarray) else w for w in weights]
    arrays = (source.array, *ready)
    options = (tuple(tuple(map(tuple, chain)) for chain in chains), dtype, beyond != 0)
    y = call(name, filters, labels, arrays, options, None, "auto", steps, ELEMENTWISE)
    if source.output is None:
        return y
    source.output[...] = y
    return source.output


def _in_type(weights: Array, dtype: str) -> Array:
    """Of weights that sum to 1, in float32 too: what rounding takes from their sum goes to the largest."""
    found = weights.astype(dtype)
    if dtype == "float32" and weights.ndim == 1 and abs(weights.sum() - 1) < len(weights) * np.finfo(np.float64).eps:
        found[np.argmax(found)] += np.float32(1 - found.sum(dtype=np.float64))
    return found


def _number(cval: Any) -> float:
    try:
        return float(cval)
    except (TypeError, ValueError):
        raise NotServedError(f"cval={cval!r}") from None


def _in_turn(
    chains: Chains, result: str, beyond: float, divisor: int, turned: bool,
    run: Session, arrays: tuple[Any, ...], problems: tuple[Problem, ...], out: Any,
) -> Any:  # fmt: skip
    source, *weights = arrays
    shape, total, step = tuple(source.shape), None, 0
    for chain in chains:
        y = source
        for one in chain:
            problem: Any = problems[step]
            y = run.cast(y, problem.dtype)
            if beyond and one.mode in ("constant", "grid-constant"):
                y = _extended(run.reshape(y, shape), one, beyond)
            w = run.flip(weights[step]) if turned else weights[step]
            y = run(problem, (run.reshape(y, (problem.batch, 1, *problem.spatial)), w, None))
            y = _rounded(run, y, result, divisor)
            step += 1
        y = run.reshape(y, shape)
        total = y if total is None else run.add(total, y)
    return total


def _extended(array: Array, one: Sum, beyond: float) -> Array:
    pads = [(0, 0)] * array.ndim
    for axis, k, origin in zip(one.axes, one.extents, one.origins, strict=True):
        low = k // 2 + origin
        pads[axis] = (low, k - 1 - low)
    return np.pad(array, pads, constant_values=beyond)


def _rounded(run: Session, y: Any, result: str, divisor: int) -> Any:
    """In the type of the result: towards zero, and modulo its range, as C does."""
    if divisor > 1 and not isinstance(run.device, Recorder):
        y = y / divisor
    if y.dtype.name == result:
        return y
    with np.errstate(invalid="ignore"):
        if y.dtype.kind == "f" and hosts.dtype_of(result).kind in "iu":
            y = run.cast(y, "int64" if result != "uint64" else "uint64")
        return run.cast(y, result)
