"""The record of `spread`: everything that the kernel knows of a problem."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ....activations import ACTIVATIONS
from ....hosts import PAIRS, dtype_of
from ....kernel import Machine
from ....memory import kept
from ....problem import ConvProblem
from ...geometry.jobs import JobAxis
from ...geometry.tiles import up
from ...runtime.record import size_of, table
from ...runtime.workspace import spaced
from ...stages.copy import Copy
from ...stages.deliver import Finish
from ...stages.filters import Filters
from ..plan import PreparedDense
from .choice import SpreadChoice, alone, best, best_tile, once, single
from .cost import CACHE_LINE, PADDED_SAMPLE, extents, most_terms, pixel_copy
from .layout import SpreadLayout, Taps, filters_of, layout

FAR = 1 << 31  # elements: offsets beyond take 64 bits
LINES_AHEAD = 2  # how far on a channel's row is asked for


class SpreadAxis(NamedTuple):
    """One of the axes t, h, w, in elements of that axis."""

    taps: JobAxis
    box: int  # targets of a task, of each job
    boxes: int
    origin: int  # in the source, the least sample that the first target of any job reads
    reach: int  # from there to the greatest one
    phases: int  # of the target, with taps or without
    common: int  # divisor of stride and dilation, the greatest
    inverse: int  # of the dilation modulo the period, both without it


class SpreadPlan(NamedTuple):
    """The record.  Pitches and places in elements, from the beginning of a sample, of this worker's room, or of the table."""

    t: SpreadAxis
    h: SpreadAxis
    w: SpreadAxis
    groups: int
    splits: int  # of the blocks of a group, over tasks
    split_blocks: int  # blocks of a split
    summed: int  # channels of a group
    volume: int  # of the target, a channel's
    sample_pitch: int  # of the source
    group_pitch: int  # of the source
    plane_pitch: int  # of what a tile reads: the source, or the copy of a box
    row_pitch: int
    pixel_pitch: int
    channel_pitch: int
    plane_advance: int  # there, from one plane of a job's taps to the next
    longer_at: int  # among the offsets: those of rows that are one tap longer
    apart: int  # 1: inner taps stand before channels among the terms …
    in_pieces: int  # … and rows are taken in pieces whose targets see the same taps
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
    offsets_at: int  # in the room: where the terms of a plane read
    places_at: int  # in the room, where a task packs weights: the term of each of a filter
    positions_at: int  # in the table, channels last: where the positions of a tile lie


def _ahead(problem: ConvProblem, a: SpreadLayout, positions: int, copied: bool, size: int, machine: Machine) -> tuple[int, int]:
    """What a tile asks for: of a channel's row, the line after the next; of pixels side by side, all of the next tile's in turn.

    No prefetcher of the machine's follows a few values of each of many rows, or of pixels a tile at a time (decision 33).
    """
    if not a.last:
        return LINES_AHEAD * CACHE_LINE // size, 0
    alone = a.taps * a.axes[2].taps.step == problem.groups == 1 and not copied
    return (positions * a.summed, positions - 1) if alone and a.summed * prod(a.source) * size > machine.l2 else (0, 0)


def _copy(a: SpreadLayout, c: SpreadChoice, size: int) -> Copy:
    """As it would be; where nothing is copied, only the pitches of the source count."""
    planes, lines, wide = map(int, extents(a, c.box))
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


def _room(a: SpreadLayout, c: SpreadChoice, copy: Copy, lanes: int, size: int) -> tuple[int, int, int, int]:
    """Behind the copy of a box the sums, turned rows and their pitch, and a block of weights; what overruns one of them is scratch, too."""
    held = int(extents(a, c.box)[0]) * copy.plane_pitch if a.last else a.summed * copy.channel_pitch
    sums_at = up(held + c.tile[0] * a.axes[2].taps.step * copy.pixel_pitch + 2 * lanes, 16) if c.copied else 0
    positions, width = c.box[2] if a.last else prod(c.box), c.tile[1] * lanes  # positions whose sums are kept
    turned_at, turned_pitch = sums_at + (positions + c.tile[0] + lanes) * width, up(positions, lanes) + lanes
    return sums_at, turned_at, turned_pitch, spaced(up(turned_at + width * turned_pitch + lanes, 16) + 16, size)


