"""The choice of transforms, boxes and tasks for `winograd_weights`, and its record."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.tiles import up
from ...runtime.record import size_of, table
from ...runtime.workspace import spaced
from ..axes import Axes, TileBox, choices, frequencies
from ..cost import FLOAT, Tile
from ..filters import LINE_ELEMENTS
from ..room import Spectrum, odd_lines
from .cost import Way, lift_cycles, task_cycles
from .sides import Places, Side, reads_of

#: rows × vectors of the register tile, by number of SIMD registers: wider ones are no faster, and waste more channels
GRADIENT_TILES = {32: (16, 1), 16: (12, 1)}
LEAST_TILES = 16  # of a row that is cut further
SPLITS = 1, 2, 4, 8, 16  # into which blocks and channels are divided, beside the number of workers and twice that


class GradientPiece(NamedTuple):
    """A piece of the taps of each axis."""

    v_at: int  # in V: what the piece reads for the first position
    tap: int  # weight of a filter, the piece's first
    live_a: int  # taps of the piece along A …
    live_w: int  # … and along W


class RunSums(NamedTuple):
    """S: (run of input channels, frequency, piece, input channel of the run, channel of the block)."""

    at: int  # in the room
    run: int  # tiles of input channels of a run
    run_pitch: int  # 0: one box of one sample, whose sums are delivered run by run
    pitch: int  # from one frequency to the next
    piece_pitch: int


class LiftPlan(NamedTuple):
    """The record.  Pitches and places in elements, from the beginning of this worker's room, or in integers from that of the table."""

    batch: int
    groups: int
    channels_in: int  # of a group
    channels_out: int
    block_splits: int  # of the blocks of output channels, over tasks
    split_blocks: int  # blocks of a split
    channel_splits: int  # of the input channels, over tasks
    split_channels: int  # channels of a split
    outer_boxes: int  # of a sample, the last axis aside
    row_boxes: int  # of the last axis
    positions: int  # of a box, over which products are summed
    positions_at: int  # in the table: where they lie in V
    pieces: int
    pieces_at: int  # in the table
    v: Spectrum
    y: Spectrum
    sums: RunSums
    filters_at: int  # in the room: weights of a run of input channels, as (input channel, tap, channel of the block)
    taps: int  # of a filter
    tap_pitch_a: int  # taps of a filter from one of a piece to the next, along A …
    tap_pitch_w: int  # … and along W
    x_side: Side
    y_side: Side


@dataclass(frozen=True, eq=False)
class PreparedLift:
    """A plan with its tables, and what the host knows besides."""

    plan: LiftPlan
    numbers: np.ndarray  # the record, and what it points to
    tile: Tile
    kinds: tuple[int, int]  # frequencies of A and W
    tasks: int
    room: int  # elements of scratch a worker
    cycles: float  # predicted, of the worker with most to do


def way_of(axes: Axes, tile: Tile, counts: tuple[int, int, int, int]) -> Way:
    box = TileBox(axes, counts, axes.a.residues)
    (lift_x, room_x), (lift_y, room_y) = lift_cycles(box, True, tile.lanes), lift_cycles(box, False, tile.lanes)
    return Way(
        box=box,
        tile=tile,
        terms=prod(n * x.residues for n, x in zip(counts, axes, strict=True)),
        positions=prod(box.slots) * box.planes,
        lift_x=lift_x,
        lift_y=lift_y,
        room=max(room_x, room_y),
        frequencies=frequencies(axes),
        pieces=prod(len(x.pieces) for x in axes),
        chunks=prod(box.boxes),
    )


