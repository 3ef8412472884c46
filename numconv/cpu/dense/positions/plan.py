"""The choice of tile and boxes for `direct` and `gather`, and their record: everything that the kernel knows of a problem.

The tile depends on the problem and the machine alone (packed weights do); boxes and splits also on the number of workers, which changes
no bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ....activations import ACTIVATIONS
from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.axes import Three, three
from ...geometry.taps import Geometry, geometry, taps_of, unfold, weight_taps
from ...geometry.tiles import SMALL_PROBLEM, parts, up
from ...runtime.record import size_of, table
from ...runtime.workspace import spaced
from ...stages.deliver import Finish
from ...stages.fill import Fill, FillAxis, Inside, Phase, inside, phases_of
from ...stages.pack import Interleaved, Stretch, stretches_of
from ..plan import SMALL_WORK, PreparedDense
from .cost import LINE_BYTES, BoxCopy, ahead, chunk_of, fits, pass_terms, past_caches, task_cycles

#: rows × vectors, by number of SIMD registers; the sums, one row of inputs and one broadcast weight must fit
ROW_TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((12, 2), (8, 3), (4, 6), (2, 8), (1, 8)), 16: ((6, 2), (4, 3), (2, 4), (1, 8))}
NARROW = 128  # targets; longer rows are not worth unfolding (2026-11-24)
LONG = 512  # targets; longer rows are cut …
LEAST_CUT = 64  # … into parts no shorter than this, times the rows beside each other up to four
STORE_TERMS = 1024  # terms, during which the sums of the tile before find their way to memory
CROWDED_SUMS = 1024  # bytes: rows of sums a multiple of it apart share few sets of the first cache


class BoxAxis(NamedTuple):
    """One of the axes t, h, w, in elements of that axis."""

    target: int  # extent
    box: int  # targets of a task, of each job and residue
    boxes: int
    step: int  # in the source, from one target of a job to the next
    target_step: int  # in the target, likewise
    spread: int  # a dilated axis is that many interleaved ones, of which a box has one


class DirectPlan(NamedTuple):
    """The record.  Pitches and places in elements, from the beginning of this worker's room, or of the table."""

    t: BoxAxis
    h: BoxAxis
    w: BoxAxis
    groups: int
    splits: int  # of the blocks of a group, over tasks
    split_blocks: int  # blocks of a split
    chunk: int  # channels that are copied and summed at a time
    fill: Fill
    filters: Interleaved
    packs: int  # 1: weights are as given, and each task packs its blocks
    pass_terms: int  # of a block at a time, over all positions
    one_piece: int  # 1: the targets of a box are one piece of memory, as their samples are
    store_after: int  # positions whose sums are stored together
    past: int  # 1: they are stored past the caches
    finish: Finish
    sums_at: int  # in the room, after the copy: a block's sums, (channel, position)
    sums_pitch: int  # from one channel there to the next
    block_at: int  # in the room: the block of weights that a task packs
    jobs: int
    jobs_at: int  # in the table: the jobs
    stretches_at: int  # in the table: how weights as given become terms


class Job(NamedTuple):
    """Targets that share their taps: all of them, or one stride phase of an input gradient."""

    first: Three  # target
    targets: Three  # their number
    taps: int
    first_term: int  # in the offsets
    weights_at: int  # in the packed weights: its blocks, those of a group one after the other
    stretch: int  # its first …
    stretches: int  # … and how many


def _candidates(g: Geometry, line: int, unfolded: int) -> list[BoxCopy]:
    """Whole volumes, then runs of planes, runs of rows, runs of columns; evenly divided."""
    ct, ch, cw = (a.count for a in g.axes)
    boxes = [(bt, ch, cw) for bt in parts(ct)] + [(1, bh, cw) for bh in parts(ch)]
    if ch == 1 or cw > LONG:
        boxes += [(1, bh, b) for bh in (1, 2, 4, 8, 16) if bh <= ch for b in parts(cw, LEAST_CUT * min(4, bh))]
    return [BoxCopy(g, b, line, unfolded) for b in dict.fromkeys(boxes)]


@lru_cache(maxsize=64)
def _boxes(problem: ConvProblem, line: int) -> list[BoxCopy]:
    """For cache lines of so many elements: of the geometry as it is, and of those with the taps of narrow axes unfolded."""
    g = geometry(problem)
    boxes = _candidates(g, line, 0)
    for n in (1, 2, 3) if g.axes[2].count < NARROW else ():
        if any(len(job[3 - n].taps) > 1 for job in g.jobs):
            boxes += _candidates(unfold(problem, n), line, n)
    return boxes


