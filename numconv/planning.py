"""The plan of a problem on a device, made once and kept."""

from __future__ import annotations

import copyreg
import sys
from dataclasses import replace
from functools import lru_cache
from typing import Any

from . import devices
from .arguments.values import Subject
from .bounds import ELEMENT
from .devices import Device
from .kernel import Kernel
from .memory import Store
from .plan import BYTES, NoKernel, Plan, make_plan
from .problem import DeformProblem, PatchProblem, Problem, SeparableProblem, one_of

#: what a call may ask of its rows: nothing, or that their error is bounded element by element
ACCURACIES = ANY, ELEMENTWISE = "any", "elementwise"

_plans = Store()  # by device, problem, `plan_as`, algorithm and accuracy


def plan_for(
    subject: Subject, device: Device, problem: Problem, plan_as: Problem | None = None, algorithm: str = "auto", accuracy: str = ANY
) -> Plan:
    """The row is chosen for one sample, so that a split batch gives the same bits."""
    key = (device.name, problem, plan_as, algorithm, accuracy)
    found: Plan | None = _plans.get(key)
    if found is not None:
        return found
    problem = one_of(problem)
    table = elementwise(device.table()) if accuracy == ELEMENTWISE else device.table()
    one = one_of(single(problem)) if plan_as is None else plan_as
    try:
        plan = make_plan(one, device.machine(), table, algorithm)
        if plan.kernel.refuses(problem) is not None:  # serves one sample, but not all of them as groups of one
            plan = make_plan(problem, device.machine(), table, algorithm)
    except NoKernel as error:
        raise subject.value(str(error)) from None
    if plan.problem is not problem:
        plan = replace(plan, problem=problem)
    _plans.put(key, plan, BYTES)
    return plan


@lru_cache(maxsize=8)
def elementwise(table: tuple[Kernel, ...]) -> tuple[Kernel, ...]:
    """The rows of a table, those that give no bound by elements as rows that refuse."""

    def refuse(problem: Problem) -> str:
        return "has no bound by elements, which accuracy='elementwise' asks for"

    return tuple(row if row.error_of == ELEMENT else replace(row, refuse=refuse) for row in table)


def _row_at(device: str, accuracy: str, at: int, name: str) -> Kernel:
    rows = devices.device(device).table()
    row = (elementwise(rows) if accuracy == ELEMENTWISE else rows)[at]
    if row.name != name:
        raise ValueError(f"another version of numconv has no kernel {name!r} in that place of its table")
    return row


def _place_of(row: Kernel) -> tuple[Any, ...]:
    """For pickle and copy: a row is where it stands in its device's table."""
    for device in ("cpu", "cuda"):
        if device == "cpu" or f"{__package__}.cuda.table" in sys.modules:
            rows = devices.device(device).table()
            for accuracy, found in ((ANY, rows), (ELEMENTWISE, elementwise(rows))):
                if row in found:
                    return _row_at, (device, accuracy, found.index(row), row.name)
    raise TypeError(f"the kernel {row.name!r} is in no table, and cannot be pickled")


copyreg.pickle(Kernel, _place_of)


def single(problem: Problem) -> Problem:
    """The same problem for at most one sample."""
    if isinstance(problem, (DeformProblem, PatchProblem)):
        return replace(problem, conv=problem.conv.with_(batch=min(problem.conv.batch, 1)))
    if isinstance(problem, SeparableProblem):
        return SeparableProblem(*(step.with_(batch=min(step.batch, 1)) for step in (problem.column, problem.row)))
    if problem.batch <= 1 or getattr(problem, "direction", "") == "weight_grad":
        return problem
    return replace(problem, batch=1)
