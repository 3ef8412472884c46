"""The loops of `depthwise`, channels first: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ..runtime.launch import device_function, inlined
from ..runtime.record import reader
from ..runtime.tasks import over_shares
from ..simd.strip import Groups, View, strip_shape, strip_tile
from ..simd.tiles import lanes
from ..simd.vector import get, moved, zero_of
from ..stages.epilogue import store_row
from .order import kind_of, line_of, place_of, spot_of
from .plan import StripPlan

plan_at = reader(StripPlan)
ANY = 1 << 40  # room for any store


@device_function
def _activate(vector, y, rows, length, pitch, activation):
    for m in range(rows):
        row = moved(y, m * pitch)
        store_row(vector, row, row, length, 1, zero_of(y), activation)


class Plane(NamedTuple):
    """What the strips of a plane have in common, as pointers but for the bias."""

    x: Any
    weights: Any
    y: Any
    bias: Any


@inlined
def _strip(wide, narrow, plan, groups, taps, plane, line, residue, first):
    """All columns of the strip of a line that begins with output `first`."""
    strip = kind_of(plan, residue, first)
    vectors, outputs, last = strip.vectors, strip.outputs, strip.last_lanes
    spot = spot_of(plan, line, first, strip.span)
    source, target = moved(plane.x, spot.source_at), moved(plane.y, spot.target_at)
    columns, step = plan.columns, plan.step
    room = outputs if columns == 1 else ANY
    for j in range(columns):
        column = plan.last_column if j + 1 == columns else j * lanes(wide)
        short = plan.narrow and j + 1 == columns
        width, read = lanes(narrow) if short else lanes(wide), column * step
        clear = spot.clear and plan.clear_first <= column and min(column + width, plan.row) <= plan.clear_end
        clear = 1 if clear and spot.source_at + read + width * step <= plan.reads_end else 0
        view = View(line.outer, line.across + read, spot.along, plan.outer.extent, plan.across.extent, plan.along.extent)
        x, y = moved(source, read), moved(target, column)
        if short:
            strip_tile(narrow, x, plane.weights, y, plane.bias, groups, taps, view, clear, last, vectors, room)
        else:
            strip_tile(wide, x, plane.weights, y, plane.bias, groups, taps, view, clear, last, vectors, room)
    if plan.activation > 0:
        _activate(wide, target, 1 if groups.drop else vectors, outputs, groups.target_pitch, plan.activation)


@device_function
def _strips(wide, narrow, plan, task, number, end):
    """Those numbered `number` to `end`, of all planes in their order."""
    strips, channels, channel_filters, has_bias = plan.strips, plan.channels, plan.channel_filters, plan.has_bias
    source_volume, target_volume, filter_size = plan.source_volume, plan.target_volume, plan.filter_size
    lines, residues, outputs, strip_step, g = plan.across.outputs, plan.residues, plan.along.outputs, plan.strip_step, plan.groups
    groups = Groups(g.shared, g.single, g.read_pitch, g.read_step, g.tap_pitch, g.target_pitch, g.drop)
    taps, k = moved(task.tables, plan.taps_at), number // strips
    channel, source, filter_ = k % channels, k // channel_filters, k % channel_filters
    o, a, residue, first = place_of(plan, number - k * strips)
    while number < end:
        bias = get(task.bias, channel) if has_bias else zero_of(task.bias)
        x, w, y = moved(task.x, source * source_volume), moved(task.weights, channel * filter_size), moved(task.y, k * target_volume)
        plane, plane_end = Plane(x, w, y, bias), min(end, (k + 1) * strips)
        while number < plane_end:
            its = line_of(plan, o, a)
            while number < plane_end and residue < residues:
                _strip(wide, narrow, plan, groups, taps, plane, its, residue, first)
                number, first = number + 1, first + strip_step
                if first >= outputs:
                    residue += 1
                    first = residue
            a, residue, first = a + 1, 0, 0
            if a == lines:
                o, a = o + 1, 0
        o, a, k, channel, filter_ = 0, 0, k + 1, channel + 1, filter_ + 1
        if channel == channels:
            channel = 0
        if filter_ == channel_filters:
            filter_, source = 0, source + 1


@lru_cache(maxsize=64)
def driver(shape: tuple[int, int, int, int, int, int], tile_lanes: int, narrow_lanes: int) -> Any:
    """The loop over the strips of all planes, for one shape of strips."""
    rows, taps, advance, step, flat, crowded = shape

    @inlined
    def body(task, number, end):
        wide = strip_shape(rows, taps, advance, step, tile_lanes, flat, crowded)
        narrow = strip_shape(rows, taps, advance, step, narrow_lanes, flat, crowded)
        _strips(wide, narrow, plan_at(task.tables, 0), task, number, end)

    return over_shares("depthwise", body)
