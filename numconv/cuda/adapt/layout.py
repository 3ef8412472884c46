"""The gather copy: out[i₀, …, i₅] = x[T₀[i₀] + … + T₅[i₅]], zero where a table holds −1; with a cast.

One kernel moves data wherever each axis has its own index map: any strides, another layout, every padding mode, zero insertion, casts.
Each element has one thread; destination tables (for an `out` of any strides) make writes disjoint because strides of a writable array are.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ..ptx import idiv, imul
from ..runtime.launch import Table, allocate, extent, flat, flat_grid, jit, kernel_factory, launch, stream_of
from ..scalars import scalars

AXES = 6
INDEX_LIMIT = 2**31


@kernel_factory
def make_gather(dtype: str, out_dtype: str, scattered: bool) -> Any:
    """Copy between these types; `scattered`: the destination has tables too, else it is C-contiguous."""
    acc = copy_type(dtype, out_dtype)
    number = scalars(dtype, out_dtype, acc)
    kind, load, store = number.kind, number.load, number.store

    def gather(x, y, tab, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            rest = i
            source = int32(0)
            target = int32(0)
            inside = True
            for a in range(AXES):
                axis = int32(AXES - 1) - int32(a)
                size = tab[uint32(axis)]
                q = idiv(rest, size)
                where = int32(tab[uint32(axis + int32(AXES))] + int32(rest - imul(q, size)))
                s = tab[uint32(where)]
                if s < int32(0):
                    inside = False
                source = int32(source + s)
                if scattered:
                    target = int32(target + tab[uint32(int32(where + tab[2 * AXES]))])
                rest = q
            v = kind(0)
            if inside:
                v = load(x, source)
            if scattered:
                store(y, target, v)
            else:
                store(y, i, v)
            i = int32(i + step)

    return jit(gather)


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
    launch(make_reverse(array.dtype.name), *flat_grid(out.size), stream_of(out), flat(source), flat(out), np.int32(out.size))
    return out


def copy_type(dtype: str, out_dtype: str) -> str:
    """A type through which a cast loses nothing that NumPy's would keep."""
    if dtype in ("float16", "bfloat16") or (dtype == "float32" and out_dtype in ("float16", "bfloat16", "float32")):
        return "float32"
    if dtype.startswith(("float", "complex")):
        return dtype
    return "int64"


def _table(maps: tuple[np.ndarray[Any, Any], ...], targets: tuple[np.ndarray[Any, Any], ...] | None) -> Any:
    sizes = [len(m) for m in maps]
    starts = 2 * AXES + 1 + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    parts = [np.array(sizes), starts, np.array([sum(sizes)]), *maps, *(targets or ())]
    return Table(np.concatenate(parts).astype(np.int32))


def _pad_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*(1,) * (AXES - len(shape)), *shape)


@lru_cache(maxsize=512)
def _strided_table(shape: tuple[int, ...], steps: tuple[int, ...], to: tuple[int, ...] | None) -> Any:
    def maps(strides: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], ...]:
        # negative strides count down from the far end, so that no table entry is negative
        padded = zip(_pad_axes(shape), _pad_axes_steps(strides), strict=True)
        return tuple(np.arange(n) * s + (-s * (n - 1) if s < 0 else 0) for n, s in padded)

    return _table(maps(steps), None if to is None else maps(to))


def _pad_axes_steps(steps: tuple[int, ...]) -> tuple[int, ...]:
    return (*(0,) * (AXES - len(steps)), *steps)


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
    x = extent(source)
    contiguous = is_contiguous(out)
    y = flat(out) if contiguous else extent(out)
    table = _strided_table(shape, steps, None if contiguous else steps_of(out))
    kernel = make_gather(source.dtype.name, out.dtype.name, not contiguous)
    launch(kernel, *flat_grid(total), stream_of(out), x, y, table, np.int32(total))


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


