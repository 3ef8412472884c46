"""The choice of axes, boxes and register tile for `winograd`, and its record: everything that the kernel knows of a problem."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ...activations import ACTIVATIONS
from ...kernel import Machine
from ...memory import kept
from ...problem import ConvProblem
from ..adapt.mirror import forward_of
from ..geometry.tiles import up
from ..runtime.record import size_of, table
from .axes import Axes, frequencies, terms
from .cost import CLOCK, WinogradChoice, on_the_way
from .filters import LINE_ELEMENTS, FilterTransform
from .lists import TileAxis, lists_of
from .room import INTEGER_ELEMENTS, Chunk, PixelsRoom, PlanesRoom, Room, Spectrum, filter_pitch, room_of
from .search import WinogradSearch, cheapest, chosen, search
from .taps import AxisPieces, TapCut


class WinogradPlan(NamedTuple):
    """The record.  Pitches and places in elements, from the beginning of this worker's room, or in integers from that of the table."""

    o: TileAxis  # outside of A
    a: TileAxis
    i: TileAxis  # inside of A
    w: TileAxis
    a_cut: TapCut  # channels first: phases of A …
    a_dilation: int  # … and how far apart in the source they begin
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
    samples: int  # of A, channels first: of a residue, for a whole box, of a phase of one plane
    channel_pitch: int  # of V, from one channel to the next
    lists_at: int  # in the room: `lists`
    terms_at: int  # in the lists
    pieces_at: int  # in the table: an AxisPieces for each axis
    places_at: int  # … and, channels last, where the positions of a register tile lie


@dataclass(frozen=True, eq=False)
class PreparedWinograd:
    """A plan with its tables, and what the host knows besides."""

    plan: WinogradPlan
    choice: WinogradChoice
    numbers: np.ndarray  # the record, and what it points to
    then: np.ndarray | None  # the same of a second stage, where V is in common
    room: int  # elements of scratch a worker
    shared: int  # elements of scratch in common
    packed: int  # elements of the transformed filters
    turned: int  # elements of scratch a worker, where they are transformed ahead


def best(p: ConvProblem, machine: Machine, workers: int, x: Axes, tile: tuple[int, int], given: bool = False) -> WinogradChoice:
    """The box and the splits, of these axes and this tile."""
    return cheapest(p, machine, workers, search(p, machine, workers, (x,), (tile,)), given)


@lru_cache(maxsize=1)  # with filters given plain and transformed, one after the other
def _searched(p: ConvProblem, machine: Machine, workers: int, x: Axes, tile: tuple[int, int]) -> WinogradSearch:
    return search(p, machine, workers, (x,), (tile,))


@kept
def blocking(p: ConvProblem, machine: Machine, workers: int, given: bool = False) -> WinogradChoice:
    """The box and the splits, of this call."""
    c = chosen(p if p.batch == 1 else p.with_(batch=1), machine)
    return cheapest(p, machine, workers, _searched(p, machine, workers, c.box.axes, (c.tile.rows, c.tile.vectors)), given)


def seconds(one: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    return CLOCK * chosen(one, machine).cycles * machine.cycle


def _filters(p: ConvProblem, x: Axes, room: Room, places_at: int, turned: bool) -> FilterTransform:
    """`turned`: they are an input gradient's, read in the other order and backwards."""
    sign = -1 if turned else 1
    return FilterTransform(
        produced=p.group_out,
        taps=p.taps,
        produced_pitch=p.taps if turned else p.group_in * p.taps,
        summed_pitch=p.group_out * p.taps if turned else p.taps,
        tap_pitch_a=sign * x.a.filter_pitch * x.a.cut.tap_pitch,
        tap_pitch_w=sign * x.w.filter_pitch * x.w.cut.tap_pitch,
        pieces=terms(p, x) // p.group_in,
        first_tap=p.taps - 1 if turned else 0,
        blank_at=room.blank_at,
        lists_at=up(room.turned_size, LINE_ELEMENTS),
        places_at=places_at,
    )


@kept
def prepared(problem: ConvProblem, machine: Machine, workers: int, given: bool = False) -> PreparedWinograd:
    """An input gradient is the convolution that gives the same; its filters are read in the other order, and taps backwards."""
    p = forward_of(problem)
    c = blocking(p, machine, workers, given)
    room, x, boxes, turned = room_of(p, c), c.box.axes, prod(c.box.boxes), problem.direction != "forward"
    lists = lists_of(p, c, room, turned)
    o, a, i, w = lists.axes
    lists_at, group_size = room.size + room.v_size * (c.splits == 1), frequencies(x) * filter_pitch(p, c)
    plan = WinogradPlan(
        o=o,
        a=a,
        i=i,
        w=w,
        a_cut=x.a.cut,
        a_dilation=x.a.dilation,
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
        filters=_filters(p, x, room, lists.places_at, turned),
        chunk=room.chunk,
        filter_pitch=filter_pitch(p, c),
        transformed_pitch=group_size,
        given_pitch=p.group_out * p.group_in * p.taps,
        has_bias=p.bias,
        activation=ACTIVATIONS[p.activation],
        samples=0 if c.last else (a.box + a.halo) * x.a.m + x.a.frequencies - x.a.m,
        channel_pitch=1 if c.last else c.box.planes * room.v.plane_pitch,
        lists_at=lists_at,
        terms_at=lists.terms_at,
        pieces_at=size_of(WinogradPlan),
        places_at=size_of(WinogradPlan) + len(lists.pieces) * size_of(AxisPieces),
    )
    near = np.arange(c.tile_positions if c.last else 0) * room.v.position_pitch
    return PreparedWinograd(
        plan=plan,
        choice=c,
        numbers=table(plan, lists.pieces, near),
        then=None if c.splits == 1 else table(plan._replace(fills=0, multiplies=1), lists.pieces, near),
        room=lists_at + up(lists.size * INTEGER_ELEMENTS, LINE_ELEMENTS),
        shared=0 if c.splits == 1 else p.batch * p.groups * boxes * room.v_size,
        packed=p.groups * group_size,
        turned=plan.filters.lists_at + up(lists.terms_at * INTEGER_ELEMENTS, LINE_ELEMENTS),
    )
