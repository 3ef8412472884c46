"""Which taps of an axis make a piece, and which plane it reads: in closed form, on the host and in kernels (see `axes`)."""

from __future__ import annotations

from typing import Any, NamedTuple


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


def piece_of(cut: Any, number: Any) -> Piece:
    """On the host, and in kernels of a record: a piece, by its number."""
    longer, pieces, taps, phase, plane = cut.longer, cut.most, cut.taps, 0, 0
    if number >= longer * pieces:
        phase, plane, number = longer, longer * min(cut.repeat, pieces), number - longer * pieces
        pieces, taps = cut.fewer, taps - 1
    more, k = number // pieces, number % pieces
    plane += more * min(cut.repeat, pieces) + k % cut.repeat
    return Piece(plane, k // cut.repeat * cut.shift, phase + more + k * cut.piece * cut.tap_pitch, min(cut.piece, taps - k * cut.piece))


def plane_of(cut: Any, number: Any) -> Any:
    """Of a plane the phase, and where it begins there, in samples of a tile."""
    longer, planes, phase = cut.longer, min(cut.repeat, cut.most), 0
    if number >= longer * planes:
        phase, number, planes = longer, number - longer * planes, min(cut.repeat, cut.fewer)
    return phase + number // planes, number % planes * cut.piece
