"""The loops of `outer_product`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ...geometry.walk import end_inside, first_inside
from ...runtime.launch import device_function, inlined
from ...runtime.record import reader, size_of
from ...runtime.tasks import over_tasks
from ...simd.spread import spread_tile
from ...simd.tiles import columns, lanes, rows, tile_shape
from ...simd.transpose import transpose_part
from ...simd.vector import moved
from ...stages.copy import clipped, copy_rows
from ...stages.pack import zero
from .cost import BY_CHUNK, BY_SAMPLE
from .plan import OuterPlan
from .tables import OuterTap

plan_at, outer_tap_at = reader(OuterPlan), reader(OuterTap)
OUTER_TAP_SIZE = size_of(OuterTap)


class Share(NamedTuple):
    """What a task owns: input channels and blocks of output channels of a group."""

    group: Any
    channel: Any  # the first
    channels: Any
    block: Any  # the first
    end_block: Any
    tiles: Any  # of an outer tap
    places: Any  # of the tiles' rows


@device_function
def _gradient(shape, y, positions, count, valid, target):
    """target[p, j] = y[j, p] for a chunk of `count` positions and a block of `valid` channels; columns beyond repeat the last."""
    n, width = lanes(shape), columns(shape)
    for v in range(0, width, n):
        first = min(v, valid - 1)
        for p in range(0, count, n):
            source, to = moved(y, first * positions + p), moved(target, p * width + v)
            transpose_part(shape, source, positions, None, valid - first, to, width, min(n, count - p), n)


@device_function
def _sums(shape, plan, task, share, x, first, size, sums):
    """sums[outer tap, row, j] += Σ over a chunk's positions whose input lies inside.

    `size`: positions of the chunk; `first`: what its first position's first tap sees, of which `x` points to the value, or would.
    """
    mr, width, t, h, w, extent = rows(shape), columns(shape), plan.t, plan.h, plan.w, plan.columns
    tiles, pitch, gradient = share.tiles, plan.tiles, moved(task.room, plan.gradient_at)
    for o in range(plan.outer_taps):
        tap = outer_tap_at(task.tables, plan.outer_at + o * OUTER_TAP_SIZE)
        source, at_t, at_h, at_w = moved(x, tap.source_at), first[0] + tap.t, first[1] + tap.h, first[2] + tap.w
        line, column = first_inside(at_h, h.step), first_inside(at_w, w.step)
        lines, terms = end_inside(at_h, h.step, h.source, size[1]) - line, end_inside(at_w, w.step, extent, size[2]) - column
        if terms == size[2]:  # whole rows are summed as one
            lines, terms = min(lines, 1), lines * terms
        if terms <= 0:
            continue
        plane, end_plane = first_inside(at_t, t.step), end_inside(at_t, t.step, t.source, size[0])
        for tile in range(tiles):
            places, mine = moved(share.places, tile * mr), moved(sums, (o * pitch + tile) * mr * width)
            for p in range(plane, end_plane):
                for i in range(lines):
                    k = (p * size[1] + line + i) * size[2] + column
                    offsets, weights = moved(task.offsets, k), moved(gradient, k * width)
                    spread_tile(shape, source, offsets, weights, mine, terms, True, places, None, 0)


@device_function
def _deliver(shape, sums, sources, w, filter_size, valid, count):
    """w[j, i] = sums[sources[i], j] for a block of `valid` filters and `count` weights of each."""
    n, width = lanes(shape), columns(shape)
    for v in range(0, min(width, valid), n):
        for i in range(0, count, n):
            some, to = min(n, count - i), moved(w, v * filter_size + i)
            transpose_part(shape, moved(sums, v), width, moved(sources, i), some, to, filter_size, min(n, valid - v), some)


@inlined
def _first(plan, corner):
    """Coordinates of the input that a position's first tap sees, in the padding perhaps."""
    t, h, w = plan.t, plan.h, plan.w
    return corner[0] * t.step - t.low, corner[1] * h.step - h.low, corner[2] * w.step - w.low


