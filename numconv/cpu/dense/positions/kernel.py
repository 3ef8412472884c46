"""The loops of `direct` and `gather`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ...runtime.launch import device_function, inlined
from ...runtime.record import reader, size_of
from ...runtime.tasks import over_tasks
from ...simd.streaming import fence
from ...simd.strided import stepping
from ...simd.tiles import columns, gemm_tile, lanes, narrowed, rows, tile_shape
from ...simd.vector import get, moved, zero_of
from ...stages.deliver import shuffled
from ...stages.epilogue import store_row
from ...stages.fill import fill_box
from ...stages.pack import STRETCH_SIZE, interleave, zero
from ..tasks import located
from .plan import DirectPlan, Job

plan_at, job_at = reader(DirectPlan), reader(Job)
DIRECT_JOB_SIZE = size_of(Job)


class Target(NamedTuple):
    """Where the sums of a block go.  In compiled code these are registers."""

    sample: Any
    channel: Any  # the first, of all groups
    valid: Any  # channels
    at: Any  # (t, h, w) in the target of the first sum
    box: Any  # (planes, rows, columns) of targets


@device_function
def _store(vector, plan, task, target, sums, begin, box):
    """`box` rows of a block's channels from `begin` on, out of the sums into y."""
    t, h, w, finish, pitch, past = plan.t, plan.h, plan.w, plan.finish, plan.sums_pitch, plan.past > 0
    row_pitch, plane_pitch, step_t, step_h = plan.fill.row_pitch, plan.fill.plane_pitch, t.target_step * t.spread, h.target_step * h.spread
    planes, lines, count = box
    step, has_bias, activation = w.target_step, finish.has_bias, finish.activation
    at_t, at_h, at_w = target.at[0] + step_t * begin[0], target.at[1] + step_h * begin[1], target.at[2] + step * begin[2]
    for r in range(target.valid):
        bias = get(task.bias, target.channel + r) if has_bias else zero_of(task.bias)
        volume = (target.sample * finish.channels + shuffled(target.channel + r, finish)) * t.target + at_t
        for i in range(planes):
            for j in range(lines):
                y = ((volume + step_t * i) * h.target + at_h + step_h * j) * w.target + at_w
                source = moved(sums, r * pitch + i * plane_pitch + j * row_pitch)
                store_row(vector, source, moved(task.y, y), count, step, bias, activation, past)


