"""What a task of `winograd_weights` costs, in cycles of one worker; measured on a Zen 4 (AVX-512), 2026-11 (decision 23)."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.tiles import over, term_cycles
from ..axes import TileBox, frequencies
from ..cost import FLOAT, Tile

TASK_STARTED = 300.0  # cycles a task
BOX_OF_SAMPLE = 500.0  # cycles a box of a sample, within a task
TILE_STARTED = 30.0  # cycles a register tile begun and stored
TERM = 0.5  # cycles a term of a tile beside its multiply-adds
LIFT_SQUARE = 105.0  # cycles a square of channels by pixels turned
LIFT_ROW = {1: 4, 4: 14, 5: 18, 6: 22, 7: 26, 8: 30}  # cycles a vector of channels of a tile, along one axis, by number of frequencies
TURNED_ROW = 15.0  # cycles a row of a vector of channels
LIFTED_LINE = 20.0  # cycles a line of positions
FAR_ROW = 12.0  # cycles a row of each channel, where rows are cut: a line that nothing fetches ahead
TAPS_BACK = {4: 14, 5: 17, 6: 20, 7: 23, 8: 26, 16: 50, 25: 70, 36: 95}  # cycles a vector of Gᵀ S G, by frequencies of both axes
LIFTED_BYTES = 8  # a cycle, of V and Y where the second cache does not hold them
SUMS_BYTES = 16  # a cycle, of sums that are read and written for each box
FILTER_BYTES = 16  # a cycle, of weights written
RUN = 64 << 10  # bytes of the sums of a run of input channels, about
MOST_ROOM = 14 << 20  # bytes of a worker …
REFUSED = 1e12  # … and the cycles of one that takes more


def _by_number(cycles: dict[int, int]) -> np.ndarray:
    return np.array([cycles.get(number, 0) for number in range(max(cycles) + 1)], np.float64)


LIFT_CYCLES, TAPS_CYCLES = _by_number(LIFT_ROW), _by_number(TAPS_BACK)


class Way(NamedTuple):
    """Transforms, boxes and register tile."""

    box: TileBox
    tile: Tile

    @property
    def terms(self) -> int:
        """Positions that products are summed over."""
        return prod(n * x.residues for n, x in zip(self.box.counts, self.box.axes, strict=True))

    @property
    def pieces(self) -> int:
        return prod(x.pieces for x in self.box.axes)

    @property
    def run(self) -> int:
        """Tiles of input channels whose sums take some 64 kB, delivered in whole squares."""
        return max(1, RUN // (FLOAT * frequencies(self.box.axes) * self.pieces * prod(self.tile)))


class Ways(NamedTuple):
    """Of many ways of one tile what does not depend on the splits: arrays of floats, (ways, 1, 1)."""

    terms: Any
    positions: Any  # of V
    lift_x: Any  # cycles of one vector of channels of a box …
    lift_y: Any  # … of the gradient of the output
    room: Any  # elements that lifting takes
    frequencies: Any
    pieces: Any
    run: Any
    chunks: Any  # boxes of a sample
    taps_back: Any  # cycles of a piece


class _Sides(NamedTuple):
    """Of each axis and way: arrays (4, ways)."""

    count: Any  # tiles of a box
    m: Any
    residues: Any
    stride: Any
    reach: Any  # from the first tap to the last
    extent: Any
    outputs: Any
    planes: Any
    halo: Any
    tiles: Any


def ways_of(found: list[Way]) -> Ways:
    values = [
        [(n, x.m, x.residues, x.stride, (x.taps - 1) * x.dilation, x.extent, x.outputs, x.planes, x.halo, x.tiles)
         for n, x in zip(way.box.counts, way.box.axes, strict=True)]
        for way in found
    ]  # fmt: skip
    s = _Sides(*np.array(values, np.float64).transpose(2, 1, 0))
    fa, fw = np.array([(way.box.axes.a.frequencies, way.box.axes.w.frequencies) for way in found], np.float64).T
    row_a, row_w, taps_back = LIFT_CYCLES[fa.astype(int)], LIFT_CYCLES[fw.astype(int)], TAPS_CYCLES[(fa * fw).astype(int)]
    pieces, run = np.array([(way.pieces, way.run) for way in found], np.float64).T
    slots, reach, lanes = (s.count + s.halo) * s.residues, s.count * s.m * s.residues, found[0].tile.lanes
    terms, planes = np.multiply.reduce(s.count * s.residues), np.multiply.reduce(s.planes)

    def lift(read: Any, extents: Any, wide: Any, lines: Any) -> tuple[Any, Any]:
        """Cycles of one vector of channels of a box, and elements of the room that takes."""
        (t, h, w, pixels), (*_, width) = np.minimum(read, extents), extents
        rows, part = t * h * w, np.where(pixels < width, FAR_ROW * lanes, 0.0)
        each = LIFT_SQUARE * over(pixels, lanes) + TURNED_ROW + part + wide * row_w
        return rows * each + lines * (wide * fw * row_a + LIFTED_LINE), (rows + 1) * (pixels + 1 + fw * wide) * lanes

    (o, a, i, w), (po, pa, pi, pw) = slots, s.planes
    lift_x, room_x = lift(reach * s.stride + s.reach, s.extent, w * pw, o * a * i * (po * pa * pi))
    o, a, i, w = s.count * s.residues
    lift_y, room_y = lift(reach, s.outputs, w, o * a * i)
    positions, chunks = np.multiply.reduce(slots) * planes, np.multiply.reduce(over(s.tiles, s.count))
    made = Ways(terms, positions, lift_x, lift_y, np.maximum(room_x, room_y), fa * fw, pieces, run, chunks, taps_back)
    return Ways(*(of.reshape(-1, 1, 1) for of in made))


def task_cycles(p: ConvProblem, machine: Machine, tile: Tile, way: Ways, split_blocks: Any, split_channels: Any) -> Any:
    """Of one task; more than its share of memory is as good as refused."""
    (mr, vectors, lanes), f, pieces, chunks = tile, way.frequencies, way.pieces, p.batch * way.chunks
    width = vectors * lanes
    tiles = over(split_channels, mr)
    vectors_y = np.minimum(split_blocks * vectors, -(-p.group_out // lanes))
    lifted = FLOAT * f * (way.positions * (split_channels + lanes) + way.terms * split_blocks * width)
    many = chunks > 1
    sums = FLOAT * f * pieces * mr * width * np.where(many, split_blocks * tiles, way.run)
    multiply = f * pieces * tiles * split_blocks * (way.terms * term_cycles(mr, vectors, machine, 0.0, TERM) + TILE_STARTED)
    far = np.where(lifted > machine.l2, lifted / LIFTED_BYTES, 0.0)
    lift = over(split_channels, lanes) * way.lift_x + vectors_y * way.lift_y + far
    cycles = chunks * (multiply + lift + np.where(many, 2 * sums / SUMS_BYTES, 0.0) + BOX_OF_SAMPLE)
    back = split_channels * vectors_y * (pieces * way.taps_back + LIFT_SQUARE * p.taps / lanes)
    deliver = back + FLOAT * split_channels * p.taps * split_blocks * width / FILTER_BYTES
    return cycles + deliver + np.where(lifted + sums + FLOAT * way.room > MOST_ROOM, REFUSED, 0.0) + TASK_STARTED
