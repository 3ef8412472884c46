"""Choice of register tile and boxes for `direct`: a small cost model, evaluated for every candidate.

The model counts vector operations per box (multiply, copy in, store out).  The tile depends on the problem and the machine alone; boxes and
channel splits also on the number of workers, which changes no bit of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from ..kernel import Machine
from ..problem import ConvProblem
from .geometry import Geometry, geometry

#: rows × vectors, by number of SIMD registers; the accumulators, one row of inputs and one broadcast weight must fit
TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((12, 2), (8, 3), (4, 6), (2, 8), (1, 8)), 16: ((6, 2), (4, 3), (2, 4), (1, 8))}

COPY, STORE, START = 5.0, 3.0, 30.0  # cycles per vector copied in, per vector stored, per tile started
SMALL = 3e5  # multiply-adds of a problem that its call costs more than
ISSUE = 0.87  # cycles per vector operation, at the clock that Machine.flops assumes


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
    buffer_size: int  # elements
    splits: int  # of the output channels, over tasks
    split_blocks: int  # blocks of `rows` channels per split
    super_blocks: int  # blocks per pass over the positions
    block_terms: int  # terms of the sum per pass over a tile
    pitch: int  # of a row of the workspace
    channels_outer: bool
    worker_pitch: int  # scratch per worker, elements
    work: float  # multiply-adds of the problem
    cycles: float  # predicted, one worker

    def place(self, phase: tuple[int, int, int], shift: tuple[int, int, int]) -> int:
        """Offset of a tap in one channel of the buffer."""
        f, e = self.phases, self.extents
        slot = (phase[0] * f[1] + phase[1]) * f[2] + phase[2]
        return slot * self.phase_pitch + (shift[0] * e[1] + shift[1]) * e[2] + shift[2]


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _tile_cycles(rows: int, vectors: int) -> float:
    """Per term: the multiply-adds or the loads, whichever takes longer, and the loop."""
    return ISSUE * max(rows * vectors, vectors + rows / 2) + 2.0


class _Box:
    """The counts that follow from one choice of box."""

    def __init__(self, g: Geometry, box: tuple[int, int, int], lanes: int) -> None:
        self.box = box
        counts = tuple(a.count for a in g.axes)
        self.boxes = tuple(-(-c // b) * a.spread for c, b, a in zip(counts, box, g.axes, strict=True))
        et, eh, ew = (b + a.reach for b, a in zip(box, g.axes, strict=True))
        self.gap = g.gap if self.boxes[2] == 1 else 0
        self.extents = (et, eh, ew - self.gap)
        self.phases = tuple(len(a.phases) for a in g.axes)
        self.phase_pitch = prod(self.extents) + self.gap
        pitch = _up(self.phase_pitch * prod(self.phases), lanes)
        self.channel_pitch = pitch if (pitch // lanes) % 2 else pitch + lanes  # an odd number of lines spreads over all cache sets
        e = self.extents
        self.positions = ((box[0] - 1) * e[1] + box[1] - 1) * e[2] + box[2]


def parts(extent: int, least: int = 1) -> list[int]:
    """Even parts of an extent, at least `least` long where it is: by every small number, then by some of each power of two."""
    counts = {m << s for m in (1, 3, 4, 5, 6, 7) for s in range(40) if m << s <= max(1, extent // least)}
    return sorted({-(-extent // k) for k in counts} | ({1} if least == 1 else set()))


def _candidates(g: Geometry) -> list[tuple[int, int, int]]:
    """Whole volumes, then runs of planes, runs of rows, runs of columns; evenly divided."""
    ct, ch, cw = (a.count for a in g.axes)

    boxes = [(bt, ch, cw) for bt in parts(ct)] + [(1, bh, cw) for bh in parts(ch)]
    boxes += [(1, 1, b) for b in parts(cw, 64)] if ch == 1 or cw > 512 else []
    return list(dict.fromkeys(boxes))


def _cycles(g: Geometry, box: _Box, tile: tuple[int, int], lanes: int, splits: int) -> float:
    """Of one task."""
    rows, vectors = tile
    blocks = -(-(-(-g.group_out // rows)) // splits)
    panels = -(-box.positions // (vectors * lanes))
    terms = sum(prod(len(a[2]) for a in job) for job in g.jobs) * g.group_in
    multiply = panels * blocks * (terms * _tile_cycles(rows, vectors) + START * len(g.jobs))
    source_rows = g.group_in * prod(box.phases) * box.extents[0] * box.extents[1]
    copy = source_rows * (10 + COPY * -(-box.extents[2] // lanes) * max(1, g.axes[2].step if g.axes[2].step < 3 else lanes / 2))
    target_rows = min(g.group_out, blocks * rows) * box.box[0] * box.box[1] * len(g.jobs)
    step = g.axes[2].target_step
    scatter = 1.0 if step == 1 else 2.5 if step == 2 else lanes * 1.5
    store = target_rows * (6 + STORE * scatter * -(-box.box[2] // lanes))
    return multiply + copy + store + 200.0


def _fits(g: Geometry, box: _Box, tile: tuple[int, int], size: int, machine: Machine) -> bool:
    budget = machine.l1 * 3 // 4 if g.group_in * g.group_out <= 4 else machine.l2 // 2
    return g.group_in * box.channel_pitch * size <= budget and box.positions * size * min(tile[0], g.group_out) <= machine.l2 // 4


def _best(problem: ConvProblem, machine: Machine, workers: int, tile: tuple[int, int]) -> tuple[float, _Box, int]:
    g = geometry(problem)
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    best: tuple[float, _Box, int] | None = None
    all_blocks = -(-g.group_out // tile[0])
    boxes = [_Box(g, b, lanes) for b in _candidates(g)]
    fitting = [b for b in boxes if _fits(g, b, tile, size, machine)] or [min(boxes, key=lambda b: b.channel_pitch)]
    for box in fitting:
        tasks = problem.batch * problem.groups * prod(box.boxes)
        for splits in sorted({1, min(workers, all_blocks), min(2 * workers, all_blocks), min(4 * workers, all_blocks)}):
            total = max(1, tasks * splits)
            idle = -(-total // workers) * workers / total
            cost = _cycles(g, box, tile, lanes, splits) * total * idle
            if best is None or cost < best[0]:
                best = cost, box, splits
    assert best is not None
    return best


@lru_cache(maxsize=1024)
def tile_for(problem: ConvProblem, machine: Machine) -> tuple[int, int]:
    """For one sample and one worker, whatever the call has."""
    one = problem.with_(batch=1)
    tiles = TILES[32 if machine.registers >= 32 else 16]
    if problem.dtype != "float32" or problem.multiplications < SMALL:  # each tile is seconds of compilation; these two waste little on any shape
        tiles = (tiles[1], tiles[-1])
    return min(tiles, key=lambda tile: _best(one, machine, 1, tile)[0])


@lru_cache(maxsize=1024)
def blocking(problem: ConvProblem, machine: Machine, workers: int) -> Blocking:
    g = geometry(problem)
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    tile = tile_for(problem.with_(batch=1), machine)
    cycles, box, splits = _best(problem, machine, workers, tile)
    rows, columns = tile[0], tile[1] * lanes
    all_blocks = -(-g.group_out // rows)
    split_blocks = -(-all_blocks // splits)
    panels = -(-box.positions // columns)
    pitch = panels * columns
    if pitch * size % 1024 == 0:
        pitch += lanes
    super_blocks = max(1, min(split_blocks, machine.l2 // 4 // (pitch * size * rows)))
    terms = max(prod(len(a[2]) for a in job) for job in g.jobs) * g.group_in
    # one block of weights and one panel of inputs stay in L1 while they are used
    block_terms = max(64, machine.l1 // (2 * size * max(rows, 16)))
    block_terms = -(-terms // max(1, round(terms / block_terms))) if terms else 1
    buffer_size = _up(g.group_in * box.channel_pitch + columns + lanes, 16)
    worker_pitch = _up(buffer_size + super_blocks * rows * pitch + 2 * lanes, 64) + 64
    return Blocking(
        (rows, tile[1], lanes), box.box, box.boxes, box.extents, box.gap, box.phases, box.phase_pitch, box.channel_pitch, buffer_size,  # type: ignore[arg-type]
        -(-all_blocks // split_blocks), split_blocks, super_blocks, block_terms, pitch, panels * 2 < split_blocks, worker_pitch,
        float(problem.multiplications), cycles,
    )  # fmt: skip


def seconds(problem: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    size = np.dtype(problem.dtype).itemsize
    tile = tile_for(problem.with_(batch=1), machine)
    cycle = 2 * machine.vector_bytes / 4 / machine.flops * (size / 4 if size > 4 else 1) ** 0
    return _best(problem.with_(batch=1), machine, 1, tile)[0] * cycle
