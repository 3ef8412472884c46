"""How `depthwise` cuts a plane (or volume) of outputs into strips, and the tables that say where each reads: made once per problem.

A *strip* is `rows` vectors of outputs below each other, side by side over the width of the image (`Cut.along` the axis before the last); or,
where few filter rows share their reads, pieces of one long row (the last).  Its reads are the same for all channels, up to masks at the border.
Channels last are an axis of their own, the last, on which nothing is summed: "below each other" is then side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import gcd, prod
from typing import NamedTuple

import numpy as np

from ...activations import ACTIVATIONS
from ...kernel import Machine
from ...problem import ConvProblem, Ints
from ..geometry.axes import collapsed, live_taps, three
from ..simd.strip import loads
from .masks import Masks, pitches

#: vectors per strip, by number of SIMD registers: their sums, the weights of a group of taps and one input must fit
ROWS = {32: (4, 7, 8, 14), 16: (4, 7, 8)}
GROUPS = (7, 5, 3, 1)  # taps that share their reads
HEAD = 16  # integers before the groups of taps in the table
#: cycles per vector read (most cross a cache line), per vector stored, per tile, per strip, per plane
LOAD, STORE, TILE, STRIP, PLANE = 1.7, 1.0, 12.0, 15.0, 15.0
MASK = {64: 0.3, 32: 1.0}  # cycles more for a masked read, by bytes of a register; narrower ones take their lanes one by one
ANY = 1 << 40  # room for any store
BLOCK = 1 << 19  # reads whose places are worked out at a time


class Axis(NamedTuple):
    spatial: int
    kernel: int
    stride: int
    low: int
    dilation: int
    outputs: int
    weights: int  # elements of w from one tap to the next
    live: Ints  # taps that see the image


@lru_cache(maxsize=256)
def axes_of(problem: ConvProblem) -> tuple[Axis, Axis, Axis]:
    """Three, those of extent 1 first: so a column of pixels is a row."""
    p = collapsed(problem)
    kernel = three(p.kernel, 1)
    weights = (kernel[1] * kernel[2], kernel[2], 1)
    values = three(p.spatial, 1), kernel, three(p.stride, 1), three(p.pad_low, 0), three(p.dilation, 1), three(p.outputs, 1), weights
    live = [live_taps(k, s, d, low, o, n) for n, k, s, low, d, o, _ in zip(*values, strict=True)]
    axes = [Axis(*v) for v in zip(*values, live, strict=True)]
    return tuple(sorted(axes, key=lambda a: a.spatial > 1 or a.outputs > 1))  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Cut:
    """One way to cut the outputs."""

    axes: tuple[Axis, ...]
    along: int  # the axis on which the vectors of a strip follow one another
    rows: int
    taps: int  # of a group
    apart: int  # reads from one vector to the next
    lanes: int
    half: int  # lanes of the narrow vectors; 0 if there are none
    spread: int  # outputs from one vector to the next, on that axis
    unit: int  # input positions from one read to the next
    tap_step: int  # taps from one to the next in a group
    shared: tuple[Ints, ...]  # first tap of each group
    single: tuple[Ints, ...]  # the taps left over
    columns: tuple[tuple[int, int], ...]  # first output and lanes of the vectors side by side
    apiece: bool  # each read has a mask of its own: where they differ, or a register for that of a group would be one that sums lack

    @property
    def flat(self) -> bool:
        """Whether the vectors of a strip are pieces of one row."""
        return self.along == len(self.axes) - 1

    @property
    def strips(self) -> int:
        *lead, h, w = (a.outputs for a in self.axes)
        if self.flat:
            return prod(lead) * h * -(-w // (self.rows * self.spread))
        return prod(lead) * sum(-(-len(range(r, h, self.spread)) // self.rows) for r in range(min(self.spread, h)))

    def cycles(self, machine: Machine) -> float:
        """Of one plane."""
        border = 1.0 if any(a.low for a in self.axes) else 0.0  # share of the strips that need masks
        if not self.flat and len(self.columns) > 2:
            border *= 2 / len(self.columns)
        load = LOAD + border * MASK.get(machine.vector_bytes, 12.0)
        sums = (len(self.shared) * self.taps + len(self.single)) * self.rows
        reads = (
            (len(self.shared) * len(loads(self.rows, self.taps, self.apart)) + len(self.single) * self.rows) * self.axes[-1].stride * load
        )
        total = STRIP
        for _, n in self.columns:
            share = n / self.lanes
            total += share * (max(sums, reads) + 0.2 * min(sums, reads)) + TILE + self.rows * STORE
        return total * self.strips + PLANE


def _chains(live: Ints, step: int, taps: int) -> tuple[list[int], list[int]]:
    """(first taps of runs of `taps` taps, `step` apart; the taps in none)."""
    left, first = list(live), []
    for a in live if taps > 1 else ():
        run = [a + j * step for j in range(taps)]
        if all(b in left for b in run):
            first.append(a)
            left = [b for b in left if b not in run]
    return first, left


def _columns(flat: bool, outputs: int, lanes: int, half: int) -> tuple[tuple[int, int], ...]:
    """The last vector of a row overlaps the one before; half a register where that is enough.  `half` 0: of all whole ones the first, and the rest."""
    if not half:
        return ((0, lanes), *(((outputs - outputs % lanes, lanes),) if outputs % lanes else ()))
    if outputs <= lanes or flat:
        return ((0, half if outputs <= half else lanes),)
    last = half if 0 < outputs % lanes <= half else lanes
    return (*((c, lanes) for c in range(0, outputs - lanes + 1, lanes)), *(((outputs - last, last),) if outputs % lanes else ()))


def _cut(axes: tuple[Axis, ...], along: int, rows: int, taps: int, lanes: int, half: int, crowded: bool) -> Cut | None:
    """None where there are no such groups of taps; `crowded`: few registers are left."""
    axis, flat = axes[along], along == len(axes) - 1
    columns = _columns(flat, axes[-1].outputs, lanes, half)
    if flat:
        spread, unit, apart = columns[0][1], columns[0][1] * axis.stride, 1
        tap_step = unit // axis.dilation if unit % axis.dilation == 0 else 0
    else:
        common = gcd(axis.stride, axis.dilation)
        spread, unit, apart, tap_step = axis.dilation // common, axis.dilation, axis.stride // common, 1
    if taps == 1:
        spread, unit, apart = (spread, unit, 1) if flat else (1, axis.stride, 1)
    shared, single = _chains(axis.live, tap_step, taps) if tap_step or taps == 1 else ([], list(axis.live))
    if taps > 1 and (not shared or apart > 2):
        return None
    others = [a.live for i, a in enumerate(axes) if i != along]

    def every(own: list[int]) -> tuple[Ints, ...]:
        lists = [*others[:along], tuple(own), *others[along:]]
        return tuple(product(*lists))

    return Cut(axes, along, rows, taps, apart, lanes, half, spread, unit, tap_step, every(shared), every(single), columns, flat or crowded)


def tap_pitch(channels: int, lanes: int) -> int:
    """Channels last, elements from one tap to the next of the packed weights: an odd number of registers, which do not share a few sets of the cache."""
    return (-(-channels // lanes) | 1) * lanes


@lru_cache(maxsize=512)
def cut_for(problem: ConvProblem, machine: Machine) -> tuple[Cut, float]:
    """The cheapest, and its cycles per plane; channels last, those of its `columns`."""
    axes: tuple[Axis, ...] = axes_of(problem)
    lanes = machine.vector_bytes // np.dtype(problem.dtype).itemsize
    half = lanes // 2 if machine.vector_bytes == 64 else lanes  # narrower vectors than that are no faster
    channels, last = problem.in_channels, problem.layout == "channels_last"
    if last:
        half = 0
        axes = (*(a._replace(weights=a.weights * tap_pitch(channels, lanes)) for a in axes), Axis(channels, 1, 1, 0, 1, channels, 0, (0,)))
    rows = ROWS[32 if machine.registers >= 32 else 16]
    rows = rows if problem.dtype == "float32" else rows[1:2]  # each is seconds of compilation
    shapes = [(r, taps) for r in rows for taps in GROUPS if r + taps + 2 <= machine.registers]
    most = machine.registers - 4 if machine.registers < 32 else 1 << 40  # sums and weights; AVX-512's masks are in registers of their own
    cuts = [_cut(axes, along, r, taps, lanes, half, r + taps > most) for along in ((2,) if last else (1, 2)) for r, taps in shapes]
    return min(((c, c.cycles(machine)) for c in cuts if c is not None), key=lambda found: found[1])


class _Strips(NamedTuple):
    """Of each strip its first output (t, h, w), how many vectors, and how many outputs follow one another in y."""

    first: np.ndarray
    rows: np.ndarray
    runs: np.ndarray


def _strips(c: Cut) -> _Strips:
    *lead, h, w = (a.outputs for a in c.axes)
    if c.flat:
        each = c.rows * c.spread
        pieces = [(s, min(each, w - s)) for s in range(0, w, each)]
        parts = [(r, s, -(-n // c.spread), n) for r in range(h) for s, n in pieces]
    else:
        parts = []
        for residue in range(min(c.spread, h)):
            mine = range(residue, h, c.spread)
            for i in range(0, len(mine), c.rows):
                n = min(c.rows, len(mine) - i)
                parts.append((mine[i], 0, n, n * w if c.spread == 1 else w))
    one = np.array(parts, np.int64)
    many = np.tile(one, (prod(lead), 1))
    planes = np.repeat(np.indices(lead).reshape(len(lead), -1).T, len(parts), 0)
    return _Strips(np.concatenate([planes, many[:, :2]], 1), many[:, 2], many[:, 3])


class Tables(NamedTuple):
    shape: tuple[
        int, int, int, int, int, int, int
    ]  # rows, taps, apart, step, whether masks are apiece, lanes of a whole vector, of a narrow one
    table: np.ndarray
    masks: np.ndarray
    units: int  # strips of all planes, or of all channels at once
    work: int


@lru_cache(maxsize=512)
def tables(problem: ConvProblem, machine: Machine) -> Tables:
    """All that does not depend on the data.  The table: the head; per group of taps its offsets in x and w; per strip its offsets in x and y,
    vectors, outputs in one piece; per column its offsets and whether it is half a register; per strip and column its masks."""
    c, _ = cut_for(problem, machine)
    strips = _strips(c)
    masks = Masks(c)
    some = max(1, BLOCK // len(masks.reads.number))  # at a time
    begin = np.concatenate([masks.begin(strips.first[i : i + some], strips.rows[i : i + some]) for i in range(0, len(strips.first), some)])
    spatial, outputs = ([getattr(a, name) for a in c.axes] for name in ("spatial", "outputs"))
    pitch_in, pitch_out = pitches(spatial), pitches(outputs)
    offsets = np.array([(a.dilation * n, a.weights) for a, n in zip(c.axes, pitch_in.tolist(), strict=True)])
    x0 = (strips.first * [a.stride for a in c.axes] - [a.low for a in c.axes]) @ pitch_in
    groups = np.array([*c.shared, *c.single]) @ offsets
    columns = [(first * c.axes[-1].stride, first, int(n < c.lanes)) for first, n in c.columns]
    y_pitch = c.spread * pitch_out[c.along]
    drop = y_pitch if c.flat or c.spread == 1 else 0
    head = [
        len(strips.first), len(c.columns), prod(spatial), prod(outputs), problem.taps, problem.out_channels, problem.group_out,
        ACTIVATIONS[problem.activation], int(problem.bias), c.unit * pitch_in[c.along], c.tap_step * c.axes[c.along].weights, len(c.shared),
        len(c.single), y_pitch, drop, 0,
    ]  # fmt: skip
    width = c.columns[0][1]
    room = strips.runs - (strips.rows - 1) * drop  # for the last vector
    last = np.where((strips.rows == 1) | (room + drop >= width), (1 << np.clip(room, 0, width)) - 1, 0)
    if len(columns) > 1:
        last[:] = (1 << c.lanes) - 1
    strip_rows = np.stack([x0, strips.first @ pitch_out, strips.rows, strips.runs, last], 1)
    table = np.concatenate([np.array(v, np.int64).ravel() for v in (head, groups, strip_rows, columns, begin)])
    units = problem.batch * (1 if problem.layout == "channels_last" else problem.out_channels) * len(strips.first)
    kinds = np.concatenate([*masks.parts, np.zeros(1, np.uint16)])
    return Tables(
        (c.rows, c.taps, c.apart, c.axes[-1].stride, int(c.apiece), c.lanes, c.half), table, kinds, units, problem.multiplications
    )