def source_index(size: int, low: int, high: int, mode: str) -> np.ndarray[Any, Any]:
    """Which element of an axis each element of the padded axis repeats; −1 for a zero."""
    i = np.arange(-low, size + high)
    if mode == "zeros":
        return np.where((i >= 0) & (i < size), i, -1)
    if mode == "replicate":
        return np.clip(i, 0, size - 1)
    if mode == "circular":
        return i % size
    if mode == "symmetric":
        i = i % (2 * size)
        return np.where(i < size, i, 2 * size - 1 - i)
    period = max(1, 2 * (size - 1))
    i = i % period
    return np.where(i < size, i, period - i)


@lru_cache(maxsize=512)
def _pad_table(batch: int, channels: int, spatial: tuple[int, ...], pads: tuple[tuple[int, int], ...], mode: str) -> Any:
    area = prod(spatial)
    maps = [np.arange(batch) * channels * area, np.arange(channels) * area]
    stride = area
    for n, (low, high) in zip(spatial, pads, strict=True):
        stride //= n
        index = source_index(n, low, high, mode)
        maps.append(np.where(index >= 0, index * stride, -(2**31) // AXES))
    maps = [np.zeros(1, np.int64)] * (AXES - len(maps)) + maps
    return _table(tuple(maps), None)


def pad(array: Any, pads: tuple[tuple[int, int], ...], mode: str) -> Any:
    """A contiguous channels-first image padded (or cropped, where negative) along its spatial axes."""
    batch, channels, *spatial = array.shape
    shape = (batch, channels, *(n + low + high for n, (low, high) in zip(spatial, pads, strict=True)))
    fresh = allocate(shape, array.dtype.name, array)
    total = prod(shape)
    if total:
        table = _pad_table(batch, channels, tuple(spatial), pads, mode)
        kernel = make_gather(array.dtype.name, array.dtype.name, False)
        launch(kernel, *flat_grid(total), stream_of(array), flat(array), flat(fresh), table, np.int32(total))
    return fresh


@lru_cache(maxsize=256)
def _insert_table(batch: int, channels: int, spatial: tuple[int, ...], stride: tuple[int, ...]) -> Any:
    area = prod(spatial)
    maps = [np.arange(batch) * channels * area, np.arange(channels) * area]
    step = area
    for n, s in zip(spatial, stride, strict=True):
        step //= n
        i = np.arange((n - 1) * s + 1)
        maps.append(np.where(i % s == 0, i // s * step, -(2**31) // AXES))
    return _table(tuple([np.zeros(1, np.int64)] * (AXES - len(maps)) + maps), None)


def insert_zeros(array: Any, stride: tuple[int, ...]) -> Any:
    """A contiguous channels-first image with stride − 1 zeros between neighbours along its spatial axes."""
    batch, channels, *spatial = array.shape
    shape = (batch, channels, *((n - 1) * s + 1 for n, s in zip(spatial, stride, strict=True)))
    fresh = allocate(shape, array.dtype.name, array)
    total = prod(shape)
    if total:
        table = _insert_table(batch, channels, tuple(spatial), stride)
        kernel = make_gather(array.dtype.name, array.dtype.name, False)
        launch(kernel, *flat_grid(total), stream_of(array), flat(array), flat(fresh), table, np.int32(total))
    return fresh


_axis_tables: dict[Any, Any] = {}


def gather_axes(source: Any, out: Any, indices: tuple[np.ndarray[Any, Any], ...], key: Any, absolute: bool = False) -> None:
    """out[i, j, …] = source[indices[0][i], indices[1][j], …], both C-contiguous; `key` names the indices in the cache of tables.

    `absolute`: the indices are element offsets, to be added up; far below zero gives a zero.
    """
    total = prod(out.shape)
    if total == 0:
        return
    table = _axis_tables.get(key)
    if table is None:
        maps, stride = list(indices), prod(source.shape)
        if not absolute:
            for axis, extent_ in enumerate(source.shape):
                stride //= extent_
                maps[axis] = indices[axis] * stride
        if len(_axis_tables) >= 512:
            _axis_tables.clear()
        table = _axis_tables[key] = _table(tuple([np.zeros(1, np.int64)] * (AXES - len(maps)) + maps), None)
    kernel = make_gather(source.dtype.name, out.dtype.name, False)
    launch(kernel, *flat_grid(total), stream_of(out), flat(source), flat(out), table, np.int32(total))
