"""The loops of `winograd_weights`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ...runtime.launch import device_function, inlined
from ...runtime.record import integers_at, reader
from ...runtime.tasks import Task, over_tasks
from ...simd.spread import spread_tile
from ...simd.tiles import columns, lanes, rows, strided_shape, tile_shape
from ...simd.transpose import transpose_part
from ...simd.vector import compact, moved
from ..taps import TAP_PIECE, piece_at
from .lift import lift, taps
from .plan import LiftPlan
from .products import write_products
from .sides import write_columns, write_rows

plan_at = reader(LiftPlan)


class GradientShare(NamedTuple):
    """What a task owns.  In compiled code these are registers, not an object."""

    group: Any
    first: Any  # input channel …
    channels: Any  # … and how many
    block: Any  # first block of output channels …
    end: Any  # … up to this one


@inlined
def _share(plan, width, number):
    split, number = number % plan.channel_splits, number // plan.channel_splits
    blocks, group = number % plan.block_splits, number // plan.block_splits
    first = split * plan.split_channels
    end = min((plan.channels_out + width - 1) // width, (blocks + 1) * plan.split_blocks)
    return GradientShare(group, first, min(plan.split_channels, plan.channels_in - first), blocks * plan.split_blocks, end)


@device_function
def _fill(shape, by_a, by_w, of_a, of_w, plan, task, sample, share):
    """V and Y of a box of one sample."""
    n, width, room, group = lanes(shape), columns(shape), task.room, sample * plan.groups + share.group
    x = moved(task.x, (group * plan.channels_in + share.first) * plan.x_side.size)
    y = moved(task.weights, group * plan.channels_out * plan.y_side.size)
    for c in range(0, share.channels, n):
        valid, target = min(n, share.channels - c), moved(room, plan.v.at + c)
        lift(shape, by_a, by_w, plan.x_side, plan.v, task, moved(x, c * plan.x_side.size), valid, target)
    for k in range(share.block * width, min(share.end * width, plan.channels_out), n):
        valid = min(n, plan.channels_out - k)
        target = moved(room, plan.y.at + (k // width - share.block) * plan.y.plane_pitch + k % width)
        lift(shape, of_a, of_w, plan.y_side, plan.y, task, moved(y, k * plan.y_side.size), valid, target)


@device_function
def _multiply(shape, frequencies, plan, task, v, y, sums, tiles, accumulate):
    """S of a block of output channels and a run of tiles of input channels."""
    size, mr, positions, pieces = rows(shape) * columns(shape), rows(shape), plan.terms, plan.pieces
    v_pitch, y_pitch, pitch, piece_pitch = plan.v.pitch, plan.y.pitch, plan.sums.pitch, plan.sums.piece_pitch
    places = moved(task.offsets, plan.positions.at)
    for f in range(frequencies):
        for k in range(pieces):
            at = f * v_pitch + piece_at(task.offsets, k * TAP_PIECE).v_at
            for tile in range(tiles):
                target = moved(sums, f * pitch + k * piece_pitch + tile * size)
                spread_tile(shape, moved(v, at + tile * mr), places, moved(y, f * y_pitch), target, positions, accumulate, None, None, 0)


@device_function
def _deliver(shape, by_a, by_w, plan, task, sums, channels, target, valid):
    """The weights of a block of output channels, `valid` of them, and a run of input channels.

    By way of the room, where they lie as (input channel, weight of a filter, channel of the block).
    """
    width, n, size, pieces = columns(shape), lanes(shape), plan.taps, plan.pieces
    pitches, filter_size = (plan.tap_pitch_a * width, plan.tap_pitch_w * width), plan.channels_in * plan.taps
    pitch, piece_pitch, room = plan.sums.pitch, plan.sums.piece_pitch, moved(task.room, plan.filters_at)
    away = moved(room, channels * size * width)
    for c in range(channels):
        for k in range(pieces):
            piece = piece_at(task.offsets, k * TAP_PIECE)
            tap, live = piece.tap, (piece.live_a, piece.live_w)
            for v in range(0, min(width, valid), n):
                source = moved(sums, k * piece_pitch + c * width + v)
                taps(by_a, by_w, source, pitch, moved(room, (c * size + tap) * width + v), pitches, live, away)
    for v in range(0, min(width, valid), n):
        for i in range(0, channels * size, n):
            some, to = min(n, channels * size - i), moved(target, v * filter_size + i)
            transpose_part(shape, moved(room, i * width + v), width, None, some, to, filter_size, min(n, valid - v), some)


@device_function
def _write_box(shape, plan, box, lists):
    compact()
    outer, inner, n = box // plan.row_boxes, box % plan.row_boxes, lanes(shape)
    write_rows(plan.x_side, outer, n, lists)
    write_rows(plan.y_side, outer, n, lists)
    write_columns(plan.x_side, inner, n, lists)
    write_columns(plan.y_side, inner, n, lists)


@device_function
def _task(shape, by_a, by_w, of_a, of_w, plan, task, number):
    mr, width, channels_in, channels_out, run = rows(shape), columns(shape), plan.channels_in, plan.channels_out, plan.sums.run
    share, boxes = _share(plan, width, number), plan.outer_boxes * plan.row_boxes
    last, run_pitch = plan.batch * boxes - 1, plan.sums.run_pitch
    for chunk in range(last + 1):
        if boxes > 1:
            _write_box(shape, plan, chunk % boxes, task.offsets)
        _fill(shape, by_a, by_w, of_a, of_w, plan, task, chunk // boxes, share)
        sums = moved(task.room, plan.sums.at)
        for b in range(share.block, share.end):
            y = moved(task.room, plan.y.at + (b - share.block) * plan.y.plane_pitch)
            for c in range(0, share.channels, run * mr):
                count, v = min(run * mr, share.channels - c), moved(task.room, plan.v.at + c)
                _multiply(shape, rows(by_a) * rows(by_w), plan, task, v, y, sums, (count + mr - 1) // mr, chunk > 0)
                if chunk == last:
                    target = moved(task.y, ((share.group * channels_out + b * width) * channels_in + share.first + c) * plan.taps)
                    _deliver(shape, by_a, by_w, plan, task, sums, count, target, channels_out - b * width)
                sums = moved(sums, run_pitch)


@device_function
def _begun(shape, plan, task):
    """A worker's task: what it lists in its room takes the place of the offsets."""
    lists = integers_at(task.room, plan.lists_at)
    write_products(plan, moved(task.tables, plan.axes_at), lists)
    _write_box(shape, plan, 0, lists)
    return Task(task.x, task.weights, task.bias, task.y, task.room, lists, task.tables, task.shared)


@lru_cache(maxsize=64)
def driver(tile_rows: int, vectors: int, tile_lanes: int, frequencies_a: int, frequencies_w: int) -> Any:
    """The loop for one register tile and two transforms.  Of a task, `weights` is the gradient of the output, `y` that of the weights."""

    @device_function
    def body(task, number):
        shape = strided_shape(tile_rows, vectors, tile_lanes, 1, 0)
        by_a, by_w = tile_shape(frequencies_a, 1, tile_lanes), tile_shape(frequencies_w, 1, tile_lanes)
        of_a, of_w = tile_shape(frequencies_a, 2, tile_lanes), tile_shape(frequencies_w, 2, tile_lanes)
        _task(shape, by_a, by_w, of_a, of_w, plan_at(task.tables, 0), task, number)

    @device_function
    def begin(task):
        return _begun(tile_shape(1, 1, tile_lanes), plan_at(task.tables, 0), task)

    return over_tasks("winograd_weights", body, begin)
