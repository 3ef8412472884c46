"""The rows of the weight gradient: `outer_product` has output channels in the lanes, `dot_rows` positions, for depthwise convolutions and
others whose channels cannot fill a vector; how each is run."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ...kernel import Kernel, Machine
from ...memory import kept
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

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class WeightRow:
    """What differs from one row to the other."""

    plan: Any  # the module
    driver: Any  # the loop for a tile shape
    small: float  # multiply-adds; fewer are done in the calling thread


OUTER = WeightRow(outer, outer_driver, 2e5)  # whole vectors of channels take half as long
DOTS = WeightRow(dots, dot_driver, 1e5)


@kept
def _work(row: WeightRow, problem: ConvProblem, machine: Machine, workers: int) -> Work:
    p = row.plan.prepared(problem, machine, workers)
    numbers = table(p.plan)
    return Work(
        loop=row.driver(*p.tile),
        tables=numbers,
        offsets=numbers if p.offsets is None else p.offsets,
        tasks=p.tasks,
        workers=min(workers, p.tasks) if problem.multiplications > row.small else 1,
        room_pitch=p.room,
    )


def _rooms(row: WeightRow, problem: ConvProblem, machine: Machine) -> int:
    """Bytes of the workers' scratch."""
    return _work(row, problem, machine, machine.cores).rooms * np.dtype(problem.out_dtype).itemsize


def _run_outer(problem: ConvProblem, arrays: tuple[Any, ...], out: Array, machine: Machine) -> None:
    x, y = arrays
    perform(_work(OUTER, problem, machine, threads()), x, y, None, out)


def _outer_cost(problem: ConvProblem, machine: Machine) -> float:
    """Of all cores."""
    return machine.launch + outer.best(problem, machine, machine.cores)[0] * machine.cycle


def _phases(problem: ConvProblem, x: Array) -> Array:
    """Rows split into stride phases, so that the columns under a tap are contiguous."""
    step, width = problem.stride[-1], problem.spatial[-1]
    if step == 1:
        return x
    pitch, phases, count = -(-width // step), min(step, width), prod(x.shape[:-1])
    split = np.empty(count * pitch * phases, x.dtype)
    rows_to_phases(x.reshape(-1), split, count, width, step, phases, pitch)
    return split


def _run_dots(problem: ConvProblem, arrays: tuple[Any, ...], out: Array, machine: Machine) -> None:
    x, y = arrays
    perform(_work(DOTS, problem, machine, threads()), _phases(problem, x), y, None, out)


def _copied(problem: ConvProblem) -> int:
    """Elements of a sample whose rows are split into stride phases."""
    return problem.in_channels * prod(problem.spatial) if problem.stride[-1] > 1 else 0


def _dot_cost(problem: ConvProblem, machine: Machine) -> float:
    return machine.launch + (dots.cycles(problem, machine) * machine.cycle + SPLIT_ELEMENT * _copied(problem)) / machine.cores


def _dot_workspace(problem: ConvProblem, machine: Machine) -> int:
    return _rooms(DOTS, problem, machine) + 2 * problem.batch * _copied(problem) * np.dtype(problem.out_dtype).itemsize


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
        workspace=lambda problem, machine: _rooms(OUTER, problem, machine),
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
