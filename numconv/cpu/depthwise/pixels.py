"""The loops of `depthwise_last`, channels last: see the folder.

Channels are in the lanes, each with its own weights.  Strips, reads and masks are those of planes, with the channels as one axis more, on
which nothing is summed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..runtime.launch import device_function, inlined
from ..runtime.record import masks_at, reader, size_of
from ..runtime.tasks import over_shares
from ..simd.streaming import to_boundary
from ..simd.strip import Groups, strip_shape, strip_tile
from ..simd.tiles import lanes
from ..simd.vector import get, load_n, moved, zero_of
from ..stages.epilogue import store_row
from .plan import Strip, StripPlan

plan_at, strip_at, STRIP_SIZE = reader(StripPlan), reader(Strip), size_of(Strip)


@device_function
def _strips(shape, plan, task, number, end):
    """Those numbered `number` to `end`, of all samples in their order.  The last register of channels overlaps the one before."""
    strips, columns, channels, activation, n = plan.strips, plan.columns, plan.channels, plan.activation, lanes(shape)
    source_volume, target_volume, has_bias, g = plan.source_volume, plan.target_volume, plan.has_bias, plan.groups
    groups = Groups(g.shared, g.single, g.read_pitch, g.tap_pitch, g.target_pitch, g.drop)
    taps, masks = moved(task.tables, plan.taps_at), masks_at(task.tables, plan.masks_at)
    # a register across two lines of a crowded set would fetch both, and both again for the next one
    shift = to_boundary(task.x, 0, shape) if plan.at_lines else 0
    whole, part, begins_at, strips_at = 0, columns - 1, plan.begins_at, plan.strips_at  # columns: of all whole registers, of the rest
    for i in range(number, end):
        sample = i // strips
        s = i - sample * strips
        strip = strip_at(task.tables, strips_at + s * STRIP_SIZE)
        x, y = moved(task.x, sample * source_volume + strip.source_at), moved(task.y, sample * target_volume + strip.target_at)
        vectors, begins = strip.vectors, moved(task.tables, begins_at + s * columns)
        for k in range(shift - n if shift > 0 else 0, channels, n):
            c, m = max(0, min(k, channels - n)), min(n, channels)
            mask, last = get(begins, whole), (1 << n) - 1
            if m < n:
                mask, last = get(begins, part), 0
            bias = load_n(task.bias, c, m * has_bias, shape)
            strip_tile(shape, moved(x, c), moved(task.weights, c), moved(y, c), bias, groups, taps, masks, mask, last, vectors, m)
        for m in range(vectors if activation > 0 else 0):
            pixel = moved(y, m * groups.target_pitch)
            store_row(shape, pixel, pixel, channels, 1, zero_of(y), activation)


@lru_cache(maxsize=64)
def driver(shape: tuple[int, int, int, int, int], tile_lanes: int) -> Any:
    """The loop over the strips of all samples, for one shape of strips."""
    rows, taps, advance, step, apiece = shape

    @inlined
    def body(task, number, end):
        _strips(strip_shape(rows, taps, advance, step, tile_lanes, apiece), plan_at(task.tables, 0), task, number, end)

    return over_shares("depthwise_last", body)
