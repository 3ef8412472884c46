"""Choice of register tile and boxes for `direct`: a small cost model, evaluated for every candidate.

The model counts vector operations per box (multiply, copy in, store out).  The tile depends on the problem and the machine alone; boxes and
channel splits also on the number of workers, which changes no bit of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.axes import Geometry, geometry, unfold
from ...geometry.tiles import SMALL_PROBLEM, parts, term_cycles, up
from ...runtime.workspace import spaced

#: rows × vectors, by number of SIMD registers; the accumulators, one row of inputs and one broadcast weight must fit
TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((12, 2), (8, 3), (4, 6), (2, 8), (1, 8)), 16: ((6, 2), (4, 3), (2, 4), (1, 8))}

COPY, STORE, START = 5.0, 3.0, 30.0  # cycles per vector copied in, per vector stored, per tile started
KEPT = 4.0  # cycles per vector of sums that waits for the next channels
FETCH, FAR = 0.1, 0.28  # cycles per byte from beyond the second cache: of weights, of samples
MANY = 1024  # terms, during which the sums of the tile before find their way to memory
SHORT, PAST = 32 << 10, 16 << 20  # bytes: of a piece of the input; of a result
NARROW = 128  # longer rows are not worth unfolding


@dataclass(frozen=True, eq=False)
class Blocking:
    tile: tuple[int, int, int]  # rows, vectors, lanes
    box: tuple[int, int, int]  # target positions per box
    boxes: tuple[int, int, int]
    extents: tuple[int, int, int]  # of one phase of the buffer; of the last axis, the pitch of its rows
    gap: int  # zeros at the end of a row that the next row's beginning provides
    phases: tuple[int, int, int]
    phase_pitch: int
    channel_pitch: int
    unfolded: int  # axes, from the last, whose taps have a copy each
    run: bool  # the targets of a box are one run in memory, as their samples are
    chunk: int  # input channels per copy
    buffer_size: int  # elements
    splits: int  # of the output channels, over tasks
    split_blocks: int  # blocks of `rows` channels per split
    block_terms: int  # terms of the sum per pass over the positions
    pitch: int  # of a row of the workspace
    apart: int  # positions from one store into the target to the next
    worker_pitch: int  # scratch per worker, elements
    block_size: int  # elements of the packed weights of a block and a chunk
    work: float  # multiply-adds of the problem
    cycles: float  # predicted, one worker

    def place(self, phase: tuple[int, int, int], shift: tuple[int, int, int]) -> int:
        """Offset of a tap in one channel of the buffer."""
        f, e = self.phases, self.extents
        slot = (phase[0] * f[1] + phase[1]) * f[2] + phase[2]
        return slot * self.phase_pitch + (shift[0] * e[1] + shift[1]) * e[2] + shift[2]


def _tile_cycles(rows: int, vectors: int, machine: Machine) -> float:
    """Per term: the multiply-adds or the loads, whichever takes longer, and the loop."""
    return term_cycles(rows, vectors, machine, vectors + rows / 2, 2.0 / machine.multiply_adds)


class _Box:
    """The counts that follow from one choice of box."""

    def __init__(self, g: Geometry, box: tuple[int, int, int], line: int, unfolded: int) -> None:
        self.g, self.box, self.unfolded = g, box, unfolded
        counts = tuple(a.count for a in g.axes)
        self.boxes = tuple(-(-c // b) * a.spread for c, b, a in zip(counts, box, g.axes, strict=True))
        self.share = prod(counts) / prod(-(-c // b) * b for c, b in zip(counts, box, strict=True))  # the last boxes are smaller
        et, eh, ew = (b + a.reach for b, a in zip(box, g.axes, strict=True))
        self.gap = g.gap if self.boxes[2] == 1 else 0
        self.extents = (et, eh, ew - self.gap)
        self.phases = tuple(len(a.phases) for a in g.axes)
        e = self.extents
        self.phase_pitch = up(prod(e), line) if unfolded else prod(e) + self.gap
        pitch = up(self.phase_pitch * prod(self.phases), line)
        self.channel_pitch = pitch if (pitch // line) % 2 else pitch + line  # an odd number of lines spreads over all cache sets
        self.positions = ((box[0] - 1) * e[1] + box[1] - 1) * e[2] + box[2]
        rows = box[0] * box[1] == 1 or (self.boxes[2] == 1 and e[2] == box[2] and g.axes[1].spread == 1)
        planes = box[0] == 1 or (self.boxes[1] == 1 and e[1] == box[1] and g.axes[0].spread == 1)
        self.run = rows and planes and len(g.jobs) == 1 and all(a.target_step == 1 for a in g.axes)


def _candidates(g: Geometry, line: int, unfolded: int) -> list[_Box]:
    """Whole volumes, then runs of planes, runs of rows, runs of columns; evenly divided."""
    ct, ch, cw = (a.count for a in g.axes)
    boxes = [(bt, ch, cw) for bt in parts(ct)] + [(1, bh, cw) for bh in parts(ch)]
    if ch == 1 or cw > 512:
        boxes += [(1, bh, b) for bh in (1, 2, 4, 8, 16) if bh <= ch for b in parts(cw, 64 * min(4, bh))]
    return [_Box(g, b, line, unfolded) for b in dict.fromkeys(boxes)]


@lru_cache(maxsize=64)
def _boxes(problem: ConvProblem, line: int) -> list[_Box]:
    """For cache lines of so many elements: of the geometry as it is, and of those with the taps of narrow axes unfolded."""
    g = geometry(problem)
    boxes = _candidates(g, line, 0)
    for n in (1, 2, 3) if g.axes[2].count < NARROW else ():
        if any(len(job[3 - n][2]) > 1 for job in g.jobs):
            boxes += _candidates(unfold(problem, n), line, n)
    return boxes


def _cycles(box: _Box, tile: tuple[int, int], lanes: int, splits: int, groups: int, size: int, machine: Machine) -> float:
    """Of one task."""
    g = box.g
    rows, vectors = tile
    blocks = -(-(-(-g.group_out // rows)) // splits)
    wide, narrow = divmod(-(-box.positions // lanes), vectors)
    terms = sum(prod(len(a[2]) for a in job) for job in g.jobs) * g.group_in
    chunk = _chunk(box, size, machine)
    chunks = -(-g.group_in // chunk)
    block_terms = _block_terms(rows, size, machine)
    passes = chunks * sum(max(1, round(prod(len(a[2]) for a in job) * chunk / block_terms)) for job in g.jobs)
    tiles = terms * (wide * _tile_cycles(rows, vectors, machine) + narrow * _tile_cycles(rows, 1, machine)) + START * passes * (
        wide + narrow
    )
    weights = blocks * rows * terms * size
    cycles = 200.0 + blocks * (tiles + (chunks - 1) * KEPT * rows * (wide * vectors + narrow))
    cycles += FETCH * weights if weights * splits * groups > machine.l2 // 2 else 0.0
    source_rows = g.group_in * prod(box.phases) * box.extents[0] * box.extents[1]
    cycles += source_rows * (12 + COPY * -(-box.extents[2] // lanes)) * max(1, g.axes[2].step if g.axes[2].step < 3 else lanes / 2)
    if g.group_in * prod(g.source) * size > machine.l2:
        read = prod(min(s, (b - 1 + a.reach) * a.step + a.phases[-1] + 1) for s, b, a in zip(g.source, box.box, g.axes, strict=True))
        cycles += FAR * g.group_in * read * size
    channels = min(g.group_out, blocks * rows)
    if box.run:
        return cycles + channels * (wide * (6 + STORE * vectors) + narrow * (6 + STORE))
    step = g.axes[2].target_step
    scatter = 1.0 if step == 1 else 2.5 if step == 2 else lanes * 1.5
    return cycles + channels * box.box[0] * box.box[1] * len(g.jobs) * (6 + STORE * scatter * -(-box.box[2] // lanes))


def _chunk(box: _Box, size: int, machine: Machine) -> int:
    """Input channels whose copies fit in half of the second cache, evenly divided."""
    most = max(1, machine.l2 // 2 // (box.channel_pitch * size))
    return -(-box.g.group_in // -(-box.g.group_in // most))


def _fits(box: _Box, tile: tuple[int, int], size: int, machine: Machine) -> bool:
    g = box.g
    if g.group_in * g.group_out <= 4 and g.group_in * box.channel_pitch * size > machine.l1 * 3 // 4:
        return False
    chunk = _chunk(box, size, machine)
    enough = chunk == g.group_in or chunk * max(prod(len(a[2]) for a in job) for job in g.jobs) >= 128
    sums = box.positions * size * (g.group_out * len(g.jobs) if chunk < g.group_in else min(tile[0], g.group_out))
    return enough and chunk * box.channel_pitch * size <= machine.l2 // 2 and sums <= machine.l2 * (4 if chunk < g.group_in else 1) // 4


def _block_terms(rows: int, size: int, machine: Machine) -> int:
    """Terms of a pass: one block of weights and one panel of inputs stay in the first cache.

    A panel of two narrow registers is two lines a term when it lies across them, of which the next panel reads one again (decision 30: 3 to 15 %).
    """
    return machine.l1 * 3 // 8 // 128 if machine.registers < 32 else max(64, machine.l1 // (2 * size * max(rows, 16)))


def _best(problem: ConvProblem, machine: Machine, workers: int, tile: tuple[int, int]) -> tuple[float, _Box, int]:
    g = geometry(problem)
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    best: tuple[float, _Box, int] | None = None
    all_blocks = -(-g.group_out // tile[0])
    boxes = _boxes(problem.with_(batch=1), 64 // size)
    fitting = [b for b in boxes if _fits(b, tile, size, machine)] or [min(boxes, key=lambda b: b.channel_pitch)]
    for box in fitting:
        tasks = problem.batch * problem.groups * prod(box.boxes)
        for splits in sorted({1, min(workers, all_blocks), min(2 * workers, all_blocks), min(4 * workers, all_blocks)}):
            total = max(1, tasks * splits)
            idle = -(-total // workers) * workers / total if workers > 1 else box.share
            cost = _cycles(box, tile, lanes, splits, problem.groups, size, machine) * total * idle
            if best is None or cost < best[0]:
                best = cost, box, splits
    assert best is not None
    return best


@lru_cache(maxsize=1024)
def tile_for(problem: ConvProblem, machine: Machine) -> tuple[int, int]:
    """For one sample and one worker, whatever the call has."""
    one = problem.with_(batch=1)
    tiles = TILES[32 if machine.registers >= 32 else 16]
    if (
        problem.dtype != "float32" or problem.multiplications < SMALL_PROBLEM
    ):  # each tile is seconds of compilation; these two waste little on any shape
        tiles = (tiles[1], tiles[-1])
    return min(tiles, key=lambda tile: _best(one, machine, 1, tile)[0])


@lru_cache(maxsize=1024)
def blocking(problem: ConvProblem, machine: Machine, workers: int) -> Blocking:
    g = geometry(problem)
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    tile = tile_for(problem.with_(batch=1), machine)
    cycles, box, splits = _best(problem, machine, workers, tile)
    rows = tile[0]
    all_blocks = -(-g.group_out // rows)
    split_blocks = -(-all_blocks // splits)
    pitch = up(box.positions, lanes)
    if pitch * size % 1024 == 0:
        pitch += lanes
    chunk = _chunk(box, size, machine)
    terms = max(prod(len(a[2]) for a in job) for job in g.jobs) * chunk
    block_terms = _block_terms(rows, size, machine)
    block_terms = -(-terms // max(1, round(terms / block_terms))) if terms else 1
    apart = tile[1] * lanes * -(-MANY // (terms or MANY))
    buffer_size = up(chunk * box.channel_pitch + tile[1] * lanes + lanes, 16)
    held = split_blocks * len(g.jobs) if chunk < g.group_in else 1
    worker_pitch = spaced(up(buffer_size + held * rows * pitch + 2 * lanes, 64) + 64, size)
    return Blocking(
        (rows, tile[1], lanes), box.box, box.boxes, box.extents, box.gap, box.phases, box.phase_pitch, box.channel_pitch, box.unfolded,  # type: ignore[arg-type]
        box.run, chunk, buffer_size, -(-all_blocks // split_blocks), split_blocks, block_terms, pitch, apart, worker_pitch, up(rows * terms + lanes, 16),
        float(problem.multiplications), cycles,
    )  # fmt: skip


def ahead(g: Geometry, b: Blocking, problem: ConvProblem, machine: Machine) -> int:
    """How far ahead of the copy its source is asked for: a channel, where it comes from beyond the second cache in pieces that end before a prefetcher is of use."""
    size = np.dtype(problem.dtype).itemsize
    piece = b.extents[1] * g.axes[1].step * g.source[2] * size
    return prod(g.source) if g.group_in * prod(g.source) * size > machine.l2 and piece <= SHORT else 0


def past_caches(g: Geometry, b: Blocking, problem: ConvProblem) -> bool:
    """Whether results are stored past the caches: more than these hold, in long runs or whole lines."""
    size = np.dtype(problem.dtype).itemsize
    run = b.box[2] * size
    held = problem.batch * problem.groups * g.group_out * prod(g.target) * size
    return held >= PAST and g.axes[2].target_step == 1 and (run >= 4096 or (run % 64 == 0 and g.target[2] * size % 64 == 0))


def seconds(problem: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    tile = tile_for(problem.with_(batch=1), machine)
    return _best(problem.with_(batch=1), machine, 1, tile)[0] * machine.cycle
