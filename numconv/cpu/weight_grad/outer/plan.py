"""The choice of tile, chunk and tasks for `outer_product`, and its record: everything that the kernel knows of a problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.tiles import up
from ...runtime.record import size_of, table
from ...runtime.workspace import spaced
from ...stages.copy import Copy
from .cost import BY_SAMPLE, OuterChoice, crowded, extents, task_cycles
from .tables import OuterLayout, OuterTap, layout, outer_taps, places_of, sources_of

CHUNK_POSITIONS = 160  # of a chunk, more or less: a block's gradient takes 20 kB
WHOLE = 2 << 20  # bytes of a sample's channels that may be copied at once
DIVISIONS = (1, 2, 4, 8)  # of channels over tasks, beside one and two a worker
CACHE_LINE = 64  # bytes
NO_END = 1 << 40  # of columns

#: (rows, vectors), by number of SIMD registers
OUTER_TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: ((14, 2), (12, 2), (11, 2), (9, 2), (8, 2), (4, 2), (14, 1), (12, 1), (9, 1), (4, 1)),
    16: ((6, 2), (4, 2), (3, 2), (12, 1), (9, 1), (4, 1)),
}
FEW_OUTER_TERMS = ((12, 2), (6, 2), (12, 1), (4, 1))  # of them, for dtypes other than float32: each is seconds of compilation


class Axis(NamedTuple):
    """One of the axes t, h, w, in elements of that axis."""

    source: int  # extent of the input
    target: int  # positions
    box: int  # positions of a chunk
    boxes: int  # chunks
    step: int  # in the input, from one position to the next
    low: int  # padding before the input
    reach: int  # in the input, from a position's first tap to its last


class OuterPlan(NamedTuple):
    """The record.  A *block* is of a tile's output channels; lengths in elements, places in the room in elements, of tables in integers."""

    batch: int
    groups: int
    group_in: int  # input channels of a group
    group_out: int
    t: Axis
    h: Axis
    w: Axis
    block_splits: int  # ranges of blocks, over tasks
    split_blocks: int  # blocks of one
    splits: int  # ranges of input channels, over tasks
    split_channels: int  # channels of one
    copied: int  # IN_PLACE, BY_CHUNK or BY_SAMPLE
    copy: Copy  # how; where nothing is copied, the pitches of the input
    columns: int  # of the input, where some position's tap sees none; else without end
    inner_taps: int  # taps of the last axis that are rows of a tile, beside the channels
    outer_taps: int  # taps that have tiles of their own
    taps: int  # of a filter
    tiles: int  # of an outer tap
    block_size: int  # of a block's sums: (outer tap, row of a tile, output channel), and a row of zeros
    gradient_at: int  # in the room: of a chunk, (position, output channel of a block)
    sums_at: int  # in the room: of the task's blocks
    outer_at: int  # in the table: records of OuterTap
    places_at: int  # in the table: of each row of the tiles in what is read …
    last_places_at: int  # … and for the last range of channels, which may be shorter
    sources_at: int  # in the table: of each weight of a filter its row of the sums


@dataclass(frozen=True, eq=False)
class PreparedOuter:
    """A plan with its tables, and what the host knows besides."""

    plan: OuterPlan
    numbers: np.ndarray  # the record, outer taps, places, sources
    offsets: np.ndarray  # of each position of a chunk in what is read
    tile: tuple[int, int, int]  # rows, vectors, lanes
    tasks: int
    room: int  # elements of scratch a worker
    cycles: float  # predicted, of the worker with most to do


