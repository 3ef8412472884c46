"""The loops of `outer_product`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ...geometry.walk import end_inside, first_inside
from ...runtime.launch import device_function, inlined
from ...runtime.record import integers_at, reader
from ...runtime.tasks import over_shares
from ...simd.spread import spread_tile
from ...simd.tiles import columns, lanes, rows, tile_shape
from ...simd.transpose import transpose_part
from ...simd.vector import get, moved, put
from ...stages.copy import clipped, copy_rows
from ...stages.pack import zero
from .cost import BY_CHUNK, BY_SAMPLE
from .plan import OuterPlan

plan_at = reader(OuterPlan)


class Share(NamedTuple):
    """What a task owns: input channels and blocks of output channels of a group."""

    group: Any
    channel: Any  # the first
    channels: Any
    block: Any  # the first
    end_block: Any
    tiles: Any  # of an outer tap
    places: Any  # of the tiles' rows


class Lists(NamedTuple):
    """What a worker works out once, in its room."""

    offsets: Any  # of each position of a chunk in what is read
    places: Any  # of each row of an outer tap's tiles in what is read …
    last_places: Any  # … and for the last range of channels, which may be shorter
    sources: Any  # of each weight of a filter its row of the sums


@device_function
def _places(plan, places, channels):
    """Of each row (channel, inner tap) of so many channels; the last one for those that only fill the last tile."""
    pitch, dilation, inner, row = plan.copy.channel_pitch, plan.w.dilation, plan.inner_taps, 0
    for c in range(channels):
        for j in range(inner):
            put(places, row, c * pitch + j * dilation)
            row += 1
    for i in range(row, plan.rows):
        put(places, i, get(places, row - 1))


@device_function
def _sources(plan, sources):
    """Of each weight (channel, tap) of a range of channels its row of the sums; the last one, which stays zero, of taps that see nothing."""
    t, h, w, taps, inner, rows, channels, tap = plan.t, plan.h, plan.w, plan.taps, plan.inner_taps, plan.rows, plan.split_channels, 0
    nothing = t.taps * h.taps * plan.outer_columns * rows
    for i in range(-t.first_tap, t.all_taps - t.first_tap):
        for j in range(-h.first_tap, h.all_taps - h.first_tap):
            for k in range(-w.first_tap, w.all_taps - w.first_tap):
                at = w.start + k * w.dilation
                seen = first_inside(at, w.step) < end_inside(at, w.step, w.source, w.target)
                seen = seen and i >= 0 and i < t.taps and j >= 0 and j < h.taps and k >= 0 and k < w.taps
                outer, step = (i * h.taps + j) * plan.outer_columns + k // inner, inner
                row = outer * rows + k % inner
                if not seen:
                    row, step = nothing, 0
                for c in range(channels):
                    put(sources, c * taps + tap, row + c * step)
                tap += 1


@device_function
def _lists(plan, numbers):
    t, h, w, copy, position = plan.t, plan.h, plan.w, plan.copy, 0
    for i in range(t.box):
        for j in range(h.box):
            for k in range(w.box):
                put(numbers, position, i * t.step * copy.plane_pitch + j * h.step * copy.row_pitch + k * w.step)
                position += 1
    lists = Lists(numbers, moved(numbers, position), moved(numbers, plan.last_places_at), moved(numbers, plan.sources_at))
    _places(plan, lists.places, plan.split_channels)
    if plan.splits > 1:
        _places(plan, lists.last_places, plan.group_in - (plan.splits - 1) * plan.split_channels)
    _sources(plan, lists.sources)
    return lists


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
def _sums(shape, plan, task, lists, share, x, first, size, sums):
    """sums[outer tap, row, j] += Σ over a chunk's positions whose input lies inside.

    `size`: positions of the chunk; `first`: what its first position's first tap sees, of which `x` points to the value, or would.
    """
    mr, width, t, h, w, copy, mine = rows(shape), columns(shape), plan.t, plan.h, plan.w, plan.copy, sums
    tiles, all_places, pitch, gradient = share.tiles, share.places, plan.rows * width, moved(task.room, plan.gradient_at)
    for tap_t in range(0, t.taps * t.dilation, t.dilation):
        plane, end_plane = first_inside(first[0] + tap_t, t.step), end_inside(first[0] + tap_t, t.step, t.source, size[0])
        for tap_h in range(0, h.taps * h.dilation, h.dilation):
            line, end_line = first_inside(first[1] + tap_h, h.step), end_inside(first[1] + tap_h, h.step, h.source, size[1])
            for tap_w in range(0, plan.outer_columns * w.dilation, w.dilation):
                column, source = first_inside(first[2] + tap_w, w.step), moved(x, tap_t * copy.plane_pitch + tap_h * copy.row_pitch + tap_w)
                lines, terms = end_line - line, end_inside(first[2] + tap_w, w.step, plan.columns, size[2]) - column
                if terms == size[2]:  # whole rows are summed as one
                    lines, terms = min(lines, 1), lines * terms
                for tile in range(tiles if terms > 0 else 0):
                    places, tile_sums = moved(all_places, tile * mr), moved(mine, tile * mr * width)
                    for p in range(plane, end_plane):
                        for i in range(lines):
                            k = (p * size[1] + line + i) * size[2] + column
                            offsets, weights = moved(lists.offsets, k), moved(gradient, k * width)
                            spread_tile(shape, source, offsets, weights, tile_sums, terms, True, places, None, 0)
                mine = moved(mine, pitch)


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
    return corner[0] * t.step + t.start, corner[1] * h.step + h.start, corner[2] * w.step + w.start


@device_function
def _copied(vector, plan, x, channels, corner, size, room):
    """The input that a box of positions reads, zeros left and right; a pointer to where the box begins in it."""
    first, t, h = _first(plan, corner), plan.t, plan.h
    start_t, end_t = clipped(first[0], size[0], t.step, t.reach, t.source)
    start_h, end_h = clipped(first[1], size[1], h.step, h.reach, h.source)
    copy_rows(vector, x, room, channels, (start_t, start_h), (end_t - start_t, end_h - start_h), first[2], plan.copy)
    return moved(room, (first[0] - start_t) * plan.copy.plane_pitch + (first[1] - start_h) * plan.copy.row_pitch)


@device_function
def _sample(shape, vector, plan, task, lists, share, sample):
    """All chunks of one sample: their part of every sum of the task."""
    t, h, w, width, group_out = plan.t, plan.h, plan.w, columns(shape), plan.group_out
    positions, copied, group = t.target * h.target * w.target, plan.copied, sample * plan.groups + share.group
    x, zero_corner = moved(task.x, (group * plan.group_in + share.channel) * plan.copy.volume), (0, 0, 0)
    first, room = _first(plan, zero_corner), moved(task.room, plan.copy_at)
    whole = moved(x, (first[0] * h.source + first[1]) * w.source + first[2])
    if copied == BY_SAMPLE:
        whole = _copied(vector, plan, x, share.channels, zero_corner, (t.target, h.target, w.target), room)
    for chunk in range(t.boxes * h.boxes * w.boxes):
        corner = (chunk // (h.boxes * w.boxes) * t.box, chunk // w.boxes % h.boxes * h.box, chunk % w.boxes * w.box)
        size = (min(t.box, t.target - corner[0]), min(h.box, h.target - corner[1]), min(w.box, w.target - corner[2]))
        if copied == BY_CHUNK:
            source = _copied(vector, plan, x, share.channels, corner, size, room)
        else:
            copy = plan.copy
            source = moved(whole, corner[0] * t.step * copy.plane_pitch + corner[1] * h.step * copy.row_pitch + corner[2] * w.step)
        for b in range(share.block, share.end_block):
            channel = group * group_out + b * width
            y = moved(task.weights, channel * positions + (corner[0] * h.target + corner[1]) * w.target + corner[2])
            valid, sums = min(width, group_out - b * width), moved(task.room, plan.sums_at + (b - share.block) * plan.block_size)
            _gradient(shape, y, positions, size[0] * size[1] * size[2], valid, moved(task.room, plan.gradient_at))
            first = _first(plan, corner)
            _sums(shape, plan, task, lists, share, source, (first[0], first[1], corner[2] * w.step + plan.first_column), size, sums)


@device_function
def _task(shape, vector, plan, task, lists, number):
    """A range of input channels and one of blocks of output channels, of one group."""
    width, splits, block_splits = columns(shape), plan.splits, plan.block_splits
    split, block_split, group = number % splits, number // splits % block_splits, number // (splits * block_splits)
    channel, block = split * plan.split_channels, block_split * plan.split_blocks
    channels, end_block = (
        min(plan.split_channels, plan.group_in - channel),
        min((plan.group_out + width - 1) // width, block + plan.split_blocks),
    )
    tiles = (channels * plan.inner_taps + rows(shape) - 1) // rows(shape)
    places = lists.last_places if split == splits - 1 else lists.places
    share, sums = Share(group, channel, channels, block, end_block, tiles, places), moved(task.room, plan.sums_at)
    zero(vector, sums, (end_block - block) * plan.block_size)
    for sample in range(plan.batch):
        _sample(shape, vector, plan, task, lists, share, sample)
    filter_size = plan.group_in * plan.taps
    for b in range(block, end_block):
        w = moved(task.y, (group * plan.group_out + b * width) * filter_size + channel * plan.taps)
        mine = moved(sums, (b - block) * plan.block_size)
        _deliver(shape, mine, lists.sources, w, filter_size, plan.group_out - b * width, channels * plan.taps)


@device_function
def _tasks(shape, vector, plan, task, number, end):
    lists = _lists(plan, integers_at(task.room, 0))
    for i in range(number, end):
        _task(shape, vector, plan, task, lists, i)


@lru_cache(maxsize=64)
def driver(tile_rows: int, vectors: int, tile_lanes: int) -> Any:
    """The loop for one tile shape.  A task's weights: the gradient of the result."""

    @inlined
    def body(task, number, end):
        shape, vector = tile_shape(tile_rows, vectors, tile_lanes), tile_shape(1, 1, tile_lanes)
        _tasks(shape, vector, plan_at(task.tables, 0), task, number, end)

    return over_shares("outer_product", body)
