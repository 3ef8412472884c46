"""For `spread`: where the taps lie, which of them see the input, and the choice of register tile and boxes by a small cost model.

A tap reads coordinate origin + u·step + o of an axis for target u.  On the two outer axes those that fall outside are left out, target by
target; on the last axis the rows are copied between zeros if any falls outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..kernel import Machine
from ..problem import ConvProblem, Ints
from .blocking import ISSUE, SMALL, parts
from .epilogue import ACTIVATIONS
from .geometry import Axis, collapsed, forward_axis, gradient_axis, live_taps, three

JOB = 12  # integers per job
START, COPY_ROW, COPY, SQUARE = 40.0, 14.0, 3.0, 220.0  # cycles per tile, per row copied, per vector of it, per square transposed and stored

FETCH, PIECES, PIECE = 0.05, 0.15, 300.0  # per byte from beyond the second cache: in long rows, in short pieces; per piece copied from there

#: (positions, vectors), by number of SIMD registers; of small problems, since each tile is seconds of compilation
TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: (*((p, 2) for p in range(14, 1, -1)), *((p, 1) for p in (*range(20, 13, -1), 12, 10, 8)), (1, 4)),
    16: ((6, 2), (5, 2), (4, 2), (3, 2), (6, 1)),
}
SMALL_TILES = {32: ((9, 2), (8, 1)), 16: ((5, 2), (6, 1))}
CLOSE = 4  # tiles that are tried with every box


@dataclass(frozen=True)
class Taps:
    """One axis: the taps of each job as (index in the kernel, o), by increasing o."""

    axis: Axis
    jobs: tuple[tuple[tuple[int, int], ...], ...]
    reach: int
    extent: int  # of the source

    @cached_property
    def live(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each job: first and number of the taps that see the source, for each target."""
        found = []
        for job, (_, count, _) in zip(self.jobs, self.axis.jobs, strict=True):
            base = self.axis.origin + self.axis.step * np.arange(count)
            places = np.array([o for _, o in job], np.int64)  # increasing
            first, end = np.searchsorted(places, -base), np.searchsorted(places, self.extent - base)
            found.append((np.where(end > first, first, 0), np.maximum(end - first, 0)))
        return found

    @cached_property
    def padded(self) -> bool:
        return any(bool((number < len(job)).any()) for job, (_, number) in zip(self.jobs, self.live, strict=True))


def _taps(axis: Axis, extent: int) -> Taps:
    jobs = tuple(
        tuple(sorted(((a, shift * axis.step + axis.phases[slot]) for a, slot, shift in taps), key=lambda tap: tap[1])) for _, _, taps in axis.jobs
    )
    return Taps(axis, jobs, max((o for job in jobs for _, o in job), default=0), extent)


@dataclass(frozen=True)
class Layout:
    """What does not depend on tiles and boxes."""

    axes: tuple[Taps, Taps, Taps]
    summed: int  # channels of a group
    produced: int
    source: Ints
    target: Ints
    kernel: Ints
    forward: bool

    @property
    def jobs(self) -> list[Ints]:
        return list(product(*(range(len(a.jobs)) for a in self.axes)))


@lru_cache(maxsize=512)
def layout(problem: ConvProblem) -> Layout:
    p = collapsed(problem)
    kernel, stride, dilation = three(p.kernel, 1), three(p.stride, 1), three(p.dilation, 1)
    low, spatial, outputs = three(p.pad_low, 0), three(p.spatial, 1), three(p.outputs, 1)
    forward = p.direction == "forward"
    source, target = (spatial, outputs) if forward else (outputs, spatial)
    axes = []
    for k, s, d, lo, o, i in zip(kernel, stride, dilation, low, outputs, spatial, strict=True):
        axis = forward_axis(live_taps(k, s, d, lo, o, i), s, d, lo, o, False) if forward else gradient_axis(k, s, d, lo, i)
        axes.append(_taps(axis, i if forward else o))
    summed, produced = (p.group_in, p.group_out) if forward else (p.group_out, p.group_in)
    return Layout(tuple(axes), summed, produced, source, target, kernel, forward)  # type: ignore[arg-type]


