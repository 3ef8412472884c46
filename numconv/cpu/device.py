"""The CPU as a device: NumPy arrays, and around a kernel what its row does not honour itself (strides, layout, padding, storage types)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..hosts import adopt, dtype_of, release
from ..memory import kept
from ..plan import Plan
from ..problem import ConvProblem
from ..sampling import PAD_MODES
from .adapt import padding
from .adapt.layouts import channels_first, channels_last, serves
from .adapt.lowering import (
    COMPLEX,
    as_compute,
    complex_image,
    complex_weights,
    compute_dtype,
    computes,
    image_as,
    real_bias,
    weights_as,
)
from .machine import detect as machine
from .runtime.workspace import aligned, borrow
from .table import asked_of, table

__all__ = [
    "add",
    "adopt",
    "bind",
    "broadcast",
    "cast",
    "conjugate",
    "copy",
    "empty",
    "execute",
    "flip",
    "machine",
    "name",
    "overlaps",
    "pack",
    "release",
    "reshape",
    "table",
    "transpose",
    "upload",
]

name = "cpu"
LARGE = 1 << 15  # elements


def empty(shape: tuple[int, ...], dtype: str, like: Any) -> np.ndarray:
    """From the start of a cache line on, if large: vectors across lines take up to twice as long, NumPy's begin 16 bytes after."""
    kind = dtype_of(dtype)
    return np.empty(shape, kind) if prod(shape) < LARGE else aligned(shape, kind)


