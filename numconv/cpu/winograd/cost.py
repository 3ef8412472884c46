"""What a task of `winograd` costs, in cycles of one worker.

Measured on a Zen 4 (AVX-512) from 2026-11-24 to 2026-11-28 unless said otherwise; decisions 4, 8, 13, 16, 25, 26 and 32 have the layers.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ...kernel import Machine
from ...problem import ConvProblem
from ..geometry.tiles import CYCLES_PER_STEP, term_cycles
from .axes import CutAxis, TileBox, frequencies, terms

FLOAT = 4  # bytes

CLOCK = 0.93  # of all cycles here by those of `direct`'s model, over the 3×3, 1-D and 3-D layers; Zen 4, 2026-11
TASK_BEGUN = 400.0  # cycles a task
GEMM_TILE = 30.0  # steps of multiply-adds a tile begun and stored, channels first …
PIXEL_TILE = 0.15  # … channels last, for the square of its registers of sums
SHARED_CACHE = 20  # bytes a cycle to and from the cache that cores share
HELD = 7, 8  # of the second cache, as a fraction: as much of V and M stays there
TRANSFORMED_READ = 24  # bytes a cycle of transformed filters that are read
TRANSFORMED_WRITTEN = 4  # … that are written to memory, ahead of all tasks
GIVEN_READ = 8  # bytes a cycle of filters as they are given
WAIT = 20000.0  # cycles, of all workers of a V in common: another start, and waiting for the slowest
SPILLS = 1.5  # times the cycles of transforms, where 16 registers do not hold them (Zen 3); channels last was not measured (decision 32)
FUSED = 2  # boxes for which filters are transformed on the way …
AGAIN = 50_000  # … or filters transformed once more than needed: what one more parallel loop costs

# channels first: cycles by number of frequencies
ANALYSE = {4: 12, 5: 18, 6: 20, 7: 26, 8: 30}  # of a vector of positions, along A
RESTORE = {4: 9, 5: 13, 6: 15, 7: 18, 8: 20}  # … back, for each frequency of W
ROW_THERE = {4: 25, 5: 42, 6: 45, 7: 55, 8: 62}  # of a vector of positions of a row, along W
ROW_BACK = {4: 14, 5: 22, 6: 24, 7: 27, 8: 30}  # … back
ROW_BEGUN = 25.0  # cycles a row that is transformed
COPY_OF_ROW, COPY_OF_VECTOR = 12.0, 3  # cycles a row that is only copied, and a vector of it
PHASE_ROW, PHASE_BY_TWO, PHASE_GATHERED = 12.0, 4, 20  # cycles a strided row copied first, and a vector of it: by shuffles, or gathered
TARGET_ROW, TARGET_VECTOR = 16, 3  # cycles a row of the target, and a vector of it
SHUFFLED = 1, 2, 4, 8  # dilations that shuffles serve
WASTED_FROM = 8  # residues above which rows of a dilated axis leave lanes idle

# filters, cycles a vector of output channels
FILTER_TERM, FILTER_FREQUENCY, FILTER_TURNED = (
    10,
    4.2,
    6.0,
)  # a term, and each frequency of it; a weight with its channel turned into the lanes

# channels last, cycles a vector of channels
MOVE = 1.5  # a register loaded or stored by the transforms
ROW_OF_TILES = 30  # a row begun; or a tile on its way back
COLUMN_BEGUN = 10  # a column, or a tile of a row


class Tile(NamedTuple):
    """The register tile: rows are output channels, or, channels last, positions."""

    rows: int
    vectors: int
    lanes: int


class WinogradChoice(NamedTuple):
    """What the plan chooses."""

    tile: Tile
    last: bool  # channels are in the lanes
    box: TileBox
    splits: int  # of the blocks of a group, over tasks that have V in common
    split_blocks: int
    super_blocks: int  # of a split, whose M is held at a time
    chunk: int  # channels whose filters are transformed at a time, on the way
    pitch: int  # of a channel in V and M; channels last, positions of a plane

    @property
    def kinds(self) -> tuple[int, int]:
        """Frequencies of A and W."""
        return self.box.axes.a.frequencies, self.box.axes.w.frequencies

    @property
    def block_channels(self) -> int:
        """Output channels of a block."""
        return self.tile.vectors * self.tile.lanes if self.last else self.tile.rows

    @property
    def tile_positions(self) -> int:
        return self.tile.rows if self.last else self.tile.vectors * self.tile.lanes

    def tasks(self, p: ConvProblem) -> int:
        """Of a sample."""
        return p.groups * prod(self.box.boxes) * self.splits


def on_the_way(p: ConvProblem, boxes: int) -> bool:
    """Whether filters, given plain, are transformed on the way in each of so many boxes and never written to memory."""
    return boxes <= FUSED or (boxes - 1) * p.groups * p.group_in * p.group_out * p.taps <= AGAIN


def task_cycles(p: ConvProblem, c: WinogradChoice, held: int, machine: Machine) -> float:
    """Of one task; `held`: channels of a position in V."""
    box, n, mr, fused = c.box, c.tile.lanes, c.block_channels, on_the_way(p, prod(c.box.boxes))
    f, t, panels = frequencies(box.axes), terms(p, box.axes), -(-box.positions // c.tile_positions)
    start = PIXEL_TILE * (c.tile_positions * c.tile.vectors) ** 2 if c.last else GEMM_TILE
    term = term_cycles(c.tile.rows, c.tile.vectors, machine, 0.0, CYCLES_PER_STEP)
    multiply = f * panels * c.split_blocks * (t * term / CYCLES_PER_STEP + start)
    v_bytes, u_bytes = FLOAT * f * held * box.planes * c.pitch, FLOAT * f * t * c.split_blocks * mr
    passes, m_bytes = -(-c.split_blocks // c.super_blocks), FLOAT * f * c.super_blocks * mr * c.pitch
    part, whole = HELD
    beyond = (
        v_bytes + m_bytes > machine.l2 * part // whole
    )  # V is then written to, and read for each superblock from, the shared cache; so is M
    streams = (v_bytes * (passes + 2) + m_bytes * 3 * passes) / SHARED_CACHE if beyond else 0.0
    filters = c.split_blocks * filter_cycles(p, c)
    produced = min(p.group_out, c.split_blocks * mr)
    if c.last:
        fill, deliver = -(-p.group_in // n) * fill_pixels_cycles(box), -(-produced // n) * deliver_pixels_cycles(box)
    else:
        more = SPILLS if machine.registers < 32 else 1.0
        fill, deliver = p.group_in * fill_cycles(box, n) * more, produced * deliver_cycles(box, n) * more
    if c.splits > 1:  # a V in common
        fill += WAIT + v_bytes * (c.splits - 1) / SHARED_CACHE
    cycles = multiply + streams + fill / c.splits + deliver + TASK_BEGUN
    given = FLOAT * p.group_in * p.taps * c.split_blocks * mr
    return cycles + (filters + given / GIVEN_READ if fused else u_bytes / TRANSFORMED_READ)


def pack_cycles(p: ConvProblem, c: WinogradChoice) -> float:
    """Of transforming all filters ahead of all tasks."""
    if on_the_way(p, prod(c.box.boxes)):
        return 0.0
    u_bytes = FLOAT * frequencies(c.box.axes) * terms(p, c.box.axes) * c.split_blocks * c.block_channels
    return p.groups * c.splits * (c.split_blocks * filter_cycles(p, c) + u_bytes / TRANSFORMED_WRITTEN)


def fill_cycles(box: TileBox, n: int) -> float:
    """Of one channel: its rows, then the other axis."""
    o, a, _, w = box.axes
    so, sa, si, sw = box.slots
    _, by_a, _, by_w = box.counts
    rows = so * si * sum(a.samples(by_a, phase) for phase in a.phases) * box.residues
    tiles = by_w + w.halo
    row = COPY_OF_ROW + COPY_OF_VECTOR * -(-sw // n) if w.m == 1 else ROW_BEGUN + ROW_THERE[w.frequencies] * _vectors(w, tiles, n)
    if w.stride > 1:
        row += PHASE_ROW + (PHASE_BY_TWO if w.stride == 2 else PHASE_GATHERED) * -(-samples(w, tiles) // n)
    outer = so * -(-sa * si * sw // n) * w.frequencies * len(a.planes) * ANALYSE[a.frequencies] if a.m > 1 else 0
    return len(o.planes) * len(box.axes.i.planes) * len(w.planes) * (rows * row + outer)


def deliver_cycles(box: TileBox, n: int) -> float:
    """Of one output channel."""
    a, w = box.axes.a, box.axes.w
    by_o, by_a, by_i, by_w = box.counts
    vectors = -(-box.positions // n)
    rows = by_o * by_i * by_a * box.residues * a.m
    back = float(vectors * RESTORE[a.frequencies] * w.frequencies) if a.m > 1 else 0.0
    if w.m > 1:
        waste = _vectors(w, by_w, n) * n / (by_w * w.residues) if w.residues > WASTED_FROM else 1.0
        back += vectors * a.m * ROW_BACK[w.frequencies] * waste
    return back + rows * (TARGET_ROW + TARGET_VECTOR * -(-by_w * w.m * w.residues // n))


def _vectors(w: CutAxis, tiles: int, n: int) -> int:
    """Of the positions of a row: neighbouring residues share one, but tiles only under the dilations that shuffles serve."""
    return -(-tiles * w.residues // n) if w.residues in SHUFFLED else tiles * -(-w.residues // n)


def samples(w: CutAxis, tiles: int) -> int:
    """Of a row of a plane."""
    return (tiles * w.m + w.frequencies - w.m) * w.residues


def filter_cycles(p: ConvProblem, c: WinogradChoice) -> float:
    """Of transforming the filters of one block."""
    f, t = frequencies(c.box.axes), terms(p, c.box.axes)
    return c.block_channels / c.tile.lanes * (t * (FILTER_FREQUENCY * f + FILTER_TERM) + FILTER_TURNED * p.group_in * p.taps)


def fill_pixels_cycles(box: TileBox) -> float:
    """Of one register of channels: columns along A, then rows along W."""
    a, w = box.axes.a, box.axes.w
    so, _, si, _ = box.slots
    _, by_a, _, by_w = box.counts
    tiles = by_w + w.halo
    columns = (tiles * w.m + w.frequencies - w.m) * (COLUMN_BEGUN + MOVE * 2 * a.frequencies)
    rows = tiles * (COLUMN_BEGUN + MOVE * 2 * frequencies(box.axes))
    return box.planes * so * si * (by_a + a.halo) * box.residues * w.residues * (ROW_OF_TILES + columns + rows)


def deliver_pixels_cycles(box: TileBox) -> float:
    """Of one register of output channels."""
    a, w = box.axes.a, box.axes.w
    tiles = prod(box.counts) * box.residues * w.residues
    return tiles * (ROW_OF_TILES + MOVE * (2 * frequencies(box.axes) + 4 * a.m * w.m))
