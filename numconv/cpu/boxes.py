"""How a plan's result is divided among tasks and register tiles: for people who look at a plan, not for kernels."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ..kernel import Machine
from ..problem import ConvProblem, Ints
from .dense.channels import plan as channels
from .dense.positions import plan as positions
from .depthwise import plan as depthwise
from .winograd import plan as winograd


class ShownBoxes(NamedTuple):
    """Of one sample's result, on its spatial axes; several that a kernel takes for one are one of them, after others of extent 1."""

    outputs: Ints
    box: Ints  # outputs of a task along each axis, less at the end
    boxes: Ints  # along each axis
    tasks: int  # of all groups and channels
    tile_outputs: int  # that follow one another, and whose sums lie in registers at once …
    tile: str  # … of so many channels
    said: str  # what else there is to know


def boxes_of(problem: ConvProblem, name: str, machine: Machine) -> ShownBoxes | None:
    """Of the row of that name on all cores, its weights packed before; None for rows that have no boxes."""
    if name in ("direct", "gather"):
        return _of_positions(problem, machine)
    if name == "spread":
        return _of_channels(problem, machine)
    if name == "winograd":
        return _of_winograd(problem, machine)
    return _of_strips(problem, machine, name == "depthwise_last") if name in ("depthwise", "depthwise_last") else None


def _divided(rank: int, outputs: Ints, box: Ints, boxes: Ints, tasks: int, tile: tuple[int, int], said: str) -> ShownBoxes:
    """Of the last `rank` of a plan's axes; no box is larger than the result."""
    whole, parts, counts = (axes[len(axes) - rank :] for axes in (outputs, box, boxes))
    produced, positions = tile
    return ShownBoxes(whole, tuple(map(min, parts, whole)), counts, tasks, positions, f"{produced} × {positions} outputs", said)


def _of_positions(problem: ConvProblem, machine: Machine) -> ShownBoxes:
    p = positions.prepared(problem, machine, machine.cores)
    plan, (rows, vectors, lanes, *_) = p.plan, p.tile
    axes, jobs = (plan.t, plan.h, plan.w), (plan.filters.t, plan.filters.h, plan.filters.w)
    said = f"{plan.chunk} channels copied at a time; output channels in {plan.splits} part{'s' * (plan.splits > 1)}"
    if any(a.spread > 1 for a in axes):
        said += "; a box has every " + "×".join(str(a.spread) for a in axes) + "th output"
    box = tuple(a.box * a.spread * max(j.jobs, 1) for a, j in zip(axes, jobs, strict=True))
    boxes = tuple(-(-a.boxes // a.spread) for a in axes)
    return _divided(problem.rank, tuple(j.target for j in jobs), box, boxes, p.tasks, (rows, vectors * lanes), said)


def _of_channels(problem: ConvProblem, machine: Machine) -> ShownBoxes:
    p = channels.prepared(problem, machine, machine.cores)
    plan, (rows, vectors, lanes, *_) = p.plan, p.tile
    axes = (plan.t, plan.h, plan.w)
    box = tuple(a.box * max(a.taps.jobs, 1) for a in axes)
    read = "copied between zeros" if plan.copied else "read where they lie"
    said = f"boxes are {read}; output channels in {plan.splits} part{'s' * (plan.splits > 1)}"
    boxes = tuple(a.boxes for a in axes)
    return _divided(problem.rank, tuple(a.taps.target for a in axes), box, boxes, p.tasks, (vectors * lanes, rows), said)


def _of_winograd(problem: ConvProblem, machine: Machine) -> ShownBoxes:
    p = winograd.prepared(problem, machine, machine.cores)
    axes, transformed = (p.plan.o, p.plan.a, p.plan.i, p.plan.w), p.choice.box.axes
    box = [a.box * x.m * max(a.residues, 1) for a, x in zip(axes, transformed, strict=True)]
    kept = [i for i, a in enumerate(axes) if a.target > 1 or a.source > 1]
    kept = ([i for i in (0, 2, 1, 3) if i not in kept] + kept)[-problem.rank :]  # axes of one element, before the others
    tiles = "×".join(str(x.m) for x in transformed if x.m > 1)
    said = f"transforms of {tiles} outputs, {p.plan.frequencies} frequencies; channels {'last' if p.choice.last else 'first'}"
    outputs, parts, counts = (tuple(v[i] for i in kept) for v in ([a.target for a in axes], box, [a.boxes for a in axes]))
    tile = p.choice.block_channels, p.choice.tile_positions * prod(x.m for x in transformed)
    found = _divided(problem.rank, outputs, parts, counts, p.choice.tasks(problem), tile, said)
    return found._replace(tile=f"{p.choice.block_channels} × {p.choice.tile_positions} tiles of {tiles} outputs, a frequency at a time")


def _of_strips(problem: ConvProblem, machine: Machine, channels_last: bool) -> ShownBoxes:
    """Vectors along one axis: of a plane's outputs, of all columns side by side; channels last, of a pixel's channels."""
    p = depthwise.prepared(problem, machine)
    cut, _ = depthwise.cut_for(problem, machine)
    outputs = tuple(a.outputs for a in cut.axes)
    box = [1] * len(outputs)
    if cut.flat and not channels_last:
        box[-1] = cut.rows * cut.lanes
    else:
        box[-1], box[cut.along] = outputs[-1], cut.rows
    if channels_last:
        outputs, box = outputs[:-1], box[:-1]
    box = [min(b, n) for b, n in zip(box, outputs, strict=True)]
    boxes = tuple(-(-n // b) for n, b in zip(outputs, box, strict=True))
    tile = (cut.lanes, cut.rows) if channels_last else (1, cut.rows * cut.lanes)
    return _divided(problem.rank, outputs, tuple(box), boxes, p.tasks, tile, f"strips of {cut.rows} vectors of {cut.lanes}")
