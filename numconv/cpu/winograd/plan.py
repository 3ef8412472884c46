"""The choice of axes, boxes and register tile for `winograd`, and its record: everything that the kernel knows of a problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ...activations import ACTIVATIONS
from ...kernel import Machine
from ...problem import ConvProblem
from ..adapt.mirror import forward_of
from ..geometry.tiles import up
from ..runtime.record import size_of, table
from .axes import Axes, TileBox, boxes_of, choices, frequencies, terms
from .cost import CLOCK, FLOAT, Tile, WinogradChoice, on_the_way, pack_cycles, task_cycles
from .filters import FilterTransform
from .room import SAME_SETS, Chunk, PixelsRoom, PlanesRoom, Spectrum, filter_pitch, position_pitch, room_of
from .tables import TileAxis, axes_of, filters_of, offsets_of, phases_of

#: rows × vectors, by number of SIMD registers: rows are output channels, or, channels last, positions
PLANE_TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((12, 2), (8, 3), (4, 6), (24, 1)), 16: ((6, 2), (4, 3), (12, 1))}
PIXEL_TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((14, 2), (12, 2), (9, 3), (24, 1)), 16: ((6, 2), (4, 3), (12, 1))}
MOST_SCRATCH = 8 << 20  # bytes of a worker: a share of the last cache
PART = 4  # of the second cache: M of a superblock takes one such, U of a chunk another
MANY_CHANNELS, MANY_SUMS = 64, 384  # of a superblock: no more channels, or sums of a position, even where there is room


class WinogradPlan(NamedTuple):
    """The record.  Pitches and places in elements, from the beginning of this worker's room, or in integers from that of the table."""

    o: TileAxis  # outside of A
    a: TileAxis
    i: TileAxis  # inside of A
    w: TileAxis
    groups: int
    summed: int  # channels of a group
    produced: int
    fills: int  # 1: a task makes V, of its share of the channels where several have it in common …
    multiplies: int  # 1: … and does the rest; where V is in common, in a stage of its own
    splits: int  # of the blocks of a group, over tasks that have V in common
    split_blocks: int  # blocks of a split
    super_blocks: int  # blocks whose M is held at a time
    source_size: int  # of a channel
    target_size: int
    frequencies: int
    terms: int  # of all channels
    v: Spectrum
    v_size: int  # from the V of one box to that of the next, where they are in common
    m: Spectrum
    planes: PlanesRoom
    pixels: PixelsRoom
    packs: int  # 1: filters are as given, and each task transforms what it uses
    filters: FilterTransform
    chunk: Chunk
    filter_pitch: int  # of filters transformed ahead, from one frequency to the next
    transformed_pitch: int  # … from one group to the next
    given_pitch: int  # of filters as given, likewise
    has_bias: int  # 0 or 1
    activation: int  # its code
    phases: int  # of A, channels first
    phases_at: int  # in the table
    places_at: int  # in the table, channels last: where the positions of a register tile lie


@dataclass(frozen=True, eq=False)
class PreparedWinograd:
    """A plan with its tables, and what the host knows besides."""

    plan: WinogradPlan
    choice: WinogradChoice
    numbers: np.ndarray  # the record, and what it points to
    then: np.ndarray | None  # the same of a second stage, where V is in common
    offsets: np.ndarray  # of a channel's terms in V, int64
    room: int  # elements of scratch a worker
    shared: int  # elements of scratch in common
    packed: int  # elements of the transformed filters
    turned: int  # elements of scratch a worker, where they are transformed ahead


