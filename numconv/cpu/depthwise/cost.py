"""What a plane costs by a cut, in cycles of one worker at the clock that Machine.flops assumes.

Zen 4 (AVX-512), one thread, 2026-11-24 (commit c02a02b, decision 7) unless said otherwise.
"""

from __future__ import annotations

from ...kernel import Machine
from ..simd.strip import loads
from .cut import Cut

LOAD = 1.7  # cycles a vector read: most cross a line
MASK = {64: 0.3, 32: 1.0}  # cycles more a masked read: with mask registers; without them, in registers of 256 bits (Zen 3, 2026-11-28) …
MASK_BY_LANE = 12.0  # … in narrower ones, which take their lanes one by one (not measured)
OVERLAP = 0.2  # of the lesser of multiply-adds and reads, that the greater one does not hide
VECTOR_STORED = 1.0  # cycles a vector stored
STRIP_TILE_STARTED = 12.0  # cycles a tile: a strip's vectors of one column
STRIP_STARTED = 15.0  # cycles a strip
PLANE_STARTED = 15.0  # cycles a plane


def plane_cycles(c: Cut, machine: Machine) -> float:
    """Of one plane; channels last, of as many registers of channels as the cut has columns."""
    border = 1.0 if any(a.low for a in c.axes) else 0.0  # share of the strips that need masks
    if not c.flat and c.columns.number > 2:
        border *= 2 / c.columns.number
    load = LOAD + border * MASK.get(machine.vector_bytes, MASK_BY_LANE)
    sums = (c.shared * c.taps + c.single) * c.rows
    reads = (c.shared * len(loads(c.rows, c.taps, c.advance)) + c.single * c.rows) * c.axes[-1].stride * load
    tiles = c.columns.number - 1 + c.columns.last_lanes / c.lanes  # as many whole ones take as long to sum
    tile = max(sums, reads) + OVERLAP * min(sums, reads)
    strip = STRIP_STARTED + tiles * tile + c.columns.number * (STRIP_TILE_STARTED + c.rows * VECTOR_STORED)
    return strip * c.strips + PLANE_STARTED
