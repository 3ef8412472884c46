"""The row `filters`, and how it is packed and run."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...kernel import Kernel, Machine
from ...problem import FilterProblem
from ..runtime.tasks import Work
from ..runtime.workspace import borrow
from . import cost
from .kernel import driver
from .plan import SMALL_WORK, divisor_of, prepared, tiles_of

NUMBERS = frozenset({"float32", "float64", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))})
OVER_SEVERAL = ("fused", "listed", "in turn")
LEAST_WEIGHT = float(np.finfo(np.float64).eps)  # weights of no more SciPy leaves out of sums over several axes


class Ready(NamedTuple):
    """A filter by weights that are known."""

    work: Work
    weights: np.ndarray  # in the type of the sums: what stands beyond the edges, then those of each sum


Taps = tuple[tuple[int, int, int], ...]


def _dense(p: FilterProblem, w: np.ndarray, columns: bool, every: bool) -> tuple[Taps, np.ndarray]:
    """Places and weights of a kernel: as columns, or one by one."""
    if columns:
        depth, _, width = w.shape
        places = [(d, 0, c * p.step) for d in range(depth) for c in range(width)]
        return tuple(places), w.transpose(0, 2, 1).ravel()
    found = np.argwhere(every | (np.abs(w) > LEAST_WEIGHT if p.compute == "float64" else w != 0))
    return tuple((int(d), int(h), int(c) * p.step) for d, h, c in found), w[tuple(found.T)]


def _along(p: FilterProblem, order: str, w: np.ndarray, axis: int, columns: bool) -> tuple[Taps, np.ndarray]:
    """Those of a sum along one axis, in the order of SciPy's loops."""
    places = [(0, i, 0) if axis == 1 else (0, 0, i * p.step) for i in range(w.size)]
    if columns:
        return (places[0],), w
    half = w.size // 2
    if order in ("even", "odd"):
        pairs = [place for i in range(half) for place in (places[i], places[-1 - i])]
        return (places[half], *pairs), w[[half, *range(half)]]
    if order == "line":  # the last one first
        return (places[-1], *places[:-1]), w[[w.size - 1, *range(w.size - 1)]]
    return tuple(places), w


def pack(p: FilterProblem, weights: np.ndarray, machine: Machine) -> Ready:
    tiles = tiles_of(p, machine)
    columns = tiles[0].rows > 1
    if len(tiles) == 1:
        w, (order,) = weights.reshape(p.kernel), p.orders
        line = 2 if p.kernel[1] == 1 else 1
        parts = [_dense(p, w, columns, order == "fused") if order in OVER_SEVERAL else _along(p, order, w.ravel(), line, columns)]
    else:
        first, second = weights[: p.kernel[1]], weights[p.kernel[1] :]
        parts = [_along(p, p.orders[0], first, 1, columns), _along(p, p.orders[1], second, 2, False)]
    ready = prepared(p, machine, tuple(places for places, _ in parts))
    work = Work(
        loop=driver(tuple(map(tuple, tiles))),
        tables=ready.numbers,
        offsets=ready.numbers,
        tasks=ready.tasks,
        workers=min(machine.cores, ready.tasks) if p.terms * p.batch * np.prod(p.outputs) > SMALL_WORK else 1,
        room_pitch=ready.room,
    )
    return Ready(work, np.concatenate([[p.beyond], *(part for _, w in parts for part in ([divisor_of(p)], w))]).astype(p.compute))


def run(p: FilterProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, _, weights = arrays
    apply(weights if isinstance(weights, Ready) else pack(p, weights, machine), x, out)


def apply(ready: Ready, x: np.ndarray, out: np.ndarray) -> None:
    """`x` and `out` C-contiguous."""
    work, w = ready
    with borrow(work.rooms, w.dtype) as scratch:
        work.start(x.reshape(-1), w, w, out.reshape(-1), scratch, *work.rest)


def _workspace(p: FilterProblem, machine: Machine) -> int:
    tiles, size = tiles_of(p, machine), 4 if p.compute == "float32" else 8
    found = prepared(p, machine, tuple(((0, 0, 0),) for _ in tiles))
    workers = min(machine.cores, found.tasks) if p.terms * p.batch * np.prod(p.outputs) > SMALL_WORK else 1
    return workers * found.room * size


ROWS = (
    Kernel(
        name="filters",
        problem=FilterProblem,
        pack=pack,
        run=run,
        cost=cost.seconds,
        workspace=_workspace,
        dtypes=NUMBERS,
        own_types=True,
        summary="tiles of one channel in registers, edges by tables, two sums in one pass",
    ),
)
