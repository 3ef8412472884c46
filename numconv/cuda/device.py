"""The CUDA device as `numconv.devices.Device` describes it: adoption of arrays, adaptation to what a kernel reads, execution.

What a row does not honour but its table marks as adapted (`layout`, `padding_mode`) is brought about here by copies on the device.
Nothing here waits for the GPU, and nothing falls back to the CPU.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

from ..kernel import Kernel, Machine
from ..plan import Plan
from ..problem import ConvProblem, PatchProblem, SeparableProblem, image_shape
from .adapt import elementwise, layout
from .adapt.layout import INDEX_LIMIT, cast
from .adapt.padding import pad
from .costs import H100, MOST_PARTS, itemsize
from .runtime.arrays import adopt, allocate, capability, memory_range, multiprocessors, release, upload, view

__all__ = [
    "add",
    "adopt",
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
    "workspace",
    "upload",
]

name = "cuda"


@lru_cache(maxsize=1)
def machine() -> Machine:
    """The card at hand, its rates in proportion to its multiprocessors; an H100 where there is none (the simulator, `explain`)."""
    count = multiprocessors()
    if count is None or count == H100.cores:
        return H100
    return replace(H100, cores=count, flops=H100.flops * count / H100.cores, bandwidth=H100.bandwidth * count / H100.cores)


@lru_cache(maxsize=1)
def table() -> tuple[Kernel, ...]:
    from .table import ROWS

    if capability() < (8, 0):  # mma.sync on these types and cp.async begin there
        return tuple(row for row in ROWS if not row.name.startswith("tensor_core"))
    return ROWS


def empty(shape: tuple[int, ...], dtype: str, like: Any) -> Any:
    return allocate(tuple(shape), dtype, like)


def reshape(array: Any, shape: tuple[int, ...]) -> Any:
    return view(layout.contiguous(array), tuple(shape))


def transpose(array: Any, axes: tuple[int, ...]) -> Any:
    """A view with its axes permuted."""
    return view(array, tuple(array.shape[a] for a in axes), tuple(array.strides[a] for a in axes))


def broadcast(array: Any, shape: tuple[int, ...]) -> Any:
    """A view repeated along new axes in front, and along axes of extent 1."""
    lead = len(shape) - array.ndim
    strides = (*(0,) * lead, *(0 if n == 1 else s for n, s in zip(array.shape, array.strides, strict=True)))
    return view(array, tuple(shape), strides)


def flip(array: Any) -> Any:
    """A fresh C-contiguous array, reversed along all axes."""
    return layout.reverse(array)


def add(one: Any, other: Any) -> Any:
    return elementwise.elementwise("add", one, other)


def conjugate(array: Any) -> Any:
    return elementwise.elementwise("conjugate", array)


def copy(array: Any) -> Any:
    """A fresh C-contiguous native array with the same values."""
    fresh = allocate(tuple(array.shape), array.dtype.name, array)
    layout.copy_into(array, fresh)
    return fresh


def overlaps(a: Any, b: Any) -> bool:
    (a_low, a_high), (b_low, b_high) = memory_range(a), memory_range(b)
    return a_low < b_high and b_low < a_high


def pack(plan: Plan, w: Any) -> Any:
    w = cast(layout.contiguous(w), plan.problem.dtype)  # type: ignore[union-attr]
    return plan.kernel.pack(plan.problem, w, plan.machine)


def execute(plan: Plan, arrays: tuple[Any, ...], out: Any, packed: bool = False) -> None:
    """Run a plan; see `numconv.devices.Device.execute`."""
    if out.size == 0:
        return
    problem = plan.problem
    _check_sizes(plan, arrays, out)
    if isinstance(problem, ConvProblem):
        _execute_conv(plan, problem, arrays, out, packed)
        return
    dtype = getattr(problem, "dtype", None)
    prepared = tuple(None if a is None else layout.contiguous(a) for a in arrays)
    if dtype is not None and not isinstance(problem, (PatchProblem, SeparableProblem)):
        prepared = tuple(None if a is None else cast(a, dtype) for a in prepared)
    _into(out, problem.out_dtype, lambda target: plan.kernel.run(problem, prepared, target, plan.machine))


def _check_sizes(plan: Plan, arrays: tuple[Any, ...], out: Any) -> None:
    """Refuse what 32-bit indices do not reach, before anything is launched; images that lie as the row reads them are run by samples."""
    problem, native = plan.problem, plan.kernel.honours
    by_samples = 1
    if isinstance(problem, ConvProblem) and problem.direction != "weight_grad":
        layout.check_size(problem.in_channels * prod(_framed(problem)) * (problem.padding_mode != "zeros"))
        kept = (problem.layout == "channels_first" or "layout" in native) and (problem.padding_mode == "zeros" or "padding_mode" in native)
        by_samples = max(1, problem.batch) if kept and layout.is_contiguous(arrays[0]) and layout.is_contiguous(out) else 1
    for i, array in enumerate((*arrays, out)):
        image = i in (0, len(arrays))
        layout.check_size(getattr(array, "size", 0) // (by_samples if image else 1))


def _framed(problem: ConvProblem) -> tuple[int, ...]:
    """The spatial size with its padding around it."""
    return tuple(n + lo + max(hi, 0) for n, lo, hi in zip(problem.spatial, problem.pad_low, problem.pad_high, strict=True))


def _into(out: Any, dtype: str, compute: Any) -> None:
    """Compute into `out` where it is contiguous and of the type, else by way of a fresh array."""
    if layout.is_contiguous(out) and out.dtype.name == dtype:
        compute(out)
        return
    fresh = allocate(tuple(out.shape), dtype, out)
    compute(fresh)
    layout.copy_into(fresh, out)


def _padded(problem: ConvProblem, x: Any) -> tuple[ConvProblem, Any]:
    """The problem without its padding mode, and the image padded by it."""
    pads = tuple(zip(problem.pad_low, (max(h, 0) for h in problem.pad_high), strict=True))
    unpadded = problem.with_(padding_mode="zeros", pad_low=(0,) * problem.rank, spatial=_framed(problem))
    return unpadded, pad(x, pads, problem.padding_mode)


def _by_samples(kernel: Kernel, problem: ConvProblem, operands: tuple[Any, ...], out: Any, machine: Machine) -> None:
    """Run, in as many launches as keep every array within the kernels' 32-bit indices.  Rows give the same bits for any split."""
    x, *rest = operands
    largest = max(x.size, out.size * MOST_PARTS)
    if largest < INDEX_LIMIT:
        kernel.run(problem, operands, out, machine)
        return
    count = max(1, (INDEX_LIMIT - 1) * problem.batch // largest)
    for first in range(0, problem.batch, count):
        last = min(first + count, problem.batch)
        kernel.run(problem.with_(batch=last - first), (x[first:last], *rest), out[first:last], machine)


def _execute_conv(plan: Plan, problem: ConvProblem, arrays: tuple[Any, ...], out: Any, packed: bool) -> None:
    kernel, native = plan.kernel, plan.kernel.honours
    image, rest = arrays[0], arrays[1:]
    if problem.direction == "weight_grad":
        images = [cast(a, problem.dtype) for a in arrays]
        rest = ()
    else:
        images = [cast(image, problem.dtype)]
    given = problem.layout
    keep = problem.padding_mode == "zeros" or "padding_mode" in native
    adapted = problem if "layout" in native and keep else problem.with_(layout="channels_first")
    images = [layout.contiguous(layout.to_layout(a, given, adapted.layout)) for a in images]
    if not keep:
        adapted, images[0] = _padded(adapted, images[0])
    if problem.direction == "weight_grad":
        _into(out, problem.out_dtype, lambda target: kernel.run(adapted, tuple(images), target, plan.machine))
        return
    w, bias = rest
    if not packed:
        w = kernel.pack(adapted, cast(layout.contiguous(w), problem.dtype), plan.machine)
    bias = None if bias is None else layout.contiguous(bias)
    operands = (images[0], w, bias)
    if adapted.layout == given:
        _into(out, problem.out_dtype, lambda target: _by_samples(kernel, adapted, operands, target, plan.machine))
        return
    channels, spatial = adapted.target
    fresh = allocate(image_shape(problem.batch, channels, spatial, adapted.layout), problem.out_dtype, out)
    _by_samples(kernel, adapted, operands, fresh, plan.machine)
    layout.copy_into(fresh, out, layout.layout_order(fresh.ndim, given))


def workspace(problem: ConvProblem, native: frozenset[str]) -> int:
    """Bytes that adaptation takes beyond inputs and output."""
    total = 0
    if problem.padding_mode != "zeros" and "padding_mode" not in native:
        total += problem.batch * problem.in_channels * prod(_framed(problem)) * itemsize(problem.dtype)
    return total
