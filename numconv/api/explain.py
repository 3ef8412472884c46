"""What would run, what it would cost, and why the others would not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import devices
from ..arguments.values import Subject
from ..catalog import find
from ..plan import Candidate, Plan
from ..problem import ConvProblem
from ..watching import Step, trace


@dataclass(frozen=True)
class Explanation:
    """The steps of a call, the plan of each, and a table of them when printed."""

    steps: tuple[Step, ...]
    plans: tuple[Plan, ...]

    @property
    def plan(self) -> Plan:
        """Of the only step, or of the first convolution."""
        return next((p for p in self.plans if isinstance(p.problem, ConvProblem)), self.plans[0])

    @property
    def algorithm(self) -> str:
        return self.plan.kernel.name

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All kernels for this kind of problem and direction."""
        return _candidates(self.plan)

    @property
    def workspace(self) -> int:
        """Bytes beyond inputs and result, the largest of the steps."""
        return max((p.kernel.workspace(p.problem, p.machine) for p in self.plans), default=0)

    @property
    def seconds(self) -> float:
        """Predicted, all steps."""
        return sum(p.kernel.cost(p.problem, p.machine) for p in self.plans)

    def __str__(self) -> str:
        tables = [_table(step, plan) for step, plan in zip(self.steps, self.plans, strict=True)]
        return "\n\n".join(tables) or "nothing to run: the result is empty"

    __repr__ = __str__


def _candidates(plan: Plan) -> tuple[Candidate, ...]:
    direction = getattr(plan.problem, "direction", "forward")
    return tuple(c for c in plan.candidates if direction in c.kernel.directions)


def _table(step: Step, plan: Plan) -> str:
    problem = plan.problem
    kind = " ".join([type(problem).__name__, *([problem.direction] if hasattr(problem, "direction") else [])])
    head = f"{step.name}: {kind} {problem.dtype} → {problem.result_shape} on {plan.machine.name}"
    rows = [("algorithm", "chosen", "ms", "workspace", "error", "why not")]
    for c in _candidates(plan):
        chosen = "*" if c.kernel is plan.kernel else ""
        if c.reason is not None:
            rows.append((c.kernel.name, chosen, "", "", "", c.reason))
            continue
        ms = f"{1e3 * c.kernel.cost(problem, plan.machine):.4g}"
        why = "" if chosen or c.kernel.automatic else "only when named"
        rows.append((c.kernel.name, chosen, ms, str(c.kernel.workspace(problem, plan.machine)), f"{c.kernel.error_factor:g}", why))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    return "\n".join([head, *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)])


def explain(function: Callable[..., Any], *args: Any, **options: Any) -> Explanation:
    """What `function(*args, **options)` would run, and why the other kernels would not; nothing is computed.

    Parameters
    ----------
    function : a public function that maps arrays to an array
    *args, **options
        Its arguments.

    Returns
    -------
    Explanation
        `algorithm` names the chosen kernel of the (first) convolution, `candidates` all that were considered, `workspace` is in
        bytes, `seconds` is predicted; `steps` and `plans` have one entry for each kernel that would run.  It prints as a table.

    Examples
    --------
    >>> plan = nc.explain(nc.conv2d, np.ones((1, 3, 8, 8)), np.ones((4, 3, 3, 3)))
    >>> plan.algorithm in nc.algorithms(nc.conv2d)
    True
    """
    if not callable(function):
        raise Subject("explain").type(f"function must be an operator of numconv; got {function!r}")
    with trace() as steps:
        function(*args, **options)
    return Explanation(tuple(steps), tuple(step.plan() for step in steps))


def algorithms(function: Callable[..., Any], device: str = "cpu") -> tuple[str, ...]:
    """Names of the kernels that a device has for a function's kind of problem: what `algorithm=` may be.

    Parameters
    ----------
    function : a public function that maps arrays to an array
    device : {"cpu", "cuda"}

    Examples
    --------
    >>> "direct" in nc.algorithms(nc.conv2d)
    True
    """
    subject = Subject("algorithms")
    if device not in ("cpu", "cuda"):
        raise subject.value(f"device must be 'cpu' or 'cuda'; got {device!r}")
    variant = find(function)
    if variant is None:
        raise subject.value(f"function must be one of the catalog's; got {function!r}")
    rows = devices.device(device).table()
    names = [row.name for row in rows if row.problem in (variant.problem, variant.fused) and variant.direction in row.directions]
    return tuple(dict.fromkeys(names))
