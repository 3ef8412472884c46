"""A plan as a picture: which kernels were weighed, what the chosen one costs, and how it divides the result."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..api.explain import Explanation
from ..arguments.edge import public
from ..arguments.values import Subject, shown
from ..plan import Plan
from ..problem import ConvProblem, SeparableProblem
from .style import Palette, new_figure, palette, subplots

LONGEST_REASON = 46  # characters
MOST_LINES = 60  # between boxes of an axis: more would be a grey area
ROW = 0.26  # inches of a kernel's line


@public
def plan(explanation: Explanation, *, dark: bool = False) -> Figure:
    """What `nc.explain` found: a line of kernels for each step, and beside it the result in its boxes.

    Parameters
    ----------
    explanation : Explanation, as `nc.explain` gives it
    dark : bool
        On a dark ground.

    Returns
    -------
    matplotlib.figure.Figure
        Left, predicted times of the kernels that serve the step (hatched: the chosen one) and why the others do not.  Right, the last two
        axes of the result: lines between the boxes of tasks, the first box hatched, in it a register tile's outputs.
    """
    subject = Subject("plan")
    colors = palette(subject, dark)
    if not isinstance(explanation, Explanation):
        raise subject.type(f"explanation must be what nc.explain gives; got {shown(explanation)}")
    if not explanation.plans:
        raise subject.value("nothing to be drawn: the result is empty")
    entries = [step["candidates"] for step in explanation.as_dict()["steps"]]
    heights = [max(2.6, ROW * len(e) + 1.1) for e in entries]
    figure = new_figure(8.6, sum(heights), colors)
    axes = subplots(figure, colors, 2, len(entries), height_ratios=heights, width_ratios=[1.15, 1])
    for i, (step, made, candidates) in enumerate(zip(explanation.steps, explanation.plans, entries, strict=True)):
        title = f"{step.name}: {type(made.problem).__name__.removesuffix('Problem')}, {made.problem.dtype}, on {made.machine.name}"
        _kernels(axes[2 * i], candidates, title, colors)
        _boxes(axes[2 * i + 1], made, colors)
    return figure


def _kernels(axes: Any, candidates: list[dict[str, Any]], title: str, colors: Palette) -> None:
    longest = max((c["ms"] for c in candidates if c["ms"] is not None), default=1.0)
    least = min((c["ms"] for c in candidates if c["ms"]), default=longest)
    logarithmic = longest > 30 * least
    for i, c in enumerate(candidates):
        if c["ms"] is None:
            reason = c["why_not"] if len(c["why_not"]) <= LONGEST_REASON else c["why_not"][:LONGEST_REASON] + "…"
            axes.text(0.01, i, reason, transform=axes.get_yaxis_transform(), va="center", color=colors.text, fontsize=8, style="italic")
            continue
        face, hatch = (colors.active, "////") if c["chosen"] else (colors.source, "")
        axes.barh(i, c["ms"], height=0.7, color=face, hatch=hatch, edgecolor=colors.edge)
        note = f" {c['ms']:.3g} ms" + (", chosen" if c["chosen"] else f", {c['why_not']}" if c["why_not"] else "")
        label = {"facecolor": colors.ground, "edgecolor": "none", "pad": 0.6}
        inside = c["ms"] > 0.6 * longest and not logarithmic
        axes.annotate(
            note, (0 if inside else c["ms"], i), (4, 0), textcoords="offset points", va="center", color=colors.text, fontsize=8, bbox=label
        )
    axes.set_yticks(range(len(candidates)), [c["algorithm"] for c in candidates], color=colors.text, fontsize=9)
    axes.set_ylim(len(candidates) - 0.4, -0.6)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(least / 3, longest * 30)
    else:
        axes.set_xlim(0, longest * 1.45)
    axes.set_xlabel("predicted, ms", fontsize=8)
    axes.set_title(title, fontsize=9, loc="left", color=colors.text)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _boxes(axes: Any, made: Plan, colors: Palette) -> None:
    problem = made.problem.column if isinstance(made.problem, SeparableProblem) else made.problem
    found = None
    if isinstance(problem, ConvProblem) and made.machine.name == "cpu":
        from ..cpu.boxes import boxes_of

        found = boxes_of(problem, made.kernel.name, made.machine)
    if found is None:
        axes.set_axis_off()
        shape = "×".join(map(str, made.problem.result_shape))
        axes.text(
            0.5,
            0.5,
            f"{made.kernel.name}: result {shape},\nnot divided into boxes",
            ha="center",
            va="center",
            color=colors.text,
            fontsize=9,
        )
        return
    extents = found.outputs
    (rows, columns), (height, width) = ((1, *extents)[-2:], (1, *found.box)[-2:])
    unit = max(columns / 24, 0.01) if rows == 1 else 1  # of a line's height, so that it can be seen
    axes.add_patch(Rectangle((0, 0), columns, rows * unit, facecolor=colors.target, edgecolor=colors.edge))
    across, down = range(0, columns, max(width, 1)), range(0, rows, max(height, 1))
    if len(across) <= MOST_LINES:
        axes.vlines(list(across), 0, rows * unit, color=colors.edge, linewidth=0.8)
    if len(down) <= MOST_LINES:
        axes.hlines([v * unit for v in down], 0, columns, color=colors.edge, linewidth=0.8)
    width, height = min(width, columns), min(height, rows)
    axes.add_patch(Rectangle((0, 0), width, height * unit, facecolor=colors.active, edgecolor=colors.edge, hatch="///", linewidth=1.6))
    tile = min(found.tile_outputs, width)
    axes.add_patch(
        Rectangle(
            (0, 0),
            tile,
            unit * min(height, max(1, found.tile_outputs // max(width, 1))),
            facecolor=colors.text,
            edgecolor=colors.ground,
            hatch="xx",
        )
    )
    axes.set(xlim=(-0.02 * columns, 1.02 * columns), ylim=(rows * unit * 1.02, -0.02 * rows * unit))
    axes.set_aspect("equal", anchor="NW")
    axes.set_axis_off()
    box, boxes, target = ("×".join(map(str, v)) for v in (found.box, found.boxes, extents))
    lines = [
        f"{made.kernel.name}: {found.tasks} tasks on {made.machine.cores} cores", f"outputs {target} in {boxes} boxes of {box} (hatched)",
        *f"register tile (crossed): channels {found.tile}; {found.said}".replace(", a frequency", ";a frequency").split(";"),
    ]  # fmt: skip
    axes.set_title("\n".join(line.strip() for line in lines), fontsize=8, loc="left", color=colors.text)
