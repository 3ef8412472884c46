"""The record of `direct` and `gather`: everything that the kernel knows of a problem, in a size that no problem changes."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ....activations import ACTIVATIONS
from ....hosts import PAIRS, dtype_of
from ....kernel import Machine
from ....memory import kept
from ....problem import ConvProblem
from ...geometry.jobs import MODES, kinds_of, unserved
from ...geometry.tiles import up
from ...runtime.record import table
from ...runtime.workspace import spaced
from ...stages.deliver import Finish
from ...stages.fill import Fill, FillAxis, notes_size
from ...stages.pack import Interleaved
from ..plan import SMALL_WORK, PreparedDense
from .choice import Choice, alone, best
from .cost import ahead, pass_terms, past_caches
from .reads import Geometry

STORE_TERMS = 1024  # terms, during which the sums of the tile before find their way to memory
FAR = 1 << 31  # elements of a copy: beyond it offsets take 64 bits
CROWDED_SUMS = 1024  # bytes: rows of sums a multiple of it apart share few sets of the first cache


class BoxAxis(NamedTuple):
    """One of the axes t, h, w, in elements of that axis."""

    box: int  # targets of a task, of each job and residue
    boxes: int
    spread: int  # a dilated axis is that many interleaved ones, of which a box has one


class DirectPlan(NamedTuple):
    """The record.  Pitches and places in elements, from the beginning of this worker's room."""

    t: BoxAxis
    h: BoxAxis
    w: BoxAxis
    groups: int
    splits: int  # of the blocks of a group, over tasks
    split_blocks: int  # blocks of a split
    chunk: int  # channels that are copied and summed at a time
    fill: Fill
    filters: Interleaved  # and the jobs, along each axis
    packs: int  # 1: weights are as given, and each task packs its blocks
    unserved: int  # 1: there are targets that no tap serves
    pass_terms: int  # of a block at a time, over all positions
    one_piece: int  # 1: the targets of a box are one piece of memory, as their samples are
    store_after: int  # positions whose sums are stored together
    past: int  # 1: they are stored past the caches
    finish: Finish
    sums_at: int  # after the copy: a block's sums, (channel, position)
    sums_pitch: int  # from one channel there to the next
    block_at: int  # the block of weights that a task packs
    notes_at: int  # what `stages.fill` notes down of the copy
    offsets_at: int  # of the terms, of each kind of jobs …
    offsets_pitch: int  # … so many


def _fill(problem: ConvProblem, c: Choice, ahead: int) -> Fill:
    """How a box is copied."""
    b, axes = c.copy, c.geometry.axes
    _, rows, row_pitch = b.extents
    of_h, of_w = axes[1].phases * axes[2].phases * b.phase_pitch, axes[2].phases * b.phase_pitch
    pitches, pieces = (rows * row_pitch, row_pitch, 1), (of_h, of_w, b.phase_pitch)
    t, h, w = (
        FillAxis(
            source=a.taps.source,
            origin=a.origin,
            reads=a.reads,
            apart=a.apart,
            phases=a.phases,
            modulus=a.modulus,
            step=a.taps.step * a.spread,
            targets=targets,
            copied=copied,
            pitch=pitch,
            piece_pitch=piece,
        )
        for a, targets, copied, pitch, piece in zip(axes, b.box, b.extents, pitches, pieces, strict=True)
    )
    return Fill(
        t=t,
        h=h,
        w=w,
        phase_pitch=b.phase_pitch,
        channel_pitch=b.channel_pitch,
        gap=b.gap,
        mode=MODES[problem.padding_mode],
        ahead=ahead,
    )


def _filters(problem: ConvProblem, g: Geometry) -> Interleaved:
    t, h, w = (a.taps for a in g.axes)
    return Interleaved(
        produced=g.produced,
        channels=g.summed,
        filter_pitch=g.filter_pitch,
        channel_pitch=g.channel_pitch,
        group_pitch=g.group_pitch,
        whole=g.channel_pitch == problem.taps == g.together,
        t=t,
        h=h,
        w=w,
    )


class DirectRoom(NamedTuple):
    """A worker's scratch, in elements."""

    sums_at: int
    sums_pitch: int
    block_at: int
    notes_at: int
    offsets_at: int
    offsets_pitch: int
    bits: int  # of an offset
    size: int


