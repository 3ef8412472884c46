"""The loops of `depthwise`, channels first: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ..runtime.launch import device_function, inlined
from ..runtime.record import reader
from ..runtime.tasks import over_shares
from ..simd.strip import Groups, View, strip_shape, strip_tile, words
from ..simd.tiles import lanes
from ..simd.vector import get, moved, zero_of
from ..stages.epilogue import store_row
from .cut import MOST
from .order import kind_of, next_place, place_of, see_reads, spot_of
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
def _columns(wide, narrow, plan, groups, taps, plane, spot, strip, reads):
    """All columns of a strip of a plane."""
    vectors, outputs, last = strip.vectors, strip.outputs, strip.last_lanes
    source, target = moved(plane.x, spot.source_at), moved(plane.y, spot.target_at)
    columns, step = plan.columns, plan.step
    room = outputs if columns == 1 else ANY
    for j in range(columns):
        column = plan.last_column if j + 1 == columns else j * lanes(wide)
        short = plan.narrow and j + 1 == columns
        width, read = lanes(narrow) if short else lanes(wide), column * step
        clear = spot.clear and plan.clear_first <= column and min(column + width, plan.row) <= plan.clear_end
        clear = 1 if clear and spot.source_at + read + width * step <= plan.reads_end else 0
        view = View(spot.outer, spot.across + read, spot.along, plan.outer.extent, plan.across.extent, plan.along.extent, reads)
        x, y = moved(source, read), moved(target, column)
        if short:
            strip_tile(narrow, x, plane.weights, y, plane.bias, groups, taps, view, clear, last, vectors, room)
        else:
            strip_tile(wide, x, plane.weights, y, plane.bias, groups, taps, view, clear, last, vectors, room)
    if plan.activation > 0:
        _activate(wide, target, 1 if groups.drop else vectors, outputs, groups.target_pitch, plan.activation)


@inlined
def _plane(plan, task, k):
    channel, channel_filters = k % plan.channels, plan.channel_filters
    source = k if channel_filters == 1 else k // channel_filters
    return Plane(
        moved(task.x, source * plan.source_volume),
        moved(task.weights, channel * plan.filter_size),
        moved(task.y, k * plan.target_volume),
        get(task.bias, channel) if plan.has_bias else zero_of(task.bias),
    )


@device_function
def _strips(wide, narrow, plan, task, number, end):
    """Those numbered `number` to `end`: of some planes together the first strip, then the next one."""
    strips, g, reads = plan.strips, plan.groups, words(MOST)
    groups = Groups(g.shared, g.single, g.read_pitch, g.read_step, g.tap_pitch, g.target_pitch, g.drop)
    taps, chains = moved(task.tables, plan.taps_at), moved(task.tables, plan.chains.at)
    while number < end:
        first_plane = number // (plan.together * strips) * plan.together
        planes = min(plan.together, plan.planes - first_plane)
        number -= first_plane * strips
        s = number // planes
        k = number - s * planes
        some_end = min(end - first_plane * strips, planes * strips)
        outer, across, residue, first = place_of(plan, s)
        while number < some_end:
            strip = kind_of(plan, residue, first)
            spot = spot_of(plan, outer, across, first, strip.span)
            see_reads(plan, chains, reads, spot.along, strip.vectors)
            strip_end = min(some_end, number + planes - k)
            while number < strip_end:
                _columns(wide, narrow, plan, groups, taps, _plane(plan, task, first_plane + k), spot, strip, reads)
                number, k = number + 1, k + 1
            k = 0
            outer, across, residue, first = next_place(plan, outer, across, residue, first)
        number += first_plane * strips


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
