"""The choice of tile and boxes for `spread`, and its record: everything that the kernel knows of a problem."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....activations import ACTIVATIONS
from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.tiles import SMALL_PROBLEM, parts, up
from ...runtime.record import size_of, table
from ...runtime.workspace import spaced
from ...stages.copy import Copy
from ...stages.deliver import Finish
from ...stages.filters import Filters
from ..plan import PreparedDense
from .cost import (
    CACHE_LINE,
    PACK,
    PACK_BLOCK,
    PADDED_SAMPLE,
    SpreadChoice,
    extents,
    most_terms,
    pixel_copy,
    scattered,
    task_cycles,
    tile_start,
    tile_term,
)
from .tables import SpreadJob, SpreadLayout, layout, tables_of, terms_of, weight_places

#: (positions, vectors), by number of SIMD registers; of small problems, since each tile is seconds of compilation
SPREAD_TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: (*((p, 2) for p in range(14, 1, -1)), *((p, 1) for p in (*range(20, 13, -1), 12, 10, 8)), (1, 4)),
    16: ((6, 2), (5, 2), (4, 2), (3, 2), (6, 1)),
}
SMALL_SPREAD_TILES = {32: ((9, 2), (8, 1)), 16: ((5, 2), (6, 1))}
LINES_AHEAD = 2  # how far on a channel's row is asked for
CLOSE = 4  # tiles that are tried with every box
CLEARLY = 0.95  # of the cost: tiles that were changed for a predicted 2 % lost up to 14 (decision 28)
LONG_ROW = 100  # targets; longer rows are cut, too …
LEAST_PART = 56  # … into parts no shorter than this


class SpreadAxis(NamedTuple):
    """One of the axes t, h, w, in elements of that axis."""

    source: int  # extent
    target: int  # extent
    box: int  # targets of a task, of each job
    boxes: int
    step: int  # in the source, from one target of a job to the next
    target_step: int  # in the target, likewise
    origin: int  # in the source, of the first tap of a job's first target
    reach: int  # from a target's first tap to the last of any job


class SpreadPlan(NamedTuple):
    """The record.  Pitches and places in elements, from the beginning of a sample, of this worker's room, or of the table."""

    t: SpreadAxis
    h: SpreadAxis
    w: SpreadAxis
    groups: int
    splits: int  # of the blocks of a group, over tasks
    split_blocks: int  # blocks of a split
    jobs: int
    sample_pitch: int  # of the source
    group_pitch: int  # of the source
    plane_pitch: int  # of what a tile reads: the source, or the copy of a box
    row_pitch: int
    pixel_pitch: int
    copied: int  # 1: a box is copied between zeros, as `copy` says
    copy: Copy
    packs: int  # 1: weights are as given, and each task packs its blocks
    filters: Filters
    most_terms: int  # of a tile at a time
    ahead: int  # from a sample to the one that is asked for …
    ahead_slope: int  # … and more with each term
    finish: Finish
    sums_at: int  # in the room: a block's sums, (position, channel)
    turned_at: int  # in the room: sums as rows of channels, where the target takes them apart
    turned_pitch: int  # from one channel there to the next
    block_at: int  # in the room: the block of weights that a task packs
    jobs_at: int  # in the table: the jobs
    positions_at: int  # in the table, channels last: where the positions of a tile lie
    places_at: int  # in the table: the term of each weight of a filter


def _boxes(a: SpreadLayout) -> list[tuple[int, int, int]]:
    ct, ch, cw = (x.axis.count for x in a.axes)
    boxes = [(bt, ch, cw) for bt in parts(ct)] + [(bt, bh, cw) for bt in (1, 2, 4, 8) if bt <= ct for bh in parts(ch)]
    if cw > LONG_ROW:
        boxes += [(1, 1, b) for b in parts(cw, LEAST_PART)]
    return list(dict.fromkeys(boxes))


