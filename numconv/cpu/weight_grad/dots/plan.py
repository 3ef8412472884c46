"""The choice of tile and tasks for `dot_rows`, and its record: everything that the kernel knows of a problem."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import NamedTuple

import numpy as np

from ....kernel import Machine
from ....memory import kept
from ....problem import ConvProblem
from ...geometry.tiles import up
from ...runtime.record import size_of
from ...simd.dots import Positions
from ..prepared import Prepared
from .cost import tile_cycles
from .stretch import DotsLayout, layout, vectors_of

#: (rows, filters), by number of SIMD registers
DOT_TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: ((13, 1), (9, 1), (5, 1), (3, 1), (9, 2), (6, 4)),
    16: ((12, 1), (9, 1), (5, 1), (3, 1), (4, 2), (3, 3)),
}
FEW_TERMS = ((9, 1), (3, 1), (4, 2))  # of them, for dtypes other than float32: each is seconds of compilation
LEAST_CHUNK = 16  # vectors
TASKS_PER_WORKER = 2
BETWEEN_WORKERS = 64  # bytes between the rooms of two workers
MOST_VECTORS = 1 << 13  # built at once: 200 kB …
MOST_MASKS = 1 << 15  # … of 16 bits, but for those of whole vectors
INTEGER = 8  # bytes


class DotAxis(NamedTuple):
    """One of the axes t, h, w, in elements of that axis."""

    source: int  # extent of the input
    target: int  # positions
    kernel: int
    step: int  # in the input, from one position to the next
    dilation: int
    low: int  # padding before the input
    first_whole: int  # positions [first, end) see the input with every tap
    end_whole: int
    pitch: int  # in the gradient, from one position to the next …
    period: int  # … and from the first to where the axis begins anew
    source_pitch: int  # in the input likewise, its rows split into stride phases
    ranges_at: int  # in the room: a Range for each tap


class Range(NamedTuple):
    """Of a tap of an axis: the positions by which it sees the input, as positions of the gradient."""

    first: int
    end: int


class Built(NamedTuple):
    """Which vectors of positions are there."""

    first: int
    vectors: int  # their number


class DotsPlan(NamedTuple):
    """The record.  A *tile* is of rows (channel, tap) and filters; lengths in elements, places in the room in integers."""

    batch: int
    groups: int
    group_in: int  # channels of a group
    group_out: int  # filters of a group
    t: DotAxis
    h: DotAxis
    w: DotAxis
    source_volume: int  # of a channel of the input, its rows split into stride phases
    row_pitch: int
    phase_pitch: int  # from one of them to the next
    positions: int  # of a filter's gradient
    stretch: int  # positions of one
    stretch_vectors: int
    vectors: int  # in all
    most_vectors: int  # that are built at once
    most_masks: int  # rows of masks, likewise
    back: int  # vectors from one to the next at the same column …
    back_lines: int  # … and rows
    lines_spanned: int  # rows that a vector may go on to beyond its first
    all_lanes: int  # the bits of a whole vector
    lane_bits: int  # the logarithm of its lanes
    chunk: int  # vectors that all tiles of a task see before the next
    tiles: int  # of a filter's rows
    split_tiles: int  # of a task
    split_blocks: int  # blocks of filters of a task
    taps: int
    filter_size: int
    rows: int  # of all tiles
    bits_at: int  # of a vector, of each tap of each axis the lanes that see the input
    places_at: int  # of DotLists
    vectors_at: int
    masks_at: int
    sums_at: int  # in elements


@dataclass(frozen=True)
class _Division:
    """Of tiles and blocks of filters over tasks."""

    tiles: int  # of a filter
    split_blocks: int
    split_tiles: int
    tasks: int
    sums: int  # elements of a task's


@kept
def _best(problem: ConvProblem, machine: Machine) -> tuple[float, tuple[int, int]]:
    """Cycles of a whole group and sample, and the tile."""
    a, size = layout(problem), np.dtype(problem.out_dtype).itemsize
    tiles = DOT_TILES[32 if machine.registers >= 32 else 16] if problem.out_dtype == "float32" else FEW_TERMS
    return min((tile_cycles(problem, a, *tile, size, machine), tile) for tile in tiles if tile[1] <= problem.group_out)


def cycles(problem: ConvProblem, machine: Machine) -> float:
    """Of all of it, on one core."""
    return problem.groups * _best(problem, machine)[0]


def _divided(problem: ConvProblem, machine: Machine, workers: int) -> _Division:
    rows, filters = _best(problem, machine)[1]
    blocks, tiles = -(-problem.group_out // filters), -(-problem.group_in * problem.taps // rows)
    wanted = -(-TASKS_PER_WORKER * workers // problem.groups)
    split_blocks = -(-blocks // min(blocks, wanted))
    splits = -(-blocks // split_blocks)
    split_tiles = -(-tiles // min(tiles, -(-wanted // splits)))
    return _Division(
        tiles=tiles,
        split_blocks=split_blocks,
        split_tiles=split_tiles,
        tasks=problem.groups * splits * -(-tiles // split_tiles),
        sums=split_blocks * split_tiles * rows * filters * machine.vector_bytes // np.dtype(problem.out_dtype).itemsize,
    )


def _axis(a: DotsLayout, i: int, pitch: int, source_pitch: int, ranges_at: int) -> DotAxis:
    extent, outputs, step, low = a.extent[i], a.outputs[i], a.stride[i], a.low[i]
    return DotAxis(
        source=extent,
        target=outputs,
        kernel=a.kernel[i],
        step=step,
        dilation=a.dilation[i],
        low=low,
        first_whole=-(-low // step),
        end_whole=min(outputs, (extent - 1 - (a.kernel[i] - 1) * a.dilation[i] + low) // step + 1),
        pitch=pitch,
        period=pitch * outputs,
        source_pitch=source_pitch,
        ranges_at=ranges_at,
    )


def _axes(a: DotsLayout) -> tuple[DotAxis, DotAxis, DotAxis]:
    (kt, kh, _), (_, lines, columns), at, size = a.kernel, a.outputs, size_of(Built), size_of(Range)
    return (
        _axis(a, 0, lines * columns, a.stride[0] * a.extent[1] * a.row_pitch, at),
        _axis(a, 1, columns, a.stride[1] * a.row_pitch, at + kt * size),
        _axis(a, 2, 1, 1, at + (kt + kh) * size),
    )


class DotRoom(NamedTuple):
    """Places in it, in integers, but for the sums'."""

    bits_at: int
    places_at: int
    vectors_at: int
    masks_at: int
    sums_at: int  # in elements
    most_vectors: int
    most_masks: int


