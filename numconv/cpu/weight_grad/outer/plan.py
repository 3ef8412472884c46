"""For `outer_product`: where positions, taps and sums lie, and the choice of register tile, chunk and tasks by a small cost model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from math import prod

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem, Ints, effective_kernel
from ...geometry.axes import collapsed, live_taps, three
from ...geometry.tiles import term_cycles
from ...runtime.workspace import spaced

#: cycles per tile started, per square transposed and stored, per row of the input copied, per vector of it
START, SQUARE, COPY_ROW, COPY = 60.0, 220.0, 14.0, 3.0
CROWDED = 1.15  # reading channels that share few sets of the caches
POSITIONS = 160  # of a chunk, more or less: a block's gradient takes 20 kB

WHOLE = 2 << 20  # bytes of a sample's channels that may be copied at once

#: (rows, vectors), by number of SIMD registers
TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: ((14, 2), (12, 2), (11, 2), (9, 2), (8, 2), (4, 2), (14, 1), (12, 1), (9, 1), (4, 1)),
    16: ((6, 2), (4, 2), (3, 2), (12, 1), (9, 1), (4, 1)),
}
FEW = ((12, 2), (6, 2), (12, 1), (4, 1))  # of them, for dtypes other than float32: each is seconds of compilation


@dataclass(frozen=True, eq=False)
class Plan:
    tile: tuple[int, int, int]  # rows, vectors, lanes
    tasks: int
    worker_pitch: int
    cycles: float  # predicted, of the worker with most to do
    offsets: np.ndarray  # of each position of a chunk in the input
    outer: np.ndarray  # for each outer tap: plane, row, column, offset in the input
    places: np.ndarray  # offset of each (channel, inner tap), for all ranges of channels but the last, then for the last
    sources: np.ndarray  # the row of the sums for each weight of a filter
    integers: np.ndarray


@dataclass(frozen=True)
class _Layout:
    """What does not depend on tiles, chunks and tasks."""

    group_in: int
    group_out: int
    kernel: Ints
    live: tuple[Ints, Ints, Ints]  # taps that see the input
    stride: Ints
    dilation: Ints
    low: Ints
    extent: Ints
    outputs: Ints

    @property
    def reach(self) -> tuple[int, int, int]:
        return tuple(effective_kernel(k, d) - 1 for k, d in zip(self.kernel, self.dilation, strict=True))  # type: ignore[return-value]

    @property
    def padded(self) -> bool:
        """Some live tap of the last axis sees columns outside."""
        shifts = [b * self.dilation[2] - self.low[2] for b in self.live[2]]
        return min(shifts) < 0 or (self.outputs[2] - 1) * self.stride[2] + max(shifts) >= self.extent[2]

    @cached_property
    def inside(self) -> tuple[int, ...]:
        """For each axis the pairs of a position and a live tap that see the image."""
        axes = zip(self.live, self.stride, self.dilation, self.low, self.extent, self.outputs, strict=True)
        return tuple(sum(min(o, (e - 1 + lo - a * d) // s + 1) - max(0, -((a * d - lo) // s)) for a in k) for k, s, d, lo, e, o in axes)

    def taps(self, copied: int) -> tuple[list[Ints], Ints]:
        """The outer ones, and those of the last axis that are rows of a tile beside the channels: none, if read in place with padding."""
        merged = copied or not self.padded
        return list(product(*self.live[:2], (0,) if merged else self.live[2])), self.live[2] if merged else (0,)


@lru_cache(maxsize=512)
def _layout(problem: ConvProblem) -> _Layout:
    c = collapsed(problem)
    kernel, stride, dilation, low = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.pad_low, 0)
    extent, outputs = three(c.spatial, 1), three(c.outputs, 1)
    live = tuple(live_taps(*v) for v in zip(kernel, stride, dilation, low, outputs, extent, strict=True))
    return _Layout(c.group_in, c.group_out, kernel, live, stride, dilation, low, extent, outputs)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Choice:
    tile: tuple[int, int, int]
    box: tuple[int, int, int]
    split_blocks: int
    split_channels: int
    copied: int  # 0: read in place; 1: copied for each chunk; 2: for each sample


def _box(a: _Layout) -> tuple[int, int, int]:
    """A chunk of whole planes, whole rows or a part of one row, evenly divided."""
    t, h, w = a.outputs
    if h * w <= POSITIONS:
        return -(-t // max(1, round(t * h * w / POSITIONS))), h, w
    if w <= POSITIONS * 3 // 2:
        return 1, -(-h // max(1, round(h * w / POSITIONS))), w
    return 1, 1, -(-w // round(w / POSITIONS))


def _extents(a: _Layout, box: Ints) -> tuple[int, int, int]:
    """Planes, rows and columns that a chunk reads."""
    et, eh, ew = ((b - 1) * s + r + 1 for b, s, r in zip(box, a.stride, a.reach, strict=True))
    return min(et, a.extent[0]), min(eh, a.extent[1]), ew


def _cycles(a: _Layout, c: _Choice, batch: int, size: int, machine: Machine) -> float:
    """Of one task."""
    mr, vectors, lanes = c.tile
    inner = len(a.taps(c.copied)[1])
    outer = prod(map(len, a.live)) // inner
    tiles = -(-c.split_channels * inner // mr)
    chunks = batch * prod(-(-o // b) for o, b in zip(a.outputs, c.box, strict=True))
    merged = c.copied or not a.padded
    each = term_cycles(mr, vectors, machine, 0.0, 0.5) * (CROWDED if not c.copied and _crowded(a, size) else 1.0)
    sums = c.split_blocks * outer * tiles * mr * vectors * lanes * size
    start = (START if sums <= machine.l2 // 2 else 2 * START) * (1 if merged else c.box[1])
    inside = a.inside[0] * a.inside[1] * (a.outputs[2] if merged else a.inside[2])  # pairs of a position and an outer tap
    cycles = c.split_blocks * tiles * (batch * inside * each + outer * (chunks * start + mr * vectors))
    cycles += c.split_blocks * vectors * SQUARE * (chunks * -(-prod(c.box) // lanes) + -(-c.split_channels * prod(a.kernel) // lanes))
    if c.copied:
        et, eh, ew = _extents(a, c.box if c.copied == 1 else a.outputs)
        cycles += (chunks if c.copied == 1 else batch) * c.split_channels * et * (8 + eh * (COPY_ROW + COPY * -(-ew // lanes)))
    return cycles + 300.0


def _divisions(count: int, workers: int) -> list[int]:
    """Sizes of evenly divided ranges."""
    return sorted({-(-count // k) for k in (1, 2, 4, 8, workers, 2 * workers) if k <= count})


@lru_cache(maxsize=1024)
def _best(problem: ConvProblem, machine: Machine, workers: int) -> tuple[float, _Choice]:
    a = _layout(problem)
    size = np.dtype(problem.out_dtype).itemsize
    lanes = machine.vector_bytes // size
    best: tuple[float, _Choice] | None = None
    for rows, vectors in TILES[32 if machine.registers >= 32 else 16]:
        if (vectors > 1 and a.group_out <= lanes) or (problem.out_dtype != "float32" and (rows, vectors) not in FEW):
            continue
        blocks = -(-a.group_out // (vectors * lanes))
        for split_blocks, split_channels, copied in product(_divisions(blocks, workers), _divisions(a.group_in, workers), (0, 1, 2)):
            if (copied and not (a.padded or _crowded(a, size))) or (
                copied == 2 and split_channels * prod(_extents(a, a.outputs)) * size > WHOLE
            ):
                continue
            c = _Choice((rows, vectors, lanes), _box(a), split_blocks, split_channels, copied)
            tasks = problem.groups * -(-blocks // split_blocks) * -(-a.group_in // split_channels)
            cost = _cycles(a, c, problem.batch, size, machine) * -(-tasks // workers)
            if best is None or cost < best[0]:
                best = cost, c
    assert best is not None
    return best


def _crowded(a: _Layout, size: int) -> bool:
    """Channels so far apart that they share few sets of the caches."""
    return prod(a.extent) * size % 4096 == 0


@lru_cache(maxsize=512)
def plan(problem: ConvProblem, machine: Machine, workers: int) -> Plan:
    """No bit of the result depends on any of it."""
    a = _layout(problem)
    size = np.dtype(problem.out_dtype).itemsize
    line = 64 // size
    cycles, c = _best(problem, machine, workers)
    outer, inner = a.taps(c.copied)
    rows, width, merged = c.tile[0], c.tile[1] * c.tile[2], c.copied or not a.padded
    blocks, splits = -(-a.group_out // width), -(-a.group_in // c.split_channels)
    block_splits = -(-blocks // c.split_blocks)
    tiles = -(-c.split_channels * len(inner) // rows)
    boxes = tuple(-(-o // b) for o, b in zip(a.outputs, c.box, strict=True))
    et, eh, ew = _extents(a, a.outputs if c.copied == 2 else c.box) if c.copied else a.extent
    apart, channel_apart = eh * ew, et * eh * ew
    if c.copied:  # an odd number of lines spreads the channels over all sets of the caches
        channel_apart = (-(-channel_apart // line) | 1) * line
    gradient = -(-(c.split_channels * channel_apart + c.tile[2]) // line) * line if c.copied else 0
    sums = gradient + prod(c.box) * width
    block_size = (len(outer) * tiles * rows + 1) * width
    worker_pitch = spaced(-(-(sums + c.split_blocks * block_size) // 64) * 64 + line, size)
    places, sources = [], np.full((c.split_channels, *a.kernel), len(outer) * tiles * rows, np.int64)  # the last row stays zero
    for channels in (c.split_channels, a.group_in - (splits - 1) * c.split_channels):
        row = np.minimum(np.arange(tiles * rows), channels * len(inner) - 1)
        places.append(row // len(inner) * channel_apart + np.array(inner)[row % len(inner)] * a.dilation[2])
    for i, tap in enumerate(outer):
        for j, column in enumerate(inner):
            sources[:, tap[0], tap[1], tap[2] + column] = i * tiles * rows + np.arange(c.split_channels) * len(inner) + j
    t, h, w = (np.arange(b) * s * p for b, s, p in zip(c.box, a.stride, (apart, ew, 1), strict=True))
    steps = np.array(outer, np.int64) * a.dilation
    table = np.column_stack([steps[:, :2], steps[:, 2] + (a.low[2] if merged else 0), steps @ np.array((apart, ew, 1))])
    integers = (
        problem.batch, problem.groups, a.group_in, a.group_out, *a.extent, *a.outputs, *a.stride, *a.low, *c.box, *boxes, block_splits, c.split_blocks,
        splits, c.split_channels, c.copied, ew, apart, channel_apart, *a.reach[:2], len(inner), prod(a.kernel), len(outer), gradient, sums, tiles,
        block_size, 1 << 40 if merged else a.extent[2],
    )  # fmt: skip
    return Plan(
        c.tile, problem.groups * block_splits * splits, worker_pitch, cycles, (t[:, None, None] + h[:, None] + w).reshape(-1).astype(np.int64),
        table.astype(np.int64).reshape(-1), np.concatenate(places).astype(np.int64), sources.reshape(-1), np.array(integers, np.int64),
    )  # fmt: skip