def _best(problem: ConvProblem, machine: Machine, workers: int, tile: tuple[int, int]) -> tuple[float, BoxCopy, int]:
    """The cheapest: its cycles of all workers, its box, its splits."""
    size = np.dtype(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    best: tuple[float, BoxCopy, int] | None = None
    blocks = -(-geometry(problem).produced // tile[0])
    boxes = _boxes(problem.with_(batch=1), LINE_BYTES // size)
    for box in [b for b in boxes if fits(b, tile, size, machine)] or [min(boxes, key=lambda b: b.channel_pitch)]:
        tasks = problem.batch * problem.groups * prod(box.boxes)
        for splits in sorted({1, min(workers, blocks), min(2 * workers, blocks), min(4 * workers, blocks)}):
            total = max(1, tasks * splits)
            idle = -(-total // workers) * workers / total if workers > 1 else box.share
            cost = task_cycles(box, tile, lanes, splits, problem.groups, size, machine) * total * idle
            if best is None or cost < best[0]:
                best = cost, box, splits
    assert best is not None
    return best


@lru_cache(maxsize=1024)
def tile_for(problem: ConvProblem, machine: Machine) -> tuple[int, int]:
    """(rows, vectors), for one sample and one worker, whatever the call has."""
    one = problem.with_(batch=1)
    tiles = ROW_TILES[32 if machine.registers >= 32 else 16]
    if problem.dtype != "float32" or problem.multiplications < SMALL_PROBLEM:
        tiles = (tiles[1], tiles[-1])  # each tile is seconds of compilation; these two waste little on any shape
    return min(tiles, key=lambda tile: _best(one, machine, 1, tile)[0])


def _jobs(problem: ConvProblem, g: Geometry, box: BoxCopy, rows: int, chunk: int) -> tuple[list[Job], list[Stretch], np.ndarray, int]:
    """The jobs, their stretches of weights, the offsets of all terms of a chunk, and the elements of all packed weights."""
    jobs: list[Job] = []
    stretches: list[Stretch] = []
    offsets, weights_at, first_term = [], 0, 0
    channel = np.arange(chunk)[:, None] * box.channel_pitch
    for t, h, w in g.jobs:
        taps = [box.place((a.slot, b.slot, c.slot), (a.shift, b.shift, c.shift)) for a in t.taps for b in h.taps for c in w.taps]
        found = stretches_of(weight_taps((t, h, w), three(problem.kernel, 1)), weights_at, rows)
        job = Job(
            first=Three(t.first, h.first, w.first),
            targets=Three(t.number, h.number, w.number),
            taps=len(taps),
            first_term=first_term,
            weights_at=weights_at,
            stretch=len(stretches),
            stretches=len(found),
        )
        jobs.append(job)
        stretches += found
        offsets.append((channel + np.array(taps, np.int64)[None, :]).ravel())
        weights_at += problem.groups * -(-g.produced // rows) * g.summed * len(taps) * rows
        first_term += offsets[-1].size
    every = np.concatenate(offsets)
    return jobs, stretches, every.astype(np.int32) if every.size == 0 or every.max() < 2**31 else every, weights_at


def _axes(g: Geometry, box: BoxCopy) -> Iterator[BoxAxis]:
    for axis, target, b, n in zip(g.axes, g.target, box.box, box.boxes, strict=True):
        yield BoxAxis(target=target, box=b, boxes=n, step=axis.step, target_step=axis.target_step, spread=axis.spread)


def _filters(problem: ConvProblem, g: Geometry, jobs: list[Job], stretches: int) -> Interleaved:
    return Interleaved(
        produced=g.produced,
        channels=g.summed,
        filter_pitch=g.filter_pitch,
        channel_pitch=g.channel_pitch,
        group_pitch=g.group_pitch,
        whole=g.channel_pitch == problem.taps == max(job.taps for job in jobs),
        stretches=stretches,
    )


def _fill(problem: ConvProblem, g: Geometry, box: BoxCopy, lanes: int, ahead: int, at: int) -> tuple[Fill, list[np.ndarray]]:
    """How a box is copied, and the tables for it, the first of which lies `at` integers from the plan's beginning."""
    zeros, w = problem.padding_mode == "zeros", g.axes[2]
    insides = [
        inside(w.origin + i * box.box[2] * w.step + phase, w.step, g.source[2], box.extents[2], lanes)
        for i in range(box.boxes[2])
        for phase in w.phases
    ]
    phases = [phases_of(axis, b) for axis, b in zip(g.axes[:2], box.box[:2], strict=True)]
    tables = [table(*phases), table(insides), *(g.tables[:2] if zeros else g.tables)]
    of_t, of_h = (len(p) * size_of(Phase) for p in phases)
    phases_at = Three(at, at + of_t, at + of_t + of_h)
    sources_at = phases_at.w + len(insides) * size_of(Inside)
    axes = []
    for k, (axis, extent, copied) in enumerate(zip(g.axes, g.source, box.extents, strict=True)):
        axes.append(
            FillAxis(
                source=extent,
                copied=copied,
                phases=len(axis.phases),
                step=axis.step,
                spread=axis.spread,
                sources_at=sources_at,
                phases_at=phases_at[k],
            )
        )
        sources_at += g.tables[k].size
    by_t, by_h, by_w = axes
    fill = Fill(
        t=by_t,
        h=by_h,
        w=by_w,
        row_pitch=box.extents[2],
        plane_pitch=box.extents[1] * box.extents[2],
        phase_pitch=box.phase_pitch,
        channel_pitch=box.channel_pitch,
        gap=box.gap,
        origin=w.origin,
        edges=not zeros,
        ahead=ahead,
    )
    return fill, tables


@lru_cache(maxsize=512)
def prepared(problem: ConvProblem, machine: Machine, workers: int, given: bool = False) -> PreparedDense:
    """`given`: the weights are, plain; where each block of filters is used by one task, that packs it itself."""
    if problem.multiplications <= SMALL_WORK:
        workers = 1
    size, tile = np.dtype(problem.dtype).itemsize, tile_for(problem.with_(batch=1), machine)
    lanes = machine.vector_bytes // size
    cycles, box, splits = _best(problem, machine, workers, tile)
    g, rows = unfold(problem, box.unfolded), tile[0]
    blocks = -(-g.produced // rows)
    split_blocks = -(-blocks // splits)
    splits = -(-blocks // split_blocks)
    packs = given and problem.batch == 1 and prod(box.boxes) == 1
    chunk = chunk_of(box, size, machine)
    jobs, stretches, offsets, packed = _jobs(problem, g, box, rows, chunk)
    stretches_at = size_of(DirectPlan) + len(jobs) * size_of(Job)
    fill, tables = _fill(problem, g, box, lanes, ahead(box, size, machine), stretches_at + len(stretches) * size_of(Stretch))
    sums_pitch = up(box.positions, lanes)
    sums_pitch += lanes if sums_pitch * size % CROWDED_SUMS == 0 else 0
    terms = max(taps_of(job) for job in g.jobs) * chunk
    passes = max(1, round(terms / pass_terms(rows, size, machine)))
    sums_at = up(chunk * box.channel_pitch + tile[1] * lanes + lanes, 16)
    held = split_blocks * len(g.jobs) if chunk < g.summed else 1  # blocks whose sums are kept
    block_at = spaced(up(sums_at + held * rows * sums_pitch + 2 * lanes, 64) + 64, size)
    t, h, w = _axes(g, box)
    plan = DirectPlan(
        t=t,
        h=h,
        w=w,
        groups=problem.groups,
        splits=splits,
        split_blocks=split_blocks,
        chunk=chunk,
        fill=fill,
        filters=_filters(problem, g, jobs, len(stretches)),
        packs=packs,
        pass_terms=-(-terms // passes) if terms else 1,
        one_piece=box.one_piece,
        store_after=tile[1] * lanes * -(-STORE_TERMS // (terms or STORE_TERMS)),
        past=past_caches(box, problem, size),
        finish=Finish(problem.bias, ACTIVATIONS[problem.activation], problem.shuffle, problem.groups * g.produced),
        sums_at=sums_at,
        sums_pitch=sums_pitch,
        block_at=block_at,
        jobs=len(jobs),
        jobs_at=size_of(DirectPlan),
        stretches_at=stretches_at,
    )
    return PreparedDense(
        plan=plan,
        numbers=table(plan, jobs, stretches, *tables),
        offsets=offsets,
        tile=(*tile, lanes),
        tasks=problem.groups * splits * prod(box.boxes),
        room=block_at + packs * up(rows * terms + lanes, 16),
        filters=table(plan.filters),
        places=table(stretches),
        packed=packed,
        cycles=cycles,
    )


def seconds(problem: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    tile = tile_for(problem.with_(batch=1), machine)
    return _best(problem.with_(batch=1), machine, 1, tile)[0] * machine.cycle
