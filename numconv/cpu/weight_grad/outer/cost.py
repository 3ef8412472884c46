"""What a task of `outer_product` costs, in cycles of one worker at the clock that Machine.flops assumes.

Zen 4 (AVX-512), one thread, 2026-11-24 (commit dd2fa87; decision 11).
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....kernel import Machine
from ....problem import Ints
from ...geometry.jobs import reach
from ...geometry.tiles import term_cycles
from .taps import OuterLayout

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
    """What the plan chooses; or arrays of it, all candidates of the search at once."""

    rows: Any  # of a tile
    vectors: Any  # of a tile
    lanes: int
    box: tuple[int, int, int]  # positions of a chunk
    split_blocks: Any  # blocks of output channels of a task
    split_channels: Any  # input channels of a task
    copied: Any  # IN_PLACE, BY_CHUNK or BY_SAMPLE


class Reading(NamedTuple):
    """What follows of a problem from how its input is read; or arrays of it, of all ways."""

    inner: Any  # taps that are rows of a tile
    outer: Any  # others
    starts: Any  # of a tile in a chunk
    pairs: Any  # of a position and an outer tap, of all samples
    slowed: Any  # times the cycles of a term
    planes: Any  # copied, of a channel of the input …
    plane_cycles: Any  # … and what each costs


def extents(a: OuterLayout, box: Ints) -> tuple[int, int, int]:
    """Planes, rows and columns that a chunk reads."""
    et, eh, ew = ((b - 1) * x.step + reach(x) + 1 for b, x in zip(box, a.axes, strict=True))
    return min(et, a.axes[0].source), min(eh, a.axes[1].source), ew


def crowded(a: OuterLayout, size: int) -> bool:
    """Channels so far apart that they share few sets of the caches."""
    return prod(a.extent) * size % PAGE == 0


def chunks_of(a: OuterLayout, box: Ints) -> int:
    """Of a sample."""
    return prod(-(-o // b) for o, b in zip(a.outputs, box, strict=True))


def reading(a: OuterLayout, copied: int, box: Ints, batch: int, size: int, lanes: int) -> Reading:
    """`size`: bytes of an element."""
    (t, h, w), outputs = a.inside, a.outputs[2]
    merged, planes, plane = a.merged(copied), 0, 0.0
    if copied:
        planes, lines, wide = extents(a, box if copied == BY_CHUNK else a.outputs)
        planes *= batch * (chunks_of(a, box) if copied == BY_CHUNK else 1)
        plane = COPY_PLANE + lines * (COPY_ROW + COPY_VECTOR * -(-wide // lanes))
    return Reading(
        inner=a.inner(copied),
        outer=a.outer(copied),
        starts=1 if merged else box[1],
        pairs=float(batch * t * h * (outputs if merged else w)),
        slowed=CROWDED_CHANNELS if not copied and crowded(a, size) else 1.0,
        planes=planes,
        plane_cycles=plane,
    )


def task_cycles(a: OuterLayout, c: OuterChoice, r: Reading, term: Any, batch: int, size: int, machine: Machine) -> Any:
    """Of a choice, or of arrays of choices and what follows from them; `term`: cycles of one of the tile's, `size`: bytes of an element."""
    tiles = -(-c.split_channels * r.inner // c.rows)
    chunks, registers = batch * chunks_of(a, c.box), c.rows * c.vectors
    sums = c.split_blocks * (r.outer * tiles * registers * c.lanes * size)
    start = np.where(sums <= machine.l2 // 2, TILE_BEGUN, FAR_SUMS * TILE_BEGUN) * r.starts
    cycles = c.split_blocks * tiles * (r.pairs * (term * r.slowed) + r.outer * (chunks * start + SUMS * registers))
    squares = chunks * -(-prod(c.box) // c.lanes) + -(-c.split_channels * a.taps // c.lanes)
    cycles += c.split_blocks * c.vectors * SQUARE_TURNED * squares
    return cycles + c.split_channels * r.planes * r.plane_cycles + TASK_STARTED


def tile_term(rows: int, vectors: int, machine: Machine) -> float:
    """Cycles of a term of such a tile."""
    return term_cycles(rows, vectors, machine, 0.0, TERM_OVERHEAD)
