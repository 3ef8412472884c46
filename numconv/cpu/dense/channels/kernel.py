"""The loops of `spread`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ...runtime.launch import device_function, inlined
from ...runtime.record import reader, size_of
from ...runtime.tasks import over_tasks
from ...simd.spread import spread_tile
from ...simd.tiles import columns, rows, strided_shape, tile_shape
from ...simd.vector import moved
from ...stages.copy import clipped, copy_box
from ...stages.deliver import store_pixels
from ...stages.filters import pack_block
from ...stages.pack import zero
from ..tasks import located
from .plan import SpreadPlan
from .store import store_rows
from .tables import LiveTaps, SpreadJob

plan_at, job_at, live_at = reader(SpreadPlan), reader(SpreadJob), reader(LiveTaps)
SPREAD_JOB_SIZE, LIVE_SIZE = size_of(SpreadJob), size_of(LiveTaps)


@device_function
def _row(shape, plan, task, job, source, weights, sums, row, places, ahead):
    """The sums of one row, tile by tile.  `row`: (planes, lines) of taps that see the input, as LiveTaps; how many targets it has."""
    planes, lines, count = row
    positions, width = rows(shape), columns(shape)
    terms, whole = lines.number * job.row_terms, count // positions * positions
    if terms * planes.number == 0:
        zero(shape, sums, max(count, positions) * width)
    # the last tile overlaps the one before: from its own beginning
    for begin, end, size in ((0, whole, min(plan.most_terms, terms) if whole > positions else terms), (whole, count, terms)):
        for plane in range(planes.first, planes.first + (planes.number if end > begin else 0)):
            for first in range(0, terms, max(1, size)):
                k, some = plane * job.plane_terms + lines.first * job.row_terms + first, min(size, terms - first)
                for tile in range(begin, end, positions):
                    p = max(0, min(tile, count - positions))
                    spread_tile(
                        shape,
                        moved(source, p * plan.w.step * plan.pixel_pitch),
                        moved(task.offsets, job.first_term + k),
                        moved(weights, (job.first_term + k) * width),
                        moved(sums, p * width),
                        some,
                        plane > planes.first or first > 0,
                        places,
                        ahead,
                        plan.ahead_slope,
                    )


@device_function
def _copied(vector, plan, x, first, room):
    """The rows that a box reads, zeros at their ends; where the box begins in them."""
    t, h = plan.t, plan.h
    start_t, end_t = clipped(first[0], t.box, t.step, t.reach, t.source)
    start_h, end_h = clipped(first[1], h.box, h.step, h.reach, h.source)
    copy_box(vector, x, room, (start_t, start_h), (end_t - start_t, end_h - start_h), first[2], plan.copy)
    return moved(room, (first[0] - start_t) * plan.plane_pitch + (first[1] - start_h) * plan.row_pitch)


@inlined
def _pixel(plan, job, sample, t, h, w):
    """Number of the target's pixel for targets of a job."""
    first = job.first
    t, h, w = first.t + plan.t.target_step * t, first.h + plan.h.target_step * h, first.w + plan.w.target_step * w
    return ((sample * plan.t.target + t) * plan.h.target + h) * plan.w.target + w


@device_function
def _block(shape, vector, plan, task, source, weights, corner, channel, places, ahead):
    """One block of channels at every target of a box: its jobs one after the other.  `channel`: (sample, first channel, how many)."""
    sample, first, valid = channel
    t, h, w, width, sums = plan.t, plan.h, plan.w, columns(shape), moved(task.room, plan.sums_at)
    for i in range(plan.jobs):
        job = job_at(task.tables, plan.jobs_at + i * SPREAD_JOB_SIZE)
        box = (min(t.box, job.targets.t - corner[0]), min(h.box, job.targets.h - corner[1]), min(w.box, job.targets.w - corner[2]))
        if box[0] <= 0 or box[1] <= 0 or box[2] <= 0:
            continue
        for row in range(box[0] * box[1]):
            u, v = row // box[1], row % box[1]
            planes = live_at(task.tables, job.live_t_at + (corner[0] + u) * LIVE_SIZE)
            lines = live_at(task.tables, job.live_h_at + (corner[1] + v) * LIVE_SIZE)
            at = moved(source, u * t.step * plan.plane_pitch + v * h.step * plan.row_pitch)
            mine = moved(sums, row * box[2] * width) if places is None else sums
            _row(shape, plan, task, job, at, weights, mine, (planes, lines, box[2]), places, ahead)
            if places is not None:  # channels last: sums are pixels
                channels = plan.finish.channels
                y = moved(task.y, _pixel(plan, job, sample, corner[0] + u, corner[1] + v, corner[2]) * channels)
                store_pixels(vector, mine, width, y, w.target_step * channels, box[2], task.bias, first, valid, plan.finish)
        if places is None:
            store_rows(vector, plan, task, width, first, valid, box, _pixel(plan, job, 0, corner[0], corner[1], corner[2]), sample)


@device_function
def _task(shape, vector, plan, task, number, places, ahead):
    """One box of one sample and group, a range of its blocks of channels."""
    t, h, w, width = plan.t, plan.h, plan.w, columns(shape)
    sample, group, split, box = located(plan, number)
    corner = (box[0] * t.box, box[1] * h.box, box[2] * w.box)
    first = (t.origin + corner[0] * t.step, h.origin + corner[1] * h.step, w.origin + corner[2] * w.step)
    x = moved(task.x, sample * plan.sample_pitch + group * plan.group_pitch)
    if plan.copied:
        source = _copied(vector, plan, x, first, task.room)
    else:
        source = moved(x, ((first[0] * h.source + first[1]) * w.source + first[2]) * plan.pixel_pitch)
    filters = plan.filters
    for block in range(split * plan.split_blocks, min(filters.blocks, (split + 1) * plan.split_blocks)):
        valid = min(width, filters.produced - block * width)
        if plan.packs:
            weights, given = moved(task.room, plan.block_at), moved(task.weights, group * filters.group_pitch)
            pack_block(
                shape, filters, given, moved(task.tables, plan.places_at), block, weights, (0, filters.stretches), (0, filters.length)
            )
        else:
            weights = moved(task.weights, (group * filters.blocks + block) * filters.block_size)
        channel = (sample, group * filters.produced + block * width, valid)
        _block(shape, vector, plan, task, source, weights, corner, channel, places, ahead)


@lru_cache(maxsize=64)
def driver(positions: int, vectors: int, tile_lanes: int, step: int, fetch: bool) -> Any:
    """The loop for one tile shape and one step of the last axis; 0: channels last, whose pixels are any distance apart.

    `fetch`: a tile asks for what later tiles read.
    """
    last = step == 0

    @inlined
    def body(task, number):
        shape, vector, plan = strided_shape(positions, vectors, tile_lanes, step), tile_shape(1, 1, tile_lanes), plan_at(task.tables, 0)
        places = moved(task.tables, plan.positions_at) if last else None
        _task(shape, vector, plan, task, number, places, plan.ahead if fetch else None)

    return over_tasks("spread", body)