def _terms(a: Layout) -> list[int]:
    return [a.summed * prod(len(axis.jobs[j]) for axis, j in zip(a.axes, job, strict=True)) for job in a.jobs]


@lru_cache(maxsize=512)
def weight_places(problem: ConvProblem) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The term of each weight of a filter; the filter as (stretches, their length, their pitch) and the pitch of filters, within a group."""
    a = layout(problem)
    taps = prod(a.kernel)
    starts = np.cumsum([0, *_terms(a)])
    places = np.full((a.summed, *a.kernel), starts[-1], np.int64)
    channel = np.arange(a.summed)
    for start, job in zip(starts, a.jobs, strict=False):
        t, h, w = (axis.jobs[j] for axis, j in zip(a.axes, job, strict=True))
        for i, j, k in product(range(len(t)), range(len(h)), range(len(w))):
            places[:, t[i][0], h[j][0], w[k][0]] = start + ((i * len(h) + j) * a.summed + channel) * len(w) + k
    places = np.ascontiguousarray(places.ravel())
    if a.forward:
        return places, (1, a.summed * taps, 0, a.summed * taps)
    return places, (a.summed, taps, a.produced * taps, taps)


@dataclass(frozen=True, eq=False)
class Plan:
    tile: tuple[int, int, int, int]  # positions, vectors, lanes, step
    tasks: int  # per sample
    boxes: int
    blocks: int  # of filters, in a group
    block_size: int  # elements of a packed one
    terms: int
    packed: int  # elements of the packed weights
    worker_pitch: int
    work: float
    cycles: float
    offsets: np.ndarray
    ranges: np.ndarray
    jobs: np.ndarray
    places: np.ndarray  # the term of each weight of a filter
    integers: np.ndarray


@dataclass(frozen=True)
class _Choice:
    tile: tuple[int, int]
    box: tuple[int, int, int]
    splits: int
    copied: bool


def _extents(a: Layout, box: Ints) -> tuple[int, int, int]:
    """Rows, planes and columns that a box reads."""
    et, eh = (min(x.extent, (b - 1) * x.axis.step + x.reach + 1) for x, b in zip(a.axes[:2], box[:2], strict=True))
    return et, eh, (box[2] - 1) * a.axes[2].axis.step + a.axes[2].reach + 1


def _term(positions: int, vectors: int) -> float:
    """Cycles of a tile: its multiply-adds, the weights from the second cache, or the one chain."""
    return ISSUE * max(positions * vectors, 2 * vectors, 4) + 1.0


def _cycles(a: Layout, c: _Choice, lanes: int, machine: Machine, size: int) -> float:
    """Of one task."""
    positions, vectors = c.tile
    blocks = -(-(-(-a.produced // (vectors * lanes))) // c.splits)
    tiles = -(-c.box[2] // positions)
    stream = 1.15 if not c.copied and _scattered(a, size) else 1.0 if sum(_terms(a)) * vectors * lanes * size <= machine.l2 // 2 else 1.1
    image, filters = a.summed * prod(_extents(a, c.box)) * size, blocks * vectors * lanes * sum(_terms(a)) * size
    strided = not c.copied and a.axes[2].axis.step > 1 and a.summed * prod(a.source) * size > machine.l2
    far = int(a.summed * prod(a.source) * size > machine.l2)
    held = image + 2 * prod(c.box) * vectors * lanes * size
    fetches = far + (blocks if held > machine.l2 * 3 // 4 else 0)
    cycles = 200.0 + (PIECES if strided else FETCH * fetches) * image + (2 * FETCH * filters if filters > machine.l2 // 2 else 0.0)
    for job, terms in zip(a.jobs, _terms(a), strict=True):
        live = 1.0
        for axis, j, b in zip(a.axes[:2], job[:2], c.box[:2], strict=True):
            number = axis.live[j][1]
            live *= float(number.sum()) / max(1, len(axis.jobs[j])) / max(1, number.size) * b
        cycles += blocks * tiles * (live * terms * _term(positions, vectors) * stream + c.box[0] * c.box[1] * START)
        cycles += blocks * vectors * (-(-prod(c.box) // lanes) * SQUARE + lanes * c.box[0] * c.box[1] * 4)
    if c.copied:
        et, eh, ew = _extents(a, c.box)
        cycles += a.summed * et * (8 + PIECE * far + eh * (COPY_ROW + COPY * -(-ew // lanes)))
    return cycles


def _scattered(a: Layout, size: int) -> bool:
    """Many channels that share few sets of the caches, or of which short pieces are read that no prefetcher follows: better copied."""
    return a.summed >= 32 and (prod(a.source) * size % 4096 == 0 or (a.axes[2].axis.step > 1 and prod(a.kernel) > 1))


def _boxes(a: Layout) -> list[tuple[int, int, int]]:
    ct, ch, cw = (x.axis.count for x in a.axes)

    boxes = [(bt, ch, cw) for bt in parts(ct)] + [(bt, bh, cw) for bt in (1, 2, 4, 8) if bt <= ct for bh in parts(ch)]
    if cw > 100:
        boxes += [(1, 1, b) for b in parts(cw, 56)]
    return list(dict.fromkeys(boxes))


def _choices(a: Layout, tile: tuple[int, int], lanes: int, size: int, workers: int, machine: Machine) -> list[_Choice]:
    found = []
    padded = a.axes[2].padded
    blocks = -(-a.produced // (tile[1] * lanes))
    boxes = _boxes(a)
    smallest = min(boxes, key=prod)
    for box in boxes:
        if prod(box) * tile[1] * lanes * size > machine.l2 // 4 and prod(box) > 64:
            continue
        count = a.axes[2].axis.count
        narrow = min(j[1] for j in a.axes[2].axis.jobs) < tile[0] or (count - 1) % box[2] + 1 < tile[0]
        for copied in (True,) if padded or narrow else (False, True) if _scattered(a, size) else (False,):
            if copied and a.summed * prod(_extents(a, box)) * size > machine.l2 * 3 // 4 and box != smallest:
                continue
            found += [_Choice(tile, box, s, copied) for s in sorted({1, min(workers, blocks), min(2 * workers, blocks)})]
    return found


def _tiles(problem: ConvProblem, a: Layout, lanes: int, registers: int) -> list[tuple[int, int]]:
    """Those that fit rows and channels best, boxes aside."""
    tiles = (SMALL_TILES if problem.with_(batch=1).multiplications < SMALL else TILES)[32 if registers >= 32 else 16]
    terms = sum(_terms(a)) / len(a.jobs)

    def cycles(tile: tuple[int, int]) -> float:
        tiles = -(-a.axes[2].axis.count // tile[0]) * -(-a.produced // (tile[1] * lanes))
        return tiles * (terms * _term(*tile) + START)

    return sorted((t for t in tiles if t[1] == 1 or a.produced > lanes), key=cycles)[:CLOSE]


@lru_cache(maxsize=1024)
def _best(problem: ConvProblem, machine: Machine, workers: int, tile: tuple[int, int] | None) -> tuple[float, _Choice]:
    a = layout(problem)
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    best: tuple[float, _Choice] | None = None
    for t in (tile,) if tile else _tiles(problem, a, lanes, machine.registers):
        for c in _choices(a, t, lanes, size, workers, machine):
            counts = [x.axis.count for x in a.axes]
            boxes = prod(-(-n // b) for n, b in zip(counts, c.box, strict=True))
            tasks = problem.batch * problem.groups * boxes * c.splits
            idle = -(-tasks // workers) * workers / tasks
            whole = prod(counts) / (boxes * prod(c.box)) if workers == 1 else 1.0  # the last boxes are smaller; others wait for a whole one
            cost = _cycles(a, c, lanes, machine, size) * tasks * idle * whole
            if best is None or cost < best[0]:
                best = cost, c
    assert best is not None
    return best


def _tables(a: Layout, apart: int, pitch: int, channel_apart: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets of all terms, live ranges, jobs."""
    offsets: list[np.ndarray] = []
    ranges: list[int] = []
    jobs: list[int] = []
    where = {}
    for axis, j in [(x, j) for x in (0, 1) for j in range(len(a.axes[x].jobs))]:
        where[axis, j] = len(ranges)
        ranges += np.stack(a.axes[axis].live[j], 1).ravel().tolist()
    start = 0
    channel = np.arange(a.summed, dtype=np.int64)[:, None] * channel_apart
    for job in a.jobs:
        t, h, w = (axis.jobs[j] for axis, j in zip(a.axes, job, strict=True))
        inner = channel + np.array([o for _, o in w], np.int64)[None, :]
        offsets += [inner.ravel() + ot * apart + oh * pitch for _, ot in t for _, oh in h]
        per_row = inner.size
        firsts = [axis.axis.jobs[j][0] for axis, j in zip(a.axes, job, strict=True)]
        counts = [axis.axis.jobs[j][1] for axis, j in zip(a.axes, job, strict=True)]
        jobs += [start, start, *firsts, *counts, where[0, job[0]], where[1, job[1]], len(h) * per_row, per_row]
        start += len(t) * len(h) * per_row
    table = np.concatenate([*offsets, np.zeros(1, np.int64)])
    return table.astype(np.int32) if table.max() < 2**31 else table, np.array(ranges, np.int64), np.array(jobs, np.int64)


