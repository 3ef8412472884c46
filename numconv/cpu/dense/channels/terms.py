"""Where the terms of `spread` read, and where their weights lie: worked out in the kernel, so that no plan grows with them.

A block's terms lie job after job, those of a job by (outer taps, channel, inner taps), of a dilated row by (taps, channel); taps by the
samples that they read.  A term's offset from where its job and its plane of taps begin follows from its row of taps, its channel and its
inner tap; and all jobs have as many inner
taps, or one more.  So a worker notes, once a call, the offsets of one plane of terms for both numbers: they serve every plane of every job.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...geometry.jobs import AxisJob, job_of, least_of, taps_before
from ...runtime.launch import device_function, inlined, kernel, rarely
from ...runtime.record import reader
from ...simd.vector import moved, pointer, put
from .plan import SpreadPlan

plan_at = reader(SpreadPlan)


class SpreadJob(NamedTuple):
    """Targets that share their taps: all of them, or one stride phase of an input gradient.  In compiled code these are registers."""

    t: Any  # of each axis: an AxisJob
    h: Any
    w: Any
    source_at: Any  # in what tiles read, of its first sample, from where a box begins
    first_term: Any  # of a block's
    offsets_at: Any  # of one plane's terms


@rarely
def _job(axis, phase):
    """That of the targets `phase` and those a stride apart, without taps where none serves them; and how many taps the jobs before have."""
    taps, common = axis.taps, axis.common
    if taps.target_step == 1:
        return job_of(taps, 0), 0
    left = (phase - taps.start) // common
    i = left * axis.inverse % taps.period
    if left * common == phase - taps.start and i < taps.jobs:
        return job_of(taps, i), taps_before(taps, i)
    return AxisJob(phase, (taps.target - phase + taps.target_step - 1) // taps.target_step, 0, 0, 0), 0


@rarely
def spread_job(plan, i, j, k):
    """The job of those phases of its axes."""
    (t, before_t), (h, before_h), (w, before_w) = _job(plan.t, i), _job(plan.h, j), _job(plan.w, k)
    source_at = (
        (least_of(plan.t.taps, t) - plan.t.origin) * plan.plane_pitch
        + (least_of(plan.h.taps, h) - plan.h.origin) * plan.row_pitch
        + (least_of(plan.w.taps, w) - plan.w.origin) * plan.pixel_pitch
    )
    before = before_t * plan.h.taps.taps * plan.w.taps.taps + t.taps * (before_h * plan.w.taps.taps + h.taps * before_w)
    return SpreadJob(t, h, w, source_at, plan.summed * before, plan.longer_at if w.taps > plan.w.taps.fewest else 0)


@device_function
def write_offsets(plan, offsets):
    """Of one plane's terms, for rows of the fewest taps and for rows of one more."""
    h, w, summed, channel_pitch = plan.h, plan.w, plan.summed, plan.channel_pitch
    for taps in range(w.taps.fewest, w.taps.fewest + 1 + (w.taps.longer > 0)):
        at = plan.longer_at if taps > w.taps.fewest else 0
        for line in range(h.taps.fewest + (h.taps.longer > 0)):
            for i in range(taps):
                first = line * abs(h.taps.advance) * plan.row_pitch + i * abs(w.taps.advance) * plan.pixel_pitch
                place, pitch = moved(offsets, at + line * summed * taps + (i * summed if plan.apart else i)), 1 if plan.apart else taps
                for c in range(summed):
                    put(place, c * pitch, first + c * channel_pitch)


@inlined
def _tap(axis, job, k):
    """Number in the kernel of a job's tap, in the order of the samples that they read."""
    return job.tap + axis.period * (k if axis.advance > 0 else job.taps - 1 - k)


@device_function
def write_places(plan, places):
    """Of each weight of a filter, (channel, tap): its term; beyond them all where it has none."""
    t, h, w, summed = plan.t, plan.h, plan.w, plan.summed
    all_taps = t.taps.kernel * h.taps.kernel * w.taps.kernel
    for i in range(summed * all_taps):
        put(places, i, summed * t.taps.taps * h.taps.taps * w.taps.taps)
    for phase in range(t.phases * h.phases * w.phases):
        job = spread_job(plan, phase // w.phases // h.phases, phase // w.phases % h.phases, phase % w.phases)
        for i in range(job.t.taps):
            for j in range(job.h.taps):
                row = (_tap(t.taps, job.t, i) * h.taps.kernel + _tap(h.taps, job.h, j)) * w.taps.kernel
                for k in range(job.w.taps):
                    place = moved(places, row + _tap(w.taps, job.w, k))
                    first, pitch = job.first_term + (i * job.h.taps + j) * summed * job.w.taps + k, job.w.taps
                    if plan.apart:
                        first, pitch = first + k * (summed - 1), 1
                    for c in range(summed):
                        put(place, c * all_taps, first + c * pitch)


@kernel
def term_places(numbers, places):
    """For the packer, ahead of all tasks."""
    write_places(plan_at(pointer(numbers), 0), pointer(places))
