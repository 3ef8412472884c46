"""Sums over neighbours on the kernels of an array's device, by SciPy's rules of types."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import devices, hosts
from ..arguments.filters import MODES, Chains, Sum, Wanted, filters, fits, requested
from ..call import call
from ..dropin import NotServedError
from ..memory import kept
from ..planning import ELEMENTWISE
from ..problem import Ints, Problem
from ..session import Session
from ..watching import Recorder, taped, watched
from .hosted import Filtering, adopted, planned
from .passes import Step, Types, in_float32
from .rewriting import passes_of, tall, together, transposed

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
    """On a GPU and for gradients: float32 is kept to itself, sums of small integers are exact, all else is float64, as SciPy's."""
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

    `divisor`: of each sum; `turned`: with the weights reversed.  On the host what gives it for any array of that form, for `drop_in`.
    """
    beyond = _number(cval) if any(one.mode in ("constant", "grid-constant") for chain in chains for one in chain) else 0.0
    on_host = devices.kind(source.array) == "cpu"
    if on_host and not taped() and all(isinstance(w, np.ndarray) for w in weights):
        return _on_host(name, source, _sums(name, source, chains, weights, divisor, turned), beyond)
    if devices.kind(source.array) == "chunks" and not watched():
        return _in_chunks(name, source, _sums(name, source, chains, weights, divisor, turned), beyond)
    if beyond and (not on_host or watched()):
        raise NotServedError(f"cval={cval!r}")
    known = [w for w in weights if isinstance(w, np.ndarray)]
    dtype = _type_of_sums(source, known) if len(known) == len(weights) else "float64" if source.result == np.float64 else "float32"
    steps = partial(_in_turn, chains, source.result.name, divisor, turned)
    labels = _labels(len(weights))
    upload = devices.device(devices.kind(source.array)).upload
    ready = [
        upload(w if watched() else in_float32(w).reshape(w.shape).astype(dtype) if dtype == "float32" else w.astype(dtype))
        if isinstance(w, np.ndarray)
        else w
        for w in weights
    ]
    options = (tuple(tuple(map(tuple, chain)) for chain in chains), dtype)
    y = call(name, filters, labels, (source.array, *ready), options, None, "auto", steps, ELEMENTWISE)
    if source.output is None:
        return y
    source.output[...] = y
    return source.output


def _labels(count: int) -> tuple[str, ...]:
    return ("input", *("weights" if count == 1 else f"weights{i}" for i in range(count)))


class Sums(NamedTuple):
    """What chains of sums ask for, beside an array and what lies beyond it."""

    chains: Chains
    weights: tuple[tuple[Ints, str, bytes], ...]  # their shapes, types and numbers
    result: str
    divisor: int
    turned: bool  # the weights are
    line: bool  # of SciPy's functions along one axis

    def steps(self) -> list[list[Step]]:
        left = [np.frombuffer(data, dtype).reshape(shape) for shape, dtype, data in self.weights]
        left = [np.flip(w) if self.turned else w for w in left]
        return [[Step(one, left.pop(0), self.line) for one in chain] for chain in self.chains]

    def types(self, source: Any, beyond: float) -> Types:
        return Types(np.dtype(source), np.dtype(self.result), beyond, self.divisor)


def _sums(name: str, source: Source, chains: Chains, weights: Sequence[Array], divisor: int, turned: bool) -> Sums:
    known = tuple((w.shape, w.dtype.str, w.tobytes()) for w in weights)
    return Sums(tuple(tuple(chain) for chain in chains), known, source.result.name, divisor, turned, name not in ("correlate", "convolve"))


def _on_host(name: str, source: Source, sums: Sums, beyond: float) -> Any:
    """By passes over the array, each one kernel: see `passes`."""
    types, shape, steps = sums.types(source.dtype, beyond), source.shape, sums.steps()
    sideways = tall(shape, steps, types)
    if sideways:
        shape, steps = shape[::-1], [[transposed(step) for step in chain] for chain in steps]
    found = [passes_of(shape, chain, types) for chain in together(steps, types)]
    if watched():
        flat = [one for chain in found for one in chain]
        arrays = (source.array, *(one.weights for one in flat))
        in_turn = partial(_passes_in_turn, [len(chain) for chain in found], source.result.name, shape if sideways else None)
        return call(name, requested, _labels(len(flat)), arrays, (tuple(one.problem for one in flat), source.shape), None, "auto", in_turn)
    adopted(name, source.array)  # or says why not
    return planned(name, found, source.dtype, source.result, sideways)


def _in_chunks(name: str, source: Source, sums: Sums, beyond: float) -> Any:
    if beyond and any(len(chain) > 1 for chain in sums.chains):
        raise NotServedError(f"cval={beyond!r} of several sums in turn")
    device: Any = devices.device("chunks")
    x = device.adopt(source.array)
    sideways = tall(source.shape, sums.steps(), sums.types(source.dtype, beyond))
    return device.release(device.filtered(x, name, sums, beyond, sideways), source.array)


@kept
def _of_blocks(
    name: str, shape: Ints, dtype: np.dtype[Any], sums: Sums, beyond: float, sideways: bool, cuts: tuple[Wanted, ...]
) -> Filtering:
    """Blocks of one form have one plan.  Rows, orders and rewriting are those of the whole, which follow from all but the shape."""
    types, steps = sums.types(dtype, beyond), sums.steps()
    if sideways:
        shape, cuts, steps = shape[::-1], cuts[::-1], [[transposed(step) for step in chain] for chain in steps]
    chains = together(steps, types)
    axes = [{axis for step in chain for axis in step.sum.axes} for chain in chains]
    parts = [tuple(slice(None) if i in of else slice(c.first, c.first + c.number) for i, c in enumerate(cuts)) for of in axes]
    sees_all = all(len(of) == len(shape) for of in axes)
    seen = [tuple(n if i in of else cuts[i].number for i, n in enumerate(shape)) for of in axes]
    found = [passes_of(one, chain, types, cuts) for one, chain in zip(seen, chains, strict=True)]
    return planned(name, found, dtype, types.result, sideways, () if sees_all else parts)


def filtered_block(
    name: str, block: Array, sums: Sums, beyond: float, sideways: bool, cuts: tuple[Wanted, ...], out: Array | None = None
) -> Array:
    """What is wanted of a block of a larger array; `sideways`: that is filtered as its transpose."""
    found: Array = _of_blocks(name, block.shape, block.dtype, sums, beyond, sideways, cuts)(block, out)
    return found


def _passes_in_turn(
    lengths: list[int], result: str, sideways: Ints | None,
    run: Session, arrays: tuple[Any, ...], problems: tuple[Problem, ...], out: Any,
) -> Any:  # fmt: skip
    """`sideways`: the shape of the source's transpose, where that is filtered."""
    source, *weights = arrays
    total, step = None, 0
    if sideways:
        source = run.transpose(run.reshape(source, sideways[::-1]), (1, 0))
    for length in lengths:
        y = source
        for problem, w in list(zip(problems, weights, strict=True))[step : step + length]:
            y = run.reshape(run.cast(y, problem.dtype), problem.result_shape)
            y = _rounded(run, run(problem, (y, None, w)), result, 1)
        step += length
        total = y if total is None else run.add(total, y)
    return run.transpose(run.reshape(total, sideways), (1, 0)) if sideways else total


def _number(cval: Any) -> float:
    try:
        return float(cval)
    except (TypeError, ValueError):
        raise NotServedError(f"cval={cval!r}") from None


def _in_turn(
    chains: Chains, result: str, divisor: int, turned: bool,
    run: Session, arrays: tuple[Any, ...], problems: tuple[Problem, ...], out: Any,
) -> Any:  # fmt: skip
    source, *weights = arrays
    shape, total, step = tuple(source.shape), None, 0
    for chain in chains:
        y = source
        for _ in chain:
            problem: Any = problems[step]
            y = run.cast(y, problem.dtype)
            w = run.flip(weights[step]) if turned else weights[step]
            y = run(problem, (run.reshape(y, (problem.batch, 1, *problem.spatial)), w, None))
            y = _rounded(run, y, result, divisor)
            step += 1
        y = run.reshape(y, shape)
        total = y if total is None else run.add(total, y)
    return total


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
