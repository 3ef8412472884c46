"""What products of `winograd_weights` read and where their sums go: lists that each worker writes in its room, once a call."""

from __future__ import annotations

from typing import NamedTuple

from ...runtime.launch import device_function
from ...runtime.record import size_of
from ...simd.vector import moved, put
from ..axes import CutAxis
from ..taps import TapCut, piece_of


class GradientPiece(NamedTuple):
    """A piece of the taps of each axis."""

    v_at: int  # in V: what the piece reads for the first position
    tap: int  # weight of a filter, the piece's first
    live_a: int  # taps of the piece along A …
    live_w: int  # … and along W


class ProductAxis(NamedTuple):
    """One of the axes, of V."""

    positions: int  # of a box that products are summed over
    slots: int  # those included that only shifted pieces read
    residues: int  # positions of a tile
    planes: int
    pieces: int
    filter_pitch: int  # weights from one tap of a filter to the next
    cut: TapCut


def product_axis(x: CutAxis, count: int) -> ProductAxis:
    """Of so many tiles."""
    return ProductAxis(
        positions=count * x.residues,
        slots=(count + x.halo) * x.residues,
        residues=x.residues,
        planes=x.planes,
        pieces=x.pieces,
        filter_pitch=x.filter_pitch,
        cut=x.cut,
    )


_piece, GRADIENT_PIECE = device_function(piece_of), size_of(GradientPiece)


@device_function
def write_products(plan, lists):
    """Where the positions that products are summed over lie in V, then the pieces, a GradientPiece each."""
    o, a, i, w, wide, pitch, at = plan.o, plan.a, plan.i, plan.w, plan.x_side.wide, plan.v.position_pitch, 0
    for of_o in range(o.positions):
        for of_a in range(a.positions):
            for of_i in range(i.positions):
                line = ((of_o * a.slots + of_a) * i.slots + of_i) * wide
                for of_w in range(w.positions):
                    put(lists, at, (line + of_w) * pitch)
                    at += 1
    for of_o in range(o.pieces):
        by_o = _piece(o.cut, of_o)
        for of_a in range(a.pieces):
            by_a = _piece(a.cut, of_a)
            for of_i in range(i.pieces):
                by_i = _piece(i.cut, of_i)
                shift = (by_o.shift * o.residues * a.slots + by_a.shift * a.residues) * i.slots + by_i.shift * i.residues
                plane = (by_o.plane * i.planes + by_i.plane) * a.planes + by_a.plane
                tap = by_o.tap * o.filter_pitch + by_a.tap * a.filter_pitch + by_i.tap * i.filter_pitch
                for of_w in range(w.pieces):
                    by_w, piece = _piece(w.cut, of_w), moved(lists, at)
                    line = plane * o.slots * a.slots * i.slots + shift
                    put(piece, 0, (line * wide + by_w.plane * w.slots + by_w.shift * w.residues) * pitch)
                    put(piece, 1, tap + by_w.tap * w.filter_pitch)
                    put(piece, 2, by_a.live)
                    put(piece, 3, by_w.live)
                    at += GRADIENT_PIECE
