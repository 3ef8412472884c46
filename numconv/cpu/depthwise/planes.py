"""The loops of `depthwise`, channels first: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ..runtime.launch import device_function, inlined
from ..runtime.record import masks_at, reader, size_of
from ..runtime.tasks import over_shares
from ..simd.strip import Groups, strip_shape, strip_tile
from ..simd.vector import get, moved, zero_of
from ..stages.epilogue import store_row
from .plan import Column, Strip, StripPlan

plan_at, strip_at, column_at = reader(StripPlan), reader(Strip), reader(Column)
STRIP_SIZE, COLUMN_SIZE = size_of(Strip), size_of(Column)
ANY = 1 << 40  # room for any store


@device_function
def _activate(vector, y, rows, length, pitch, activation):
    for m in range(rows):
        row = moved(y, m * pitch)
        store_row(vector, row, row, length, 1, zero_of(y), activation)


class Lists(NamedTuple):
    """The plan's lists, as pointers."""

    taps: Any
    strips: Any
    columns: Any
    begins: Any
    masks: Any


class Plane(NamedTuple):
    """What the strips of a plane have in common, as pointers but for the bias."""

    x: Any
    weights: Any
    y: Any
    bias: Any


@inlined
def _strip(wide, narrow, groups, lists, plane, columns, activation, s):
    """All columns of one strip of a plane."""
    strip, begins = strip_at(lists.strips, s * STRIP_SIZE), moved(lists.begins, s * columns)
    source, target = moved(plane.x, strip.source_at), moved(plane.y, strip.target_at)
    vectors, outputs, last = strip.vectors, strip.outputs, strip.last_lanes
    room = outputs if columns == 1 else ANY
    for j in range(columns):
        column = column_at(lists.columns, j * COLUMN_SIZE)
        x, y, mask = moved(source, column.source_at), moved(target, column.target_at), get(begins, j)
        if column.narrow:
            strip_tile(narrow, x, plane.weights, y, plane.bias, groups, lists.taps, lists.masks, mask, last, vectors, room)
        else:
            strip_tile(wide, x, plane.weights, y, plane.bias, groups, lists.taps, lists.masks, mask, last, vectors, room)
    if activation > 0:
        _activate(wide, target, 1 if groups.drop else vectors, outputs, groups.target_pitch, activation)


@device_function
def _strips(wide, narrow, plan, task, number, end):
    """Those numbered `number` to `end`, of all planes in their order."""
    strips, columns, channels, channel_filters, activation = plan.strips, plan.columns, plan.channels, plan.channel_filters, plan.activation
    source_volume, target_volume, filter_size, has_bias = plan.source_volume, plan.target_volume, plan.filter_size, plan.has_bias
    lists = Lists(
        moved(task.tables, plan.taps_at),
        moved(task.tables, plan.strips_at),
        moved(task.tables, plan.columns_at),
        moved(task.tables, plan.begins_at),
        masks_at(task.tables, plan.masks_at),
    )
    g = plan.groups
    groups = Groups(g.shared, g.single, g.read_pitch, g.tap_pitch, g.target_pitch, g.drop)
    k = number // strips
    strip, channel, source, filter_ = number - k * strips, k % channels, k // channel_filters, k % channel_filters
    while number < end:
        bias = get(task.bias, channel) if has_bias else zero_of(task.bias)
        x, w, y = moved(task.x, source * source_volume), moved(task.weights, channel * filter_size), moved(task.y, k * target_volume)
        plane = Plane(x, w, y, bias)
        for s in range(strip, min(strips, strip + end - number)):
            _strip(wide, narrow, groups, lists, plane, columns, activation, s)
        number += strips - strip
        strip, k, channel, filter_ = 0, k + 1, channel + 1, filter_ + 1
        if channel == channels:
            channel = 0
        if filter_ == channel_filters:
            filter_, source = 0, source + 1


@lru_cache(maxsize=64)
def driver(shape: tuple[int, int, int, int, int], lanes: int, narrow_lanes: int) -> Any:
    """The loop over the strips of all planes, for one shape of strips."""
    rows, taps, advance, step, apiece = shape

    @inlined
    def body(task, number, end):
        wide, narrow = strip_shape(rows, taps, advance, step, lanes, apiece), strip_shape(rows, taps, advance, step, narrow_lanes, apiece)
        _strips(wide, narrow, plan_at(task.tables, 0), task, number, end)

    return over_shares("depthwise", body)
