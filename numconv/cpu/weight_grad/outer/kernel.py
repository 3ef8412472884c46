"""The loops of `outer_product`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ...geometry.walk import end_inside, first_inside
from ...runtime.launch import device_function, inlined
from ...runtime.record import integers_at, reader, size_of
from ...runtime.tasks import over_tasks
from ...simd.spread import spread_tile
from ...simd.tiles import columns, lanes, rows, tile_shape
from ...simd.transpose import transpose_part
from ...simd.vector import compact, get, moved, put
from ...stages.copy import clipped, copy_rows
from ...stages.pack import zero
from .cost import BY_CHUNK, BY_SAMPLE
from .plan import OuterPlan
from .taps import OuterTap

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
    lists: Any  # OuterLists


class OuterLists(NamedTuple):
    """What a task works out first, in its room.  From any row or weight on, the list is that of the first channels, so many channels on."""

    outer: Any  # records of OuterTap
    places: Any  # of each row (channel, inner tap) in what is read, until a tile more than those of the first channel
    last_places: Any  # of the last tile's rows; again the last one of those that only fill it
    sources: Any  # of each weight (channel, tap) of a filter its row of the sums, until a vector more than those of the first channel


@device_function
def _lists(plan, numbers, tile_rows, vector, filled):
    """`filled`: rows (channel, inner tap) of the task's channels; the last tile is filled up."""
    compact()
    t, h, w, inner, apart = plan.t, plan.h, plan.w, plan.inner_taps, plan.outer_columns > 1
    places, last_places, sources = moved(numbers, plan.places_at), moved(numbers, plan.last_places_at), moved(numbers, plan.sources_at)
    row = (filled - 1) // tile_rows * tile_rows
    for j in range(inner + tile_rows):
        put(places, j, j * w.dilation if j < inner else get(places, j - inner) + plan.copy.channel_pitch)
    for j in range(tile_rows):
        put(last_places, j, get(places, row % inner + min(j, filled - 1 - row)))
    first = -t.first, -h.first, -w.first
    (i, j, k), base = first, 0
    for weight in range(plan.taps + vector):
        outer, column = plan.outer_taps, 0  # the rows that stay zero
        if (i | j | k | t.taps - 1 - i | h.taps - 1 - j | w.taps - 1 - k) >= 0:  # none is negative: the tap sees the input
            outer, column = (i * h.taps + j) * plan.outer_columns, k
            if apart:
                outer, column = outer + k, 0
            tap = outer_tap_at(numbers, outer * OUTER_TAP_SIZE)
            tap.t, tap.h, tap.w = i * t.dilation, j * h.dilation, k * w.dilation * apart
            tap.source_at = tap.t * plan.copy.plane_pitch + tap.h * plan.copy.row_pitch + tap.w
        put(sources, weight, base + outer * plan.rows + column)
        k += 1
        if k == first[2] + w.kernel:
            j, k = j + 1, first[2]
            if j == first[1] + h.kernel:
                i, j = i + 1, first[1]
                if i == first[0] + t.kernel:
                    i, base = first[0], base + inner
    return OuterLists(numbers, places, last_places, sources)


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
    mr, width, t, h, w, extent, inner = rows(shape), columns(shape), plan.t, plan.h, plan.w, plan.columns, plan.inner_taps
    pitch, lists, tiles, gradient = plan.copy.channel_pitch, share.lists, share.tiles, moved(task.room, plan.gradient_at)
    step, turn = mr // inner * pitch, mr % inner  # from one tile to the next
    for o in range(plan.outer_taps):
        tap = outer_tap_at(lists.outer, o * OUTER_TAP_SIZE)
        source, at_t, at_h, at_w = moved(x, tap.source_at), first[0] + tap.t, first[1] + tap.h, first[2] + tap.w
        line, column = first_inside(at_h, h.step), first_inside(at_w, w.step)
        lines, terms = end_inside(at_h, h.step, h.source, size[1]) - line, end_inside(at_w, w.step, extent, size[2]) - column
        if terms == size[2]:  # whole rows are summed as one
            lines, terms = min(lines, 1), lines * terms
        if terms <= 0:
            continue
        plane, end_plane, at = first_inside(at_t, t.step), end_inside(at_t, t.step, t.source, size[0]), 0
        for tile in range(tiles):
            places = moved(lists.places, at) if tile < tiles - 1 else lists.last_places
            mine = moved(sums, o * plan.rows * width + tile * mr * width)
            for p in range(plane, end_plane):
                for i in range(lines):
                    k = (p * size[1] + line + i) * size[2] + column
                    offsets, weights = moved(task.offsets, k), moved(gradient, k * width)
                    spread_tile(shape, source, offsets, weights, mine, terms, True, places, None, 0)
            at, source = at + turn, moved(source, step)
            if at >= inner:
                at, source = at - inner, moved(source, pitch)


@device_function
def _deliver(shape, plan, sources, sums, w, valid, count):
    """w[j, i] = sums[row of weight i, j] for a block of `valid` filters and `count` weights of each."""
    n, width, taps, step, filter_size = lanes(shape), columns(shape), plan.taps, plan.inner_taps * columns(shape), plan.group_in * plan.taps
    for v in range(0, min(width, valid), n):
        values, weight = moved(sums, v), 0
        for i in range(0, count, n):
            some, to = min(n, count - i), moved(w, v * filter_size + i)
            transpose_part(shape, values, width, moved(sources, weight), some, to, filter_size, min(n, valid - v), some)
            weight += n
            while weight >= taps:
                weight, values = weight - taps, moved(values, step)


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
def _sample(shape, vector, plan, task, share, sample):
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
            _sums(shape, plan, task, share, source, (first[0], first[1], corner[2] * w.step + plan.first_column), size, sums)


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
    filled = channels * plan.inner_taps
    lists = _lists(plan, integers_at(task.room, 0), rows(shape), lanes(shape), filled)
    share = Share(group, channel, channels, block, end_block, (filled + rows(shape) - 1) // rows(shape), lists)
    sums, filter_size = moved(task.room, plan.sums_at), plan.group_in * plan.taps
    zero(vector, sums, (end_block - block) * plan.block_size)
    for sample in range(plan.batch):
        _sample(shape, vector, plan, task, share, sample)
    for b in range(block, end_block):
        w = moved(task.y, (group * plan.group_out + b * width) * filter_size + channel * plan.taps)
        mine = moved(sums, (b - block) * plan.block_size)
        _deliver(shape, plan, lists.sources, mine, w, plan.group_out - b * width, channels * plan.taps)


@lru_cache(maxsize=64)
def driver(tile_rows: int, vectors: int, tile_lanes: int) -> Any:
    """The loop for one tile shape.  A task's weights: the gradient of the result."""

    @inlined
    def body(task, number):
        shape, vector = tile_shape(tile_rows, vectors, tile_lanes), tile_shape(1, 1, tile_lanes)
        _task(shape, vector, plan_at(task.tables, 0), task, number)

    return over_tasks("outer_product", body)
