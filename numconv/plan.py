"""Choice of a kernel: filter a table, take the cheapest.  Pure; names no kernel and no variant; explains itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Any

from .kernel import Kernel, Machine
from .memory import counted_elsewhere
from .problem import Problem

BYTES = 700  # of a plan, but for what is bound


@dataclass(frozen=True)
class Candidate:
    """One row of the table held against one problem.  What a call need not know is worked out when somebody asks."""

    kernel: Kernel
    problem: Problem
    machine: Machine
    reason: str | None  # why not, or None

    @cached_property
    def seconds(self) -> float | None:
        return None if self.reason is not None else self.kernel.cost(self.problem, self.machine)

    @cached_property
    def workspace(self) -> int | None:
        return None if self.reason is not None else self.kernel.workspace(self.problem, self.machine)


@counted_elsewhere
@dataclass(frozen=True, eq=False)
class Plan:
    """What runs, and why the others do not.  Compared and looked up as the object that it is."""

    problem: Problem
    machine: Machine
    kernel: Kernel
    one: Problem  # that of one sample, for which the kernel was chosen …
    table: tuple[Kernel, ...]  # … from these rows
    bound: dict[Any, Callable[[tuple[Any, ...]], Any]] = field(init=False, default_factory=dict)  # on the host: see `session.bind`

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: what is bound is bound again."""
        return {name: getattr(self, name) for name in ("problem", "machine", "kernel", "one", "table")} | {"bound": {}}

    @cached_property
    def seconds(self) -> float:
        """What the kernel is predicted to take."""
        return self.kernel.cost(self.one, self.machine)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return candidates(self.one, self.machine, self.table)


class NoKernel(ValueError):
    """No row serves the problem; the reason is the message.  `arguments` turns it into the user's error."""


def candidates(problem: Problem, machine: Machine, table: tuple[Kernel, ...]) -> tuple[Candidate, ...]:
    """The rows for that kind of problem, those that do not serve it with the reason."""
    return tuple(Candidate(row, problem, machine, row.refuses(problem)) for row in table if row.problem is type(problem))


def make_plan(problem: Problem, machine: Machine, table: tuple[Kernel, ...], algorithm: str = "auto") -> Plan:
    """The cheapest row that serves the problem, or the named one.

    The batch size does not take part: costs are compared for one sample, so that a split batch gives the same bits.
    """
    kind, automatic = type(problem), algorithm == "auto"
    rows = [row for row in table if row.problem is kind and (row.automatic if automatic else row.name == algorithm)]
    usable = [row for row in rows if row.refuses(problem) is None]
    if not usable:
        raise NoKernel(_why_not(problem, machine, table, algorithm))
    row = _cheapest(usable, problem, machine) if automatic and len(usable) > 1 else usable[0]
    return Plan(problem, machine, row, problem, table)


def _cheapest(rows: list[Kernel], problem: Problem, machine: Machine) -> Kernel:
    """The first of the least cost.  Most of what a new shape takes are the rows' searches: those whose floor is dearer are left out."""
    least = inf, 0
    for floor, number in sorted((row.floor(problem, machine), number) for number, row in enumerate(rows)):
        if floor > least[0]:
            break
        least = min(least, (rows[number].cost(problem, machine), number))
    return rows[least[1]]


def _why_not(problem: Problem, machine: Machine, table: tuple[Kernel, ...], algorithm: str) -> str:
    found = candidates(problem, machine, table)
    if algorithm == "auto":
        return "; ".join(f"{c.kernel.name} {c.reason}" for c in found) or "no kernel for this operator"
    named = [c for c in found if c.kernel.name == algorithm]
    if named:
        return f"algorithm {algorithm!r} {named[0].reason}"
    names = ", ".join(dict.fromkeys(c.kernel.name for c in found))
    return f"unknown algorithm {algorithm!r}; this operator on {machine.name} has: auto, {names}"