def _room(c: Choice, split_blocks: int, packs: bool, lanes: int, size: int) -> DirectRoom:
    """Copy, sums, a gap that `spaced` keeps between workers, and what is written once and read often."""
    g, b, rows = c.geometry, c.copy, c.tile[0]
    terms, axes = g.together * c.chunk, [a.taps for a in g.axes]
    sums_pitch = up(b.positions, lanes)
    sums_pitch += lanes if sums_pitch * size % CROWDED_SUMS == 0 else 0
    sums_at = up(c.chunk * b.channel_pitch + c.tile[1] * lanes + lanes, 16)
    held = split_blocks * prod(a.jobs for a in axes) if c.chunk < g.summed else 1  # blocks whose sums are kept
    block_at = spaced(up(sums_at + max(1, held) * rows * sums_pitch + 2 * lanes, 64) + 64, size)
    notes_at = block_at + packs * up(rows * terms + lanes, 16)
    offsets_at = notes_at + up(notes_size(tuple(a.phases for a in g.axes), b.extents) * 8 // size, 16)
    bits = 64 if c.chunk * b.channel_pitch >= FAR else 32
    kinds = prod(kinds_of(a) for a in axes)
    end = offsets_at + up(-(-kinds * terms * bits // 8 // size), 16)
    return DirectRoom(sums_at, sums_pitch, block_at, notes_at, offsets_at, terms, bits, end)


@kept
def prepared(problem: ConvProblem, machine: Machine, workers: int, given: bool = False) -> PreparedDense:
    """`given`: the weights are, plain; where each block of filters is used by one task, that packs it itself."""
    if problem.multiplications <= SMALL_WORK:
        workers = 1
    size = dtype_of(problem.dtype).itemsize
    lanes = machine.vector_bytes // size
    c = best(problem, machine, workers, alone(problem, machine).tile)
    g, rows = c.geometry, c.tile[0]
    blocks = -(-g.produced // rows)
    split_blocks = -(-blocks // c.splits)
    splits, boxes = -(-blocks // split_blocks), prod(c.copy.boxes)
    packs = given and problem.batch == 1 and boxes == 1
    room, terms = _room(c, split_blocks, packs, lanes, size), g.together * c.chunk
    passes = max(1, round(terms / pass_terms(rows, size, machine)))
    t, h, w = (BoxAxis(box=b, boxes=n, spread=a.spread) for b, n, a in zip(c.copy.box, c.copy.boxes, g.axes, strict=True))
    plan = DirectPlan(
        t=t,
        h=h,
        w=w,
        groups=problem.groups,
        splits=splits,
        split_blocks=split_blocks,
        chunk=c.chunk,
        fill=_fill(problem, c, ahead(g, c.copy, size, machine)),
        filters=_filters(problem, g),
        packs=packs,
        unserved=any(unserved(a.taps) for a in g.axes),
        pass_terms=-(-terms // passes) if terms else 1,
        one_piece=c.copy.one_piece,
        store_after=c.tile[1] * lanes * -(-STORE_TERMS // (terms or STORE_TERMS)),
        past=past_caches(g, c.copy, problem, size),
        finish=Finish(problem.bias, ACTIVATIONS[problem.activation], problem.shuffle, problem.groups * g.produced),
        sums_at=room.sums_at,
        sums_pitch=room.sums_pitch,
        block_at=room.block_at,
        notes_at=room.notes_at,
        offsets_at=room.offsets_at,
        offsets_pitch=room.offsets_pitch,
    )
    numbers = table(plan)
    return PreparedDense(
        plan=plan,
        numbers=numbers,
        tile=(*c.tile, lanes, room.bits, int(problem.dtype == PAIRS)),
        tasks=problem.groups * splits * boxes,
        room=room.size,
        filters=table(plan.filters),
        packed=problem.groups * blocks * g.summed * g.taps * rows,
        places=0,
        cycles=c.cycles,
    )


def seconds(problem: ConvProblem, machine: Machine) -> float:
    """Predicted for one sample on one core, memory aside."""
    return alone(problem, machine).cycles * machine.cycle
