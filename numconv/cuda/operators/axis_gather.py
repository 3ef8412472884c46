"""The adjoint of reading along one axis (padding by a mode, resizing): each source gathers from the places where it was read."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ..adapt.layout import contiguous
from ..geometry.decode import split
from ..ptx import imul
from ..runtime.arrays import allocate, flat, stream_of
from ..runtime.launch import Table, flat_grid, jit, kernel_factory, launch
from ..scalars import accumulator, scalars


class Reading(NamedTuple):
    """Arrays as (outer, axis, inner)."""

    targets: int  # along the axis of the result
    extent: int  # of the same axis of what is read
    inner: int  # elements behind the axis
    total: int  # elements of the result


@kernel_factory
def make_gather_rows(dtype: str) -> Any:
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store

    def gather_rows(g, out, first, source, weight, reading):
        """out[a, q, b] = Σ_{j in first[q]..first[q + 1]} weight[j]·g[a, source[j], b], j ascending.  One thread for each element of out."""
        targets, extent, inner = reading.targets, reading.extent, reading.inner
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < reading.total:
            rest, b = split(i, inner)
            a, q = split(rest, targets)
            acc = kind(0)
            for j in range(first[uint32(q)], first[uint32(int32(q + int32(1)))]):
                row = int32(imul(a, extent) + source[uint32(j)])
                acc = kind(acc + weight[uint32(j)] * load(g, int32(imul(row, inner) + b)))
            store(out, i, acc)
            i = int32(i + step)

    return jit(gather_rows)


def adjoint_along(g: Any, axis: int, index: np.ndarray[Any, Any], weight: np.ndarray[Any, Any] | None, count: int) -> Any:
    """Where a map reads out[p] = Σ_i weight[i, p]·in[index[i, p]] along an axis of `count` elements: its adjoint, applied to g.

    `index`, `weight` (terms, size); None: all ones.
    """
    order = np.argsort(index.reshape(-1), kind="stable")
    first = np.searchsorted(index.reshape(-1)[order], np.arange(count + 1))
    source = order % index.shape[-1]
    acc = accumulator(g.dtype.name, g.dtype.name)
    real = {"complex64": "float32", "complex128": "float64"}.get(acc, acc)
    factors = np.ones(len(order), real) if weight is None else weight.reshape(-1)[order].astype(real)
    g = contiguous(g)
    shape = (*g.shape[:axis], count, *g.shape[axis + 1 :])
    out = allocate(shape, g.dtype.name, g)
    reading = Reading(targets=count, extent=g.shape[axis], inner=prod(shape[axis + 1 :]), total=prod(shape))
    if reading.total:
        tables = Table(first.astype(np.int32)), Table(source.astype(np.int32)), Table(factors)
        launch(make_gather_rows(g.dtype.name), *flat_grid(reading.total), stream_of(out), flat(g), flat(out), *tables, reading)
    return out