def _box(a: OuterLayout) -> tuple[int, int, int]:
    """A chunk of whole planes, whole rows or a part of one row, evenly divided."""
    t, h, w = a.outputs
    if h * w <= CHUNK_POSITIONS:
        return -(-t // max(1, round(t * h * w / CHUNK_POSITIONS))), h, w
    if w <= CHUNK_POSITIONS * 3 // 2:
        return 1, -(-h // max(1, round(h * w / CHUNK_POSITIONS))), w
    return 1, 1, -(-w // round(w / CHUNK_POSITIONS))


def _divisions(count: int, workers: int) -> list[int]:
    """Sizes of evenly divided ranges."""
    return sorted({-(-count // k) for k in (*DIVISIONS, workers, 2 * workers) if k <= count})


def _choices(problem: ConvProblem, a: OuterLayout, size: int, machine: Machine, workers: int) -> Iterator[OuterChoice]:
    lanes, float32, box = machine.vector_bytes // size, problem.out_dtype == "float32", _box(a)
    of_sample = prod(extents(a, a.outputs)) * size
    may_copy = a.axes[2].padded or crowded(a, size)
    for tile in OUTER_TILES[32 if machine.registers >= 32 else 16]:
        rows, vectors = tile
        if (vectors > 1 and a.group_out <= lanes) or not (float32 or tile in FEW_OUTER_TERMS):
            continue
        blocks = -(-a.group_out // (vectors * lanes))
        for split_blocks, split_channels, copied in product(_divisions(blocks, workers), _divisions(a.group_in, workers), range(3)):
            if not copied or (may_copy and not (copied == BY_SAMPLE and split_channels * of_sample > WHOLE)):
                yield OuterChoice(rows, vectors, lanes, box, split_blocks, split_channels, copied)


@lru_cache(maxsize=1024)
def _best(problem: ConvProblem, machine: Machine, workers: int) -> tuple[float, OuterChoice]:
    """The cheapest, and the cycles of the worker with most to do."""
    a, size = layout(problem), np.dtype(problem.out_dtype).itemsize

    def cycles(c: OuterChoice) -> float:
        tasks = problem.groups * -(-(-(-a.group_out // (c.vectors * c.lanes))) // c.split_blocks) * -(-a.group_in // c.split_channels)
        return task_cycles(a, c, problem.batch, size, machine) * -(-tasks // workers)

    return min(((cycles(c), c) for c in _choices(problem, a, size, machine, workers)), key=lambda found: found[0])


def _copy(a: OuterLayout, c: OuterChoice, size: int) -> tuple[Copy, int]:
    """As it would be, where nothing is copied with the pitches of the input; and its elements."""
    planes, lines, wide = extents(a, a.outputs if c.copied == BY_SAMPLE else c.box) if c.copied else a.extent
    line, channel_pitch = CACHE_LINE // size, planes * lines * wide
    if c.copied:  # an odd number of lines spreads the channels over all sets of the caches
        channel_pitch = (-(-channel_pitch // line) | 1) * line
    copy = Copy(
        channels=c.split_channels,
        height=a.axes[1].extent,
        width=a.axes[2].extent,
        volume=prod(a.extent),
        row_pitch=wide,
        plane_pitch=lines * wide,
        channel_pitch=channel_pitch,
        pixels=0,
        pixel_pitch=1,
        source_pixel_pitch=1,
    )
    return copy, up(c.split_channels * channel_pitch + c.lanes, line) if c.copied else 0


def _offsets(plan: OuterPlan) -> np.ndarray:
    """Of each position of a chunk in what is read."""
    t, h, w = (np.arange(x.box) * x.step for x in (plan.t, plan.h, plan.w))
    return (t[:, None, None] * plan.copy.plane_pitch + h[:, None] * plan.copy.row_pitch + w).ravel().astype(np.int64)


@lru_cache(maxsize=512)
def prepared(problem: ConvProblem, machine: Machine, workers: int) -> PreparedOuter:
    """No bit of the result depends on any of it."""
    a, size = layout(problem), np.dtype(problem.out_dtype).itemsize
    cycles, c = _best(problem, machine, workers)
    width = c.vectors * c.lanes
    copy, gradient_at = _copy(a, c, size)
    outer, inner = outer_taps(a, c.copied, copy.plane_pitch, copy.row_pitch), a.taps(c.copied)[1]
    splits = -(-a.group_in // c.split_channels)
    block_splits = -(-(-(-a.group_out // width)) // c.split_blocks)
    tiles = -(-c.split_channels * len(inner) // c.rows)
    rows = tiles * c.rows
    sums_at = gradient_at + prod(c.box) * width
    block_size = (len(outer) * rows + 1) * width
    outer_at = size_of(OuterPlan)
    places_at = outer_at + len(outer) * size_of(OuterTap)
    t, h, w = (
        Axis(source=x.extent, target=x.outputs, box=b, boxes=-(-x.outputs // b), step=x.stride, low=x.low, reach=x.reach)
        for x, b in zip(a.axes, c.box, strict=True)
    )
    plan = OuterPlan(
        batch=problem.batch,
        groups=problem.groups,
        group_in=a.group_in,
        group_out=a.group_out,
        t=t,
        h=h,
        w=w,
        block_splits=block_splits,
        split_blocks=c.split_blocks,
        splits=splits,
        split_channels=c.split_channels,
        copied=c.copied,
        copy=copy,
        columns=NO_END if a.merged(c.copied) else a.axes[2].extent,
        inner_taps=len(inner),
        outer_taps=len(outer),
        taps=prod(x.kernel for x in a.axes),
        tiles=tiles,
        block_size=block_size,
        gradient_at=gradient_at,
        sums_at=sums_at,
        outer_at=outer_at,
        places_at=places_at,
        last_places_at=places_at + rows,
        sources_at=places_at + 2 * rows,
    )
    last = a.group_in - (splits - 1) * c.split_channels
    places = [places_of(a, c.copied, channels, rows, copy.channel_pitch) for channels in (c.split_channels, last)]
    return PreparedOuter(
        plan=plan,
        numbers=table(plan, outer, *places, sources_of(a, c.copied, c.split_channels, rows)),
        offsets=_offsets(plan),
        tile=(c.rows, c.vectors, c.lanes),
        tasks=problem.groups * block_splits * splits,
        room=spaced(up(sums_at + c.split_blocks * block_size, 64) + CACHE_LINE // size, size),
        cycles=cycles,
    )