def _choice(p: ConvProblem, machine: Machine, tile: Tile, box: TileBox, splits: int) -> WinogradChoice:
    """With superblocks and chunks that fit in the second cache."""
    n, last = tile.lanes, p.layout == "channels_last"
    mr, nr = (tile.vectors * n, tile.rows) if last else (tile.rows, tile.vectors * n)
    split_blocks = -(-(-(-p.group_out // mr)) // splits)
    splits = -(-(-(-p.group_out // mr)) // split_blocks)
    panels = -(-box.positions // nr)
    so, sa, si, sw = box.slots
    plane = sa * si * sw
    if last:
        pitch = max(panels * nr, so * plane)
    else:
        end = (so - 1) * plane + up(plane, n) if box.axes.a.m > 1 else so * plane - sw + up(sw, n)  # whole vectors are written
        pitch = max(panels * nr, up(end, n))
        pitch += n if pitch * FLOAT % SAME_SETS == 0 else 0
    f, t = frequencies(box.axes), terms(p, box.axes)
    most = max(MANY_CHANNELS, MANY_SUMS // f) // mr
    super_blocks = max(1, min(split_blocks, machine.l2 // PART // (FLOAT * f * mr * pitch), most))
    chunk = machine.l2 // PART // (FLOAT * f * super_blocks * mr * (t // p.group_in)) // n * n
    return WinogradChoice(
        tile=tile,
        last=last,
        box=box,
        splits=splits,
        split_blocks=split_blocks,
        super_blocks=super_blocks,
        chunk=min(p.group_in, max(n, chunk)),
        pitch=pitch,
    )


def _candidates(p: ConvProblem, machine: Machine, workers: int, x: Axes, tile: Tile) -> Iterator[WinogradChoice]:
    for box in boxes_of(x):
        for splits in sorted({1, workers}):
            yield _choice(p, machine, tile, box, splits)


def cycles(p: ConvProblem, c: WinogradChoice, machine: Machine) -> float:
    """Of all tasks of a sample; the filters transformed."""
    held = position_pitch(p.group_in, c.tile.lanes) if c.last else p.group_in
    return c.tasks(p) * task_cycles(p, c, held, machine)


def best(p: ConvProblem, machine: Machine, workers: int, x: Axes, tile: tuple[int, int], given: bool = False) -> WinogradChoice:
    """The cheapest of those within their share of memory; `given`: with what it takes to transform the filters ahead."""

    def cost(c: WinogradChoice) -> tuple[float, float]:
        tasks, room = p.batch * c.tasks(p), room_of(p, c)
        idle = -(-tasks // workers) * workers / tasks
        size = FLOAT * (room.size + room.v_size * (tasks / (c.splits * workers) if c.splits > 1 else 1))
        return size / MOST_SCRATCH if size > MOST_SCRATCH else 0.0, cycles(p, c, machine) * idle + given * pack_cycles(p, c)

    rows, vectors = tile
    return min(_candidates(p, machine, workers, x, Tile(rows, vectors, machine.vector_bytes // FLOAT)), key=cost)


@lru_cache(maxsize=1024)
def chosen(p: ConvProblem, machine: Machine) -> WinogradChoice:
    """The tile and the transforms: from one sample and one worker, whatever the call has, since bits depend on them."""
    one = p.with_(batch=1)
    tiles = (PIXEL_TILES if p.layout == "channels_last" else PLANE_TILES)[32 if machine.registers >= 32 else 16]
    found = (best(one, machine, 1, x, tile) for x in choices(one) for tile in tiles)
    return min(found, key=lambda c: cycles(one, c, machine) + pack_cycles(one, c))


@lru_cache(maxsize=1024)
def blocking(p: ConvProblem, machine: Machine, workers: int, given: bool = False) -> WinogradChoice:
    """The box and the splits, of this call."""
    c = chosen(p.with_(batch=1), machine)
    return best(p, machine, workers, c.box.axes, (c.tile.rows, c.tile.vectors), given)


def seconds(one: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    c = chosen(one, machine)
    return CLOCK * (cycles(one, c, machine) + pack_cycles(one, c)) * machine.cycle


@lru_cache(maxsize=1024)
def prepared(problem: ConvProblem, machine: Machine, workers: int, given: bool = False) -> PreparedWinograd:
    """An input gradient is the convolution that gives the same; its filters are read in the other order, and taps backwards."""
    p = forward_of(problem)
    c = blocking(p, machine, workers, given)
    room, x, boxes = room_of(p, c), c.box.axes, prod(c.box.boxes)
    (o, a, i, w), begins = axes_of(c, size_of(WinogradPlan))
    phases_at = size_of(WinogradPlan) + len(begins)
    phases = [] if c.last else phases_of(x.a, a.box, phases_at)
    filters, cut = filters_of(p, c, room, problem.direction != "forward", phases_at + len(phases))
    group_size = frequencies(x) * filter_pitch(p, c)
    plan = WinogradPlan(
        o=o,
        a=a,
        i=i,
        w=w,
        groups=p.groups,
        summed=p.group_in,
        produced=p.group_out,
        fills=1,
        multiplies=c.splits == 1,
        splits=c.splits,
        split_blocks=c.split_blocks,
        super_blocks=c.super_blocks,
        source_size=prod(axis.source for axis in (o, a, i, w)),
        target_size=prod(axis.target for axis in (o, a, i, w)),
        frequencies=frequencies(x),
        terms=terms(p, x),
        v=room.v,
        v_size=room.v_size,
        m=room.m,
        planes=room.planes,
        pixels=room.pixels,
        packs=given and on_the_way(p, p.batch * boxes),
        filters=filters,
        chunk=room.chunk,
        filter_pitch=filter_pitch(p, c),
        transformed_pitch=group_size,
        given_pitch=p.group_out * p.group_in * p.taps,
        has_bias=p.bias,
        activation=ACTIVATIONS[p.activation],
        phases=0 if c.last else len(x.a.phases),
        phases_at=phases_at,
        places_at=phases_at + len(phases) + len(cut),
    )
    near = np.arange(c.tile_positions if c.last else 0) * room.v.position_pitch
    return PreparedWinograd(
        plan=plan,
        choice=c,
        numbers=table(plan, begins, phases, cut, near),
        then=None if c.splits == 1 else table(plan._replace(fills=0, multiplies=1), begins, phases, cut, near),
        offsets=offsets_of(p, c, room),
        room=room.size + room.v_size * (c.splits == 1),
        shared=0 if c.splits == 1 else p.batch * p.groups * boxes * room.v_size,
        packed=p.groups * group_size,
        turned=room.turned_size,
    )
