"""Which taps of an axis make a piece, and which plane it reads: in closed form (see `axes`), and the lists that each worker makes of it.

A plan has the axes only, so that its size depends on nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from ..runtime.launch import device_function
from ..runtime.record import reader, size_of
from ..simd.vector import compact, moved, put


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


class AxisPieces(NamedTuple):
    """What the pieces of an axis read: the axes o, a, i, w lie in the table one after the other."""

    pieces: int
    plane_pitch: int  # of V, from one plane of the axis to the next
    shift_pitch: int  # … from one tile to the next
    filter_pitch: int  # weights from one tap of a filter to the next; negative where filters are read backwards
    dilation: int
    planes_at: int  # in the lists: where in the source each plane begins
    is_a: int  # 1: the axis is A
    cut: TapCut


class TapPiece(NamedTuple):
    """A piece of the taps of each axis: the taps of a filter that make a term."""

    v_at: int  # in V: what the piece reads for the first position
    tap: int  # weight of a filter, the piece's first
    live_a: int  # taps of the piece along A …
    live_w: int  # … and along W, the last axis


pieces_at, piece_at = reader(AxisPieces), reader(TapPiece)
AXIS, TAP_PIECE = size_of(AxisPieces), size_of(TapPiece)


@device_function
def _split(axis, number, at, lists):
    """The TapPiece `number` in one for each piece of an axis, from the one `at` on: it stands for all taps of the axis."""
    compact()
    cut, old, planes = axis.cut, piece_at(lists, number * TAP_PIECE), moved(lists, axis.planes_at)
    v_at, tap, live_a = old.v_at, old.tap, old.live_a
    piece, plane = moved(lists, at * TAP_PIECE), 0
    for phase in range(cut.phases):
        taps = cut.taps if phase < cut.longer else cut.taps - 1
        within, shift = 0, 0
        for first in range(0, taps, cut.piece):
            of_axis, live = phase + first * cut.tap_pitch, min(cut.piece, taps - first)
            if shift == 0:
                put(planes, plane + within, of_axis * axis.dilation)
            put(piece, 0, v_at + (plane + within) * axis.plane_pitch + shift * axis.shift_pitch)
            put(piece, 1, tap + of_axis * axis.filter_pitch)
            put(piece, 2, live if axis.is_a else live_a)
            put(piece, 3, live)
            piece, within = moved(piece, TAP_PIECE), within + 1
            if within == cut.repeat:
                within, shift = 0, shift + cut.shift
        plane += min(cut.repeat, cut.most if phase < cut.longer else cut.fewer)


@device_function
def write_pieces(axes, first_tap, lists):
    """A TapPiece for each piece of each axis, the last axis's neighbours; then where planes begin: with the first tap of who reads them."""
    compact()
    put(lists, 0, 0)
    put(lists, 1, first_tap)
    count = 1
    for k in range(4):
        axis = pieces_at(axes, k * AXIS)
        for number in range(count - 1, -1, -1):  # what it is split in lies there or further on
            _split(axis, number, number * axis.pieces, lists)
        count *= axis.pieces
