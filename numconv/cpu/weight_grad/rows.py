"""The weight gradient: w[k, c, r] = Σ_{n, p} y[n, k, p]·x[n, c, p·stride − pad + r·dilation].

`outer_product` (in its own file) has output channels in the lanes, and so has `winograd_weights` (a row of `winograd`), with fewer multiplications.
`dot_rows` (weight_rows.py) has positions there, for depthwise convolutions and others whose channels cannot fill a vector.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from ..adapt.sums import summed
from ..runtime.launch import threads
from ..runtime.workspace import borrow
from .dots import plan as dot_plan
from .dots.kernel import dot_driver, rows_to_phases
from .outer import kernel as outer_product

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


def _run_dot(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, y = arrays
    p = dot_plan.plan(c, machine, threads())
    workers = min(threads(), p.tasks) if c.multiplications > 100_000 else 1
    loop = dot_driver(*p.tile)
    with borrow(workers * p.worker_pitch, out.dtype) as scratch:
        (loop if workers > 1 else loop.serial)(
            _phases(c, x), y.reshape(-1), out.reshape(-1), scratch, p.worker_pitch, workers, p.tasks, p.vectors, p.places, p.masks, p.integers
        )  # fmt: skip


def _dot_cost(c: ConvProblem, machine: Machine) -> float:
    copied = c.in_channels * prod(c.spatial) if c.stride[-1] > 1 else 0
    cycles = dot_plan.cycles(c, machine)
    return machine.launch + (cycles * machine.cycle + 1e-9 * copied) / machine.cores


def _dot_workspace(c: ConvProblem, machine: Machine) -> int:
    size = np.dtype(c.out_dtype).itemsize
    phases = 2 * c.batch * c.in_channels * prod(c.spatial) if c.stride[-1] > 1 else 0
    return size * (phases + dot_plan.sums(c, machine))


_SHARED: dict[str, Any] = {
    "problem": ConvProblem,
    "directions": frozenset({"weight_grad"}),
    "dtypes": frozenset({"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}),
    "honours": frozenset({"groups", "activation", "precision"}),
}

ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="outer_product", run=summed(outer_product.run), cost=outer_product.cost, workspace=outer_product.workspace,
        summary="sum of outer products over positions, output channels in the lanes, input values spread over them", **_SHARED,
    ),
    Kernel(
        name="dot_rows", run=summed(_run_dot), cost=_dot_cost, workspace=_dot_workspace,
        summary="positions in the lanes, vectors of the gradient times vectors of the input; for depthwise and few channels", **_SHARED,
    ),
)  # fmt: skip
