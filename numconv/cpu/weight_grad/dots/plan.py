"""The choice of tile and tasks for `dot_rows`, and its record: everything that the kernel knows of a problem."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem
from ...runtime.record import size_of, table
from ...simd.dots import Positions
from .cost import tile_cycles
from .tables import layout, tables_of, vectors_of

#: (rows, filters), by number of SIMD registers
DOT_TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: ((13, 1), (9, 1), (5, 1), (3, 1), (9, 2), (6, 4)),
    16: ((12, 1), (9, 1), (5, 1), (3, 1), (4, 2), (3, 3)),
}
FEW_TERMS = ((9, 1), (3, 1), (4, 2))  # of them, for dtypes other than float32: each is seconds of compilation
LEAST_CHUNK = 16  # vectors
TASKS_PER_WORKER = 2
BETWEEN_WORKERS = 64  # bytes between the sums of two workers


class DotsPlan(NamedTuple):
    """The record.  A *tile* is of rows (channel, tap) and filters; lengths in elements, places of tables in integers."""

    batch: int
    groups: int
    group_in: int  # channels of a group
    group_out: int  # filters of a group
    source_volume: int  # of a channel of the input, its rows split into stride phases
    positions: int  # of a filter's gradient
    vectors: int  # of positions
    chunk: int  # vectors that all tiles of a task see before the next
    tiles: int  # of a filter's rows
    split_tiles: int  # of a task
    split_blocks: int  # blocks of filters of a task
    filter_size: int
    vectors_at: int  # in the table: records of Positions
    places_at: int  # in the table: of each row in the input
    masks_at: int  # in the table: rows of masks


@dataclass(frozen=True, eq=False)
class PreparedDots:
    """A plan with its tables, and what the host knows besides."""

    plan: DotsPlan
    numbers: np.ndarray  # the record, positions, places, masks
    tile: tuple[int, int, int]  # rows, filters, lanes
    tasks: int
    room: int  # elements of scratch a worker


@dataclass(frozen=True)
class _Division:
    """Of tiles and blocks of filters over tasks."""

    tiles: int  # of a filter
    split_blocks: int
    split_tiles: int
    tasks: int
    sums: int  # elements of a task's


@lru_cache(maxsize=1024)
def _best(problem: ConvProblem, machine: Machine) -> tuple[float, tuple[int, int]]:
    """Cycles of a whole group and sample, and the tile."""
    a, size = layout(problem), np.dtype(problem.out_dtype).itemsize
    tiles = DOT_TILES[32 if machine.registers >= 32 else 16] if problem.out_dtype == "float32" else FEW_TERMS
    return min((tile_cycles(problem, a, *tile, size, machine), tile) for tile in tiles if tile[1] <= problem.group_out)


def cycles(problem: ConvProblem, machine: Machine) -> float:
    """Of all of it, on one core."""
    return problem.groups * _best(problem, machine)[0]


def _divided(problem: ConvProblem, machine: Machine, workers: int) -> _Division:
    rows, filters = _best(problem, machine)[1]
    blocks, tiles = -(-problem.group_out // filters), -(-problem.group_in * problem.taps // rows)
    wanted = -(-TASKS_PER_WORKER * workers // problem.groups)
    split_blocks = -(-blocks // min(blocks, wanted))
    splits = -(-blocks // split_blocks)
    split_tiles = -(-tiles // min(tiles, -(-wanted // splits)))
    return _Division(
        tiles=tiles,
        split_blocks=split_blocks,
        split_tiles=split_tiles,
        tasks=problem.groups * splits * -(-tiles // split_tiles),
        sums=split_blocks * split_tiles * rows * filters * machine.vector_bytes // np.dtype(problem.out_dtype).itemsize,
    )


def sums(problem: ConvProblem, machine: Machine) -> int:
    """Elements of scratch."""
    d = _divided(problem, machine, machine.cores)
    return min(machine.cores, d.tasks) * d.sums


@lru_cache(maxsize=512)
def prepared(problem: ConvProblem, machine: Machine, workers: int) -> PreparedDots:
    """The tile depends on the problem and the machine alone; chunks and tasks change no bit of the result."""
    a, d = layout(problem), _divided(problem, machine, workers)
    size = np.dtype(problem.out_dtype).itemsize
    lanes = machine.vector_bytes // size
    rows, filters = _best(problem, machine)[1]
    vectors, places, masks = tables_of(a, lanes, problem.group_in, d.tiles * rows)
    held = machine.l2 // 4 // (problem.group_in * machine.vector_bytes)
    count = vectors_of(a, lanes)
    plan = DotsPlan(
        batch=problem.batch,
        groups=problem.groups,
        group_in=problem.group_in,
        group_out=problem.group_out,
        source_volume=a.volume,
        positions=prod(a.outputs),
        vectors=count,
        chunk=count if problem.group_out <= filters and d.tiles == 1 else max(LEAST_CHUNK, held),
        tiles=d.tiles,
        split_tiles=d.split_tiles,
        split_blocks=d.split_blocks,
        filter_size=problem.group_in * problem.taps,
        vectors_at=size_of(DotsPlan),
        places_at=size_of(DotsPlan) + count * size_of(Positions),
        masks_at=size_of(DotsPlan) + count * size_of(Positions) + places.size,
    )
    return PreparedDots(plan, table(plan, vectors, places, masks), (rows, filters, lanes), d.tasks, d.sums + BETWEEN_WORKERS // size)