def _axis(axis: Taps, box: int) -> SpreadAxis:
    taps = axis.taps
    return SpreadAxis(
        taps=taps,
        box=box,
        boxes=-(-axis.count // box),
        origin=axis.origin,
        reach=axis.reach,
        phases=axis.phases,
        common=taps.target_step // taps.period,
        inverse=pow(abs(taps.advance), -1, taps.period),
    )


class Notes(NamedTuple):
    """What a worker notes of terms; lengths in integers."""

    longer_at: int
    offsets: int
    bits: int  # of each


def _notes(a: SpreadLayout, copy: Copy) -> Notes:
    _, h, w = a.axes
    line = (h.taps.fewest + (h.taps.longer > 0)) * a.summed  # terms of a plane, of one tap a row
    last = (a.summed - 1) * copy.channel_pitch + h.reach * copy.row_pitch + w.reach * copy.pixel_pitch
    longer_at = line * w.taps.fewest
    return Notes(longer_at, longer_at + (w.taps.longer > 0) * (longer_at + line), 32 if last < FAR else 64)


@kept
def prepared(problem: ConvProblem, machine: Machine, workers: int, given: bool = False) -> PreparedDense:
    """The tile depends on problem and machine alone (packed weights do); boxes and splits also on workers and `given`, plain weights."""
    a, size = layout(problem), dtype_of(problem.dtype).itemsize
    tile, lanes = best_tile(single(problem), machine), machine.vector_bytes // size
    c = best(problem, machine, workers, tile, given)
    width, (t, h, w) = tile[1] * lanes, (_axis(x, b) for x, b in zip(a.axes, c.box, strict=True))
    boxes, blocks = t.boxes * h.boxes * w.boxes, -(-a.produced // width)
    split_blocks = -(-blocks // c.splits)
    copy, (ahead, ahead_slope) = _copy(a, c, size), _ahead(problem, a, tile[0], c.copied, size, machine)
    sums_at, turned_at, turned_pitch, block_at = _room(a, c, copy, lanes, size)
    packs, filters, notes = given and once(problem, boxes), filters_of(a, blocks, width), _notes(a, copy)
    offsets_at = up(block_at + filters.block_size * packs, 16)
    places_at = up(offsets_at + notes.offsets * notes.bits // 8 // size + 1, 16)
    plan = SpreadPlan(
        t=t,
        h=h,
        w=w,
        groups=problem.groups,
        splits=-(-blocks // split_blocks),
        split_blocks=split_blocks,
        summed=a.summed,
        volume=prod(a.target),
        sample_pitch=problem.groups * a.summed * prod(a.source),
        group_pitch=a.summed * (1 if a.last else prod(a.source)),
        plane_pitch=copy.plane_pitch,
        row_pitch=copy.row_pitch,
        pixel_pitch=copy.pixel_pitch,
        channel_pitch=copy.channel_pitch,
        plane_advance=abs(t.taps.advance) * copy.plane_pitch,
        longer_at=notes.longer_at,
        apart=a.apart,
        in_pieces=a.in_pieces,
        copied=c.copied,
        copy=copy,
        packs=packs,
        filters=filters,
        most_terms=most_terms(tile, machine),
        ahead=ahead,
        ahead_slope=ahead_slope,
        finish=Finish(problem.bias, ACTIVATIONS[problem.activation], problem.shuffle, problem.groups * a.produced),
        sums_at=sums_at,
        turned_at=turned_at,
        turned_pitch=turned_pitch,
        block_at=block_at,
        offsets_at=offsets_at,
        places_at=places_at,
        positions_at=size_of(SpreadPlan),
    )
    return PreparedDense(
        plan=plan,
        numbers=table(plan, [i * w.taps.step * copy.pixel_pitch for i in range(tile[0])]),
        tile=(*tile, lanes, 0 if a.last else w.taps.step, ahead > 0, notes.bits, int(problem.dtype == PAIRS)),
        tasks=problem.groups * boxes * plan.splits,
        room=up(places_at + a.summed * a.taps * packs * 8 // size, 16),
        filters=table(filters),
        packed=problem.groups * blocks * filters.block_size,
        places=a.summed * problem.taps,
        cycles=c.cycles,
    )


def seconds(problem: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    cycles = alone(problem, machine).cycles
    padding = 0.0 if problem.padding_mode == "zeros" else PADDED_SAMPLE * prod(layout(problem).source) * problem.in_channels
    return (cycles + padding) * machine.cycle