def reshape(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return array.reshape(shape)


def transpose(array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return array.transpose(axes)


def broadcast(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(array, shape)


def flip(array: np.ndarray) -> np.ndarray:
    return np.flip(array)


def upload(array: np.ndarray) -> np.ndarray:
    return array


def add(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one + other


def conjugate(array: np.ndarray) -> np.ndarray:
    return array.conj()


def copy(array: np.ndarray) -> np.ndarray:
    return np.array(array, order="C")


def cast(array: np.ndarray, dtype: str) -> np.ndarray:
    """C-contiguous, which kernels would make of it."""
    return array.astype(dtype_of(dtype), "C", copy=False)


def overlaps(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.may_share_memory(a, b))


def pack(plan: Plan, w: np.ndarray) -> Any:
    problem = plan.problem
    if not isinstance(problem, ConvProblem):
        return w
    inner = _inner(plan)
    return padding.pack(plan.kernel, inner, weights_as(w, problem, inner.dtype), plan.machine)


def execute(plan: Plan, arrays: tuple[Any, ...], out: np.ndarray, packed: bool = False) -> None:
    if isinstance(plan.problem, ConvProblem):
        _convolve(plan, arrays, out, packed)
    else:
        _operate(plan, arrays, out)


def bind(plan: Plan, arrays: tuple[Any, ...], packed: bool = False) -> Callable[[tuple[Any, ...]], np.ndarray]:
    """What `execute` into a fresh array amounts to for arrays like these (shapes, types, flags), found out once for repeated calls."""
    problem, kernel, machine = plan.problem, plan.kernel, plan.machine
    shape, kind = problem.result_shape, dtype_of(problem.out_dtype)
    fresh = np.empty if prod(shape) < LARGE else aligned
    weights = isinstance(problem, ConvProblem) and problem.direction != "weight_grad"
    given = [a for i, a in enumerate(arrays) if a is not None and not (packed and i == 1)]
    simple = isinstance(problem, ConvProblem) and _inner(plan) is problem and all(computes(a, problem.dtype) for a in given)
    guarded = simple and (type(arrays[1]) is padding.NotFinite if packed else padding.beside(problem).taps)
    run, pack = kernel.run, kernel.pack

    def adapted(arrays: tuple[Any, ...]) -> np.ndarray:
        out = fresh(shape, kind)
        execute(plan, arrays, out, packed)
        return out

    def as_it_is(arrays: tuple[Any, ...]) -> np.ndarray:
        out = fresh(shape, kind)
        run(problem, arrays, out, machine)
        return out

    def packing(arrays: tuple[Any, ...]) -> np.ndarray:
        out = fresh(shape, kind)
        run(problem, (arrays[0], pack(problem, arrays[1], machine), arrays[2]), out, machine)
        return out

    def beside(arrays: tuple[Any, ...]) -> np.ndarray:
        out = fresh(shape, kind)
        padding.run(kernel, problem, arrays, out, machine, packed)
        return out

    if not simple or guarded:
        return beside if guarded else adapted
    return packing if weights and not packed and not kernel.takes_plain else as_it_is


def _operate(plan: Plan, arrays: tuple[Any, ...], out: np.ndarray) -> None:
    """Any other operator: contiguous arrays, half precision by way of float32."""
    problem = plan.problem
    if plan.kernel.own_types and out.flags.c_contiguous and out.flags.aligned:
        native = [None if a is None else np.require(a, a.dtype.newbyteorder("="), "CA") for a in arrays]
        plan.kernel.run(problem, tuple(native), out, plan.machine)
        return
    compute = (
        problem.dtype if problem.dtype in plan.kernel.dtypes - plan.kernel.adapted_dtypes else compute_dtype(problem.dtype, problem.dtype)
    )
    native = [None if a is None else as_compute(a, compute) for a in arrays]
    fits = out.dtype == compute and out.flags.c_contiguous and out.flags.aligned
    target = out if fits else np.empty(out.shape, compute)
    plan.kernel.run(problem, tuple(native), target, plan.machine)
    if target is not out:
        out[...] = target


def _inner(plan: Plan) -> ConvProblem:
    return asked_of(plan.kernel, plan.problem)


@kept
def _channels_first(plan: Plan) -> Plan:
    return replace(plan, problem=plan.problem.with_(layout="channels_first"))


def _by_squares(plan: Plan, arrays: tuple[Any, ...], out: np.ndarray, packed: bool) -> None:
    """Channels last by way of channels first: the images, and a result that is one, pass through scratch."""
    one, vector_bytes, sums = _channels_first(plan), plan.machine.vector_bytes, plan.problem.direction == "weight_grad"
    count = 2 if sums else 1
    places = [0]
    for a in arrays[:count]:
        places.append(places[-1] + -(-a.size // 16) * 16)
    with borrow(places[-1] + (0 if sums else out.size), out.dtype) as scratch:
        images = [channels_first(a, vector_bytes, scratch[p : p + a.size]) for a, p in zip(arrays[:count], places, strict=False)]
        target = out if sums else scratch[places[-1] :][: out.size].reshape(one.problem.result_shape)
        _convolve(one, (*images, *arrays[count:]), target, packed)
        if not sums:
            channels_last(target, vector_bytes, out)


def _convolve(plan: Plan, arrays: tuple[Any, ...], out: np.ndarray, packed: bool) -> None:
    p, inner = plan.problem, _inner(plan)
    first = inner.layout != p.layout
    compute, kind = inner.dtype, dtype_of(inner.out_dtype)
    turned = (arrays[0], arrays[1] if p.direction == "weight_grad" else out)  # both images
    if first and out.dtype == kind and all(a.dtype == kind and serves(a) for a in turned):
        _by_squares(plan, arrays, out, packed)
        return

    def image(a: np.ndarray) -> np.ndarray:
        return image_as(np.moveaxis(a, -1, 1) if first else a, p, compute, inner.layout)

    x = image(arrays[0])
    if inner.padding_mode != p.padding_mode:
        pads = [(max(0, lo), max(0, hi)) for lo, hi in zip(p.pad_low, p.pad_high, strict=True)]
        spatial = [*pads, (0, 0)] if inner.layout == "channels_last" else [(0, 0), *pads]
        x = np.pad(x, [(0, 0), *spatial], PAD_MODES[p.padding_mode])  # type: ignore[call-overload]
    if p.direction == "weight_grad":
        inputs: tuple[Any, ...] = (x, image(arrays[1]))
    else:
        bias = arrays[2]
        if bias is not None:
            bias = as_compute(real_bias(bias, p.groups) if p.dtype in COMPLEX else bias, inner.out_dtype)
        inputs = (x, arrays[1] if packed else weights_as(arrays[1], p, compute), bias)
    delivered = inner is p or (inner.layout == p.layout and inner.shuffle == p.shuffle and p.dtype not in COMPLEX)
    if delivered and out.dtype == kind and out.flags.c_contiguous and out.flags.aligned:
        padding.run(plan.kernel, inner, inputs, out, plan.machine, packed)
        return
    target = np.empty(inner.result_shape, kind)
    padding.run(plan.kernel, inner, inputs, target, plan.machine, packed)
    _deliver(p, inner, target, out)


def _deliver(p: ConvProblem, inner: ConvProblem, result: np.ndarray, out: np.ndarray) -> None:
    if p.direction == "weight_grad":
        if p.dtype in COMPLEX:
            complex_weights(result, p.groups, out)
        else:
            out[...] = result
        return
    view = np.moveaxis(out, -1, 1) if p.layout == "channels_last" else out
    result = np.moveaxis(result, -1, 1) if inner.layout == "channels_last" else result
    if p.dtype in COMPLEX:
        whole = np.empty(view.shape, view.dtype) if inner.shuffle != p.shuffle else view
        complex_image(result, p.groups, whole)
        result = whole
    if inner.shuffle != p.shuffle:
        n, c, *rest = result.shape
        result = result.reshape(n, p.shuffle, c // p.shuffle, *rest).swapaxes(1, 2).reshape(result.shape)
    if result is not view:
        view[...] = result
