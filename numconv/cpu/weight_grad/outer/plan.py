"""The choice of tile, chunk and tasks for `outer_product`, and its record: everything that the kernel knows of a problem."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ....kernel import Machine
from ....memory import kept
from ....problem import ConvProblem
from ...geometry.jobs import JobAxis, reach
from ...geometry.tiles import up
from ...runtime.record import size_of
from ...runtime.workspace import spaced
from ...stages.copy import Copy
from ..prepared import Prepared
from .cost import BY_CHUNK, BY_SAMPLE, IN_PLACE, OuterChoice, Reading, crowded, extents, reading, task_cycles, tile_term
from .taps import OuterLayout, OuterTap, layout

CHUNK_POSITIONS = 160  # of a chunk, more or less: a block's gradient takes 20 kB
WHOLE = 2 << 20  # bytes of a sample's channels that may be copied at once
DIVISIONS = (1, 2, 4, 8)  # of channels over tasks, beside one and two a worker
CACHE_LINE = 64  # bytes
INTEGER = 8  # bytes of an element of a list
NO_END = 1 << 40  # of columns

#: (rows, vectors), by number of SIMD registers
OUTER_TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: ((14, 2), (12, 2), (11, 2), (9, 2), (8, 2), (4, 2), (14, 1), (12, 1), (9, 1), (4, 1)),
    16: ((6, 2), (4, 2), (3, 2), (12, 1), (9, 1), (4, 1)),
}
FEW_OUTER_TERMS = ((12, 2), (6, 2), (12, 1), (4, 1))  # of them, for dtypes other than float32: each is seconds of compilation


class Axis(NamedTuple):
    """One of the axes t, h, w, in elements of that axis; its taps but for those at both ends that see nothing but padding."""

    source: int  # extent of the input
    target: int  # positions
    box: int  # positions of a chunk
    boxes: int  # chunks
    step: int  # in the input, from one position to the next
    start: int  # in the input, of position 0 and the first tap; negative in the padding
    dilation: int  # in the input, from one tap to the next
    reach: int  # in the input, from a position's first tap to its last
    taps: int
    first: int  # tap
    kernel: int  # taps, those at both ends too


class OuterPlan(NamedTuple):
    """The record.  A *block* is of a tile's output channels; lengths in elements, places in the room in elements or, of lists, in integers.

    The room: lists (of `OuterLists`), what is copied, gradients, sums.
    """

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
    split_channels: int  # channels of one; of the last perhaps fewer
    copied: int  # IN_PLACE, BY_CHUNK or BY_SAMPLE
    copy: Copy  # how; where nothing is copied, the pitches of the input
    first_column: int  # of the input, that position 0 sees with its first tap; 0, where every position sees every column …
    columns: int  # … of the input, then without end
    inner_taps: int  # taps of the last axis that are rows of a tile, beside the channels …
    outer_columns: int  # … or have tiles of their own, as those of the other axes have
    outer_taps: int  # that have
    taps: int  # of a filter
    rows: int  # of all tiles of an outer tap
    block_size: int  # of a block's sums: (outer tap, row of a tile, output channel); one outer tap more for those that see nothing
    places_at: int  # of the lists …
    last_places_at: int
    sources_at: int
    copy_at: int  # of what is copied
    gradient_at: int  # of a chunk, (position, output channel of a block)
    sums_at: int  # of the task's blocks


def _box(a: OuterLayout) -> tuple[int, int, int]:
    """A chunk of whole planes, whole rows or a part of one row, evenly divided."""
    t, h, w = a.outputs
    if h * w <= CHUNK_POSITIONS:
        return -(-t // max(1, round(t * h * w / CHUNK_POSITIONS))), h, w
    if w <= CHUNK_POSITIONS * 3 // 2:
        return 1, -(-h // max(1, round(h * w / CHUNK_POSITIONS))), w
    return 1, 1, -(-w // round(w / CHUNK_POSITIONS))


def _parts(count: int, workers: int) -> np.ndarray:
    """By which so many are divided, evenly: most first."""
    return np.array(sorted({k for k in (*DIVISIONS, workers, 2 * workers) if k <= count}, reverse=True))


class OuterTiles(NamedTuple):
    """All that a machine may take, as columns of the search."""

    rows: np.ndarray
    vectors: np.ndarray
    term: np.ndarray  # cycles


@lru_cache(maxsize=64)
def _tiles(machine: Machine, float32: bool, one_vector: bool) -> OuterTiles:
    tiles = [
        tile
        for tile in OUTER_TILES[32 if machine.registers >= 32 else 16]
        if (float32 or tile in FEW_OUTER_TERMS) and not (one_vector and tile[1] > 1)
    ]
    columns = zip(*((*tile, tile_term(*tile, machine)) for tile in tiles), strict=True)
    return OuterTiles(*(np.array(column)[:, None, None, None] for column in columns))


@kept
def best(problem: ConvProblem, machine: Machine, workers: int) -> tuple[float, OuterChoice]:
    """The cheapest, and the cycles of the worker with most to do: of all (tile, blocks, channels, way to read) at once."""
    a, size = layout(problem), np.dtype(problem.out_dtype).itemsize
    lanes, box = machine.vector_bytes // size, _box(a)
    tiles = _tiles(machine, problem.out_dtype == "float32", a.group_out <= lanes)
    ways = (IN_PLACE, BY_CHUNK, BY_SAMPLE) if (a.padded or crowded(a, size)) and not a.gaps else (IN_PLACE,)
    found = Reading(*map(np.array, zip(*(reading(a, way, box, problem.batch, size, lanes) for way in ways), strict=True)))
    blocks = -(-a.group_out // (tiles.vectors * lanes))
    parts = _parts(int(blocks.max()), workers)[:, None, None]
    c = OuterChoice(
        rows=tiles.rows,
        vectors=tiles.vectors,
        lanes=lanes,
        box=box,
        split_blocks=-(-blocks // parts),
        split_channels=-(-a.group_in // _parts(a.group_in, workers)[:, None]),
        copied=np.array(ways),
    )
    tasks = problem.groups * -(-blocks // c.split_blocks) * -(-a.group_in // c.split_channels)
    rounds = np.where(parts > blocks, np.inf, -(-tasks // workers))
    cycles = task_cycles(a, c, found, tiles.term, problem.batch, size, machine) * rounds
    of_sample = prod(extents(a, a.outputs)) * size
    if len(ways) > 1 and a.group_in * of_sample > WHOLE:
        cycles[:, :, c.split_channels[:, 0] * of_sample > WHOLE, BY_SAMPLE] = np.inf
    tile, block, channel, way = np.unravel_index(int(cycles.argmin()), cycles.shape)
    chosen = c._replace(
        rows=int(tiles.rows[tile, 0, 0, 0]),
        vectors=int(tiles.vectors[tile, 0, 0, 0]),
        split_blocks=int(c.split_blocks[tile, block, 0, 0]),
        split_channels=int(c.split_channels[channel, 0]),
        copied=ways[way],
    )
    return float(cycles[tile, block, channel, way]), chosen


def _copy(a: OuterLayout, c: OuterChoice, size: int) -> tuple[Copy, int]:
    """As it would be, where nothing is copied with the pitches of the input; and its elements."""
    planes, lines, wide = extents(a, a.outputs if c.copied == BY_SAMPLE else c.box) if c.copied else a.extent
    line, channel_pitch = CACHE_LINE // size, planes * lines * wide
    if c.copied:  # an odd number of lines spreads the channels over all sets of the caches
        channel_pitch = (-(-channel_pitch // line) | 1) * line
    copy = Copy(
        channels=c.split_channels,
        height=a.axes[1].source,
        width=a.axes[2].source,
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
    """Of each position of a chunk in what is read: of few positions, whatever the extents."""
    t, h, w = (np.arange(x.box) * x.step for x in (plan.t, plan.h, plan.w))
    return (t[:, None, None] * plan.copy.plane_pitch + h[:, None] * plan.copy.row_pitch + w).ravel().astype(np.int64)


def _axis(x: JobAxis, box: int) -> Axis:
    return Axis(
        source=x.source,
        target=x.target,
        box=box,
        boxes=-(-x.target // box),
        step=x.step,
        start=x.start,
        dilation=x.dilation,
        reach=reach(x),
        taps=x.taps,
        first=x.first,
        kernel=x.kernel,
    )


def prepared(problem: ConvProblem, machine: Machine, workers: int) -> Prepared:
    """No bit of the result depends on any of it."""
    a, size = layout(problem), np.dtype(problem.out_dtype).itemsize
    c = best(problem, machine, workers)[1]
    line, width = CACHE_LINE // size, c.vectors * c.lanes
    copy, copied = _copy(a, c, size)
    outer, inner, splits = a.outer(c.copied), a.inner(c.copied), -(-a.group_in // c.split_channels)
    block_splits = -(-(-(-a.group_out // width)) // c.split_blocks)
    rows = up(c.split_channels * inner, c.rows)
    places_at = outer * size_of(OuterTap)
    last_places_at = places_at + inner + c.rows
    sources_at = last_places_at + c.rows
    copy_at = up((sources_at + a.taps + c.lanes) * INTEGER // size, line)
    gradient_at = copy_at + copied
    sums_at = gradient_at + prod(c.box) * width
    block_size = (outer + a.idle_taps) * rows * width
    t, h, w = (_axis(*pair) for pair in zip(a.axes, c.box, strict=True))
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
        first_column=0 if a.merged(c.copied) else w.start,
        columns=NO_END if a.merged(c.copied) else w.source,
        inner_taps=inner,
        outer_columns=a.outer_columns(c.copied),
        outer_taps=outer,
        taps=a.taps,
        rows=rows,
        block_size=block_size,
        places_at=places_at,
        last_places_at=last_places_at,
        sources_at=sources_at,
        copy_at=copy_at,
        gradient_at=gradient_at,
        sums_at=sums_at,
    )
    return Prepared(
        plan=plan,
        offsets=_offsets(plan),
        tile=(c.rows, c.vectors, c.lanes),
        tasks=problem.groups * block_splits * splits,
        room=spaced(up(sums_at + c.split_blocks * block_size, 64) + line, size),
    )
