"""Which taps of an axis make a piece, and which plane it reads: in closed form (see `axes`), and the lists that each worker makes of it.

A plan has the axes only, so that its size depends on nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..runtime.launch import device_function
from ..runtime.record import reader, size_of
from ..simd.vector import put


class Piece(NamedTuple):
    plane: Any
    shift: Any  # in tiles
    tap: Any  # its first; the others follow at `tap_pitch`
    live: Any  # taps, of r


class TapCut(NamedTuple):
    """How the taps of an axis are cut: into phases, those into pieces.  The first phases may have a tap more than the others."""

    phases: int
    longer: int  # phases that have the most taps, the first of all
    taps: int  # of one of those
    most: int  # pieces of one of those …
    fewer: int  # … and of one of the others
    repeat: int  # pieces from one of a plane to the next, which reads it …
    shift: int  # … so many tiles further on
    piece: int  # taps of a piece, r
    tap_pitch: int  # taps from one of a phase to the next


def pieces_of(cut: TapCut) -> int:
    """How many."""
    return cut.longer * cut.most + (cut.phases - cut.longer) * cut.fewer


def piece_of(cut: Any, number: Any) -> Piece:
    """On the host, and in kernels of a record: a piece, by its number."""
    longer, pieces, taps, phase, plane = cut.longer, cut.most, cut.taps, 0, 0
    if number >= longer * pieces:
        phase, plane, number = longer, longer * min(cut.repeat, pieces), number - longer * pieces
        pieces, taps = cut.fewer, taps - 1
    more, k = number // pieces, number % pieces
    plane += more * min(cut.repeat, pieces) + k % cut.repeat
    return Piece(plane, k // cut.repeat * cut.shift, phase + more + k * cut.piece * cut.tap_pitch, min(cut.piece, taps - k * cut.piece))


class AxisPieces(NamedTuple):
    """What the pieces of an axis read: the axes o, a, i, w lie in the table one after the other."""

    pieces: int
    plane_pitch: int  # of V, from one plane of the axis to the next
    shift_pitch: int  # … from one tile to the next
    filter_pitch: int  # weights from one tap of a filter to the next; negative where filters are read backwards
    dilation: int
    planes_at: int  # in the lists: where in the source each plane begins
    cut: TapCut


class TapPiece(NamedTuple):
    """A piece of the taps of each axis: the taps of a filter that make a term."""

    v_at: int  # in V: what the piece reads for the first position
    tap: int  # weight of a filter, the piece's first
    live_a: int  # taps of the piece along A …
    live_w: int  # … and along W


pieces_at = reader(AxisPieces)
AXIS, TAP_PIECE = size_of(AxisPieces), size_of(TapPiece)
A, W = 1, 3  # among the axes
_piece = device_function(piece_of)


@device_function
def write_pieces(axes, pieces, first_tap, lists):
    """A TapPiece for each piece of each axis, the last axis's neighbours; then where planes begin: with the first tap of who reads them."""
    for number in range(pieces):
        left, v_at, tap, live_a, live_w = number, 0, first_tap, 0, 0
        for k in range(W, -1, -1):
            axis = pieces_at(axes, k * AXIS)
            piece = _piece(axis.cut, left % axis.pieces)
            left //= axis.pieces
            v_at += piece.plane * axis.plane_pitch + piece.shift * axis.shift_pitch
            tap += piece.tap * axis.filter_pitch
            if k == W:
                live_w = piece.live
            if k == A:
                live_a = piece.live
            if piece.shift == 0:
                put(lists, axis.planes_at + piece.plane, piece.tap * axis.dilation)
        put(lists, number * TAP_PIECE, v_at)
        put(lists, number * TAP_PIECE + 1, tap)
        put(lists, number * TAP_PIECE + 2, live_a)
        put(lists, number * TAP_PIECE + 3, live_w)
