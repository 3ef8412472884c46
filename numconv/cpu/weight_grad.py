"""The weight gradient: w[k, c, r] = Σ_{n, p} y[n, k, p]·x[n, c, p·stride − pad + r·dilation].

`outer_product` (in its own file) has output channels in the lanes.  `dot_rows` multiplies rows of y with rows of x, for depthwise
convolutions, whose channels cannot fill a vector.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..kernel import Kernel, Machine
from ..problem import ConvProblem
from . import outer_product
from .launch import threads
from .scalars import three
from .weight_rows import dot_driver, rows_to_phases
from .workspace import borrow

Array = np.ndarray[Any, Any]


def _phases(c: ConvProblem, x: Array) -> Array:
    """Rows split into stride phases, so that the columns under a tap are contiguous."""
    step, width = c.stride[-1], c.spatial[-1]
    if step == 1:
        return x.reshape(-1)
    pitch, count = -(-width // step), prod(x.shape[:-1])
    split = np.empty(count * pitch * step, x.dtype)
    rows_to_phases(x.reshape(-1), split, count, width, step, pitch)
    return split


@lru_cache(maxsize=512)
def _tables(c: ConvProblem) -> tuple[Array, Array, Array, Array]:
    """For each tap of the outer axes (first, end) of the positions inside and its shift, of the last (column, place); sizes and pitches."""
    kernel, stride, dilation, low = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.pad_low, 0)
    extent, outputs = three(c.spatial, 1), three(c.outputs, 1)
    inside = []
    for k, s, d, lo, e, o in list(zip(kernel, stride, dilation, low, extent, outputs, strict=True))[:2]:
        shifts = [a * d - lo for a in range(k)]
        inside.append([(max(0, -(v // s)), min(o, (e - 1 - v) // s + 1), v) for v in shifts])
    pitch = -(-extent[2] // stride[2])
    columns = [divmod(a * dilation[2] - low[2], stride[2]) for a in range(kernel[2])]
    row = stride[2] * pitch
    integers = (
        c.batch, c.groups, c.group_in, c.group_out, *kernel, stride[1] * row, prod(extent[:2]) * row, extent[1] * row, row, pitch, *outputs, stride[0],
    )  # fmt: skip
    tables = (*inside, [(j, phase * pitch + j) for j, phase in columns], integers)
    return tuple(np.array(t, np.int64).reshape(-1) for t in tables)  # type: ignore[return-value]


def _run_dot(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    if not out.size:
        return
    x, y = (a.astype(out.dtype, copy=False) for a in arrays)
    width, tasks = machine.vector_bytes // out.dtype.itemsize, c.out_channels * c.group_in
    workers = min(threads(), tasks) if c.multiplications > 100_000 else 1
    loop = dot_driver(width)
    with borrow(workers * c.taps * width, out.dtype) as scratch:
        (loop if workers > 1 else loop.serial)(_phases(c, x), y.reshape(-1), out.reshape(-1), scratch, workers, tasks, c.taps, *_tables(c))


def _dot_cost(c: ConvProblem, machine: Machine) -> float:
    """Cycles of two multiply-adds: 1.6 for each vector and tap, some for each filter row, and the sums of the lanes.  AVX-512, 2026-11.

    The loop goes down the columns: each pass over planes that L1 does not hold waits for every vector.
    """
    width = machine.vector_bytes // np.dtype(c.out_dtype).itemsize
    (t_out, h_out, w_out), (kt, kh, kw) = three(c.outputs, 1), three(c.kernel, 1)
    vectors, chunks = -(-w_out // width), -(-kw // 4)
    wait = 4.0 if (prod(three(c.spatial, 1)[1:]) + h_out * w_out) * np.dtype(c.out_dtype).itemsize > machine.l1 else 0.0
    starts = vectors if h_out > 1 else min(vectors, 3)
    cycles = t_out * kt * kh * (vectors * h_out * (1.6 * kw + wait) + 60 * chunks * starts) + 20 * c.taps + 200
    copied = c.in_channels * prod(c.spatial) if c.stride[-1] > 1 else 0
    return machine.launch + (c.out_channels * c.group_in * cycles * 4 * width / machine.flops + 1e-9 * copied) / machine.cores


def _dot_workspace(c: ConvProblem, machine: Machine) -> int:
    size = np.dtype(c.out_dtype).itemsize
    phases = 2 * c.batch * c.in_channels * prod(c.spatial) if c.stride[-1] > 1 else 0
    return size * (phases + machine.cores * c.taps * machine.vector_bytes // size)


_SHARED: dict[str, Any] = {
    "problem": ConvProblem,
    "directions": frozenset({"weight_grad"}),
    "dtypes": frozenset({"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}),
    "honours": frozenset({"groups", "activation", "precision"}),
}

ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="outer_product", run=outer_product.run, cost=outer_product.cost, workspace=outer_product.workspace,
        summary="sum of outer products over positions, output channels in the lanes, input values spread over them", **_SHARED,
    ),
    Kernel(
        name="dot_rows", run=_run_dot, cost=_dot_cost, workspace=_dot_workspace,
        summary="rows of the gradient times rows of the input; for depthwise and few channels", **_SHARED,
    ),
)  # fmt: skip
