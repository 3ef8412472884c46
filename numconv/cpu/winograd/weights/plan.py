"""The choice of transforms, boxes and tasks for `winograd_weights`, and its record."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from ....kernel import Machine
from ....memory import kept
from ....problem import ConvProblem
from ...geometry.tiles import over, up
from ...runtime.record import size_of, table
from ...runtime.workspace import spaced
from ..axes import Axes, Counts, TileBox, choices, frequencies
from ..cost import FLOAT, Tile
from ..filters import LINE_ELEMENTS
from ..room import INTEGER_ELEMENTS, Spectrum, odd_lines
from .cost import Way, task_cycles, ways_of
from .products import BoxPositions, pieces_of_axes, positions_of
from .sides import Side, side_of

#: rows × vectors of the register tile, by number of SIMD registers: wider ones are no faster, and waste more channels
GRADIENT_TILES = {32: (16, 1), 16: (12, 1)}
LEAST_TILES = 16  # of a row that is cut further
SPLITS = 1, 2, 4, 8, 16  # into which blocks and channels are divided, beside the number of workers and twice that


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
    terms: int  # positions of a box, over which products are summed
    positions: BoxPositions
    pieces: int
    v: Spectrum
    y: Spectrum
    sums: RunSums
    filters_at: int  # in the room: weights of a run of input channels, as (input channel, tap, channel of the block)
    taps: int  # of a filter
    tap_pitch_a: int  # taps of a filter from one of a piece to the next, along A …
    tap_pitch_w: int  # … and along W
    lists_at: int  # in the room
    axes_at: int  # in the table: an AxisPieces for each axis
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
    return Way(TileBox(axes, Counts(*counts), axes.a.residues), tile)


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


def _cheapest(p: ConvProblem, machine: Machine, workers: int, ways: list[Way]) -> tuple[float, int, int, int]:
    """(cycles of all a worker does, number of the way, blocks, channels)."""
    tile = ways[0].tile
    blocks, tiles = -(-p.group_out // (tile.vectors * tile.lanes)), -(-p.group_in // tile.rows)
    split_blocks, split_tiles = _divisions(blocks, workers).reshape(-1, 1), _divisions(tiles, workers)
    channels = np.minimum(p.group_in, split_tiles * tile.rows)
    tasks = p.groups * over(blocks, split_blocks) * over(tiles, split_tiles)
    cycles = over(tasks, workers) * task_cycles(p, machine, tile, ways_of(ways), split_blocks, channels)
    way, i, j = np.unravel_index(cycles.argmin(), cycles.shape)
    return float(cycles[way, i, j]), int(way), int(split_blocks[i, 0]), int(channels[j])


def splits_of(p: ConvProblem, machine: Machine, workers: int, way: Way) -> tuple[float, int, int]:
    """(cycles of all a worker does, blocks, channels)."""
    cycles, _, blocks, channels = _cheapest(p, machine, workers, [way])
    return cycles, blocks, channels


def _divisions(count: int, workers: int) -> np.ndarray:
    """Sizes of evenly divided ranges, the smallest first."""
    return np.array(sorted({-(-count // k) for k in (*SPLITS, workers, 2 * workers) if k <= count}), np.float64)


@kept
def chosen(p: ConvProblem, machine: Machine) -> Way:
    """For one worker, whatever the call has: the order of the sums depends on it."""
    tile = Tile(*GRADIENT_TILES[32 if machine.registers >= 32 else 16], machine.vector_bytes // FLOAT)
    ways = [way_of(axes, tile, counts) for axes in choices(p) for counts in boxes_of(axes)]
    return ways[_cheapest(p, machine, 1, ways)[1]]


def _spectrum(at: int, plane_pitch: int, planes: int, position_pitch: int) -> Spectrum:
    return Spectrum(at=at, pitch=odd_lines(planes * plane_pitch), plane_pitch=plane_pitch, position_pitch=position_pitch)


def _built(p: ConvProblem, way: Way, split_blocks: int, split_channels: int, cycles: float) -> PreparedLift:
    mr, vectors, lanes = way.tile
    width, run, terms, pieces = vectors * lanes, min(way.run, -(-split_channels // mr)), way.terms, way.pieces
    box, axes, f = way.box, way.box.axes, frequencies(way.box.axes)
    blocks, channel_splits = -(-p.group_out // width), -(-p.group_in // split_channels)
    block_splits = -(-blocks // split_blocks)
    position_pitch = odd_lines(max(up(split_channels, lanes), up(split_channels, mr)))
    of_axes, lists_end = pieces_of_axes(box, position_pitch)
    positions = positions_of(box, lists_end)
    x_side, room_x, lists_end = side_of(box, True, lanes, lists_end + terms)
    y_side, room_y, lists_end = side_of(box, False, lanes, lists_end)
    lifted = up(max(room_x, room_y) + lanes, LINE_ELEMENTS)
    v = _spectrum(lifted, x_side.lines * x_side.wide * position_pitch, 1, position_pitch)
    of_y = _spectrum(v.at + f * v.pitch + LINE_ELEMENTS, terms * width, split_blocks, width)
    kept_sums = p.batch * prod(box.boxes) > 1  # from one box to the next
    pitch = odd_lines(pieces * run * mr * width)
    sums = RunSums(at=of_y.at + f * of_y.pitch, run=run, run_pitch=f * pitch * kept_sums, pitch=pitch, piece_pitch=run * mr * width)
    runs = split_blocks * -(-split_channels // (run * mr)) if kept_sums else 1
    filters_at = sums.at + f * pitch * runs
    lists_at = up(filters_at + run * mr * p.taps * width + lanes + LINE_ELEMENTS, LINE_ELEMENTS)
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
        terms=terms,
        positions=positions,
        pieces=pieces,
        v=v,
        y=of_y,
        sums=sums,
        filters_at=filters_at,
        taps=p.taps,
        tap_pitch_a=axes.a.filter_pitch * axes.a.cut.tap_pitch,
        tap_pitch_w=axes.w.filter_pitch * axes.w.cut.tap_pitch,
        lists_at=lists_at,
        axes_at=size_of(LiftPlan),
        x_side=x_side,
        y_side=y_side,
    )
    return PreparedLift(
        plan=plan,
        numbers=table(plan, of_axes),
        tile=way.tile,
        kinds=(axes.a.frequencies, axes.w.frequencies),
        tasks=p.groups * block_splits * channel_splits,
        room=spaced(up(lists_at + lists_end * INTEGER_ELEMENTS, 64) + LINE_ELEMENTS, FLOAT),
        cycles=cycles,
    )


@kept
def prepared(p: ConvProblem, machine: Machine, workers: int) -> PreparedLift:
    way = chosen(p, machine)
    cycles, blocks, channels = splits_of(p, machine, workers, way)
    return _built(p, way, blocks, channels, cycles)


@kept
def predicted(p: ConvProblem, machine: Machine, workers: int) -> float:
    """Cycles of the worker with most to do."""
    cycles, _, _ = splits_of(p, machine, workers, chosen(p, machine))
    return cycles
