"""Choice of a kernel: filter a table, take the cheapest.  Pure; names no kernel and no variant; explains itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .kernel import Kernel, Machine
from .problem import Problem


@dataclass(frozen=True)
class Candidate:
    """One row of the table held against one problem."""

    kernel: Kernel
    reason: str | None  # why not, or None
    seconds: float | None = None
    workspace: int | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """What runs, and why the others do not.  Compared and looked up as the object that it is."""

    problem: Problem
    machine: Machine
    kernel: Kernel
    candidates: tuple[Candidate, ...]
    bound: dict[Any, Callable[[tuple[Any, ...]], Any]] = field(init=False, default_factory=dict)  # on the host: see `session.bind`

    @cached_property
    def seconds(self) -> float:
        """What the kernel is predicted to take."""
        return next(c.seconds for c in self.candidates if c.kernel is self.kernel and c.seconds is not None)


class NoKernel(ValueError):
    """No row serves the problem; the reason is the message.  `arguments` turns it into the user's error."""


def candidates(problem: Problem, machine: Machine, table: tuple[Kernel, ...]) -> tuple[Candidate, ...]:
    found = []
    for kernel in table:
        if kernel.problem is not type(problem):
            continue
        reason = kernel.refuses(problem)
        if reason is None:
            found.append(Candidate(kernel, None, kernel.cost(problem, machine), kernel.workspace(problem, machine)))
        else:
            found.append(Candidate(kernel, reason))
    return tuple(found)


def make_plan(problem: Problem, machine: Machine, table: tuple[Kernel, ...], algorithm: str = "auto") -> Plan:
    """The cheapest row that serves the problem, or the named one.

    The batch size does not take part: costs are compared for one sample, so that a split batch gives the same bits.
    """
    found = candidates(problem, machine, table)
    if algorithm == "auto":
        usable = [c for c in found if c.reason is None and c.kernel.automatic]
        if not usable:
            raise NoKernel("; ".join(f"{c.kernel.name} {c.reason}" for c in found) or "no kernel for this operator")
        best = min(usable, key=lambda c: c.seconds)  # type: ignore[arg-type, return-value]
        return Plan(problem, machine, best.kernel, found)
    named = [c for c in found if c.kernel.name == algorithm]
    if not named:
        names = ", ".join(dict.fromkeys(c.kernel.name for c in found))
        raise NoKernel(f"unknown algorithm {algorithm!r}; this operator on {machine.name} has: auto, {names}")
    for candidate in named:
        if candidate.reason is None:
            return Plan(problem, machine, candidate.kernel, found)
    raise NoKernel(f"algorithm {algorithm!r} {named[0].reason}")
