"""What a task of `outer_product` costs, in cycles of one worker at the clock that Machine.flops assumes.

Zen 4 (AVX-512), one thread, 2026-11-24 (commit dd2fa87; decision 11).
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ....kernel import Machine
from ....problem import Ints
from ...geometry.tiles import term_cycles
from .tables import OuterLayout

TASK_STARTED = 300.0  # cycles a task
TILE_BEGUN = 60.0  # cycles a tile begun …
FAR_SUMS = 2  # … as many times that, where the sums of a task fill more than half of the second cache
TERM_OVERHEAD = 0.5  # cycles a term of a tile beside its multiply-adds
SUMS = 1.0  # cycles a register of sums on its way from zero and out
SQUARE_TURNED = 220.0  # cycles a square of lanes × lanes transposed and stored
COPY_PLANE = 8.0  # cycles a plane of a channel of the input copied …
COPY_ROW = 14.0  # … a row of it …
COPY_VECTOR = 3.0  # … a vector of that
CROWDED_CHANNELS = 1.15  # of a term, where it reads channels that share few sets of the caches
PAGE = 4096  # bytes: channels so far apart, or a multiple of it, do

IN_PLACE, BY_CHUNK, BY_SAMPLE = 0, 1, 2  # how the input is read: where it stands, or copied for each chunk, for each sample


class OuterChoice(NamedTuple):
    """What the plan chooses."""

    rows: int  # of a tile
    vectors: int  # of a tile
    lanes: int
    box: tuple[int, int, int]  # positions of a chunk
    split_blocks: int  # blocks of output channels of a task
    split_channels: int  # input channels of a task
    copied: int  # IN_PLACE, BY_CHUNK or BY_SAMPLE


def extents(a: OuterLayout, box: Ints) -> tuple[int, int, int]:
    """Planes, rows and columns that a chunk reads."""
    et, eh, ew = ((b - 1) * x.stride + x.reach + 1 for b, x in zip(box, a.axes, strict=True))
    return min(et, a.axes[0].extent), min(eh, a.axes[1].extent), ew


def crowded(a: OuterLayout, size: int) -> bool:
    """Channels so far apart that they share few sets of the caches."""
    return prod(a.extent) * size % PAGE == 0


def task_cycles(a: OuterLayout, c: OuterChoice, batch: int, size: int, machine: Machine) -> float:
    """`size`: bytes of an element."""
    inner = len(a.taps(c.copied)[1])
    outer = prod(len(x.live) for x in a.axes) // inner
    tiles = -(-c.split_channels * inner // c.rows)
    chunks = batch * prod(-(-x.outputs // b) for x, b in zip(a.axes, c.box, strict=True))
    merged, registers = a.merged(c.copied), c.rows * c.vectors
    each = term_cycles(c.rows, c.vectors, machine, 0.0, TERM_OVERHEAD) * (CROWDED_CHANNELS if not c.copied and crowded(a, size) else 1.0)
    sums = c.split_blocks * outer * tiles * registers * c.lanes * size
    start = (TILE_BEGUN if sums <= machine.l2 // 2 else FAR_SUMS * TILE_BEGUN) * (1 if merged else c.box[1])
    t, h, w = a.axes
    pairs = t.inside * h.inside * (w.outputs if merged else w.inside)  # of a position and an outer tap
    cycles = c.split_blocks * tiles * (batch * pairs * each + outer * (chunks * start + SUMS * registers))
    squares = chunks * -(-prod(c.box) // c.lanes) + -(-c.split_channels * prod(x.kernel for x in a.axes) // c.lanes)
    cycles += c.split_blocks * c.vectors * SQUARE_TURNED * squares
    if c.copied:
        planes, lines, wide = extents(a, c.box if c.copied == BY_CHUNK else a.outputs)
        plane = COPY_PLANE + lines * (COPY_ROW + COPY_VECTOR * -(-wide // c.lanes))
        cycles += (chunks if c.copied == BY_CHUNK else batch) * c.split_channels * planes * plane
    return cycles + TASK_STARTED
