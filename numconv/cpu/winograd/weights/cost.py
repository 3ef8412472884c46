"""What a task of `winograd_weights` costs, in cycles of one worker; measured on a Zen 4 (AVX-512), 2026-11 (decision 23)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.tiles import term_cycles
from ..axes import TileBox
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


@dataclass(frozen=True)
class Way:
    """Transforms, register tile and box, and what does not depend on the splits."""

    box: TileBox
    tile: Tile
    terms: int  # positions that products are summed over
    positions: int  # of V
    lift_x: float  # cycles of one vector of channels of a box …
    lift_y: float  # … of the gradient of the output
    room: int  # elements that lifting takes
    frequencies: int
    pieces: int
    chunks: int  # boxes of a sample

    @property
    def run(self) -> int:
        """Tiles of input channels whose sums take some 64 kB, delivered in whole squares."""
        return max(1, RUN // (FLOAT * self.frequencies * self.pieces * prod(self.tile)))


def lift_cycles(box: TileBox, source: bool, lanes: int) -> tuple[float, int]:
    """Of one vector of channels of a box, and elements of the room that takes."""
    o, a, i, w = box.axes
    reach = [
        n * x.m * x.residues * x.stride + (x.taps - 1) * x.dilation if source else n * x.m * x.residues
        for n, x in zip(box.counts, box.axes, strict=True)
    ]
    *rows, pixels = (min(n, x.extent if source else x.outputs) for n, x in zip(reach, box.axes, strict=True))
    by_o, by_a, by_i, by_w = box.counts
    *lines_of, wide = box.slots if source else (by_o, by_a * a.residues, by_i, by_w * w.residues)
    wide *= len(w.planes) if source else 1
    lines = prod(lines_of) * (len(o.planes) * len(a.planes) * len(i.planes) if source else 1)
    part = FAR_ROW * lanes if pixels < (w.extent if source else w.outputs) else 0.0
    each = LIFT_SQUARE * -(-pixels // lanes) + TURNED_ROW + part + wide * LIFT_ROW[w.frequencies]
    cycles = prod(rows) * each + lines * (wide * w.frequencies * LIFT_ROW[a.frequencies] + LIFTED_LINE)
    return cycles, (prod(rows) + 1) * (pixels + 1 + w.frequencies * wide) * lanes


def task_cycles(p: ConvProblem, machine: Machine, way: Way, split_blocks: int, split_channels: int) -> float:
    """Of one task; more than its share of memory is as good as refused."""
    (mr, vectors, lanes), f, pieces, chunks = way.tile, way.frequencies, way.pieces, p.batch * way.chunks
    width = vectors * lanes
    tiles = -(-split_channels // mr)
    vectors_y = min(split_blocks * vectors, -(-p.group_out // lanes))
    lifted = FLOAT * f * (way.positions * (split_channels + lanes) + way.terms * split_blocks * width)
    sums = FLOAT * f * pieces * mr * width * (split_blocks * tiles if chunks > 1 else way.run)
    multiply = f * pieces * tiles * split_blocks * (way.terms * term_cycles(mr, vectors, machine, 0.0, TERM) + TILE_STARTED)
    far = lifted / LIFTED_BYTES if lifted > machine.l2 else 0.0
    lift = -(-split_channels // lanes) * way.lift_x + vectors_y * way.lift_y + far
    cycles = chunks * (multiply + lift + (2 * sums / SUMS_BYTES if chunks > 1 else 0.0) + BOX_OF_SAMPLE)
    back = split_channels * vectors_y * (pieces * TAPS_BACK[f] + LIFT_SQUARE * p.taps / lanes)
    deliver = back + FLOAT * split_channels * p.taps * split_blocks * width / FILTER_BYTES
    return cycles + deliver + (REFUSED if lifted + sums + FLOAT * way.room > MOST_ROOM else 0.0) + TASK_STARTED
