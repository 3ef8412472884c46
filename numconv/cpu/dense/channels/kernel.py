"""The loops of `spread`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ...geometry.jobs import live_of
from ...runtime.launch import device_function, inlined
from ...runtime.tasks import Task, over_tasks
from ...simd.spread import spread_tile
from ...simd.tiles import columns, rows, strided_shape, tile_shape
from ...simd.vector import integers, moved
from ...stages.copy import clipped, copy_box
from ...stages.deliver import store_pixels
from ...stages.filters import pack_block
from ...stages.pack import zero
from ..tasks import located
from .store import pixel_of, store_rows
from .terms import plan_at, spread_job, write_offsets, write_places


class LiveTaps(NamedTuple):
    """Of a job's taps on an axis, in the order of the samples that they read, those that see the source for a target."""

    first: Any
    number: Any


class Row(NamedTuple):
    """Targets side by side.  In compiled code these are registers."""

    planes: Any  # of taps that see the input for them, as LiveTaps
    lines: Any
    first: Any  # of a job
    count: Any


@inlined
def _live(axis, job, target):
    k, number = live_of(axis, job, target)
    return LiveTaps(k if axis.advance > 0 else job.taps - k - number, number)


@device_function
def _piece(shape, plan, job, source, offsets, weights, sums, row, inner, asked):
    """The sums of a row or a piece of it, tile by tile.  `inner`: the inner taps that are taken; `asked`: `places` and `ahead` of tiles.

    Terms that follow each other are taken together: all of a plane, or, where some of the inner taps are left out, those of a line.
    """
    planes, lines, _, count = row
    places, ahead = asked
    positions, width, row_terms = rows(shape), columns(shape), plan.summed * job.w.taps
    runs, before, terms = 1, 0, lines.number * row_terms
    if inner.number < job.w.taps:
        runs, before, terms = lines.number, inner.first * plan.summed, inner.number * plan.summed
    whole = count // positions * positions
    if terms * planes.number * lines.number == 0:
        zero(shape, sums, max(count, positions) * width)
        return
    # the last tile overlaps the one before: from its own beginning
    for begin, end, size in ((0, whole, min(plan.most_terms, terms) if whole > positions else terms), (whole, count, terms)):
        for plane in range(planes.first, planes.first + (planes.number if end > begin else 0)):
            above = moved(source, plane * plan.plane_advance)
            for run in range(runs):
                for first in range(0, terms, max(1, size)):
                    k, some = (lines.first + run) * row_terms + before + first, min(size, terms - first)
                    for tile in range(begin, end, positions):
                        p = max(0, min(tile, count - positions))
                        spread_tile(
                            shape,
                            moved(above, p * plan.w.taps.step * plan.pixel_pitch),
                            moved(offsets, k),
                            moved(weights, (plane * job.h.taps * row_terms + k) * width),
                            moved(sums, p * width),
                            some,
                            plane > planes.first or run > 0 or first > 0,
                            places,
                            ahead,
                            plan.ahead_slope,
                        )


@device_function
def _row(shape, plan, job, source, offsets, weights, sums, row, places, ahead):
    """The sums of one row, whole or in pieces.

    A piece that is shorter than a tile overruns into the next one, which comes after it.
    """
    planes, lines, start, count = row
    begin, inner = 0, LiveTaps(0, job.w.taps)
    while begin < count:
        end = count
        if plan.in_pieces:
            inner, end = _live(plan.w.taps, job.w, start + begin), begin + 1
            while end < count and _live(plan.w.taps, job.w, start + end) == inner:
                end += 1
        at = moved(source, begin * plan.w.taps.step * plan.pixel_pitch)
        piece = Row(planes, lines, start + begin, end - begin)
        _piece(shape, plan, job, at, offsets, weights, moved(sums, begin * columns(shape)), piece, inner, (places, ahead))
        begin = end


@device_function
def _copied(vector, plan, x, first, room):
    """The rows that a box reads, zeros at their ends; where the box begins in them."""
    t, h = plan.t, plan.h
    start_t, end_t = clipped(first[0], t.box, t.taps.step, t.reach, t.taps.source)
    start_h, end_h = clipped(first[1], h.box, h.taps.step, h.reach, h.taps.source)
    copy_box(vector, x, room, (start_t, start_h), (end_t - start_t, end_h - start_h), first[2], plan.copy)
    return moved(room, (first[0] - start_t) * plan.plane_pitch + (first[1] - start_h) * plan.row_pitch)


