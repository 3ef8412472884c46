"""Where in V the products of `winograd_weights` read: lists that each worker writes in its room, once a call."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ...runtime.launch import device_function
from ...simd.vector import compact, put
from ..axes import TileBox
from ..taps import TAP_PIECE, AxisPieces, write_pieces


class BoxPositions(NamedTuple):
    """Of a box, of each axis those that products are summed over; those that only shifted pieces read lie between."""

    o: int
    a: int
    i: int
    w: int
    slots_a: int  # with those between
    slots_i: int
    wide: int  # of a line, all planes of W
    at: int  # in the lists: where they lie in V


def positions_of(box: TileBox, at: int) -> BoxPositions:
    o, a, i, w = (n * x.residues for n, x in zip(box.counts, box.axes, strict=True))
    _, slots_a, slots_i, slots_w = box.slots
    return BoxPositions(o, a, i, w, slots_a, slots_i, slots_w * box.axes.w.planes, at)


def pieces_of_axes(box: TileBox, position_pitch: int) -> tuple[list[AxisPieces], int]:
    """What the pieces of each axis read, and where their lists end.  In V, planes of o, i, a, then lines, then planes of W."""
    so, sa, si, sw = box.slots
    wide, found, at = sw * box.axes.w.planes, [], TAP_PIECE * prod(x.pieces for x in box.axes)
    plane, planes_a, planes_i = so * sa * si * wide, box.axes.a.planes, box.axes.i.planes
    pitches = (planes_i * planes_a * plane, sa * si * wide), (plane, si * wide), (planes_a * plane, wide), (sw, 1)
    for x, (plane_pitch, tile_pitch) in zip(box.axes, pitches, strict=True):
        axis = AxisPieces(
            pieces=x.pieces,
            plane_pitch=plane_pitch * position_pitch,
            shift_pitch=tile_pitch * x.residues * position_pitch,
            filter_pitch=x.filter_pitch,
            dilation=x.dilation,
            planes_at=at,
            is_a=x is box.axes.a,
            cut=x.cut,
        )
        found.append(axis)
        at += x.planes
    return found, at


@device_function
def write_products(plan, axes, lists):
    """The pieces, then where the positions lie."""
    compact()
    p, pitch = plan.positions, plan.v.position_pitch
    write_pieces(axes, 0, lists)
    at, of_w, wide = p.at, p.w, p.wide
    for o in range(p.o):
        for a in range(p.a):
            for i in range(p.i):
                line = ((o * p.slots_a + a) * p.slots_i + i) * wide
                for w in range(of_w):
                    put(lists, at, (line + w) * pitch)
                    at += 1
