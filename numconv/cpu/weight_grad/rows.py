"""The rows of the weight gradient: `outer_product` has output channels in the lanes, `dot_rows` positions, for depthwise convolutions and
others whose channels cannot fill a vector; how each is run."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from ..adapt.sums import summed
from ..runtime.launch import threads
from ..runtime.record import table
from ..runtime.tasks import Work, perform
from .dots import plan as dots
from .dots.cost import SPLIT_ELEMENT
from .dots.kernel import driver as dot_driver
from .dots.kernel import rows_to_phases
from .outer import plan as outer
from .outer.kernel import driver as outer_driver

SMALL_DOTS = 1e5  # multiply-adds; fewer are done in the calling thread …
SMALL_OUTER = 2e5  # … those of whole vectors of channels take half as long

Array = np.ndarray[Any, Any]


def _workers(problem: ConvProblem, workers: int, tasks: int, small: float) -> int:
    return min(workers, tasks) if problem.multiplications > small else 1


@lru_cache(maxsize=512)
def _outer_work(problem: ConvProblem, machine: Machine, workers: int) -> Work:
    p = outer.prepared(problem, machine, workers)
    return Work(
        loop=outer_driver(*p.tile),
        tables=table(p.plan),
        offsets=p.offsets,
        tasks=p.tasks,
        workers=_workers(problem, workers, p.tasks, SMALL_OUTER),
        room_pitch=p.room,
    )


def _run_outer(problem: ConvProblem, arrays: tuple[Any, ...], out: Array, machine: Machine) -> None:
    x, y = arrays
    perform(_outer_work(problem, machine, threads()), x, y, None, out)


def _outer_cost(problem: ConvProblem, machine: Machine) -> float:
    """Of all cores."""
    return machine.launch + outer.best(problem, machine, machine.cores)[0] * machine.cycle


def _outer_workspace(problem: ConvProblem, machine: Machine) -> int:
    return machine.cores * outer.prepared(problem, machine, machine.cores).room * np.dtype(problem.out_dtype).itemsize


@lru_cache(maxsize=512)
def _dot_work(problem: ConvProblem, machine: Machine, workers: int) -> Work:
    p = dots.prepared(problem, machine, workers)
    numbers = table(p.plan)
    return Work(
        loop=dot_driver(*p.tile),
        tables=numbers,
        offsets=numbers,
        tasks=p.tasks,
        workers=_workers(problem, workers, p.tasks, SMALL_DOTS),
        room_pitch=p.room,
    )


def _phases(problem: ConvProblem, x: Array) -> Array:
    """Rows split into stride phases, so that the columns under a tap are contiguous."""
    step, width = problem.stride[-1], problem.spatial[-1]
    if step == 1:
        return x
    pitch, count = -(-width // step), prod(x.shape[:-1])
    split = np.empty(count * pitch * step, x.dtype)
    rows_to_phases(x.reshape(-1), split, count, width, step, pitch)
    return split


def _run_dots(problem: ConvProblem, arrays: tuple[Any, ...], out: Array, machine: Machine) -> None:
    x, y = arrays
    perform(_dot_work(problem, machine, threads()), _phases(problem, x), y, None, out)


def _dot_cost(problem: ConvProblem, machine: Machine) -> float:
    copied = problem.in_channels * prod(problem.spatial) if problem.stride[-1] > 1 else 0
    return machine.launch + (dots.cycles(problem, machine) * machine.cycle + SPLIT_ELEMENT * copied) / machine.cores


def _dot_workspace(problem: ConvProblem, machine: Machine) -> int:
    phases = 2 * problem.batch * problem.in_channels * prod(problem.spatial) if problem.stride[-1] > 1 else 0
    p = dots.prepared(problem, machine, machine.cores)
    return np.dtype(problem.out_dtype).itemsize * (phases + min(machine.cores, p.tasks) * p.room)


_SHARED: dict[str, Any] = {
    "problem": ConvProblem,
    "directions": frozenset({"weight_grad"}),
    "dtypes": frozenset({"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}),
    "honours": frozenset({"groups", "activation", "precision"}),
}

ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="outer_product",
        run=summed(_run_outer),
        cost=_outer_cost,
        workspace=_outer_workspace,
        summary="sum of outer products over positions, output channels in the lanes, input values spread over them",
        **_SHARED,
    ),
    Kernel(
        name="dot_rows",
        run=summed(_run_dots),
        cost=_dot_cost,
        workspace=_dot_workspace,
        summary="positions in the lanes, vectors of the gradient times vectors of the input; for depthwise and few channels",
        **_SHARED,
    ),
)
