"""What a task of `winograd` costs, in cycles of one worker.

Measured on a Zen 4 (AVX-512) from 2026-11-24 to 2026-11-28 unless said otherwise; decisions 4, 8, 13, 16, 25, 26 and 32 have the layers.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...kernel import Machine
from ...problem import ConvProblem
from ..geometry.tiles import CYCLES_PER_STEP, over
from .axes import Axes, TileBox, terms

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
    cycles: float  # of all tasks and all that is done ahead of them

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


class AxesCost(NamedTuple):
    """What costs depend on of a choice of axes: a number each, or an array of them, one for each box."""

    tiles_o: Any  # of the axes
    tiles_a: Any
    tiles_i: Any
    tiles_w: Any
    halo_o: Any  # tiles that only shifted pieces read
    halo_a: Any
    halo_i: Any
    halo_w: Any
    residues_a: Any
    residues_w: Any
    frequencies: Any  # of both axes
    frequencies_a: Any
    m_a: Any
    m_w: Any
    more_w: Any  # samples of a tile beyond its outputs
    terms: Any
    planes: Any  # of a channel …
    planes_besides: Any  # … of its axes but A
    phases: Any  # of A …
    samples: Any  # … samples of them all beyond those of their tiles
    apart: Any  # vectors of a tile's residues along W, where each has its own; 0: neighbours share them
    row: Any  # cycles a row that is begun …
    row_vector: Any  # … and a vector of positions of it, there …
    row_back: Any  # … and back
    analyse: Any  # cycles a vector of positions along A, there …
    restore: Any  # … and back
    wasteful: Any  # rows of a dilated axis leave lanes idle


def axes_cost(p: ConvProblem, x: Axes, n: int) -> AxesCost:
    """In the order of the fields."""
    o, a, i, w = x
    besides, fa, fw = o.planes * i.planes * w.planes, a.frequencies, w.frequencies
    return AxesCost(
        o.tiles, a.tiles, i.tiles, w.tiles, o.halo, a.halo, i.halo, w.halo, a.residues, w.residues,
        fa * fw, fa, a.m, w.m, fw - w.m, terms(p, x), besides * a.planes, besides,
        a.cut.phases, a.cut.phases * (fa - a.m) + a.reaches,
        0 if w.residues in SHUFFLED else -(-w.residues // n),
        COPY_OF_ROW if w.m == 1 else ROW_BEGUN, COPY_OF_VECTOR if w.m == 1 else ROW_THERE[fw], ROW_BACK.get(fw, 0),
        fw * a.planes * ANALYSE.get(fa, 0), fw * RESTORE.get(fa, 0), w.residues > WASTED_FROM,
    )  # fmt: skip


class Boxes(NamedTuple):
    """Some boxes, all at once: arrays of floats, which count exactly as far as any array reaches."""

    axes: AxesCost
    o: Any  # tiles of a box …
    a: Any
    i: Any
    w: Any
    residues: Any  # … of so many residues of A
    slots: Any  # positions along each axis, as `TileBox.slots`
    positions: Any  # from the first output of a box to its last
    number: Any  # of boxes

    @property
    def plane(self) -> Any:
        """Positions of a plane of the outer axis."""
        _, a, i, w = self.slots
        return a * (i * w)


class TriedTiles(NamedTuple):
    """Some register tiles and splits, an array of a row each, so that they broadcast over boxes."""

    rows: Any
    vectors: Any
    block: Any  # output channels of a block
    positions: Any
    term: Any  # cycles a term
    start: Any  # cycles a tile begun and stored
    splits: Any  # of the blocks of a group, over tasks
    split_blocks: Any


class WinogradCandidates(NamedTuple):
    """Tiles by boxes."""

    tiles: TriedTiles
    boxes: Boxes
    last: bool
    lanes: int
    super_blocks: Any
    pitch: Any
    v_bytes: Any
    m_bytes: Any
    tasks: Any  # of a sample


def on_the_way(p: ConvProblem, boxes: Any) -> Any:
    """Whether filters, given plain, are transformed on the way in each of so many boxes and never written to memory."""
    return (boxes <= FUSED) | ((boxes - 1) * (p.groups * p.group_in * p.group_out * p.taps) <= AGAIN)


def filter_cycles(p: ConvProblem, c: WinogradCandidates) -> Any:
    """Of transforming the filters of one block."""
    axes = c.boxes.axes
    turned = FILTER_TURNED * p.group_in * p.taps
    return c.tiles.block / c.lanes * (axes.terms * (FILTER_FREQUENCY * axes.frequencies + FILTER_TERM) + turned)


def task_cycles(p: ConvProblem, c: WinogradCandidates, machine: Machine) -> Any:
    """Of one task."""
    b, tiles, axes, n = c.boxes, c.tiles, c.boxes.axes, c.lanes
    multiply = axes.frequencies * over(b.positions, tiles.positions) * tiles.split_blocks
    multiply = multiply * (axes.terms * tiles.term / CYCLES_PER_STEP + tiles.start)
    v_bytes, m_bytes, passes, (part, whole) = c.v_bytes, c.m_bytes, over(tiles.split_blocks, c.super_blocks), HELD
    beyond = (
        v_bytes + m_bytes > machine.l2 * part // whole
    )  # V is then written to, and read for each superblock from, the shared cache; so is M
    streams = np.where(beyond, (v_bytes * (passes + 2) + m_bytes * 3 * passes) / SHARED_CACHE, 0.0)
    produced = np.minimum(p.group_out, tiles.split_blocks * tiles.block)
    if c.last:
        fill, deliver = -(-p.group_in // n) * fill_pixels_cycles(b), over(produced, n) * deliver_pixels_cycles(b)
    else:
        more = SPILLS if machine.registers < 32 else 1.0
        fill, deliver = p.group_in * fill_cycles(p, b, n) * more, produced * deliver_cycles(b, n) * more
    # a V in common
    fill = fill + np.where(tiles.splits > 1, WAIT + v_bytes * (tiles.splits - 1) / SHARED_CACHE, 0.0)
    cycles = multiply + streams + fill / tiles.splits + deliver + TASK_BEGUN
    given, u_bytes = FLOAT * p.group_in * p.taps * tiles.split_blocks * tiles.block, _filter_bytes(c)
    filters = tiles.split_blocks * filter_cycles(p, c) + given / GIVEN_READ
    return cycles + np.where(on_the_way(p, b.number), filters, u_bytes / TRANSFORMED_READ)


def _filter_bytes(c: WinogradCandidates) -> Any:
    """Transformed, of a split."""
    return c.boxes.axes.frequencies * c.boxes.axes.terms * FLOAT * (c.tiles.split_blocks * c.tiles.block)


def pack_cycles(p: ConvProblem, c: WinogradCandidates) -> Any:
    """Of transforming all filters ahead of all tasks."""
    tiles = c.tiles
    ahead = p.groups * tiles.splits * (tiles.split_blocks * filter_cycles(p, c) + _filter_bytes(c) / TRANSFORMED_WRITTEN)
    return np.where(on_the_way(p, c.boxes.number), 0.0, ahead)


def fill_cycles(p: ConvProblem, b: Boxes, n: int) -> Any:
    """Of one channel: its rows, then the other axis."""
    axes, (so, sa, si, sw) = b.axes, b.slots
    rows = so * si * (axes.phases * ((b.a + axes.halo_a) * axes.m_a) + axes.samples) * b.residues
    tiles, stride = b.w + axes.halo_w, p.stride[-1]
    row = axes.row + axes.row_vector * _vectors(axes, tiles, n)
    if stride > 1:
        strided = (tiles * axes.m_w + axes.more_w) * axes.residues_w
        row = row + (PHASE_ROW + (PHASE_BY_TWO if stride == 2 else PHASE_GATHERED) * over(strided, n))
    return axes.planes_besides * (rows * row + so * over(sa * si * sw, n) * axes.analyse)


def deliver_cycles(b: Boxes, n: int) -> Any:
    """Of one output channel."""
    axes, vectors = b.axes, over(b.positions, n)
    rows = b.o * b.i * b.a * b.residues * axes.m_a
    waste = np.where(axes.wasteful, _vectors(axes, b.w, n) * n / (b.w * axes.residues_w), 1.0)
    back = vectors * axes.restore + vectors * axes.m_a * axes.row_back * waste
    return back + rows * (TARGET_ROW + TARGET_VECTOR * over(b.w * axes.m_w * axes.residues_w, n))


def _vectors(axes: AxesCost, tiles: Any, n: int) -> Any:
    """Of the positions of a row: neighbouring residues share one, but tiles only under the dilations that shuffles serve."""
    return np.where(axes.apart, tiles * axes.apart, over(tiles * axes.residues_w, n))


def fill_pixels_cycles(b: Boxes) -> Any:
    """Of one register of channels: columns along A, then rows along W."""
    axes, (so, _, si, _), tiles = b.axes, b.slots, b.w + b.axes.halo_w
    columns = (tiles * axes.m_w + axes.more_w) * (COLUMN_BEGUN + MOVE * 2 * axes.frequencies_a)
    rows = tiles * (COLUMN_BEGUN + MOVE * 2 * axes.frequencies)
    lines = axes.planes * so * si * (b.a + axes.halo_a) * b.residues * axes.residues_w
    return lines * (ROW_OF_TILES + columns + rows)


def deliver_pixels_cycles(b: Boxes) -> Any:
    """Of one register of output channels."""
    axes = b.axes
    tiles = b.o * b.a * b.i * b.w * b.residues * axes.residues_w
    return tiles * (ROW_OF_TILES + MOVE * (2 * axes.frequencies + 4 * axes.m_a * axes.m_w))
