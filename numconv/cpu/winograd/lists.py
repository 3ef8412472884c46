"""What each worker of `winograd` works out in its room, once a call: where terms lie in V, where planes begin, how filters are cut.

A plan has the axes only, so that its size depends on nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from ..runtime.launch import device_function
from ..runtime.record import integers_at
from ..simd.vector import put
from .cost import WinogradChoice
from .filters import BESIDE, FILTER_PIECE
from .taps import TapCut, piece_of, plane_of

_piece, _plane = device_function(piece_of), device_function(plane_of)


class TileAxis(NamedTuple):
    """One of the axes; where it is transformed, in tiles of m targets, else each target is a tile.  Lengths in elements of the axis."""

    source: int  # extent
    target: int  # extent
    low: int  # padding before the source
    step: int  # in the source, from one target to the next
    dilation: int  # … from one tap to the next
    residues: int  # of a dilation: targets from one of a tile to the next; those between belong to other tiles
    source_rows: int  # rows of the source from one sample to the next
    target_rows: int  # likewise of the target
    tiles: int  # of a residue
    box: int  # tiles of a task
    box_residues: int  # of a task
    boxes: int
    halo: int  # tiles of a box that only shifted pieces read
    positions: int  # of V, from one tile of a residue, or residue, to the next
    pieces: int
    planes: int
    planes_at: int  # in the lists: where in the source each plane begins
    filter_pitch: int  # weights from one tap of a filter to the next; negative where filters are read backwards
    cut: TapCut


def axes_of(c: WinogradChoice, planes_at: int, sign: int) -> tuple[list[TileAxis], int]:
    """The axes, and where the lists end; `sign`: −1 where filters are read backwards."""
    box, found = c.box, []
    _, sa, si, sw = box.slots
    pitches = (sa * si * sw, si * sw, sw, 1)
    for x, tiles, boxes, positions in zip(box.axes, box.counts, box.boxes, pitches, strict=True):
        axis = TileAxis(
            source=x.extent,
            target=x.outputs,
            low=x.low,
            step=x.stride,
            dilation=x.dilation,
            residues=x.residues,
            source_rows=x.source_rows,
            target_rows=x.target_rows,
            tiles=x.tiles,
            box=tiles,
            box_residues=box.residues if x is box.axes.a else x.residues,
            boxes=boxes,
            halo=x.halo,
            positions=positions,
            pieces=x.pieces,
            planes=x.planes,
            planes_at=planes_at,
            filter_pitch=sign * x.filter_pitch,
            cut=x.cut,
        )
        planes_at += x.planes
        found.append(axis)
    return found, planes_at


@device_function
def _begins(axis, lists):
    for number in range(axis.planes):
        phase, k = _plane(axis.cut, number)
        put(lists, axis.planes_at + number, phase * axis.dilation + k * axis.residues * axis.step)


@device_function
def write_lists(plan, lists):
    """The places of all terms in V, in the order of U: those of the same taps of BESIDE channels are neighbours; then where planes begin."""
    o, a, i, w, summed, channel_pitch, pieces, number = (
        plan.o,
        plan.a,
        plan.i,
        plan.w,
        plan.summed,
        plan.channel_pitch,
        plan.filters.pieces,
        0,
    )
    plane_pitch, position_pitch, residues_a, residues_w = plan.v.plane_pitch, plan.v.position_pitch, a.box_residues, w.residues
    for of_o in range(o.pieces):
        by_o = _piece(o.cut, of_o)
        for of_a in range(a.pieces):
            by_a = _piece(a.cut, of_a)
            for of_i in range(i.pieces):
                by_i = _piece(i.cut, of_i)
                line = by_o.shift * o.positions + by_a.shift * residues_a * a.positions + by_i.shift * i.positions
                for of_w in range(w.pieces):
                    by_w = _piece(w.cut, of_w)
                    plane = (
                        (by_o.plane * i.planes + by_i.plane) * w.planes + by_w.plane
                    ) * a.planes + by_a.plane  # those of A are neighbours
                    place = plane * plane_pitch + (line + by_w.shift * residues_w) * position_pitch
                    for c in range(0, summed, BESIDE):
                        beside = min(BESIDE, summed - c)
                        for k in range(beside):
                            put(lists, c * pieces + number * beside + k, place + (c + k) * channel_pitch)
                    number += 1
    _begins(o, lists)
    _begins(a, lists)
    _begins(i, lists)
    _begins(w, lists)


@device_function
def write_filter_lists(plan, n, room):
    """The pieces of a filter, a FilterPiece each, and where the weights of n channels go: behind the place for those, `room`."""
    o, a, i, w, filters = plan.o, plan.a, plan.i, plan.w, plan.filters
    taps, pieces, places, at = filters.taps, integers_at(room, filters.pieces_at), integers_at(room, filters.places_at), 0
    for of_o in range(o.pieces):
        for of_a in range(a.pieces):
            by_a = _piece(a.cut, of_a)
            for of_i in range(i.pieces):
                outer = _piece(o.cut, of_o).tap * o.filter_pitch + by_a.tap * a.filter_pitch + _piece(i.cut, of_i).tap * i.filter_pitch
                for of_w in range(w.pieces):
                    by_w = _piece(w.cut, of_w)
                    put(pieces, at, filters.first_tap + outer + by_w.tap * w.filter_pitch)
                    put(pieces, at + 1, by_a.live)
                    put(pieces, at + 2, by_w.live)
                    at += FILTER_PIECE
    for tap in range(taps):
        for c in range(n):
            put(places, c * taps + tap, c + (n + BESIDE) * tap)