@device_function
def _job(shape, vector, plan, task, job, source, corner, channel, places, ahead):
    """One block of channels at the targets of a box that belong to a job.  `task.weights`: the block's."""
    sample, first, valid = channel
    t, h, w, width, sums = plan.t, plan.h, plan.w, columns(shape), moved(task.room, plan.sums_at)
    box = (min(t.box, job.t.targets - corner[0]), min(h.box, job.h.targets - corner[1]), min(w.box, job.w.targets - corner[2]))
    if box[0] <= 0 or box[1] <= 0 or box[2] <= 0:
        return
    source, offsets, weights = (
        moved(source, job.source_at),
        moved(task.offsets, job.offsets_at),
        moved(task.weights, job.first_term * width),
    )
    for row in range(box[0] * box[1]):
        u, v = row // box[1], row % box[1]
        seen = Row(_live(t.taps, job.t, corner[0] + u), _live(h.taps, job.h, corner[1] + v), corner[2], box[2])
        at = moved(source, u * t.taps.step * plan.plane_pitch + v * h.taps.step * plan.row_pitch)
        mine = moved(sums, row * box[2] * width) if places is None else sums
        _row(shape, plan, job, at, offsets, weights, mine, seen, places, ahead)
        if places is not None:  # channels last: sums are pixels
            channels = plan.finish.channels
            y = moved(task.y, (sample * plan.volume + pixel_of(plan, job, corner[0] + u, corner[1] + v, corner[2])) * channels)
            store_pixels(vector, mine, width, y, w.taps.target_step * channels, box[2], task.bias, first, valid, plan.finish)
    if places is None:
        store_rows(vector, plan, task, width, first, valid, box, pixel_of(plan, job, corner[0], corner[1], corner[2]), sample)


@device_function
def _block(shape, vector, plan, task, source, corner, channel, places, ahead):
    """One block of channels at every target of a box: its jobs one after the other."""
    for i in range(plan.t.phases):
        for j in range(plan.h.phases):
            for k in range(plan.w.phases):
                _job(shape, vector, plan, task, spread_job(plan, i, j, k), source, corner, channel, places, ahead)


@device_function
def _task(shape, vector, plan, task, number, places, ahead):
    """One box of one sample and group, a range of its blocks of channels."""
    t, h, w, width = plan.t, plan.h, plan.w, columns(shape)
    sample, group, split, box = located(plan, number)
    corner = (box[0] * t.box, box[1] * h.box, box[2] * w.box)
    first = (t.origin + corner[0] * t.taps.step, h.origin + corner[1] * h.taps.step, w.origin + corner[2] * w.taps.step)
    x = moved(task.x, sample * plan.sample_pitch + group * plan.group_pitch)
    if plan.copied:
        source = _copied(vector, plan, x, first, task.room)
    else:
        source = moved(x, ((first[0] * h.taps.source + first[1]) * w.taps.source + first[2]) * plan.pixel_pitch)
    filters, places_at = plan.filters, plan.places_at
    for block in range(split * plan.split_blocks, min(filters.blocks, (split + 1) * plan.split_blocks)):
        valid = min(width, filters.produced - block * width)
        if plan.packs:
            weights, given = moved(task.room, plan.block_at), moved(task.weights, group * filters.group_pitch)
            terms = integers(moved(task.room, places_at), 64)
            pack_block(shape, filters, given, terms, block, weights, (0, filters.stretches), (0, filters.length))
        else:
            weights = moved(task.weights, (group * filters.blocks + block) * filters.block_size)
        mine = Task(task.x, weights, task.bias, task.y, task.room, task.offsets, task.tables, task.shared)
        _block(shape, vector, plan, mine, source, corner, (sample, group * filters.produced + block * width, valid), places, ahead)


@lru_cache(maxsize=64)
def driver(positions: int, vectors: int, tile_lanes: int, step: int, fetch: bool, bits: int, pairs: int) -> Any:
    """The loop for one tile shape and one step of the last axis; 0: channels last, whose pixels are any distance apart.

    `fetch`: a tile asks for what later tiles read.  `bits`: of an offset.  `pairs`: 1 where elements are such.
    """
    last = step == 0

    @device_function
    def begin(task):
        """Notes where terms read, and where weights go."""
        plan = plan_at(task.tables, 0)
        offsets = integers(moved(task.room, plan.offsets_at), bits)
        write_offsets(plan, offsets)
        if plan.packs:
            write_places(plan, integers(moved(task.room, plan.places_at), 64))
        return Task(task.x, task.weights, task.bias, task.y, task.room, offsets, task.tables, task.shared)

    @inlined
    def body(task, number):
        shape, vector = strided_shape(positions, vectors, tile_lanes, step, pairs), tile_shape(1, 1, tile_lanes)
        plan = plan_at(task.tables, 0)
        places = moved(task.tables, plan.positions_at) if last else None
        _task(shape, vector, plan, task, number, places, plan.ahead if fetch else None)

    return over_tasks("spread", body, begin)
