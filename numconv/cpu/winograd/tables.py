"""The tables of `winograd`: its axes and where their planes begin, how filters are cut, where terms lie in V."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from ...problem import ConvProblem
from ..runtime.record import size_of, table
from .axes import CutAxis
from .cost import WinogradChoice
from .filters import BESIDE, FilterPiece, FilterTransform
from .room import Room


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
    planes_at: int  # in the table: where in the source each plane begins


class SamplePhase(NamedTuple):
    """Channels first: the samples of A a stride apart, from which its planes of V are made."""

    first: int  # in the source, of the first tap's
    samples: int  # of a residue, for a whole box
    planes: int
    planes_at: int  # in the table: where each plane begins, in samples of the phase


def axes_of(c: WinogradChoice, at: int) -> tuple[list[TileAxis], list[int]]:
    """The axes, and where their planes begin in the source; `at`: where that lies in the table."""
    box = c.box
    found: list[TileAxis] = []
    begins: list[int] = []
    _, sa, si, sw = box.slots
    pitches = (sa * si * sw, si * sw, sw, 1)
    for x, tiles, boxes, positions in zip(box.axes, box.counts, box.boxes, pitches, strict=True):
        axis = TileAxis(
            source=x.extent,
            target=x.outputs,
            low=x.low,
            step=x.stride,
            residues=x.residues,
            source_rows=x.source_rows,
            target_rows=x.target_rows,
            tiles=x.tiles,
            box=tiles,
            box_residues=box.residues if x is box.axes.a else x.residues,
            boxes=boxes,
            halo=x.halo,
            positions=positions,
            planes=len(x.planes),
            planes_at=at + len(begins),
        )
        begins += x.planes
        found.append(axis)
    return found, begins


def phases_of(a: CutAxis, tiles: int, at: int) -> list[int]:
    """The phases of A as they lie in the table from `at` on: records, then where the planes of each begin."""
    after = at + len(a.phases) * size_of(SamplePhase)
    records: list[SamplePhase] = []
    begins: list[int] = []
    for first, planes in a.phases:
        records.append(SamplePhase(first, a.samples(tiles, (first, planes)), len(planes), after + len(begins)))
        begins += planes
    return table(records, begins).tolist()


def filters_of(p: ConvProblem, c: WinogradChoice, room: Room, turned: bool, at: int) -> tuple[FilterTransform, np.ndarray]:
    """How filters are transformed, and the tables for it; `turned`: they are an input gradient's, read in the other order and backwards."""
    a, w, taps, n = c.box.axes.a, c.box.axes.w, p.taps, c.tile.lanes
    pieces = []
    for by in product(*(x.pieces for x in c.box.axes)):
        tap = sum(piece.tap * x.filter_pitch for piece, x in zip(by, c.box.axes, strict=True))
        _, by_a, _, by_w = by
        pieces.append(FilterPiece(taps - 1 - tap if turned else tap, by_a.live, by_w.live))
    places = np.add.outer(np.arange(n), (n + BESIDE) * np.arange(taps)).ravel()
    sign, places_at = -1 if turned else 1, at + len(pieces) * size_of(FilterPiece)
    filters = FilterTransform(
        produced=p.group_out,
        taps=taps,
        produced_pitch=taps if turned else p.group_in * taps,
        summed_pitch=p.group_out * taps if turned else taps,
        tap_pitch_a=sign * a.filter_pitch * a.tap_pitch,
        tap_pitch_w=sign * w.filter_pitch * w.tap_pitch,
        pieces=len(pieces),
        pieces_at=at,
        places_at=places_at,
        blank_at=room.blank_at,
    )
    return filters, table(pieces, places)


def offsets_of(p: ConvProblem, c: WinogradChoice, room: Room) -> np.ndarray:
    """Of all terms in V, in the order of U: those of the same taps of BESIDE channels are neighbours."""
    inside = []
    for by in product(*(x.pieces for x in c.box.axes)):
        plane = 0
        for k in (0, 2, 3, 1):  # the planes of A are neighbours
            plane = plane * len(c.box.axes[k].planes) + by[k].plane
        inside.append(plane * room.v.plane_pitch + c.box.shift(by) * room.v.position_pitch)
    channel = np.arange(p.group_in) * (1 if c.last else c.box.planes * room.v.plane_pitch)
    parts = [np.add.outer(np.array(inside), channel[k : k + BESIDE]).ravel() for k in range(0, p.group_in, BESIDE)]
    return np.concatenate(parts).astype(np.int64)