@device_function
def _multiply(shape, plan, task, weights, offsets, sums, terms, resume, final, target):
    """sums (+)= one block of packed weights × the copy at all positions of the box, panel by panel; the last pass takes them on to y.

    Whole registers of positions: `shape` while it fills its vectors, then `narrow`, which has one.
    """
    narrow, vector, mr, nr, width = narrowed(shape), stepping(shape, 1), rows(shape), columns(shape), lanes(shape)
    most, pitch, one_piece, store_after = plan.pass_terms, plan.sums_pitch, plan.one_piece, plan.store_after
    row_pitch, (planes, lines, count) = plan.fill.row_pitch, target.box
    positions = (planes - 1) * plan.fill.plane_pitch + (lines - 1) * row_pitch + count
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
                gemm_tile(shape, block, moved(task.room, j), at, moved(sums, j), some, pitch, resume or k > 0)
            else:
                gemm_tile(narrow, block, moved(task.room, j), at, moved(sums, j), some, pitch, resume or k > 0)
            j += size
            if last and (j - stored >= store_after or j == end):
                if one_piece:
                    box = (1, 1, min(j, positions) - stored)
                    _store(vector, plan, task, target, moved(sums, stored), (0, 0, stored), box)
                elif planes == 1:  # the rows that are complete
                    ready = min(lines, max(0, (j - count) // row_pitch + 1))
                    _store(vector, plan, task, target, moved(sums, done * row_pitch), (0, done, 0), (1, ready - done, count))
                    done = ready
                stored = j
        if last and planes > 1 and one_piece == 0:
            _store(vector, plan, task, target, sums, (0, 0, 0), target.box)


@inlined
def _corner(plan, box):
    """The first target of a box, and where its samples begin: padded coordinates along t and h, number of the box along w."""
    t, h, w = plan.t, plan.h, plan.w
    at_t = box[0] % t.spread + box[0] // t.spread * t.box * t.spread  # of box v the targets are residue + spread·v
    at_h = box[1] % h.spread + box[1] // h.spread * h.box * h.spread
    return (at_t, at_h, box[2] * w.box), (at_t * t.step, at_h * h.step, box[2])


@device_function
def _packed(shape, plan, task, job, source, valid, channels):
    """A block of `valid` filters as given, in this worker's room."""
    block = moved(task.room, plan.block_at)
    stretches = moved(task.tables, plan.stretches_at + job.stretch * STRETCH_SIZE)
    first = moved(block, -job.weights_at)  # stretches count from the first job's weights
    interleave(narrowed(shape), plan.filters, source, valid, first, 0, stretches, job.stretches, channels)
    return block


@device_function
def _task(shape, plan, task, number):
    """One box of one sample and group, a range of its blocks of channels."""
    t, h, w, filters, mr = plan.t, plan.h, plan.w, plan.filters, rows(shape)
    sample, group, split, box_number = located(plan, number)
    corner, start = _corner(plan, box_number)
    blocks, summed = (filters.produced + mr - 1) // mr, filters.channels
    volume = plan.fill.t.source * plan.fill.h.source * plan.fill.w.source
    for channel in range(0, summed, plan.chunk):
        channels = min(plan.chunk, summed - channel)
        x = moved(task.x, ((sample * plan.groups + group) * summed + channel) * volume)
        fill_box(shape, plan.fill, task.tables, x, task.room, channels, start)
        sums = moved(task.room, plan.sums_at)
        for i in range(plan.jobs):
            job = job_at(task.tables, plan.jobs_at + i * DIRECT_JOB_SIZE)
            planes = min(t.box, (job.targets.t - corner[0] + t.spread - 1) // t.spread)
            lines = min(h.box, (job.targets.h - corner[1] + h.spread - 1) // h.spread)
            box = (planes, lines, min(w.box, job.targets.w - corner[2]))
            if box[0] <= 0 or box[1] <= 0 or box[2] <= 0:
                continue
            at_t, at_h = job.first.t + t.target_step * corner[0], job.first.h + h.target_step * corner[1]
            at, terms, offsets = (
                (at_t, at_h, job.first.w + w.target_step * corner[2]),
                channels * job.taps,
                moved(task.offsets, job.first_term),
            )
            for block in range(split * plan.split_blocks, min(blocks, (split + 1) * plan.split_blocks)):
                valid = min(mr, filters.produced - block * mr)
                if plan.packs:
                    given = group * filters.group_pitch + block * mr * filters.filter_pitch + channel * filters.channel_pitch
                    weights = _packed(shape, plan, task, job, moved(task.weights, given), valid, channels)
                else:
                    weights = moved(task.weights, job.weights_at + ((group * blocks + block) * summed + channel) * job.taps * mr)
                target = Target(sample, group * filters.produced + block * mr, valid, at, box)
                _multiply(shape, plan, task, weights, offsets, sums, terms, channel > 0, channel + plan.chunk >= summed, target)
                if plan.chunk < summed:  # until the last channels have come
                    sums = moved(sums, mr * plan.sums_pitch)
    if plan.past:
        fence()


@lru_cache(maxsize=64)
def driver(tile_rows: int, tile_vectors: int, tile_lanes: int) -> Any:
    """The loop for one tile shape."""

    @device_function  # not `inlined`: Numba hands that on to all that is first compiled from there: a third more instructions
    def body(task, number):
        _task(tile_shape(tile_rows, tile_vectors, tile_lanes), plan_at(task.tables, 0), task, number)

    return over_tasks("direct", body)
