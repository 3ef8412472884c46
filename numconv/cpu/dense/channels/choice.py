"""The choice of tile, box and splits for `spread`: the costs of all candidates at once, as arrays."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....hosts import dtype_of
from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.tiles import SMALL_PROBLEM, over, parts
from .cost import PACK, PACK_BLOCK, Candidates, Tiles, extents, least_cycles, row_tiles, scattered, task_cycles, tile_start, tile_term
from .layout import SpreadLayout, layout

#: (positions, vectors), by number of SIMD registers; of small problems, since each tile is seconds of compilation
SPREAD_TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: (*((p, 2) for p in range(14, 1, -1)), *((p, 1) for p in (*range(20, 13, -1), 12, 10, 8)), (1, 4), (1, 2)),
    16: ((6, 2), (5, 2), (4, 2), (3, 2), (6, 1), (1, 2)),
}
SMALL_SPREAD_TILES = {32: ((9, 2), (8, 1), (1, 2)), 16: ((5, 2), (6, 1), (1, 2))}
CLOSE = 4  # tiles that are tried with every box
CLEARLY = 0.95  # of the cost: tiles that were changed for a predicted 2 % lost up to 14 (decision 28)
LONG_ROW = 100  # targets; longer rows are cut, too …
LEAST_PART = 56  # … into parts no shorter than this


class SpreadChoice(NamedTuple):
    """What is chosen, and its cycles of all workers."""

    cycles: float
    tile: tuple[int, int]  # positions, vectors
    box: tuple[int, int, int]  # targets of a task
    copied: bool  # the rows of a box, between zeros
    splits: int  # of the channels


@lru_cache(maxsize=16)
def _tried(machine: Machine, small: bool) -> Tiles:
    """The tiles that are tried, of small problems or others."""
    tiles = (SMALL_SPREAD_TILES if small else SPREAD_TILES)[32 if machine.registers >= 32 else 16]
    return Tiles(*np.array([(*tile, tile_term(*tile, machine), tile_start(*tile)) for tile in tiles]).T)


def _tiles(problem: ConvProblem, a: SpreadLayout, lanes: int, machine: Machine) -> Tiles:
    """Those that fit rows and channels best, boxes aside."""
    tiles = _tried(machine, problem.multiplications < SMALL_PROBLEM)
    row_of_pixels = a.last and a.taps == problem.rank == 1  # samples perhaps (`as_pixels`): a layer's packing must not go by their number
    if row_of_pixels or a.produced <= lanes:
        tiles = Tiles(*(of[tiles.vectors == (1 if a.produced <= lanes else 2)] for of in tiles))
    number, taps = row_tiles(a, a.axes[2].count, tiles.positions)
    cycles = taps * (a.terms / a.axes[2].taps.taps if a.terms else 0.0) / a.phases * tiles.term + number * tiles.start
    best = np.argsort(cycles * over(a.produced, tiles.vectors * lanes), kind="stable")[:CLOSE]
    return Tiles(*(of[best] for of in tiles))


def floor(problem: ConvProblem, machine: Machine) -> float:
    """Seconds that no candidate takes less than, for one sample and one worker: copies and far memory aside, whole rows."""
    a, lanes = layout(problem), machine.vector_bytes // dtype_of(problem.dtype).itemsize
    return least_cycles(a, _tiles(problem, a, lanes, machine), lanes, LONG_ROW) * problem.groups * machine.cycle


def _boxes(a: SpreadLayout) -> np.ndarray:
    """(Axis, box)."""
    ct, ch, cw = (x.count for x in a.axes)
    boxes = [(bt, ch, cw) for bt in parts(ct)] + [(bt, bh, cw) for bt in (1, 2, 4, 8) if bt <= ct for bh in parts(ch)]
    if cw > LONG_ROW:
        boxes += [(1, 1, b) for b in parts(cw, LEAST_PART)]
    return np.array(list(dict.fromkeys(boxes)), np.float64).T


class Search(NamedTuple):
    """All candidates of a problem, for one sample."""

    candidates: Candidates
    cycles: np.ndarray  # of a task of each; infinite where it is none
    boxes: np.ndarray  # that each box divides the targets into
    whole: np.ndarray  # share of the targets of that many whole boxes that there are


@lru_cache(maxsize=4)  # those of a problem are asked for one after the other, by `seconds` and by `prepared`
def _search(problem: ConvProblem, machine: Machine, workers: int) -> Search:
    """For one worker and for so many."""
    a = layout(problem)
    size = dtype_of(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    tiles = Tiles(*(of.reshape(-1, 1, 1, 1) for of in _tiles(problem, a, lanes, machine)))
    t, h, w = (of.reshape(-1, 1, 1) for of in _boxes(a))
    splits = np.minimum(np.array([2, 1, workers, 2 * workers]), over(a.produced, tiles.vectors * lanes))
    targets, count = t * h * w, [x.count for x in a.axes]
    # rows must be copied where tiles overrun them, or read beside them
    must = a.axes[2].padded | (np.minimum(a.axes[2].least, (count[2] - 1) % w + 1) < tiles.positions)
    if a.in_pieces:
        must = (a.axes[2].pieces[0].min() < tiles.positions) | (w < count[2])
    choices = np.array([[False], [True]] if scattered(a, size) or must.all() != must.any() else [[bool(must[0, 0, 0, 0])]])
    c = Candidates(tiles, (t, h, w), choices, splits)
    none = (targets * (tiles.vectors * lanes * size) > machine.l2 // 4) & (targets > 64)  # too many sums
    planes, lines, wide = extents(a, c.box)
    large = a.summed * size * (planes * lines * wide) > machine.l2 * 3 // 4
    large[targets.argmin()] = False  # the smallest box may be
    none = none | np.where(choices, large, must)
    if choices.size > 1 and not scattered(a, size):
        none = none | (choices & ~must)
    boxes = over(count[0], t) * over(count[1], h) * over(count[2], w)
    return Search(c, np.where(none, np.inf, task_cycles(a, c, lanes, machine, size)), boxes, prod(count) / (boxes * targets))


def once(problem: ConvProblem, boxes: Any) -> Any:
    """Whether each block of filters is used by one task, which then packs it itself."""
    return (problem.batch == 1) & (boxes == 1)


def single(problem: ConvProblem) -> ConvProblem:
    """For one sample."""
    return problem if problem.batch == 1 else problem.with_(batch=1)


def best(problem: ConvProblem, machine: Machine, workers: int, tile: tuple[int, int] | None, given: bool = False) -> SpreadChoice:
    """The cheapest; `given`: with the cycles that packing the weights takes."""
    c, cycles, boxes, whole = _search(single(problem), machine, workers if workers > 1 else machine.cores)
    some = 0 if tile is None else int(np.flatnonzero((c.tiles.positions == tile[0]) & (c.tiles.vectors == tile[1]))[0])
    which = slice(some, None if tile is None else some + 1), ..., slice(1, None, -1) if workers == 1 else slice(1, None)
    splits, cycles = c.splits[which], cycles[which]
    tasks = (problem.batch * problem.groups) * boxes * splits
    cost = cycles * (over(tasks, workers) * workers)  # the last workers wait
    if workers == 1:
        cost = cost * whole  # the last boxes are smaller; several workers wait for a whole one
    if given:
        weights = problem.out_channels * problem.group_in * problem.taps
        cost = cost + weights * np.where(once(problem, boxes), PACK_BLOCK, PACK)
    i, b, copied, s = np.unravel_index(cost.argmin(), cost.shape)
    return SpreadChoice(
        cycles=float(cost[i, b, copied, s]),
        tile=(int(c.tiles.positions[some + i, 0, 0, 0]), int(c.tiles.vectors[some + i, 0, 0, 0])),
        box=tuple(int(of[b, 0, 0]) for of in c.box),  # type: ignore[arg-type]
        copied=bool(c.copied[copied, 0]),
        splits=int(splits[i, 0, 0, s]),
    )


@lru_cache(maxsize=4)  # for `seconds`, then for `prepared`
def alone(problem: ConvProblem, machine: Machine) -> SpreadChoice:
    """For one sample and one worker, whatever the call has."""
    return best(single(problem), machine, 1, None)


def best_tile(problem: ConvProblem, machine: Machine) -> tuple[int, int]:
    """The best for one core; that for all of them where it is clearly better: 9 blocks of filters leave one of two idle, 18 do not."""
    tile, together = alone(problem, machine).tile, best(problem, machine, machine.cores, None)
    if together.tile == tile:
        return tile
    return together.tile if together.cycles < CLEARLY * best(problem, machine, machine.cores, tile).cycles else tile
