"""The loops of `direct` and `gather`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ...geometry.jobs import job_of, kind_of, kinds_of, part
from ...runtime.launch import device_function, inlined
from ...runtime.record import reader
from ...runtime.tasks import Task, over_tasks
from ...simd.streaming import fence
from ...simd.strided import stepping
from ...simd.tiles import columns, gemm_tile, lanes, narrowed, rows, strided_shape
from ...simd.vector import compact, get, integers, moved, zero_of
from ...stages.deliver import shuffled
from ...stages.epilogue import store_row
from ...stages.fill import fill_box
from ...stages.pack import interleave, zero
from ..tasks import located
from .plan import DirectPlan
from .terms import begin_of, write_offsets

plan_at = reader(DirectPlan)


class Portion(NamedTuple):
    """What a task does: a box of a sample and group, and a range of its blocks of channels.  In compiled code these are registers."""

    sample: Any
    group: Any
    first: Any  # block
    end: Any
    blocks: Any  # of the group
    corner: Any  # (t, h, w): the first target of the box, of a job
    channel: Any  # the first that is summed, of so many:
    channels: Any


class Operands(NamedTuple):
    """Of a block."""

    weights: Any
    samples: Any  # the copy, from the least sample of the job's first target on
    offsets: Any  # from there
    terms: Any


class Target(NamedTuple):
    """Where the sums of a block go."""

    sample: Any
    channel: Any  # the first, of all groups
    valid: Any  # channels
    at: Any  # (t, h, w) in the target of the first sum
    box: Any  # (planes, rows, columns) of targets


@device_function
def _store(vector, plan, task, target, sums, first, begin, box):
    """`box` rows of a block's channels, from row `first` of their plane and target `begin` of that row on, out of the sums into y."""
    t, h, w, finish, pitch, past = plan.filters.t, plan.filters.h, plan.filters.w, plan.finish, plan.sums_pitch, plan.past > 0
    row_pitch, plane_pitch, step_t, step_h = (
        plan.fill.h.pitch,
        plan.fill.t.pitch,
        t.target_step * plan.t.spread,
        h.target_step * plan.h.spread,
    )
    planes, lines, count = box
    step, has_bias, activation = w.target_step, finish.has_bias, finish.activation
    at_t, at_h, at_w = target.at[0], target.at[1] + step_h * first, target.at[2] + step * begin
    for r in range(target.valid):
        bias = get(task.bias, target.channel + r) if has_bias else zero_of(task.bias)
        volume = (target.sample * finish.channels + shuffled(target.channel + r, finish)) * t.target + at_t
        for i in range(planes):
            for j in range(lines):
                y = ((volume + step_t * i) * h.target + at_h + step_h * j) * w.target + at_w
                source = moved(sums, r * pitch + i * plane_pitch + j * row_pitch)
                store_row(vector, source, moved(task.y, y), count, step, bias, activation, past)