def boxes_of(axes: Axes) -> list[tuple[int, int, int, int]]:
    """All positions, then a half, a quarter … of the outermost axis that is more than one, down to one, then of the next."""
    counts = [x.tiles for x in axes]
    found = [tuple(counts)]
    for k, x in enumerate(axes):
        parts = 2
        while counts[k] > (LEAST_TILES if x is axes.w else 1):
            counts[k] = -(-x.tiles // parts)
            found.append(tuple(counts))
            parts *= 2
    return found  # type: ignore[return-value]


def splits_of(p: ConvProblem, machine: Machine, workers: int, way: Way) -> tuple[float, int, int]:
    """(cycles of all a worker does, blocks, channels)."""
    mr, vectors, lanes = way.tile
    blocks, tiles = -(-p.group_out // (vectors * lanes)), -(-p.group_in // mr)
    found = []
    for split_blocks, split_tiles in product(_divisions(blocks, workers), _divisions(tiles, workers)):
        tasks = p.groups * -(-blocks // split_blocks) * -(-tiles // split_tiles)
        channels = min(p.group_in, split_tiles * mr)
        found.append((-(-tasks // workers) * task_cycles(p, machine, way, split_blocks, channels), split_blocks, channels))
    return min(found)


def _divisions(count: int, workers: int) -> list[int]:
    """Sizes of evenly divided ranges."""
    return sorted({-(-count // k) for k in (*SPLITS, workers, 2 * workers) if k <= count}, reverse=True)


@lru_cache(maxsize=512)
def chosen(p: ConvProblem, machine: Machine) -> Way:
    """For one worker, whatever the call has: the order of the sums depends on it."""
    tile = Tile(*GRADIENT_TILES[32 if machine.registers >= 32 else 16], machine.vector_bytes // FLOAT)
    ways = (way_of(axes, tile, counts) for axes in choices(p) for counts in boxes_of(axes))
    return min(ways, key=lambda way: splits_of(p, machine, 1, way)[0])


def _positions(way: Way, wide: int, pitch: int) -> np.ndarray:
    """Where the positions that products are summed over lie in V."""
    _, sa, si, _ = way.box.slots
    o, a, i, w = np.ogrid[tuple(slice(n * axis.residues) for n, axis in zip(way.box.counts, way.box.axes, strict=True))]
    return ((((o * sa + a) * si + i) * wide + w) * pitch).ravel()


def _pieces(way: Way, wide: int, pitch: int) -> list[GradientPiece]:
    axes, (so, sa, si, sw), found = way.box.axes, way.box.slots, []
    for by in product(*(axis.pieces for axis in axes)):
        o, a, i, w = (piece.plane for piece in by)
        lo, la, li, lw = (piece.shift * axis.residues for piece, axis in zip(by, axes, strict=True))
        row = ((o * len(axes.i.planes) + i) * len(axes.a.planes) + a) * so * sa * si + (lo * sa + la) * si + li
        tap = sum(piece.tap * axis.filter_pitch for piece, axis in zip(by, axes, strict=True))
        _, by_a, _, by_w = by
        found.append(GradientPiece((row * wide + w * sw + lw) * pitch, tap, by_a.live, by_w.live))
    return found


def _spectrum(at: int, plane_pitch: int, planes: int, position_pitch: int) -> Spectrum:
    return Spectrum(at=at, pitch=odd_lines(planes * plane_pitch), plane_pitch=plane_pitch, position_pitch=position_pitch)


def _built(p: ConvProblem, way: Way, split_blocks: int, split_channels: int, cycles: float) -> PreparedLift:
    mr, vectors, lanes = way.tile
    width, run = vectors * lanes, min(way.run, -(-split_channels // mr))
    box, axes, f = way.box, way.box.axes, way.frequencies
    x, y = reads_of(box, True, lanes), reads_of(box, False, lanes)
    blocks, channel_splits = -(-p.group_out // width), -(-p.group_in // split_channels)
    block_splits, terms = -(-blocks // split_blocks), y.lines * y.wide
    position_pitch = odd_lines(max(up(split_channels, lanes), up(split_channels, mr)))
    lifted = up(max(x.turned + x.lifted, y.turned + y.lifted) + lanes, LINE_ELEMENTS)
    v = _spectrum(lifted, x.lines * x.wide * position_pitch, 1, position_pitch)
    of_y = _spectrum(v.at + f * v.pitch + LINE_ELEMENTS, terms * width, split_blocks, width)
    pieces, positions = _pieces(way, x.wide, position_pitch), _positions(way, x.wide, position_pitch)
    kept = p.batch * way.chunks > 1  # sums, from one box to the next
    pitch = odd_lines(len(pieces) * run * mr * width)
    sums = RunSums(at=of_y.at + f * of_y.pitch, run=run, run_pitch=f * pitch * kept, pitch=pitch, piece_pitch=run * mr * width)
    runs = split_blocks * -(-split_channels // (run * mr)) if kept else 1
    filters_at = sums.at + f * pitch * runs
    total = filters_at + run * mr * p.taps * width + lanes + LINE_ELEMENTS
    pieces_at = size_of(LiftPlan) + positions.size
    x_at = pieces_at + len(pieces) * size_of(GradientPiece)
    *outer_boxes, row_boxes = box.boxes
    plan = LiftPlan(
        batch=p.batch,
        groups=p.groups,
        channels_in=p.group_in,
        channels_out=p.group_out,
        block_splits=block_splits,
        split_blocks=split_blocks,
        channel_splits=channel_splits,
        split_channels=split_channels,
        outer_boxes=prod(outer_boxes),
        row_boxes=row_boxes,
        positions=terms,
        positions_at=size_of(LiftPlan),
        pieces=len(pieces),
        pieces_at=pieces_at,
        v=v,
        y=of_y,
        sums=sums,
        filters_at=filters_at,
        taps=p.taps,
        tap_pitch_a=axes.a.filter_pitch * axes.a.tap_pitch,
        tap_pitch_w=axes.w.filter_pitch * axes.w.tap_pitch,
        x_side=x.record(x_at),
        y_side=y.record(x_at + x.by_rows.size + x.by_columns.size),
    )
    beyond = np.zeros(size_of(Places), np.int64)  # the last tile's places are read as a whole
    return PreparedLift(
        plan=plan,
        numbers=table(plan, positions, pieces, x.by_rows, x.by_columns, y.by_rows, y.by_columns, beyond),
        tile=way.tile,
        kinds=(axes.a.frequencies, axes.w.frequencies),
        tasks=p.groups * block_splits * channel_splits,
        room=spaced(up(total, 64) + LINE_ELEMENTS, FLOAT),
        cycles=cycles,
    )


@lru_cache(maxsize=512)
def prepared(p: ConvProblem, machine: Machine, workers: int) -> PreparedLift:
    way = chosen(p, machine)
    cycles, blocks, channels = splits_of(p, machine, workers, way)
    return _built(p, way, blocks, channels, cycles)


@lru_cache(maxsize=512)
def predicted(p: ConvProblem, machine: Machine, workers: int) -> float:
    """Cycles of the worker with most to do."""
    cycles, _, _ = splits_of(p, machine, workers, chosen(p, machine))
    return cycles
