"""What would run, what it would cost, and why the others would not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .. import devices
from ..arguments.edge import edge, public
from ..arguments.values import Subject, shown
from ..bounds import Bound
from ..catalog import find
from ..plan import Candidate, Plan
from ..problem import ConvProblem, DeformProblem, SeparableProblem
from ..watching import Step, is_operator, trace, workspace

NAMED = (ConvProblem, DeformProblem, SeparableProblem)  # problems whose kernel `algorithm` names: see `session.Session`


@dataclass(frozen=True)
class Explanation:
    """The steps of a call, the plan of each, and a table of them when printed."""

    steps: tuple[Step, ...]
    plans: tuple[Plan, ...]
    refused: Mapping[str, str] = field(default_factory=dict)  # of several kernels in turn: names that not all of them take, and why

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
        return _candidates(self.plan, self.refused)

    @property
    def bound(self) -> Bound:
        """How far an element of `plan`'s result may be from the exact one; `factor`, what it goes with, and in words when printed."""
        return self.plan.kernel.bound(self.plan.problem)

    @property
    def workspace(self) -> int:
        """Bytes beyond inputs and result: the kernels', copies made of the arrays before, and what lies between the steps."""
        return workspace(self.steps, self.plans)

    @property
    def seconds(self) -> float:
        """Predicted, all steps."""
        return sum(p.kernel.cost(p.problem, p.machine) for p in self.plans)

    def __str__(self) -> str:
        tables = [_table(step, plan, self.refused) for step, plan in zip(self.steps, self.plans, strict=True)]
        return "\n\n".join(tables) or "nothing to run: the result is empty"

    __repr__ = __str__


def _candidates(plan: Plan, refused: Mapping[str, str]) -> tuple[Candidate, ...]:
    """A row that serves this step counts as refused where the call as a whole does not take its name."""
    direction = getattr(plan.problem, "direction", "forward")
    found = [c for c in plan.candidates if direction in c.kernel.directions]
    if not isinstance(plan.problem, NAMED):
        return tuple(found)
    return tuple(c if c.reason is not None else replace(c, reason=refused.get(c.kernel.name)) for c in found)


def _taken(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], plans: tuple[Plan, ...]) -> dict[str, str]:
    """Of a composite, why it does not take the name of a kernel that serves one of its steps: another step is not served."""
    names = {c.kernel.name for plan in plans if isinstance(plan.problem, NAMED) for c in plan.candidates if c.reason is None}
    refused = {}
    for name in sorted(names):
        try:
            with trace() as steps:
                function(*args, **options | {"algorithm": name})
            for step in steps:
                step.plan()
        except ValueError as error:
            refused[name] = "here, but not in another step: " + str(error).partition(": ")[2]
    return refused


def _table(step: Step, plan: Plan, refused: Mapping[str, str]) -> str:
    problem = plan.problem
    kind = " ".join([type(problem).__name__, *([problem.direction] if hasattr(problem, "direction") else [])])
    head = f"{step.name}: {kind} {problem.dtype} → {problem.result_shape} on {plan.machine.name}"
    rows = [("algorithm", "chosen", "ms", "workspace", "error by", "why not")]
    for c in _candidates(plan, {}):
        chosen = "*" if c.kernel is plan.kernel else ""
        if c.reason is not None:
            rows.append((c.kernel.name, chosen, "", "", "", c.reason))
            continue
        ms = f"{1e3 * c.kernel.cost(problem, plan.machine):.4g}"
        by_name = refused.get(c.kernel.name, "") if isinstance(problem, NAMED) else ""
        why = by_name or ("" if chosen or c.kernel.automatic else "only when named")
        rows.append((c.kernel.name, chosen, ms, str(step.workspace(c.kernel, plan.machine)), _error(c.kernel.bound(problem)), why))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    error = f"error: {plan.kernel.bound(problem)}"
    return "\n".join(
        [head, error, *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)]
    )


def _error(bound: Bound) -> str:
    return f"{bound.factor:.2g} {bound.goes_with}" if bound.factor else "exact"


@edge("explain", operators=True)
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
        bytes, `seconds` is predicted, `bound` is of the error; `steps` and `plans` have one entry for each kernel that would run.  It
        prints as a table.

    Examples
    --------
    >>> plan = nc.explain(nc.conv2d, np.ones((1, 3, 8, 8)), np.ones((4, 3, 3, 3)))
    >>> plan.algorithm in nc.algorithms(nc.conv2d)
    True
    """
    if not is_operator(function):
        raise Subject("explain").type(f"function must be an operator of numconv; got {shown(function)}")
    with trace() as steps:
        function(*args, **options)
    plans = tuple(step.plan() for step in steps)
    variant = find(function)
    refused = _taken(function, args, options, plans) if variant is not None and variant.composite else {}
    return Explanation(tuple(steps), plans, refused)


@public
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
    if not isinstance(device, str) or device not in ("cpu", "cuda"):
        raise subject.value(f"device must be 'cpu' or 'cuda'; got {shown(device)}")
    variant = find(function)
    if variant is None:
        raise subject.value(f"function must be one of the catalog's; got {shown(function)}")
    rows = devices.device(device).table()
    names = [row.name for row in rows if row.problem in (variant.problem, variant.fused) and variant.direction in row.directions]
    return tuple(dict.fromkeys(names))
