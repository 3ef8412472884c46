"""The rows of Winograd's transforms, and how they are packed and run."""

from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np

from ...bounds import TILE, of_tiles
from ...kernel import FEW, Kernel, Machine, worth_its_error
from ...memory import kept
from ...problem import ConvProblem
from ..adapt.mirror import forward_of, refusal
from ..adapt.sums import summed
from ..runtime.launch import threads
from ..runtime.tasks import Work, perform
from ..runtime.workspace import aligned
from .axes import KINDS, choices, steady
from .cost import FLOAT
from .kernel import driver, packer, pixel_driver
from .plan import prepared, seconds
from .weights import kernel as gradient
from .weights.plan import predicted
from .weights.plan import prepared as prepared_gradient

FEWEST_CHANNELS = 4  # of a group
SAVES_LITTLE = "serves kernels of which a transform saves a third of the multiplications"
TOO_FEW = "serves four input channels per group or more"


@kept
def _work(problem: ConvProblem, machine: Machine, workers: int, given: bool) -> Work:
    p = prepared(problem, machine, workers, given)
    c = p.choice
    tasks = problem.batch * c.tasks(forward_of(problem))
    return Work(
        loop=pixel_driver(*c.tile, *c.kinds) if c.last else driver(*c.tile, *c.kinds, 1 if c.box.axes.w.dense else 2),
        tables=p.numbers,
        offsets=p.numbers,
        tasks=tasks,
        workers=min(workers, tasks),
        room_pitch=p.room,
        packed=p.packed if given and not p.plan.packs else 0,
        shared=p.shared,
        then=p.then,
    )


def _pack(problem: ConvProblem, w: np.ndarray, machine: Machine, packed: np.ndarray) -> None:
    p = prepared(problem.with_(batch=1), machine, 1)
    c = p.choice
    tasks = p.plan.groups * -(-p.plan.produced // c.block_channels)
    work = Work(
        loop=packer(c.block_channels, c.tile.lanes, *c.kinds),
        tables=p.numbers,
        offsets=p.numbers,
        tasks=tasks,
        workers=min(threads(), tasks),
        room_pitch=p.turned,
    )
    perform(work, w, w, None, packed)


def pack(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    """The transformed filters, (groups, frequencies, blocks, terms, channels of a block)."""
    packed = aligned((prepared(problem.with_(batch=1), machine, 1).packed,), w.dtype)
    packed[:] = 0  # gaps too: a layer holds packings against each other
    _pack(problem, w, machine, packed)
    return packed


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, w, bias = arrays
    work = _work(problem, machine, threads(), w.ndim > 1)
    perform(work, x, w, bias, out, lambda w, packed: _pack(problem, w, machine, packed))


def _refuse(problem: ConvProblem) -> str | None:
    reason = refusal(problem)
    return reason if reason is not None else _refuse_axes(forward_of(problem))


def _refuse_axes(p: ConvProblem) -> str | None:
    if not choices(p):
        return SAVES_LITTLE
    return TOO_FEW if p.group_in < FEWEST_CHANNELS else None


def _cost(problem: ConvProblem, machine: Machine) -> float:
    one = forward_of(problem.with_(batch=1))
    if not worth_its_error(one) and (one.multiplications < FEW or not steady(one, next(iter(choices(one))))):
        return inf  # by name only
    return seconds(one, machine)


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    sizes = []
    for given in (False, True):
        p = prepared(problem, machine, machine.cores, given)
        filters = p.packed + machine.cores * p.turned if given and not p.plan.packs else 0
        sizes.append(machine.cores * p.room + p.shared + filters)
    return FLOAT * max(sizes)


@kept
def _gradient_work(problem: ConvProblem, machine: Machine, workers: int) -> Work:
    p = prepared_gradient(problem, machine, workers)
    return Work(
        loop=gradient.driver(*p.tile, *p.kinds),
        tables=p.numbers,
        offsets=p.numbers,
        tasks=p.tasks,
        workers=min(workers, p.tasks),
        room_pitch=p.room,
    )


def run_gradient(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, y = arrays
    perform(_gradient_work(problem, machine, threads()), x, y, None, out)


def _gradient_cost(problem: ConvProblem, machine: Machine) -> float:
    """Of all cores."""
    if not worth_its_error(problem.with_(batch=1)):
        return inf  # by name only
    return machine.launch + predicted(problem, machine, machine.cores) * machine.cycle


def _gradient_workspace(problem: ConvProblem, machine: Machine) -> int:
    return FLOAT * machine.cores * prepared_gradient(problem, machine, machine.cores).room


def _error(problem: ConvProblem) -> float:
    """Of whichever axes are taken.  A forward sum goes over channels and pieces of the taps, a weight gradient over tiles."""
    back = problem.direction == "weight_grad"
    p = problem if back else forward_of(problem)
    found = []
    for x in choices(p):
        kinds = tuple((axis.frequencies, KINDS[axis.frequencies][1]) for axis in x)
        pieces = 1 if back else prod(axis.pieces for axis in x)
        terms = p.batch * prod(p.outputs) if back else p.group_in * pieces
        found.append(of_tiles(kinds, terms, pieces, p.dtype, problem.direction))
    return max(found)


ROWS = (
    Kernel(
        name="winograd",
        problem=ConvProblem,
        run=run,
        pack=pack,
        cost=_cost,
        workspace=_workspace,
        refuse=_refuse,
        takes_plain=True,
        error_factor=4.0,
        error_of=TILE,
        error_size=_error,
        directions=frozenset({"forward", "input_grad"}),
        dtypes=frozenset({"float32"}),
        honours=frozenset({"groups", "layout", "activation", "precision"}),
        summary="F(4, r) on one axis or two, taps cut into pieces: a half to a quarter of the multiplications, "
        "for about twice the rounding error",
    ),
    Kernel(
        name="winograd_weights",
        problem=ConvProblem,
        run=summed(run_gradient),
        cost=_gradient_cost,
        workspace=_gradient_workspace,
        refuse=_refuse_axes,
        error_factor=4.0,
        error_of=TILE,
        error_size=_error,
        directions=frozenset({"weight_grad"}),
        dtypes=frozenset({"float32"}),
        honours=frozenset({"groups", "activation", "precision"}),
        summary="the sum of outer products on Winograd's frequencies: a half to a quarter of the multiplications, "
        "for about twice the rounding error",
    ),
)
