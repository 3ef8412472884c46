"""Channels last to channels first and back, in squares that are transposed in registers."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import prange

from ..runtime.launch import device_function, kernel
from ..simd.tiles import lanes, tile_shape
from ..simd.transpose import transpose_part, transpose_square
from ..simd.vector import moved, pointer

Array = np.ndarray[Any, Any]
TURNED_ROWS, TURNED_COLUMNS = 256, 64  # rows and columns per task: few streams, and of each a few whole lines at a time
SMALL_TURN = 1 << 15  # elements; fewer are moved in the calling thread


@device_function
def _block(line, x, s, y, t, rows, columns, first, end):
    """y[t + j·rows + i] = x[s + i·columns + j] for first ≤ (i, j) < end."""
    n = lanes(line)
    for j in range(first[1], end[1], n):
        for i in range(first[0], end[0], n):
            if j + n <= end[1] and i + n <= end[0]:
                transpose_square(line, moved(x, s + i * columns + j), columns, moved(y, t + j * rows + i), rows)
            else:
                count = min(n, end[0] - i)
                transpose_part(
                    line, moved(x, s + i * columns + j), columns, None, count, moved(y, t + j * rows + i), rows, min(n, end[1] - j), count
                )


@lru_cache(maxsize=8)
def driver(tile_lanes: int) -> Any:
    """For vectors of so many lanes."""

    def transposed(x, y, planes, rows, columns):
        """y[n, j, i] = x[n, i, j], flat."""
        strips, chunks = (rows + TURNED_ROWS - 1) // TURNED_ROWS, (columns + TURNED_COLUMNS - 1) // TURNED_COLUMNS
        for task in prange(planes * strips * chunks):
            line = tile_shape(1, 1, tile_lanes)
            base = task // (strips * chunks) * rows * columns
            first = (task // chunks % strips * TURNED_ROWS, task % chunks * TURNED_COLUMNS)
            _block(
                line,
                pointer(x),
                base,
                pointer(y),
                base,
                rows,
                columns,
                first,
                (min(rows, first[0] + TURNED_ROWS), min(columns, first[1] + TURNED_COLUMNS)),
            )

    return kernel(transposed)


def serves(a: Array) -> bool:
    return a.itemsize in (4, 8) and a.dtype.isnative and a.flags.c_contiguous and a.flags.aligned and a.size > 0


def _swap(source: Array, target: Array, planes: int, rows: int, columns: int, vector_bytes: int) -> None:
    plain = np.int32 if source.itemsize == 4 else np.int64  # what moves is bits
    whole, few = vector_bytes // source.itemsize, min(rows, columns)
    loop = driver(next((n for n in (whole, whole // 2, whole // 4) if n > 1 and few % n == 0), whole))  # squares that leave no remainder
    (loop if source.size > SMALL_TURN else loop.serial)(
        source.reshape(-1).view(plain), target.reshape(-1).view(plain), planes, rows, columns
    )


def channels_first(a: Array, vector_bytes: int, scratch: Array) -> Array:
    """(N, *spatial, C) as (N, C, *spatial), in `scratch`, as many elements."""
    target = scratch.reshape(a.shape[0], a.shape[-1], *a.shape[1:-1])
    _swap(a, target, a.shape[0], prod(a.shape[1:-1]), a.shape[-1], vector_bytes)
    return target


def channels_last(a: Array, vector_bytes: int, target: Array) -> None:
    """(N, C, *spatial) into `target`, (N, *spatial, C)."""
    _swap(a, target, a.shape[0], a.shape[1], prod(a.shape[2:]), vector_bytes)
