"""The loops of `depthwise_last`, channels last: see the folder.

Channels are in the lanes, each with its own weights.  Strips and their reads are those of planes, with the channels as one axis more, on
which nothing is summed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..runtime.launch import device_function, inlined
from ..runtime.record import reader
from ..runtime.tasks import over_shares
from ..simd.border import View
from ..simd.frames import words
from ..simd.streaming import to_boundary
from ..simd.strip import Groups, strip_shape, strip_tile
from ..simd.tiles import lanes
from ..simd.vector import load_n, moved, zero_of
from ..stages.epilogue import store_row
from .cut import MOST
from .order import kind_of, next_place, place_of, see_reads, spot_of
from .plan import StripPlan

plan_at = reader(StripPlan)


@inlined
def _channels(shape, plan, groups, task, sample, spot, strip, reads):
    """All channels of a strip of a sample.  The last register of channels overlaps the one before."""
    channels, has_bias, n, vectors = plan.channels, plan.has_bias, lanes(shape), strip.vectors
    x, y = moved(task.x, sample * plan.source_volume + spot.source_at), moved(task.y, sample * plan.target_volume + spot.target_at)
    view = View(spot.outer, spot.across, plan.outer.extent, plan.across.extent, reads)
    clear = 1 if spot.clear and spot.source_at + n <= plan.reads_end else 0
    # a register across two lines of a crowded set would fetch both, and both again for the next one
    shift, taps = to_boundary(task.x, 0, shape) if plan.at_lines else 0, moved(task.tables, plan.taps_at)
    for k in range(shift - n if shift > 0 else 0, channels, n):
        c, m = max(0, min(k, channels - n)), min(n, channels)
        last = (1 << n) - 1 if m == n else 0
        bias = load_n(task.bias, c, m * has_bias, shape)
        strip_tile(shape, moved(x, c), moved(task.weights, c), moved(y, c), bias, groups, taps, view, clear, last, vectors, m)
    activation = plan.activation
    for m in range(vectors if activation > 0 else 0):
        pixel = moved(y, m * groups.target_pitch)
        store_row(shape, pixel, pixel, channels, 1, zero_of(y), activation)


@device_function
def _strips(shape, plan, task, number, end):
    """Those numbered `number` to `end`, of all samples in their order."""
    g, strips, reads, chains = plan.groups, plan.strips, words(MOST), moved(task.tables, plan.chains.at)
    groups = Groups(g.shared, g.single, g.read_pitch, g.tap_pitch, g.target_pitch, g.drop)
    while number < end:
        sample = number // strips
        outer, across, residue, first = place_of(plan, number - sample * strips)
        for _ in range(number, min(end, (sample + 1) * strips)):
            strip = kind_of(plan, residue, first)
            spot = spot_of(plan, outer, across, first, strip.span)
            if not spot.clear or spot.source_at + lanes(shape) > plan.reads_end:
                see_reads(plan, chains, reads, spot.along, strip.vectors)
            _channels(shape, plan, groups, task, sample, spot, strip, reads)
            outer, across, residue, first = next_place(plan, outer, across, residue, first)
        number = (sample + 1) * strips


@lru_cache(maxsize=64)
def driver(shape: tuple[int, int, int, int, int, int], tile_lanes: int) -> Any:
    """The loop over the strips of all samples, for one shape of strips."""
    rows, taps, advance, step, flat, crowded = shape

    @inlined
    def body(task, number, end):
        _strips(strip_shape(rows, taps, advance, step, tile_lanes, flat, crowded), plan_at(task.tables, 0), task, number, end)

    return over_shares("depthwise_last", body)
