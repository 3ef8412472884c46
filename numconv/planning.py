"""The plan of a problem on a device, made once and kept."""

from __future__ import annotations

from dataclasses import replace

from .arguments.values import Subject
from .devices import Device
from .memory import Store
from .plan import BYTES, NoKernel, Plan, make_plan
from .problem import DeformProblem, PatchProblem, Problem, SeparableProblem, one_of

ALL_ROWS = float("inf")  # any row, however much more than a plain sum it rounds

_plans = Store()  # by device, problem, `plan_as`, algorithm and accuracy


def plan_for(
    subject: Subject, device: Device, problem: Problem, plan_as: Problem | None = None, algorithm: str = "auto", accuracy: float = ALL_ROWS
) -> Plan:
    """The row is chosen for one sample, so that a split batch gives the same bits.  `accuracy`: the largest error factor of a row."""
    key = (device.name, problem, plan_as, algorithm, accuracy)
    found: Plan | None = _plans.get(key)
    if found is not None:
        return found
    problem = one_of(problem)
    table = tuple(row for row in device.table() if row.error_factor <= accuracy)
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


def single(problem: Problem) -> Problem:
    """The same problem for at most one sample."""
    if isinstance(problem, (DeformProblem, PatchProblem)):
        return replace(problem, conv=problem.conv.with_(batch=min(problem.conv.batch, 1)))
    if isinstance(problem, SeparableProblem):
        return SeparableProblem(*(step.with_(batch=min(step.batch, 1)) for step in (problem.column, problem.row)))
    if problem.batch <= 1 or getattr(problem, "direction", "") == "weight_grad":
        return problem
    return replace(problem, batch=1)
