"""Copies that change how an array lies or what type it has: any strides, the other layout, casts, reversal; by the gather copy."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32

from ...memory import kept
from ..runtime.arrays import allocate, extent, flat, stream_of
from ..runtime.launch import Table, flat_grid, jit, kernel_factory, launch
from ..scalars import scalars
from .gather import Map, copy_type, make_gather, table_of

#: kernels count elements in int32, and a loop adds its grid before it compares
INDEX_LIMIT = 2**31 - 2**20


def check_size(elements: int) -> None:
    if elements >= INDEX_LIMIT:
        raise ValueError(f"an array of {elements} elements is beyond the GPU kernels' 32-bit indices; at most {INDEX_LIMIT - 1} at a time")


@kernel_factory
def make_reverse(dtype: str) -> Any:
    """out[i] = x[total − 1 − i]: a C-contiguous array of any rank, reversed along all its axes."""
    number = scalars(dtype, dtype, copy_type(dtype, dtype))
    load, store = number.load, number.store

    def reverse(x, out, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            store(out, i, load(x, int32(int32(total - int32(1)) - i)))
            i = int32(i + step)

    return jit(reverse)


def reverse(array: Any) -> Any:
    """A fresh C-contiguous array, reversed along all axes."""
    source = contiguous(array)
    out = allocate(tuple(array.shape), array.dtype.name, array)
    launch(make_reverse(array.dtype.name), *flat_grid(out.size), stream_of(out), flat(source), flat(out), out.size)
    return out


@kept
def _strided_table(shape: tuple[int, ...], steps: tuple[int, ...], to: tuple[int, ...] | None) -> Table:
    def maps(strides: tuple[int, ...]) -> list[Map]:
        # negative strides count down from the far end, so that no offset is negative
        return [np.arange(n) * s + (-s * (n - 1) if s < 0 else 0) for n, s in zip(shape, strides, strict=True)]

    return table_of(maps(steps), None if to is None else maps(to))


def steps_of(array: Any) -> tuple[int, ...]:
    """Strides in elements; 0 along axes of extent 1."""
    size = array.dtype.itemsize
    return tuple(s // size if n > 1 else 0 for s, n in zip(array.strides, array.shape, strict=True))


def is_contiguous(array: Any) -> bool:
    expected = 1
    for n, s in zip(reversed(array.shape), reversed(array.strides), strict=True):
        if n > 1 and s != expected * array.dtype.itemsize:
            return False
        expected *= n
    return True


def copy_into(source: Any, out: Any, permutation: tuple[int, ...] | None = None) -> None:
    """out[...] = source.transpose(permutation), any strides and types on both sides."""
    order = permutation or tuple(range(source.ndim))
    steps = tuple(steps_of(source)[a] for a in order)
    shape = tuple(source.shape[a] for a in order)
    total = prod(shape)
    if total == 0:
        return
    check_size(total)
    x = extent(source)
    contiguous = is_contiguous(out)
    y = flat(out) if contiguous else extent(out)
    table = _strided_table(shape, steps, None if contiguous else steps_of(out))
    kernel = make_gather(source.dtype.name, out.dtype.name, not contiguous)
    launch(kernel, *flat_grid(total), stream_of(out), x, y, table, total)


def contiguous(array: Any) -> Any:
    """The array, or a C-contiguous copy."""
    if is_contiguous(array):
        return array
    fresh = allocate(tuple(array.shape), array.dtype.name, array)
    copy_into(array, fresh)
    return fresh


def cast(array: Any, dtype: str) -> Any:
    if array.dtype.name == dtype:
        return array
    fresh = allocate(tuple(array.shape), dtype, array)
    copy_into(array, fresh)
    return fresh


def to_layout(array: Any, source: str, target: str) -> Any:
    """An image in the other layout, as a fresh C-contiguous array; the array where nothing changes."""
    if source == target:
        return array
    order = layout_order(array.ndim, target)
    fresh = allocate(tuple(array.shape[a] for a in order), array.dtype.name, array)
    copy_into(array, fresh, order)
    return fresh


def layout_order(ndim: int, target: str) -> tuple[int, ...]:
    """The transposition that brings an image from the other layout to `target`."""
    return (0, *range(2, ndim), 1) if target == "channels_last" else (0, ndim - 1, *range(1, ndim - 1))
