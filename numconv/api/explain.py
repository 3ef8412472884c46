"""What would run, what it would cost, and why the others would not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from importlib.util import find_spec
from io import StringIO
from math import isfinite
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

    def picture(self, dark: bool = False) -> Any:
        """A matplotlib figure: `nc.plot.plan` of this."""
        from .. import plot  # at the first picture: it needs matplotlib

        return plot.plan(self, dark=dark)

    def _repr_html_(self) -> str:
        """For notebooks: the tables, and the picture where matplotlib is installed."""
        tables = [_html(step, plan, self.refused) for step, plan in zip(self.steps, self.plans, strict=True)]
        if not tables:
            return f"<p>{escape(str(self))}</p>"
        return "".join(tables) + (self._svg() if find_spec("matplotlib") else "")

    def _svg(self) -> str:
        drawn = StringIO()
        self.picture().savefig(drawn, format="svg")
        text = drawn.getvalue()
        return text[text.index("<svg") :]

    def as_dict(self) -> dict[str, Any]:
        """The tables as plain values (JSON has all of them): times in ms, workspace in bytes."""
        pairs = list(zip(self.steps, self.plans, strict=True))
        steps = [
            {
                "function": step.name, "problem": type(plan.problem).__name__, "dtype": plan.problem.dtype, "device": plan.machine.name,
                "result_shape": list(plan.problem.result_shape), "algorithm": plan.kernel.name,
                "candidates": _entries(step, plan, self.refused),
            }
            for step, plan in pairs
        ]  # fmt: skip
        return {"ms": 1e3 * self.seconds if pairs else 0.0, "workspace": self.workspace if pairs else 0, "steps": steps}


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


HEADINGS = ("algorithm", "chosen", "ms", "workspace", "error by", "why not")


def _head(step: Step, plan: Plan) -> str:
    problem = plan.problem
    kind = " ".join([type(problem).__name__, *([problem.direction] if hasattr(problem, "direction") else [])])
    return f"{step.name}: {kind} {problem.dtype} → {problem.result_shape} on {plan.machine.name}"


def _entries(step: Step, plan: Plan, refused: Mapping[str, str]) -> list[dict[str, Any]]:
    """Of each kernel, what `as_dict` says of it."""
    found: list[dict[str, Any]] = []
    for c in _candidates(plan, {}):
        entry: dict[str, Any] = {"algorithm": c.kernel.name, "chosen": c.kernel is plan.kernel}
        if c.reason is not None:
            found.append(entry | {"ms": None, "workspace": None, "error": None, "why_not": c.reason})
            continue
        ms = 1e3 * c.kernel.cost(plan.problem, plan.machine)
        by_name = refused.get(c.kernel.name, "") if isinstance(plan.problem, NAMED) else ""
        found.append(
            entry
            | {
                "ms": ms if isfinite(ms) else None,
                "workspace": step.workspace(c.kernel, plan.machine),
                "error": _error(c.kernel.bound(plan.problem)),
                "why_not": by_name or ("" if entry["chosen"] or (c.kernel.automatic and isfinite(ms)) else "only when named"),
            }
        )
    return found


def cells_of(entry: dict[str, Any]) -> tuple[str, ...]:
    """An entry as a row under `HEADINGS`."""
    chosen = "*" if entry["chosen"] else ""
    if entry["workspace"] is None:
        return entry["algorithm"], chosen, "", "", "", entry["why_not"]
    ms = "" if entry["ms"] is None else f"{entry['ms']:.4g}"
    return entry["algorithm"], chosen, ms, str(entry["workspace"]), entry["error"], entry["why_not"]


def _table(step: Step, plan: Plan, refused: Mapping[str, str]) -> str:
    rows = [HEADINGS, *(cells_of(entry) for entry in _entries(step, plan, refused))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    error = f"error: {plan.kernel.bound(plan.problem)}"
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join([_head(step, plan), error, *lines])


def _html(step: Step, plan: Plan, refused: Mapping[str, str]) -> str:
    """The same table for a notebook, the chosen kernel in bold besides its mark."""

    def row(cells: tuple[str, ...], tag: str, bold: bool = False) -> str:
        form = "<b>{}</b>" if bold else "{}"
        return "<tr>" + "".join(f"<{tag} style='text-align:left'>{form.format(escape(c))}</{tag}>" for c in cells) + "</tr>"

    body = "".join(row(cells_of(entry), "td", entry["chosen"]) for entry in _entries(step, plan, refused))
    caption = (
        f"<caption style='text-align:left'>{escape(_head(step, plan))}<br>error: {escape(str(plan.kernel.bound(plan.problem)))}</caption>"
    )
    return f"<table>{caption}<thead>{row(HEADINGS, 'th')}</thead><tbody>{body}</tbody></table>"


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