def _room(a: DotsLayout, vectors: int, rows: int, size: int) -> DotRoom:
    most_vectors = min(vectors, MOST_VECTORS)
    most_masks = 1 + min(most_vectors, max(1, MOST_MASKS // (1 + rows)))
    bits_at = size_of(Built) + sum(a.kernel) * size_of(Range)
    places_at = bits_at + sum(a.kernel)
    vectors_at = places_at + rows
    masks_at = vectors_at + most_vectors * size_of(Positions)
    sums_at = up((masks_at + -(-most_masks * (1 + rows) // 4)) * INTEGER, BETWEEN_WORKERS) // size
    return DotRoom(bits_at, places_at, vectors_at, masks_at, sums_at, most_vectors, most_masks)


def prepared(problem: ConvProblem, machine: Machine, workers: int) -> Prepared:
    """The tile depends on the problem and the machine alone; chunks and tasks change no bit of the result."""
    a, d = layout(problem), _divided(problem, machine, workers)
    size = np.dtype(problem.out_dtype).itemsize
    lanes = machine.vector_bytes // size
    tile_rows, filters = _best(problem, machine)[1]
    t, h, w = _axes(a)
    held = machine.l2 // 4 // (problem.group_in * machine.vector_bytes)
    rows, vectors, each, common = d.tiles * tile_rows, vectors_of(a, lanes), -(-a.stretch // lanes), gcd(w.target, lanes)
    room = _room(a, vectors, rows, size)
    plan = DotsPlan(
        batch=problem.batch,
        groups=problem.groups,
        group_in=problem.group_in,
        group_out=problem.group_out,
        t=t,
        h=h,
        w=w,
        source_volume=a.volume,
        row_pitch=a.row_pitch,
        phase_pitch=a.phase_pitch,
        positions=prod(a.outputs),
        stretch=a.stretch,
        stretch_vectors=each,
        vectors=vectors,
        back=each if a.inner == 1 else w.target // common,
        back_lines=1 if a.inner == 1 else lanes // common,
        lines_spanned=0 if a.inner == 1 else (w.target + lanes - 2) // w.target,
        all_lanes=(1 << lanes) - 1,
        lane_bits=lanes.bit_length() - 1,
        chunk=vectors if problem.group_out <= filters and d.tiles == 1 else max(LEAST_CHUNK, held),
        tiles=d.tiles,
        split_tiles=d.split_tiles,
        split_blocks=d.split_blocks,
        taps=problem.taps,
        filter_size=problem.group_in * problem.taps,
        rows=rows,
        **room._asdict(),
    )
    return Prepared(
        plan=plan,
        tile=(tile_rows, filters, lanes),
        tasks=d.tasks,
        room=(up((room.sums_at + d.sums) * size, BETWEEN_WORKERS) + BETWEEN_WORKERS) // size,
    )
