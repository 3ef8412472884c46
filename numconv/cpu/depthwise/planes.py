"""The loops of `depthwise`, channels first: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ..runtime.launch import device_function, inlined
from ..runtime.record import reader
from ..runtime.tasks import over_shares
from ..simd.border import View
from ..simd.frames import called, words
from ..simd.strip import Groups, flat, strip_shape, strip_tile
from ..simd.tiles import lanes
from ..simd.vector import get, integers, moved, put, zero_of
from ..stages.epilogue import store_row
from .cut import KEPT_STRIPS, MOST, PIECES
from .order import UNSEEN, kind_of, next_place, place_of, see_pieces, see_reads, slot_of, spot_of
from .plan import StripPlan

plan_at = reader(StripPlan)
ANY = 1 << 40  # room for any store


@device_function
def _activate(vector, plan, groups, strip, y, planes):
    """A strip of some planes."""
    called()
    rows, length, pitch, activation = 1 if groups.drop else strip.vectors, strip.outputs, groups.target_pitch, plan.activation
    for k in range(planes):
        for m in range(rows):
            row = moved(y, k * plan.target_volume + m * pitch)
            store_row(vector, row, row, length, 1, zero_of(y), activation)


class PlaneStrip(NamedTuple):
    """A strip of a plane, as pointers but for the bias."""

    x: Any
    weights: Any
    y: Any
    bias: Any


@inlined
def _columns(wide, narrow, plan, groups, taps, piece, spot, strip, reads):
    """All columns of a strip of a plane."""
    vectors, outputs, last = strip.vectors, strip.outputs, strip.last_lanes
    columns, step = plan.columns, plan.step
    room = outputs if columns == 1 else ANY
    for j in range(columns):
        column = plan.last_column if j + 1 == columns else j * lanes(wide)
        short = plan.narrow and j + 1 == columns
        width, read = lanes(narrow) if short else lanes(wide), column * step
        clear = spot.clear and plan.clear_first <= column and min(column + width, plan.row) <= plan.clear_end
        clear = 1 if clear and spot.source_at + read + width * step <= plan.reads_end else 0
        view = View(spot.outer, spot.across + read, plan.outer.extent, plan.across.extent, reads)
        x, y = moved(piece.x, read), moved(piece.y, column)
        if short:
            strip_tile(narrow, x, piece.weights, y, piece.bias, groups, taps, view, clear, last, vectors, room)
        else:
            strip_tile(wide, x, piece.weights, y, piece.bias, groups, taps, view, clear, last, vectors, room)


@device_function
def _strips(wide, narrow, plan, task, room, kept, number, end):
    """Those numbered `number` to `end`: of some planes together the first strip, then the next one."""
    strips, together, channels, channel_filters = plan.strips, plan.together, plan.channels, plan.channel_filters
    source_volume, target_volume, filter_size, g = plan.source_volume, plan.target_volume, plan.filter_size, plan.groups
    groups = Groups(g.shared, g.single, g.read_pitch, g.tap_pitch, g.target_pitch, g.drop)
    taps, chains = moved(task.tables, plan.taps_at), moved(task.tables, plan.chains.at)
    for i in range(plan.chains.slots):
        put(kept, i, UNSEEN)
    while number < end:
        plane = number // (together * strips) * together
        planes, number, some_end = min(together, plan.planes - plane), number - plane * strips, end - plane * strips
        s = number // planes
        k, some_end = number - s * planes, min(some_end, planes * strips)
        outer, across, residue, first = place_of(plan, s)
        first_channel, first_source = plane % channels, plane // channel_filters
        first_filter = plane - first_source * channel_filters
        while number < some_end:
            strip = kind_of(plan, residue, first)
            spot = spot_of(plan, outer, across, first, strip.span)
            reads, reads_end = room, spot.source_at + (plan.last_column + lanes(wide)) * plan.step
            if not (spot.clear and plan.clear_first == 0 and plan.row <= plan.clear_end and reads_end <= plan.reads_end):
                if flat(wide):
                    slot, new = slot_of(plan, kept, first, spot.clear_along)
                    reads = moved(room, slot * plan.chains.slot_words)
                    if new:
                        see_pieces(plan, chains, reads, spot.along, strip.vectors)
                else:
                    see_reads(plan, chains, reads, spot.along, strip.vectors)
            now, channel, source, filter_ = min(planes - k, some_end - number), first_channel + k, first_source, first_filter + k
            if k > 0:
                channel, source, filter_ = channel % channels, source + filter_ // channel_filters, filter_ % channel_filters
            y = moved(task.y, (plane + k) * target_volume + spot.target_at)
            for i in range(now):
                bias = get(task.bias, channel) if plan.has_bias else zero_of(task.bias)
                x, w = moved(task.x, source * source_volume + spot.source_at), moved(task.weights, channel * filter_size)
                _columns(wide, narrow, plan, groups, taps, PlaneStrip(x, w, moved(y, i * target_volume), bias), spot, strip, reads)
                channel, filter_ = channel + 1, filter_ + 1
                if channel == channels:
                    channel = 0
                if filter_ == channel_filters:
                    filter_, source = 0, source + 1
            if plan.activation > 0:
                _activate(wide, plan, groups, strip, y, now)
            number, k = number + now, 0
            outer, across, residue, first = next_place(plan, outer, across, residue, first)
        number += plane * strips


@lru_cache(maxsize=64)
def driver(shape: tuple[int, int, int, int, int, int], tile_lanes: int, narrow_lanes: int) -> Any:
    """The loop over the strips of all planes, for one shape of strips."""
    rows, taps, advance, step, is_flat, crowded = shape
    seen_words, bits = (PIECES // 2, 32) if is_flat else (MOST, 64)

    @device_function
    def body(task, number, end):
        wide = strip_shape(rows, taps, advance, step, tile_lanes, is_flat, crowded)
        narrow = strip_shape(rows, taps, advance, step, narrow_lanes, is_flat, crowded)
        _strips(wide, narrow, plan_at(task.tables, 0), task, integers(words(seen_words), bits), words(KEPT_STRIPS), number, end)

    return over_shares("depthwise", body)