@device_function
def _multiply(shape, plan, task, operands, sums, resume, final, target):
    """sums (+)= one block of packed weights × the copy at all positions of the box, panel by panel; the last pass takes them on to y.

    Whole registers of positions: `shape` while it fills its vectors, then `narrow`, which has one.
    """
    (weights, samples, offsets, terms), row_pitch, (planes, lines, count) = operands, plan.fill.h.pitch, target.box
    narrow, vector, mr, nr, width = narrowed(shape), stepping(shape, 1), rows(shape), columns(shape), lanes(shape)
    most, pitch, one_piece, store_after = plan.pass_terms, plan.sums_pitch, plan.one_piece, plan.store_after
    positions = (planes - 1) * plan.fill.t.pitch + (lines - 1) * row_pitch + count
    end = (positions + width - 1) // width * width
    wide = end // nr * nr
    for k in range(0, max(1, terms), most):
        some, last = min(most, terms - k), final and k + most >= terms
        block, at = moved(weights, k * mr), moved(offsets, k)
        j = done = stored = 0
        while j < end:
            size = nr if j < wide else width
            if some <= 0:
                zero(shape, sums, mr * pitch)
            elif size == nr:
                gemm_tile(shape, block, moved(samples, j), at, moved(sums, j), some, pitch, resume or k > 0)
            else:
                gemm_tile(narrow, block, moved(samples, j), at, moved(sums, j), some, pitch, resume or k > 0)
            j += size
            if last and (j == end or (j - stored >= store_after and (one_piece > 0 or planes == 1))):
                first, begin, some_planes, some_lines, targets = 0, 0, planes, lines, count
                if one_piece:
                    begin, some_planes, some_lines, targets = stored, 1, 1, min(j, positions) - stored
                elif planes == 1:  # the rows that are complete
                    ready = min(lines, max(0, (j - count) // row_pitch + 1))
                    first, some_lines, done = done, ready - done, ready
                box = (some_planes, some_lines, targets)
                _store(vector, plan, task, target, moved(sums, first * row_pitch + begin), first, begin, box)
                stored = j


@inlined
def _corner(plan, box):
    """The first target of a job in a box, and the sample of the source that the copy begins with."""
    t, h, w = plan.t, plan.h, plan.w
    round_t, round_h = part(box[0], t.spread), part(box[1], h.spread)
    at_t = box[0] - round_t * t.spread + round_t * t.box * t.spread  # of box v the targets are residue + spread·v
    at_h = box[1] - round_h * h.spread + round_h * h.box * h.spread
    at_w, fill, taps = box[2] * w.box, plan.fill, plan.filters
    start = (fill.t.origin + at_t * taps.t.step, fill.h.origin + at_h * taps.h.step, fill.w.origin + at_w * taps.w.step)
    return (at_t, at_h, at_w), start


@device_function
def _unserved(shape, plan, task, portion):
    """activation(bias) in the whole box: the targets that no tap serves keep it."""
    compact()
    t, h, w, finish, vector, mr = plan.filters.t, plan.filters.h, plan.filters.w, plan.finish, stepping(shape, 1), rows(shape)
    corner, sums, piece, past = portion.corner, moved(task.room, plan.sums_at), plan.w.box, plan.past > 0
    step = min(1, piece)  # to LLVM a constant would be worth a copy of `store_row`
    at_t, at_h, at_w = corner[0] * t.target_step, corner[1] * h.target_step, corner[2] * w.target_step
    planes, lines = min(t.target - at_t, plan.t.box * t.target_step), min(h.target - at_h, plan.h.box * h.target_step)
    count, produced = min(w.target - at_w, piece * w.target_step), plan.filters.produced
    zero(vector, sums, piece + lanes(shape))
    for k in range(portion.first * mr, min(produced, portion.end * mr)):
        channel = portion.group * produced + k
        bias = get(task.bias, channel) if finish.has_bias else zero_of(task.bias)
        volume = (portion.sample * finish.channels + shuffled(channel, finish)) * t.target + at_t
        for i in range(planes):
            for j in range(lines):
                y = moved(task.y, ((volume + i) * h.target + at_h + j) * w.target + at_w)
                for at in range(0, count, piece):
                    store_row(vector, sums, moved(y, at), min(piece, count - at), step, bias, finish.activation, past)


@inlined
def _offsets(plan, task, i, j, k):
    """Those of the kind of that job."""
    t, h, w = plan.filters.t, plan.filters.h, plan.filters.w
    kind = (kind_of(t, i) * kinds_of(h) + kind_of(h, j)) * kinds_of(w) + kind_of(w, k)
    return moved(task.offsets, kind * plan.offsets_pitch)


@device_function
def _job(shape, plan, task, portion, job, packed, sums):
    """The blocks of a job of a box; where the sums of the next one go.  `packed`: its weights, if they are."""
    t, h, w, filters, mr, corner = plan.t, plan.h, plan.w, plan.filters, rows(shape), portion.corner
    of_t, of_h, of_w = job
    i, j, k = of_t.tap - filters.t.first, of_h.tap - filters.h.first, of_w.tap - filters.w.first
    planes = min(t.box, part(of_t.targets - corner[0] + t.spread - 1, t.spread))
    lines = min(h.box, part(of_h.targets - corner[1] + h.spread - 1, h.spread))
    box = (planes, lines, min(w.box, of_w.targets - corner[2]))
    if box[0] <= 0 or box[1] <= 0 or box[2] <= 0:
        return sums
    at_t, at_h = of_t.first + filters.t.target_step * corner[0], of_h.first + filters.h.target_step * corner[1]
    at, taps, summed = (at_t, at_h, of_w.first + filters.w.target_step * corner[2]), of_t.taps * of_h.taps * of_w.taps, filters.channels
    samples, offsets, channel = moved(task.room, begin_of(plan, job)), _offsets(plan, task, i, j, k), portion.channel
    for block in range(portion.first, portion.end):
        valid = min(mr, filters.produced - block * mr)
        if plan.packs:
            given = portion.group * filters.group_pitch + block * mr * filters.filter_pitch + channel * filters.channel_pitch
            weights = moved(task.room, plan.block_at)
            jobs = ((i, i + 1), (j, j + 1), (k, k + 1))
            interleave(narrowed(shape), filters, moved(task.weights, given), valid, weights, 0, 0, portion.channels, jobs)
        else:
            weights = moved(packed, ((portion.group * portion.blocks + block) * summed + channel) * taps * mr)
        target = Target(portion.sample, portion.group * filters.produced + block * mr, valid, at, box)
        operands = Operands(weights, samples, offsets, portion.channels * taps)
        _multiply(shape, plan, task, operands, sums, channel > 0, channel + plan.chunk >= summed, target)
        if plan.chunk < summed:  # until the last channels have come
            sums = moved(sums, mr * plan.sums_pitch)
    return sums


@device_function
def _task(shape, plan, task, number):
    """One box of one sample and group, a range of its blocks of channels."""
    t, h, w, filters, mr = plan.filters.t, plan.filters.h, plan.filters.w, plan.filters, rows(shape)
    sample, group, split, box_number = located(plan, number)
    corner, start = _corner(plan, box_number)
    blocks, summed = (filters.produced + mr - 1) // mr, filters.channels
    first, end, volume = split * plan.split_blocks, min(blocks, (split + 1) * plan.split_blocks), t.source * h.source * w.source
    notes = integers(moved(task.room, plan.notes_at), 64)
    for channel in range(0, summed, plan.chunk):
        channels = min(plan.chunk, summed - channel)
        x = moved(task.x, ((sample * plan.groups + group) * summed + channel) * volume)
        fill_box(shape, plan.fill, notes, x, task.room, channels, start)
        portion, sums = Portion(sample, group, first, end, blocks, corner, channel, channels), moved(task.room, plan.sums_at)
        if plan.unserved and channel == 0:
            _unserved(shape, plan, task, portion)
        packed, each = task.weights, plan.groups * blocks * summed * mr
        for i in range(t.jobs):
            job_t = job_of(t, i)
            for j in range(h.jobs):
                job_h = job_of(h, j)
                for k in range(w.jobs):
                    job_w = job_of(w, k)
                    sums = _job(shape, plan, task, portion, (job_t, job_h, job_w), packed, sums)
                    packed = moved(packed, each * job_t.taps * job_h.taps * job_w.taps)
    if plan.past:
        fence()


@lru_cache(maxsize=64)
def driver(tile_rows: int, tile_vectors: int, tile_lanes: int, bits: int, pairs: int) -> Any:
    """The loop for one tile shape, and offsets of so many bits.  `pairs`: 1 where elements are such."""

    @device_function
    def begin(task):
        """Notes where terms read."""
        plan = plan_at(task.tables, 0)
        offsets = integers(moved(task.room, plan.offsets_at), bits)
        write_offsets(plan, offsets)
        return Task(task.x, task.weights, task.bias, task.y, task.room, offsets, task.tables, task.shared)

    @device_function  # not `inlined`: Numba hands that on to all that is first compiled from there: a third more instructions
    def body(task, number):
        _task(strided_shape(tile_rows, tile_vectors, tile_lanes, 1, pairs), plan_at(task.tables, 0), task, number)

    return over_tasks("direct", body, begin)