def _choices(a: SpreadLayout, tile: tuple[int, int], lanes: int, size: int, workers: int, machine: Machine) -> Iterator[SpreadChoice]:
    padded = a.axes[2].padded
    blocks = -(-a.produced // (tile[1] * lanes))
    boxes = _boxes(a)
    smallest = min(boxes, key=prod)
    for box in boxes:
        if prod(box) * tile[1] * lanes * size > machine.l2 // 4 and prod(box) > 64:
            continue
        count = a.axes[2].axis.count
        narrow = min(j.number for j in a.axes[2].axis.jobs) < tile[0] or (count - 1) % box[2] + 1 < tile[0]
        for copied in (True,) if padded or narrow else (False, True) if scattered(a, size) else (False,):
            if copied and a.summed * prod(extents(a, box)) * size > machine.l2 * 3 // 4 and box != smallest:
                continue
            yield from (SpreadChoice(tile, box, s, copied) for s in sorted({1, min(workers, blocks), min(2 * workers, blocks)}))


def _tiles(problem: ConvProblem, a: SpreadLayout, lanes: int, machine: Machine) -> list[tuple[int, int]]:
    """Those that fit rows and channels best, boxes aside."""
    tiles = (SMALL_SPREAD_TILES if problem.with_(batch=1).multiplications < SMALL_PROBLEM else SPREAD_TILES)[
        32 if machine.registers >= 32 else 16
    ]
    terms = sum(terms_of(a)) / len(a.jobs)

    def cycles(tile: tuple[int, int]) -> float:
        tiles = -(-a.axes[2].axis.count // tile[0]) * -(-a.produced // (tile[1] * lanes))
        return tiles * (terms * tile_term(*tile, machine) + tile_start(*tile))

    return sorted((t for t in tiles if t[1] == 1 or a.produced > lanes), key=cycles)[:CLOSE]


def _once(problem: ConvProblem, boxes: int) -> bool:
    """Whether each block of filters is used by one task, which then packs it itself."""
    return problem.batch == 1 and boxes == 1


@lru_cache(maxsize=1024)
def _best(
    problem: ConvProblem, machine: Machine, workers: int, tile: tuple[int, int] | None, given: bool = False
) -> tuple[float, SpreadChoice]:
    """The cheapest, and its cycles of all workers; `given`: with those that packing the weights takes."""
    a = layout(problem)
    weights = problem.groups * a.summed * a.produced * prod(a.kernel) if given else 0
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    counts = [x.axis.count for x in a.axes]

    def cycles(c: SpreadChoice) -> float:
        boxes = prod(-(-n // b) for n, b in zip(counts, c.box, strict=True))
        tasks = problem.batch * problem.groups * boxes * c.splits
        idle = -(-tasks // workers) * workers / tasks
        whole = prod(counts) / (boxes * prod(c.box)) if workers == 1 else 1.0  # the last boxes are smaller; others wait for a whole one
        packing = weights * (PACK_BLOCK if _once(problem, boxes) else PACK)
        return task_cycles(a, c, lanes, machine, size) * tasks * idle * whole + packing

    tiles = (tile,) if tile else _tiles(problem, a, lanes, machine)
    return min(((cycles(c), c) for t in tiles for c in _choices(a, t, lanes, size, workers, machine)), key=lambda found: found[0])


def _tile(problem: ConvProblem, machine: Machine) -> tuple[int, int]:
    """The best for one core; that for all of them where it is clearly better: 9 blocks of filters leave one of two idle, 18 do not."""
    alone = _best(problem, machine, 1, None)[1].tile
    cost, together = _best(problem, machine, machine.cores, None)
    return together.tile if cost < CLEARLY * _best(problem, machine, machine.cores, alone)[0] else alone


def _ahead(problem: ConvProblem, a: SpreadLayout, positions: int, copied: bool, size: int, machine: Machine) -> tuple[int, int]:
    """What a tile asks for: of a channel's row, the line after the next; of pixels side by side, all of the next tile's in turn.

    No prefetcher of the machine's follows a few values of each of many rows, or of pixels a tile at a time (decision 33).
    """
    if not a.last:
        return LINES_AHEAD * CACHE_LINE // size, 0
    alone = prod(a.kernel) * a.axes[2].axis.step == problem.groups == 1 and not copied
    return (positions * a.summed, positions - 1) if alone and a.summed * prod(a.source) * size > machine.l2 else (0, 0)


def _copy(a: SpreadLayout, c: SpreadChoice, size: int) -> Copy:
    """As it would be; where nothing is copied, only the pitches of the source count."""
    planes, lines, wide = extents(a, c.box)
    pixel, single = pixel_copy(a, size) if c.copied else (a.pixel_pitch, False)
    row = (wide if c.copied else a.source[2]) * pixel
    plane = (lines if c.copied else a.source[1]) * row
    channel = 1 if a.last else (planes if c.copied else a.source[0]) * plane
    if c.copied and not a.last:  # an odd number of lines spreads the channels over all sets of the caches
        line = CACHE_LINE // size
        channel = (-(-channel // line) | 1) * line
    return Copy(
        channels=a.summed if single else a.summed // a.pixel_pitch,
        height=a.source[1],
        width=a.source[2] * (1 if single else a.pixel_pitch),
        volume=prod(a.source) * a.pixel_pitch,
        row_pitch=row,
        plane_pitch=plane,
        channel_pitch=channel,
        pixels=wide if single else 0,
        pixel_pitch=pixel,
        source_pixel_pitch=a.pixel_pitch,
    )


def _axes(a: SpreadLayout, box: tuple[int, ...], boxes: tuple[int, ...]) -> Iterator[SpreadAxis]:
    for taps, source, target, b, n in zip(a.axes, a.source, a.target, box, boxes, strict=True):
        yield SpreadAxis(
            source=source,
            target=target,
            box=b,
            boxes=n,
            step=taps.axis.step,
            target_step=taps.axis.target_step,
            origin=taps.axis.origin,
            reach=taps.reach,
        )


def _room(a: SpreadLayout, c: SpreadChoice, copy: Copy, lanes: int) -> tuple[int, int, int]:
    """Where sums and turned rows lie behind the copy of a box, and the rows' pitch; what overruns one of them is scratch, too."""
    held = extents(a, c.box)[0] * copy.plane_pitch if a.last else a.summed * copy.channel_pitch
    sums_at = up(held + c.tile[0] * a.axes[2].axis.step * copy.pixel_pitch + 2 * lanes, 16) if c.copied else 0
    positions = c.box[2] if a.last else prod(c.box)  # those whose sums are kept
    return sums_at, sums_at + (positions + c.tile[0] + lanes) * c.tile[1] * lanes, up(positions, lanes) + lanes


@lru_cache(maxsize=512)
def prepared(problem: ConvProblem, machine: Machine, workers: int, given: bool = False) -> PreparedDense:
    """The tile depends on problem and machine alone (packed weights do); boxes and splits also on workers and `given`, plain weights."""
    a = layout(problem)
    size, tile = np.dtype(problem.dtype).itemsize, _tile(problem.with_(batch=1), machine)
    lanes = machine.vector_bytes // size
    cycles, c = _best(problem, machine, workers, tile, given)
    width, boxes = tile[1] * lanes, tuple(-(-x.axis.count // b) for x, b in zip(a.axes, c.box, strict=True))
    blocks = -(-a.produced // width)
    split_blocks = -(-blocks // c.splits)
    copy, ahead = _copy(a, c, size), _ahead(problem, a, tile[0], c.copied, size, machine)
    places, filters = weight_places(problem, blocks, width)
    sums_at, turned_at, turned_pitch = _room(a, c, copy, lanes)
    room = spaced(up(turned_at + width * turned_pitch + lanes, 16) + 16, size)
    packs = given and _once(problem, prod(boxes))
    jobs, live, offsets = tables_of(a, copy, size_of(SpreadPlan))
    t, h, w = _axes(a, c.box, boxes)
    positions_at = size_of(SpreadPlan) + len(jobs) * size_of(SpreadJob) + live.size
    plan = SpreadPlan(
        t=t,
        h=h,
        w=w,
        groups=problem.groups,
        splits=-(-blocks // split_blocks),
        split_blocks=split_blocks,
        jobs=len(jobs),
        sample_pitch=problem.groups * a.summed * prod(a.source),
        group_pitch=a.summed * (1 if a.last else prod(a.source)),
        plane_pitch=copy.plane_pitch,
        row_pitch=copy.row_pitch,
        pixel_pitch=copy.pixel_pitch,
        copied=c.copied,
        copy=copy,
        packs=packs,
        filters=filters,
        most_terms=most_terms(tile, machine),
        ahead=ahead[0],
        ahead_slope=ahead[1],
        finish=Finish(problem.bias, ACTIVATIONS[problem.activation], problem.shuffle, problem.groups * a.produced),
        sums_at=sums_at,
        turned_at=turned_at,
        turned_pitch=turned_pitch,
        block_at=room,
        jobs_at=size_of(SpreadPlan),
        positions_at=positions_at,
        places_at=positions_at + tile[0],
    )
    steps = np.arange(tile[0]) * (a.axes[2].axis.step * copy.pixel_pitch)
    return PreparedDense(
        plan=plan,
        numbers=table(plan, *jobs, live, steps, places),
        offsets=offsets,
        tile=(*tile, lanes, 0 if a.last else a.axes[2].axis.step, any(ahead)),
        tasks=problem.groups * prod(boxes) * plan.splits,
        room=room + filters.block_size * packs,
        filters=table(filters),
        places=places,
        packed=problem.groups * blocks * filters.block_size,
        cycles=cycles,
    )


def seconds(problem: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    one: Any = problem.with_(batch=1)
    cycles = _best(one, machine, 1, None)[0]
    padding = 0.0 if problem.padding_mode == "zeros" else PADDED_SAMPLE * prod(layout(problem).source) * problem.in_channels
    return (cycles + padding) * machine.cycle
