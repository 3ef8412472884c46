"""For `spread`: the choice of register tile and boxes by a small cost model, and the tables of what was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ....activations import ACTIVATIONS
from ....kernel import Machine
from ....problem import ConvProblem, Ints
from ...runtime.workspace import spaced
from ..positions.cost import SMALL, issue, parts
from .taps import Layout, layout, terms_of, weight_places

JOB = 12  # integers per job
COPY_ROW, COPY, SQUARE, ROWS = (
    14.0,
    3.0,
    80.0,
    140.0,
)  # cycles per row copied, per vector of it; per square of 16 × 16 transposed and stored, more by way of rows
STREAM = 12.0  # bytes per cycle that come from the second cache while a tile computes
PUT = 4.0  # cycles per vector stored as it is
PACK, PACK_BLOCK = 2.3, 0.8  # cycles per weight packed: ahead of all tasks; of a block, by the task that then reads it from its cache
SCATTERED = 2.2  # cycles per term of a tile, at least: a line that has left the first cache

FETCH, PIECES, PIECE = (
    0.05,
    0.15,
    300.0,
)  # per byte from beyond the second cache: in long rows, in short pieces; per piece copied from there

#: (positions, vectors), by number of SIMD registers; of small problems, since each tile is seconds of compilation
TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: (*((p, 2) for p in range(14, 1, -1)), *((p, 1) for p in (*range(20, 13, -1), 12, 10, 8)), (1, 4)),
    16: ((6, 2), (5, 2), (4, 2), (3, 2), (6, 1)),
}
SMALL_TILES = {32: ((9, 2), (8, 1)), 16: ((5, 2), (6, 1))}
NEAR = 1 << 20  # bytes of an image that the second cache holds, about
LINES = 2  # how far on a row is asked for
CLOSE = 4  # tiles that are tried with every box
CLEARLY = 0.95  # of the cost: tiles that were changed for a predicted 2 % lost up to 14 (decision 28)


@dataclass(frozen=True, eq=False)
class Plan:
    tile: tuple[int, int, int, int, bool]  # positions, vectors, lanes, step or 0 (channels last), whether it asks for what later tiles read
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


def _term(positions: int, vectors: int, machine: Machine) -> float:
    """Cycles per term of a tile: its multiply-adds, the weights from the second cache, or the one chain."""
    return issue(positions, vectors, machine, 2 * vectors / machine.multiply_adds, 0.25)


def _most_terms(tile: tuple[int, int], machine: Machine) -> int:
    """So many that their weights and a line of each sample, with what else is read, stay in the first cache from one tile to the next; where the second is too slow."""
    bytes_ = tile[1] * machine.vector_bytes + 64
    return machine.l1 * 3 // 8 // bytes_ if bytes_ > STREAM * _term(*tile, machine) else 1 << 40


def _start(positions: int, vectors: int) -> float:
    """Cycles per tile begun and stored, as measured: twice 14 sums take less than 28."""
    return 10.0 + 0.15 * (positions * vectors) ** 2


def _cycles(a: Layout, c: _Choice, lanes: int, machine: Machine, size: int) -> float:
    """Of one task."""
    positions, vectors = c.tile
    blocks = -(-(-(-a.produced // (vectors * lanes))) // c.splits)
    tiles = -(-c.box[2] // positions)
    term = _term(positions, vectors, machine)
    if not c.copied and _scattered(a, size):
        term += max(0.15 * term, SCATTERED)
    elif sum(terms_of(a)) * vectors * lanes * size > machine.l2 // 2:
        term *= 1.1
    image, filters = a.summed * prod(_extents(a, c.box)) * size, blocks * vectors * lanes * sum(terms_of(a)) * size
    strided = not c.copied and a.axes[2].axis.step > 1 and a.summed * prod(a.source) * size > machine.l2
    far = int(a.summed * prod(a.source) * size > machine.l2)
    held = image + 2 * prod(c.box) * vectors * lanes * size
    fetches = far + (blocks if held > machine.l2 * 3 // 4 else 0)
    cycles = 200.0 + (PIECES if strided else FETCH * fetches) * image + (2 * FETCH * filters if filters > machine.l2 // 2 else 0.0)
    for job, terms in zip(a.jobs, terms_of(a), strict=True):
        live = 1.0
        for axis, j, b in zip(a.axes[:2], job[:2], c.box[:2], strict=True):
            number = axis.live[j][1]
            live *= float(number.sum()) / max(1, len(axis.jobs[j])) / max(1, number.size) * b
        cycles += blocks * tiles * (live * terms * term + c.box[0] * c.box[1] * _start(positions, vectors))
        if a.last:
            cycles += blocks * vectors * prod(c.box) * PUT
        else:
            apart = (
                len(a.jobs) > 1 or a.produced * prod(a.target) * size > machine.l2
            )  # targets of one job; or the result goes to memory, which costs as much
            cycles += (
                blocks
                * vectors
                * (-(-prod(c.box) // lanes) * (SQUARE + apart * ROWS) * (lanes / 16) ** 2 + apart * lanes * c.box[0] * c.box[1] * 4)
            )
    if c.copied and a.last:
        et, eh, ew = _extents(a, c.box)
        run, pieces = (a.summed, ew) if _pixel(a, size)[1] else (ew * a.every, 1)
        cycles += et * eh * (COPY_ROW + pieces * (COPY + COPY * -(-run // lanes)))
    elif c.copied:
        et, eh, ew = _extents(a, c.box)
        cycles += a.summed * et * (8 + PIECE * far + eh * (COPY_ROW + COPY * -(-ew // lanes)))
    return cycles


def _pixel(a: Layout, size: int) -> tuple[int, bool]:
    """Elements from one pixel to the next in a copy; whether each pixel is copied by itself: one group's, or to spread over the sets of the caches."""
    line = 64 // size
    if not a.last or (a.every == a.summed and not _scattered(a, size)):
        return a.every, False
    return (-(-a.summed // line) | 1) * line if a.summed >= 2 * line else a.summed, True


def _scattered(a: Layout, size: int) -> bool:
    """Many channels that share few sets of the caches, or of which short pieces are read that no prefetcher follows: better copied."""
    if a.last:
        return a.summed >= 32 and a.every * a.axes[2].axis.step * size % 4096 == 0
    streams = a.summed * prod(a.kernel[:-1]) if a.summed * prod(a.source) * size > NEAR else a.summed
    return (a.summed >= 32 and prod(a.source) * size % 4096 == 0) or (a.axes[2].axis.step > 1 and prod(a.kernel) > 1 and streams >= 32)


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


def _tiles(problem: ConvProblem, a: Layout, lanes: int, machine: Machine) -> list[tuple[int, int]]:
    """Those that fit rows and channels best, boxes aside."""
    tiles = (SMALL_TILES if problem.with_(batch=1).multiplications < SMALL else TILES)[32 if machine.registers >= 32 else 16]
    terms = sum(terms_of(a)) / len(a.jobs)

    def cycles(tile: tuple[int, int]) -> float:
        tiles = -(-a.axes[2].axis.count // tile[0]) * -(-a.produced // (tile[1] * lanes))
        return tiles * (terms * _term(*tile, machine) + _start(*tile))

    return sorted((t for t in tiles if t[1] == 1 or a.produced > lanes), key=cycles)[:CLOSE]


def once(problem: ConvProblem, boxes: int) -> bool:
    """Whether each block of filters is used by one task, which then packs it itself."""
    return problem.batch == 1 and boxes == 1


@lru_cache(maxsize=1024)
def _best(problem: ConvProblem, machine: Machine, workers: int, tile: tuple[int, int] | None, plain: bool = False) -> tuple[float, _Choice]:
    """The cheapest, and its cycles of all workers; `plain`: with those that packing the weights takes."""
    a = layout(problem)
    weights = problem.groups * a.summed * a.produced * prod(a.kernel) if plain else 0
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    best: tuple[float, _Choice] | None = None
    for t in (tile,) if tile else _tiles(problem, a, lanes, machine):
        for c in _choices(a, t, lanes, size, workers, machine):
            counts = [x.axis.count for x in a.axes]
            boxes = prod(-(-n // b) for n, b in zip(counts, c.box, strict=True))
            tasks = problem.batch * problem.groups * boxes * c.splits
            idle = -(-tasks // workers) * workers / tasks
            whole = prod(counts) / (boxes * prod(c.box)) if workers == 1 else 1.0  # the last boxes are smaller; others wait for a whole one
            cost = _cycles(a, c, lanes, machine, size) * tasks * idle * whole + weights * (PACK_BLOCK if once(problem, boxes) else PACK)
            if best is None or cost < best[0]:
                best = cost, c
    assert best is not None
    return best


def _tables(a: Layout, apart: int, pitch: int, channel_apart: int, pixel: int, positions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets of all terms, live ranges, jobs and then where the positions of a tile lie."""
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
        inner = channel + np.array([o for _, o in w], np.int64)[None, :] * pixel
        offsets += [inner.ravel() + ot * apart + oh * pitch for _, ot in t for _, oh in h]
        per_row = inner.size
        firsts = [axis.axis.jobs[j][0] for axis, j in zip(a.axes, job, strict=True)]
        counts = [axis.axis.jobs[j][1] for axis, j in zip(a.axes, job, strict=True)]
        jobs += [start, start, *firsts, *counts, where[0, job[0]], where[1, job[1]], len(h) * per_row, per_row]
        start += len(t) * len(h) * per_row
    jobs += [i * a.axes[2].axis.step * pixel for i in range(positions)]
    table = np.concatenate([*offsets, np.zeros(1, np.int64)])
    return table.astype(np.int32) if table.max() < 2**31 else table, np.array(ranges, np.int64), np.array(jobs, np.int64)


def _tile(problem: ConvProblem, machine: Machine) -> tuple[int, int]:
    """The best for one core; that for all of them where it is clearly better there: 9 blocks of filters leave one of two cores idle, 18 do not."""
    alone = _best(problem, machine, 1, None)[1].tile
    cost, together = _best(problem, machine, machine.cores, None)
    return together.tile if cost < CLEARLY * _best(problem, machine, machine.cores, alone)[0] else alone


def _ahead(problem: ConvProblem, a: Layout, positions: int, copied: bool, size: int, machine: Machine) -> tuple[int, int]:
    """What `spread_tile` asks for: of a channel's row, the line after the next; of pixels that lie side by side, all of the next tile's, one after the other.

    No prefetcher of the machine's follows a few values of each of many rows, or of pixels a tile at a time (decision 33).
    """
    if not a.last:
        return LINES * 64 // size, 0
    alone = prod(a.kernel) * a.axes[2].axis.step == problem.groups == 1 and not copied
    return (positions * a.summed, positions - 1) if alone and a.summed * prod(a.source) * size > machine.l2 else (0, 0)


@lru_cache(maxsize=512)
def plan(problem: ConvProblem, machine: Machine, workers: int, plain: bool = False) -> Plan:
    """The tile depends on the problem and the machine alone (packed weights do), boxes and splits on the workers and on whether weights are packed in the call, too."""
    a = layout(problem)
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    tile = _tile(problem.with_(batch=1), machine)
    cycles, c = _best(problem, machine, workers, tile, plain)
    width = tile[1] * lanes
    blocks = -(-a.produced // width)
    split_blocks = -(-blocks // c.splits)
    splits = -(-blocks // split_blocks)
    boxes = tuple(-(-x.axis.count // b) for x, b in zip(a.axes, c.box, strict=True))
    et, eh, ew = _extents(a, c.box)
    pixel, single = _pixel(a, size) if c.copied else (a.every, False)
    pitch = (ew if c.copied else a.source[2]) * pixel
    apart = (eh if c.copied else a.source[1]) * pitch
    channel_apart = 1 if a.last else (et if c.copied else a.source[0]) * apart
    if c.copied and not a.last:  # an odd number of lines spreads the channels over all sets of the caches
        line = 64 // size
        channel_apart = (-(-channel_apart // line) | 1) * line
    slack = tile[0] * a.axes[2].axis.step * pixel + 2 * lanes
    held = et * apart if a.last else a.summed * channel_apart
    ws = -(-(held + slack) // 16) * 16 if c.copied else 0
    positions = c.box[2] if a.last else prod(c.box)  # those whose sums are kept
    tmp = ws + (positions + tile[0] + lanes) * width
    tmp_pitch = -(-positions // lanes) * lanes + lanes
    worker_pitch = spaced(-(-(tmp + width * tmp_pitch + lanes) // 16) * 16 + 16, size)
    terms = sum(terms_of(a))
    places, filters = weight_places(problem)
    ahead = _ahead(problem, a, tile[0], c.copied, size, machine)
    integers = [
        problem.groups, a.summed, a.produced, *a.source, *a.target, *(x.axis.target_step for x in a.axes), *(x.axis.step for x in a.axes),
        *(x.axis.origin for x in a.axes), *c.box, *boxes, splits, split_blocks, int(c.copied), int(problem.bias),
        ACTIVATIONS[problem.activation], problem.shuffle, pitch, apart, channel_apart, ws, tmp, tmp_pitch, terms + 1, a.axes[0].reach, a.axes[1].reach,
        len(a.jobs), *filters, a.summed * a.produced * prod(a.kernel), worker_pitch,
        pixel, a.every, a.summed * (1 if a.last else prod(a.source)), ew if single else 0, _most_terms(tile, machine), *ahead,
    ]  # fmt: skip
    offsets, ranges, jobs = _tables(a, apart, pitch, channel_apart, pixel, tile[0])
    return Plan(
        (*tile, lanes, 0 if a.last else a.axes[2].axis.step, any(ahead)), problem.groups * prod(boxes) * splits, prod(boxes), blocks, (terms + 1) * width, terms,
        problem.groups * blocks * (terms + 1) * width, worker_pitch, float(problem.multiplications), cycles, offsets, ranges, jobs, places, np.array(integers, np.int64),
    )  # fmt: skip


def seconds(problem: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    one: Any = problem.with_(batch=1)
    cycles = _best(one, machine, 1, None)[0]
    padding = 0.0 if problem.padding_mode == "zeros" else 2.0 * prod(layout(problem).source) * problem.in_channels
    return (cycles + padding) * machine.cycle
