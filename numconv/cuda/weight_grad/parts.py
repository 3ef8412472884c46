"""Positions cut into parts of fixed length: each is summed by blocks of its own, and then the parts in ascending order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numba.cuda.types import int32

from ..runtime.arrays import flat, stream_of
from ..runtime.launch import flat_grid, jit, kernel_factory, launch
from ..scalars import loader, scalars, storer


class Cut(NamedTuple):
    """What the blocks of a product own."""

    tiles_m: int  # of the rows of the result
    tiles_n: int  # of its columns
    length: int  # positions of a part


def cut(tiles_m: int, tiles_n: int, length: int) -> Cut:
    """As a launch takes it."""
    return Cut(*(np.int32(v) for v in (tiles_m, tiles_n, length)))


@kernel_factory
def make_sum_parts(acc: str, out_dtype: str) -> Any:
    """out[i] = Σ_part parts[part, i], ascending."""
    kind, store = scalars(acc, acc).kind, storer(out_dtype, acc)
    load = loader(acc, acc)

    def sum_parts(parts, out, count, size):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < size:
            total = kind(0)
            at = i
            for _ in range(count):
                total = kind(total + load(parts, at))
                at = int32(at + size)
            store(out, i, total)
            i = int32(i + step)

    return jit(sum_parts)


def add(parts: Any, out: Any, count: int) -> None:
    """`parts`: (count, *weights), of the accumulator's type."""
    kernel = make_sum_parts(parts.dtype.name, out.dtype.name)
    launch(kernel, *flat_grid(out.size), stream_of(out), flat(parts), flat(out), np.int32(count), np.int32(out.size))
