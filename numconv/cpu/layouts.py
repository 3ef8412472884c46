"""Channels last to channels first and back, in squares that are transposed in registers."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import prange

from .launch import device_function, kernel
from .simd.tiles import lanes, tile_shape
from .simd.transpose import transpose_square
from .simd.vector import get, pointer, put

Array = np.ndarray[Any, Any]
STRIP = 64  # rows per task: what it writes to one row of the result is a few whole lines
SMALL = 1 << 15  # elements; fewer are moved in the calling thread


@device_function
def _strip(line, x, s, y, t, rows, columns, first, end):
    """y[t + j·rows + i] = x[s + i·columns + j] for first ≤ i < end."""
    n = lanes(line)
    for j in range(0, columns, n):
        for i in range(first, end, n):
            if j + n <= columns and i + n <= end:
                transpose_square(line, x, s + i * columns + j, columns, y, t + j * rows + i, rows)
            else:
                for a in range(i, min(i + n, end)):
                    for b in range(j, min(j + n, columns)):
                        put(y, t + b * rows + a, get(x, s + a * columns + b))


@lru_cache(maxsize=8)
def driver(tile_lanes: int) -> Any:
    """For vectors of so many lanes."""

    def transposed(x, y, planes, rows, columns):
        """y[n, j, i] = x[n, i, j], flat."""
        strips = (rows + STRIP - 1) // STRIP
        for task in prange(planes * strips):
            line = tile_shape(1, 1, tile_lanes)
            plane, first = task // strips, task % strips * STRIP
            base = plane * rows * columns
            _strip(line, pointer(x), base, pointer(y), base, rows, columns, first, min(rows, first + STRIP))

    return kernel(transposed)


def serves(a: Array) -> bool:
    return a.itemsize in (4, 8) and a.dtype.isnative and a.flags.c_contiguous and a.flags.aligned and a.size > 0


def _swap(source: Array, target: Array, planes: int, rows: int, columns: int, vector_bytes: int) -> None:
    plain = np.int32 if source.itemsize == 4 else np.int64  # what moves is bits
    whole, few = vector_bytes // source.itemsize, min(rows, columns)
    loop = driver(next((n for n in (whole, whole // 2, whole // 4) if n > 1 and few % n == 0), whole))  # squares that leave no remainder
    (loop if source.size > SMALL else loop.serial)(source.reshape(-1).view(plain), target.reshape(-1).view(plain), planes, rows, columns)


def channels_first(a: Array, vector_bytes: int, scratch: Array) -> Array:
    """(N, *spatial, C) as (N, C, *spatial), in `scratch`, as many elements."""
    target = scratch.reshape(a.shape[0], a.shape[-1], *a.shape[1:-1])
    _swap(a, target, a.shape[0], prod(a.shape[1:-1]), a.shape[-1], vector_bytes)
    return target


def channels_last(a: Array, vector_bytes: int, target: Array) -> None:
    """(N, C, *spatial) into `target`, (N, *spatial, C)."""
    _swap(a, target, a.shape[0], a.shape[1], prod(a.shape[2:]), vector_bytes)
