"""The axes of `winograd` as its kernel has them, and what each worker lists in its room, once a call.

First come the pieces of a filter and where planes begin (`taps`), then where the weights of a vector of channels go, then where all terms
lie in V.
"""

from __future__ import annotations

from typing import NamedTuple

from ...problem import ConvProblem
from ..runtime.launch import device_function
from ..simd.vector import compact, get, moved, put
from .axes import terms
from .cost import WinogradChoice
from .filters import BESIDE
from .room import Room
from .taps import TAP_PIECE, AxisPieces, write_pieces


class TileAxis(NamedTuple):
    """One of the axes; where it is transformed, in tiles of m targets, else each target is a tile.  Lengths in elements of the axis."""

    source: int  # extent
    target: int  # extent
    low: int  # padding before the source
    step: int  # in the source, from one target to the next
    residues: int  # of a dilation: targets from one of a tile to the next; those between belong to other tiles
    source_rows: int  # rows of the source from one sample to the next
    target_rows: int  # likewise of the target
    tiles: int  # of a residue
    box: int  # tiles of a task
    box_residues: int  # of a task
    boxes: int
    halo: int  # tiles of a box that only shifted pieces read
    positions: int  # of V, from one tile of a residue, or residue, to the next
    planes: int
    planes_at: int  # in the lists: where in the source each plane begins


class WinogradLists(NamedTuple):
    """On the host: what lies where in the lists, and what they are made of."""

    axes: list[TileAxis]
    pieces: list[AxisPieces]
    places_at: int
    terms_at: int
    size: int


def lists_of(p: ConvProblem, c: WinogradChoice, room: Room, backwards: bool) -> WinogradLists:
    """`backwards`: so filters are read."""
    box, (_, sa, si, sw) = c.box, c.box.slots
    _, of_a, of_i, of_w = (x.planes for x in box.axes)
    positions, number = (sa * si * sw, si * sw, sw, 1), terms(p, box.axes) // p.group_in
    in_plane, between = room.v.position_pitch, room.v.plane_pitch
    plane_pitches = (of_i * of_w * of_a, 1, of_w * of_a, of_a)  # those of A are neighbours
    axes, pieces, at = [], [], number * TAP_PIECE
    for k, x in enumerate(box.axes):
        residues = box.residues if x is box.axes.a else x.residues
        axis = TileAxis(
            source=x.extent,
            target=x.outputs,
            low=x.low,
            step=x.stride,
            residues=x.residues,
            source_rows=x.source_rows,
            target_rows=x.target_rows,
            tiles=x.tiles,
            box=box.counts[k],
            box_residues=residues,
            boxes=box.boxes[k],
            halo=x.halo,
            positions=positions[k],
            planes=x.planes,
            planes_at=at,
        )
        axes.append(axis)
        of_axis = AxisPieces(
            pieces=x.pieces,
            plane_pitch=plane_pitches[k] * between,
            shift_pitch=residues * positions[k] * in_plane,
            filter_pitch=-x.filter_pitch if backwards else x.filter_pitch,
            dilation=x.dilation,
            planes_at=at,
            is_a=x is box.axes.a,
            cut=x.cut,
        )
        pieces.append(of_axis)
        at += x.planes
    terms_at = at + c.tile.lanes * p.taps
    return WinogradLists(axes, pieces, at, terms_at, terms_at + terms(p, box.axes))


@device_function
def write_filter_lists(plan, n, tables, lists):
    """The first of them, and where the weights of n channels go, in rows of a block: each tap's channels and BESIDE more side by side."""
    compact()
    filters, places, taps, at = plan.filters, moved(lists, plan.filters.places_at), plan.filters.taps, 0
    write_pieces(moved(tables, plan.pieces_at), filters.first_tap, lists)
    for c in range(n):
        for tap in range(taps):
            put(places, at, c + (n + BESIDE) * tap)
            at += 1


@device_function
def write_terms(plan, lists):
    """In the order of U: those of the same taps of BESIDE channels are neighbours."""
    compact()
    pieces, summed, channel_pitch, at = plan.filters.pieces, plan.summed, plan.channel_pitch, plan.terms_at
    for c in range(0, summed, BESIDE):
        beside = min(BESIDE, summed - c)
        for piece in range(pieces):
            place = get(lists, piece * TAP_PIECE) + c * channel_pitch
            for _ in range(beside):
                put(lists, at, place)
                place += channel_pitch
                at += 1
