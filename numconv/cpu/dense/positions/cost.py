"""What a task of `direct` and `gather` costs, in cycles of one worker at the clock that Machine.flops assumes: of all candidates at once.

Candidates are arrays that broadcast to (tiles, boxes, splits), of integers held as floats.

Fitted on a Zen 4 (AVX-512) on 2026-11-24 unless said otherwise; decisions 12, 26, 28, 30 and 32 have the layers.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.tiles import over, term_cycles
from .reads import Geometry

TASK_START = 200.0  # cycles a task: its number taken apart, its calls
TILE_PASS = 30.0  # cycles a tile begun and stored, each pass over its terms
KEPT_VECTOR = 4.0  # cycles a vector of sums that waits for the next chunk of channels
TERM_LOOP = 2.0  # steps of the multiply-adders that a term of a tile takes beside them: its loop
WEIGHT_LOADS = 0.5  # steps of the load units a broadcast weight; a vector of samples takes one
COPIED_ROW, DIRECT_COPIED_VECTOR = 12.0, 5.0  # cycles a row copied, and a vector of it …
GATHERED_STEP = 3  # … from this step on gathered element by element …
GATHERED_LANE = 0.5  # … which takes so many times as long for each lane
DIRECT_STORED_ROW, DIRECT_STORED_VECTOR = 6.0, 3.0  # cycles a row of targets stored, and a vector of it …
STORED_ALTERNATE = 2.5  # … times so many where every other element is another job's …
STORED_LANE = 1.5  # … and times so many for each lane where they lie further apart
FAR_WEIGHTS = 0.1  # cycles a byte of weights from beyond the second cache
FAR_SAMPLES = 0.28  # cycles a byte of samples from beyond it
LINE_BYTES = 64  # of a cache
PASS_BYTES = 2 * LINE_BYTES  # of the first cache that a term takes on a machine of 16 registers (decision 30, Zen 3, 2026-11-28)
PASS_SHARE = 3 / 8  # of the first cache for a pass there
PASS_ROWS = 16  # a tile's rows count as at least so many where a pass is cut, on machines of 32 registers …
LEAST_PASS = 64  # … and a pass is at least so many terms
LEAST_CHUNK_TERMS = 128  # fewer are not worth a chunk of channels: sums would come and go too often
FEW_PRODUCTS = 4  # pairs of channels; so few are bound by memory: what they copy stays in the first cache …
FEW_SHARE = 3 / 4  # … in so much of it
SHORT_PIECE = 32 << 10  # bytes of a piece of the input, which ends before a prefetcher is of use
PAST = 16 << 20  # bytes of a result that no cache holds: it is stored past them …
PAST_RUN = 4096  # … in runs of so many bytes, or whole lines


class RowTiles(NamedTuple):
    """Register tiles, all of which are tried: arrays."""

    rows: Any
    vectors: Any
    wide: Any  # cycles a term of a tile …
    narrow: Any  # … and of one that is one register wide
    most: Any  # terms of a pass


class BoxCopy(NamedTuple):
    """A box of targets, and the copy of the source that it asks for; integers, or arrays of all of them."""

    unfolded: Any  # axes, from the last, whose taps have a copy each
    box: tuple[Any, Any, Any]  # targets of an axis, of a job and residue
    boxes: tuple[Any, Any, Any]
    extents: tuple[Any, Any, Any]  # planes and rows of one piece, and the pitch of these
    gap: Any
    phase_pitch: Any
    channel_pitch: Any
    positions: Any
    one_piece: Any  # 1: the targets of a box are one piece of memory, as their samples are

    def number(self, i: int) -> BoxCopy:
        """One of them."""
        found: Any = (tuple(int(part[i]) for part in of) if isinstance(of, tuple) else int(of[i]) for of in self)
        return BoxCopy(*found)


class TriedBoxes(NamedTuple):
    """Those that are tried."""

    copy: BoxCopy
    share: Any  # of the targets of so many whole boxes there are so many: the last boxes are smaller
    pieces: Any
    read: Any  # samples of a channel of the source that a box goes over
    chunk: Any  # channels at a time


def boxes_of(geometries: list[Geometry], unfolded: Any, box: Any, size: int, machine: Machine) -> TriedBoxes:
    """Of boxes, (axis, box), with so many axes unfolded each, the geometries of which are given; `size`: bytes of an element."""
    numbers = [[(a.most, a.spread, a.reach, a.phases, a.last, a.taps.step) for a in g.axes] for g in geometries]
    count, spread, reach, phases, last, step = np.array(numbers, np.float64).transpose(2, 1, 0)[:, :, unfolded]
    g, line = geometries[0], LINE_BYTES // size
    whole = over(count, box)
    each = whole * spread
    planes, rows, columns = box + reach
    gap = np.where(each[2] == 1, np.array([float(g.gap) for g in geometries])[unfolded], 0.0)
    pitch, pieces = columns - gap, phases.prod(0)
    phase_pitch = np.where(unfolded > 0, over(planes * rows * pitch, line) * line, planes * rows * pitch + gap)
    lines = over(phase_pitch * pieces, line)
    channel_pitch = np.where(lines % 2 == 1, lines, lines + 1) * line  # an odd number of lines spreads over all cache sets
    whole_rows = (box[0] * box[1] == 1) | ((each[2] == 1) & (pitch == box[2]) & (spread[1] == 1))
    whole_planes = (box[0] == 1) | ((each[1] == 1) & (rows == box[1]) & (spread[0] == 1))
    single = g.jobs == 1 and all(a.taps.target_step == 1 for a in g.axes)
    read = np.minimum(np.array(g.source, np.float64)[:, None], (box - 1 + reach) * step + last + 1)
    copy = BoxCopy(
        unfolded=unfolded,
        box=tuple(box),
        boxes=tuple(each),
        extents=(planes, rows, pitch),
        gap=gap,
        phase_pitch=phase_pitch,
        channel_pitch=channel_pitch,
        positions=((box[0] - 1) * rows + box[1] - 1) * pitch + box[2],
        one_piece=whole_rows & whole_planes & single,
    )
    share = count.prod(0) / (whole * box).prod(0)
    return TriedBoxes(copy, share, pieces, read.prod(0), chunk_of(g.summed, channel_pitch, size, machine))


def chunk_of(summed: int, channel_pitch: Any, size: int, machine: Machine) -> Any:
    """Input channels whose copies fit in half of the second cache, evenly divided."""
    most = np.maximum(1.0, machine.l2 // 2 // (channel_pitch * size))
    return over(summed, over(summed, most))


def pass_terms(rows: int, size: int, machine: Machine) -> int:
    """Terms of a pass: one block of weights and one panel of inputs stay in the first cache.

    A panel of two narrow registers is two lines a term when it lies across them, of which the next panel reads one again (3 to 15 %).
    """
    if machine.registers < 32:
        return int(machine.l1 * PASS_SHARE) // PASS_BYTES
    return max(LEAST_PASS, machine.l1 // (2 * size * max(rows, PASS_ROWS)))


def tiles_of(tiles: tuple[tuple[int, int], ...], size: int, machine: Machine) -> RowTiles:
    """Of (rows, vectors)."""

    def term(rows: int, vectors: int) -> float:
        """Cycles: the multiply-adds or the loads, whichever takes longer, and the loop."""
        return term_cycles(rows, vectors, machine, vectors + rows * WEIGHT_LOADS, TERM_LOOP / machine.multiply_adds)

    of = [(float(r), float(v), term(r, v), term(r, 1), float(pass_terms(r, size, machine))) for r, v in tiles]
    return RowTiles(*np.array(of).T.reshape(5, -1, 1, 1))


def fits(g: Geometry, b: TriedBoxes, tiles: RowTiles, size: int, machine: Machine) -> Any:
    """Whether the second cache holds what is copied, and the sums that wait; of (tiles, boxes)."""
    channel_pitch, parted, rows = b.copy.channel_pitch, b.chunk < g.summed, tiles.rows[..., 0]
    sums = b.copy.positions * np.where(parted, g.produced * g.jobs, np.minimum(rows, g.produced)) * size
    fit = (b.chunk * channel_pitch * size <= machine.l2 // 2) & (sums <= np.where(parted, machine.l2, machine.l2 // 4))
    fit &= ~parted | (b.chunk * g.together >= LEAST_CHUNK_TERMS)
    if g.summed * g.produced <= FEW_PRODUCTS:
        fit &= g.summed * channel_pitch * size <= int(machine.l1 * FEW_SHARE)
    return fit


def _passes(g: Geometry, b: TriedBoxes, tiles: RowTiles) -> Any:
    """Over the terms of all jobs."""
    passes: Any = 0
    for kinds in product(*(a.kinds for a in g.axes)):
        jobs, taps = prod(number for number, _ in kinds), prod(of_each for _, of_each in kinds)
        passes = passes + jobs * np.maximum(1.0, np.round(taps * b.chunk[:, None] / tiles.most))
    return over(g.summed, b.chunk)[:, None] * passes


def task_cycles(g: Geometry, b: TriedBoxes, tiles: RowTiles, splits: Any, groups: int, lanes: int, size: int, machine: Machine) -> Any:
    """Of one task."""
    rows, vectors, copy = tiles.rows, tiles.vectors, b.copy
    blocks, registers = over(over(g.produced, rows), splits), over(copy.positions, lanes)[:, None]
    wide = registers // vectors
    narrow, terms = registers - wide * vectors, g.taps * g.summed
    cycles = terms * (wide * tiles.wide + narrow * tiles.narrow) + TILE_PASS * _passes(g, b, tiles) * (wide + narrow)
    kept = (over(g.summed, b.chunk) - 1)[:, None] * KEPT_VECTOR * rows * (wide * vectors + narrow)
    weights = blocks * rows * terms * size
    cycles = TASK_START + blocks * (cycles + kept)
    cycles = cycles + np.where(weights * splits * groups > machine.l2 // 2, FAR_WEIGHTS * weights, 0.0)
    step = g.axes[2].taps.step
    slower = step if step < GATHERED_STEP else lanes * GATHERED_LANE
    source_rows, row = g.summed * b.pieces * copy.extents[0] * copy.extents[1], over(copy.extents[2], lanes)
    cycles += (source_rows * (COPIED_ROW + DIRECT_COPIED_VECTOR * row) * max(1, slower))[:, None]
    if g.summed * prod(g.source) * size > machine.l2:
        cycles += (FAR_SAMPLES * g.summed * b.read * size)[:, None]
    return cycles + np.minimum(g.produced, blocks * rows) * _stores(g, copy, wide, narrow, vectors, lanes)


def least_cycles(g: Geometry, tiles: RowTiles, lanes: int) -> float:
    """Of all tasks of a group, at least: every target's terms, its share of a row that is copied, and of one that is stored."""
    planes, rows, columns = (-(-a.taps.target // a.taps.target_step) for a in g.axes)
    registers, terms = planes * rows * columns / lanes, g.taps * g.summed
    sums = terms * over(g.produced, tiles.rows) * np.minimum(tiles.wide / tiles.vectors, tiles.narrow)
    copies = g.summed * planes * rows * (COPIED_ROW + DIRECT_COPIED_VECTOR * columns / lanes)
    return float(sums.min() + g.produced * DIRECT_STORED_VECTOR) * registers + copies


def _stores(g: Geometry, copy: BoxCopy, wide: Any, narrow: Any, vectors: Any, lanes: int) -> Any:
    """Of one channel."""
    step, box = g.axes[2].taps.target_step, copy.box
    apart = 1.0 if step == 1 else STORED_ALTERNATE if step == 2 else lanes * STORED_LANE
    by_rows = box[0] * box[1] * g.jobs * (DIRECT_STORED_ROW + DIRECT_STORED_VECTOR * apart * over(box[2], lanes))
    if not copy.one_piece.any():
        return by_rows[:, None]
    at_once = wide * (DIRECT_STORED_ROW + DIRECT_STORED_VECTOR * vectors) + narrow * (DIRECT_STORED_ROW + DIRECT_STORED_VECTOR)
    return np.where(copy.one_piece[:, None], at_once, by_rows[:, None])


def ahead(g: Geometry, copy: BoxCopy, size: int, machine: Machine) -> int:
    """How far ahead of the copy its source is asked for: a channel, where it comes from beyond the second cache in short pieces."""
    piece = copy.extents[1] * g.axes[1].taps.step * g.source[2] * size
    return prod(g.source) if g.summed * prod(g.source) * size > machine.l2 and piece <= SHORT_PIECE else 0


def past_caches(g: Geometry, copy: BoxCopy, problem: ConvProblem, size: int) -> bool:
    """Whether results are stored past the caches: more than these hold, in long runs or whole lines."""
    row = copy.box[2] * size
    held = problem.batch * problem.groups * g.produced * prod(g.target) * size
    whole_lines = row % LINE_BYTES == 0 and g.target[2] * size % LINE_BYTES == 0
    return held >= PAST and g.axes[2].taps.target_step == 1 and (row >= PAST_RUN or whole_lines)
