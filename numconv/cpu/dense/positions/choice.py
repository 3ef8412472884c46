"""The choice of tile, box and splits for `direct` and `gather`: the costs of all candidates at once, as arrays.

The tile depends on the problem and the machine alone (packed weights do); boxes and splits also on the number of workers, which changes
no bit of the result.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ....hosts import PAIRS, dtype_of
from ....kernel import Machine, wide_margins
from ....problem import ConvProblem
from ...geometry.tiles import SMALL_PROBLEM, over, parts
from .cost import BoxCopy, RowTiles, TriedBoxes, boxes_of, fits, least_cycles, task_cycles, tiles_of
from .reads import Geometry, geometry

#: rows × vectors, by number of SIMD registers; the sums, one row of inputs and one broadcast weight must fit
ROW_TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((12, 2), (8, 3), (4, 6), (2, 8), (1, 8)), 16: ((6, 2), (4, 3), (2, 4), (1, 8))}
NARROW = 128  # targets; longer rows are not worth unfolding (2026-11-24)
LONG = 512  # targets; longer rows are cut …
LEAST_CUT = 64  # … into parts no shorter than this, times the rows beside each other up to four


class Choice(NamedTuple):
    """What is chosen."""

    cycles: float  # predicted, of all workers
    tile: tuple[int, int]  # rows, vectors
    geometry: Geometry
    copy: BoxCopy
    splits: int  # of the blocks of a group, over tasks
    chunk: int  # channels that are copied and summed at a time


class Tried(NamedTuple):
    """All candidates of a problem, for one sample: arrays of (tiles, boxes, splits)."""

    geometries: list[Geometry]
    tiles: RowTiles
    boxes: TriedBoxes
    splits: Any
    cycles: Any  # of a task of each; infinite where it is none


def _boxes(g: Geometry) -> list[tuple[int, int, int]]:
    """Whole volumes, then runs of planes, runs of rows, runs of columns; evenly divided."""
    ct, ch, cw = (a.most for a in g.axes)
    boxes = [(bt, ch, cw) for bt in parts(ct)] + [(1, bh, cw) for bh in parts(ch)]
    if ch == 1 or cw > LONG:
        boxes += [(1, bh, b) for bh in (1, 2, 4, 8, 16) if bh <= ch for b in parts(cw, LEAST_CUT * min(4, bh))]
    return list(dict.fromkeys(boxes))


@lru_cache(maxsize=64)
def _tiles(machine: Machine, size: int, few: bool) -> RowTiles:
    """`few`: each tile is seconds of compilation; two waste little on any shape."""
    tiles = ROW_TILES[32 if machine.registers >= 32 else 16]
    return tiles_of((tiles[1], tiles[-1]) if few else tiles, size, machine)


def _tried(problem: ConvProblem, machine: Machine) -> RowTiles:
    few = problem.dtype not in ("float32", PAIRS) or problem.multiplications < SMALL_PROBLEM
    return _tiles(machine, dtype_of(problem.dtype).itemsize, few)


def floor(problem: ConvProblem, machine: Machine) -> float:
    """Seconds that no candidate takes less than, for one sample and one worker: boxes without seams, whose sums fill whole registers."""
    g, tiles = geometry(problem), _tried(problem, machine)
    seconds = least_cycles(g, tiles, machine.vector_bytes // dtype_of(problem.dtype).itemsize) * problem.groups * machine.cycle
    return 0.0 if wide_margins(problem) else seconds  # rows that share their margins have fewer sums than targets


@lru_cache(maxsize=4)  # those of a problem are asked for one after the other, by `seconds` and by `prepared`
def _search(problem: ConvProblem, machine: Machine, workers: int) -> Tried:
    """For one worker and for so many; the geometry as it is, and those with the taps of narrow axes unfolded."""
    g, size = geometry(problem), dtype_of(problem.dtype).itemsize
    geometries, boxes = [g], _boxes(g)
    unfolded = [0] * len(boxes)
    for n in (1, 2, 3) if g.axes[2].most < NARROW else ():
        geometries.append(g.unfolded(n, problem.padding_mode))
        if g.axes[3 - n].together > 1:
            found = _boxes(geometries[n])
            boxes += found
            unfolded += [n] * len(found)
    tiles = _tried(problem, machine)
    tried = boxes_of(geometries, np.array(unfolded), np.array(boxes, np.float64).T, size, machine)
    splits = np.minimum(np.array([1, 2, 4, workers, 2 * workers, 4 * workers]), over(g.produced, tiles.rows))
    cycles = task_cycles(g, tried, tiles, splits, problem.groups, machine.vector_bytes // size, size, machine)
    fit = fits(g, tried, tiles, size, machine)
    smallest = np.arange(fit.shape[1]) == tried.copy.channel_pitch.argmin()
    fit = np.where(fit.any(1, keepdims=True), fit, smallest)
    return Tried(geometries, tiles, tried, splits, np.where(fit[..., None], cycles, np.inf))


def best(problem: ConvProblem, machine: Machine, workers: int, tile: tuple[int, int] | None = None) -> Choice:
    """The cheapest, of one tile or of all."""
    one = problem if problem.batch == 1 else problem.with_(batch=1)
    s = _search(one, machine, workers if workers > 1 else machine.cores)
    of: Any = slice(0, 3) if workers == 1 else [0, 3, 4, 5]
    splits, boxes = s.splits[..., of], s.boxes.copy.boxes
    total = np.maximum(1, (problem.batch * problem.groups * (boxes[0] * boxes[1] * boxes[2]))[:, None] * splits)
    idle = over(total, workers) * workers / total if workers > 1 else s.boxes.share[:, None]
    cost = s.cycles[..., of] * total * idle
    if tile:
        cost = np.where((s.tiles.rows == tile[0]) & (s.tiles.vectors == tile[1]), cost, np.inf)
    i, b, k = np.unravel_index(cost.argmin(), cost.shape)
    copy = s.boxes.copy.number(int(b))
    return Choice(
        cycles=float(cost[i, b, k]),
        tile=(int(s.tiles.rows[i, 0, 0]), int(s.tiles.vectors[i, 0, 0])),
        geometry=s.geometries[copy.unfolded],
        copy=copy,
        splits=int(splits[i, 0, k]),
        chunk=int(s.boxes.chunk[b]),
    )


@lru_cache(maxsize=4)
def alone(problem: ConvProblem, machine: Machine) -> Choice:
    """For one sample and one worker, whatever the call has."""
    return best(problem if problem.batch == 1 else problem.with_(batch=1), machine, 1)


def tile_for(problem: ConvProblem, machine: Machine) -> tuple[int, int]:
    """(rows, vectors)."""
    return alone(problem, machine).tile