@device_function
def _copied(vector, plan, x, channels, corner, size, room):
    """The input that a box of positions reads, zeros left and right; a pointer to where the box begins in it."""
    first, t, h = _first(plan, corner), plan.t, plan.h
    start_t, end_t = clipped(first[0], size[0], t.step, t.reach, t.source)
    start_h, end_h = clipped(first[1], size[1], h.step, h.reach, h.source)
    copy_rows(vector, x, room, channels, (start_t, start_h), (end_t - start_t, end_h - start_h), first[2], plan.copy)
    return moved(room, (first[0] - start_t) * plan.copy.plane_pitch + (first[1] - start_h) * plan.copy.row_pitch)


@device_function
def _sample(shape, vector, plan, task, share, sample):
    """All chunks of one sample: their part of every sum of the task."""
    t, h, w, width, group_out = plan.t, plan.h, plan.w, columns(shape), plan.group_out
    positions, copied, group = t.target * h.target * w.target, plan.copied, sample * plan.groups + share.group
    x, zero_corner = moved(task.x, (group * plan.group_in + share.channel) * plan.copy.volume), (0, 0, 0)
    first = _first(plan, zero_corner)
    whole = moved(x, (first[0] * h.source + first[1]) * w.source + first[2])
    if copied == BY_SAMPLE:
        whole = _copied(vector, plan, x, share.channels, zero_corner, (t.target, h.target, w.target), task.room)
    for chunk in range(t.boxes * h.boxes * w.boxes):
        corner = (chunk // (h.boxes * w.boxes) * t.box, chunk // w.boxes % h.boxes * h.box, chunk % w.boxes * w.box)
        size = (min(t.box, t.target - corner[0]), min(h.box, h.target - corner[1]), min(w.box, w.target - corner[2]))
        if copied == BY_CHUNK:
            source = _copied(vector, plan, x, share.channels, corner, size, task.room)
        else:
            copy = plan.copy
            source = moved(whole, corner[0] * t.step * copy.plane_pitch + corner[1] * h.step * copy.row_pitch + corner[2] * w.step)
        for b in range(share.block, share.end_block):
            channel = group * group_out + b * width
            y = moved(task.weights, channel * positions + (corner[0] * h.target + corner[1]) * w.target + corner[2])
            valid, sums = min(width, group_out - b * width), moved(task.room, plan.sums_at + (b - share.block) * plan.block_size)
            _gradient(shape, y, positions, size[0] * size[1] * size[2], valid, moved(task.room, plan.gradient_at))
            _sums(shape, plan, task, share, source, _first(plan, corner), size, sums)


@device_function
def _task(shape, vector, plan, task, number):
    """A range of input channels and one of blocks of output channels, of one group."""
    width, splits, block_splits = columns(shape), plan.splits, plan.block_splits
    split, block_split, group = number % splits, number // splits % block_splits, number // (splits * block_splits)
    channel, block = split * plan.split_channels, block_split * plan.split_blocks
    channels, end_block = (
        min(plan.split_channels, plan.group_in - channel),
        min((plan.group_out + width - 1) // width, block + plan.split_blocks),
    )
    tiles = (channels * plan.inner_taps + rows(shape) - 1) // rows(shape)
    places = moved(task.tables, plan.last_places_at if split == splits - 1 else plan.places_at)
    share, sums = Share(group, channel, channels, block, end_block, tiles, places), moved(task.room, plan.sums_at)
    zero(vector, sums, (end_block - block) * plan.block_size)
    for sample in range(plan.batch):
        _sample(shape, vector, plan, task, share, sample)
    filter_size, sources = plan.group_in * plan.taps, moved(task.tables, plan.sources_at)
    for b in range(block, end_block):
        w = moved(task.y, (group * plan.group_out + b * width) * filter_size + channel * plan.taps)
        mine = moved(sums, (b - block) * plan.block_size)
        _deliver(shape, mine, sources, w, filter_size, plan.group_out - b * width, channels * plan.taps)


@lru_cache(maxsize=64)
def driver(tile_rows: int, vectors: int, tile_lanes: int) -> Any:
    """The loop for one tile shape.  A task's weights: the gradient of the result."""

    @inlined
    def body(task, number):
        shape, vector = tile_shape(tile_rows, vectors, tile_lanes), tile_shape(1, 1, tile_lanes)
        _task(shape, vector, plan_at(task.tables, 0), task, number)

    return over_tasks("outer_product", body)