@lru_cache(maxsize=512)
def plan(problem: ConvProblem, machine: Machine, workers: int) -> Plan:
    """The tile depends on the problem and the machine alone (packed weights do), boxes and splits on the workers too."""
    a = layout(problem)
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    tile = _best(problem.with_(batch=1), machine, 1, None)[1].tile
    cycles, c = _best(problem, machine, workers, tile)
    width = tile[1] * lanes
    blocks = -(-a.produced // width)
    split_blocks = -(-blocks // c.splits)
    splits = -(-blocks // split_blocks)
    boxes = tuple(-(-x.axis.count // b) for x, b in zip(a.axes, c.box, strict=True))
    et, eh, ew = _extents(a, c.box)
    pitch = ew if c.copied else a.source[2]
    apart = (eh if c.copied else a.source[1]) * pitch
    channel_apart = (et if c.copied else a.source[0]) * apart
    if c.copied:  # an odd number of lines spreads the channels over all sets of the caches
        line = 64 // size
        channel_apart = (-(-channel_apart // line) | 1) * line
    slack = tile[0] * a.axes[2].axis.step + 2 * lanes
    ws = -(-(a.summed * channel_apart + slack) // 16) * 16 if c.copied else 0
    positions = prod(c.box)
    tmp = ws + (positions + tile[0] + lanes) * width
    tmp_pitch = -(-positions // lanes) * lanes + lanes
    worker_pitch = -(-(tmp + lanes * tmp_pitch + lanes) // 16) * 16 + 16
    terms = sum(_terms(a))
    places, filters = weight_places(problem)
    integers = [
        problem.groups, a.summed, a.produced, *a.source, *a.target, *(x.axis.target_step for x in a.axes), *(x.axis.step for x in a.axes),
        *(x.axis.origin for x in a.axes), *c.box, *boxes, splits, split_blocks, int(c.copied), int(problem.bias),
        ACTIVATIONS[problem.activation], problem.shuffle, pitch, apart, channel_apart, ws, tmp, tmp_pitch, terms + 1, a.axes[0].reach, a.axes[1].reach,
        len(a.jobs), *filters, a.summed * a.produced * prod(a.kernel), worker_pitch,
    ]  # fmt: skip
    offsets, ranges, jobs = _tables(a, apart, pitch, channel_apart)
    return Plan(
        (*tile, lanes, a.axes[2].axis.step), problem.groups * prod(boxes) * splits, prod(boxes), blocks, (terms + 1) * width, terms,
        problem.groups * blocks * (terms + 1) * width, worker_pitch, float(problem.multiplications), cycles, offsets, ranges, jobs, places, np.array(integers, np.int64),
    )  # fmt: skip


def seconds(problem: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    one: Any = problem.with_(batch=1)
    cycles = _best(one, machine, 1, None)[0]
    padding = 0.0 if problem.padding_mode == "zeros" else 2.0 * prod(layout(problem).source) * problem.in_channels
    return (cycles + padding) * 2 * machine.vector_bytes / 4 / machine.flops
