"""Where the terms of `spread` read, and where their weights lie: worked out in the kernel, so that no plan grows with them.

A block's terms lie job after job, those of a job by (outer taps, channel, inner taps), taps by the samples that they read.  What a term reads lies
at an offset that follows from its row of taps, channel and inner tap, wherever the job begins, and inner taps are as many in all jobs of an
axis, or one more.  So a worker notes the offsets of one plane's terms for both numbers, once, and packs for all jobs by them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...geometry.jobs import job_of, taps_before
from ...runtime.launch import device_function, inlined, kernel
from ...runtime.record import reader
from ...simd.vector import moved, pointer, put
from .plan import SpreadPlan

plan_at = reader(SpreadPlan)


class SpreadJob(NamedTuple):
    """Targets that share their taps: all of them, or one stride phase of an input gradient.  In compiled code these are registers."""

    t: Any  # of each axis: an AxisJob
    h: Any
    w: Any
    first_term: Any  # of a block's
    offsets_at: Any  # of one plane's terms


class Order(NamedTuple):
    """Of a tap on its axis.  In registers, too."""

    before: Any  # taps of the jobs before its own
    taps: Any  # of its own; 0: it never sees the source
    number: Any  # its own among them


@inlined
def _first_term(plan, t, h, w):
    """Of the job of a tap on each axis."""
    return plan.summed * (t.before * plan.h.taps.taps * plan.w.taps.taps + t.taps * (h.before * plan.w.taps.taps + h.taps * w.before))


@device_function
def spread_job(plan, i, j, k):
    """The job of those numbers on its axes."""
    t, h, w = job_of(plan.t.taps, i), job_of(plan.h.taps, j), job_of(plan.w.taps, k)
    of_t, of_h = Order(taps_before(plan.t.taps, i), t.taps, 0), Order(taps_before(plan.h.taps, j), h.taps, 0)
    first = _first_term(plan, of_t, of_h, Order(taps_before(plan.w.taps, k), w.taps, 0))
    return SpreadJob(t, h, w, first, plan.longer_at if w.taps > plan.fewest else 0)


@device_function
def write_offsets(plan, offsets):
    """Of one plane's terms, for rows of the fewest taps and for rows of one more."""
    h, w, summed, channel_pitch = plan.h.taps, plan.w.taps, plan.summed, plan.channel_pitch
    for more in range(1 + (w.taps > plan.fewest * w.period)):
        taps = plan.fewest + more
        for line in range(plan.lines):
            for i in range(taps):
                first = line * abs(h.advance) * plan.row_pitch + i * abs(w.advance) * plan.pixel_pitch
                place = moved(offsets, more * plan.longer_at + line * summed * taps + i)
                for c in range(summed):
                    put(place, c * taps, first + c * channel_pitch)


@inlined
def _order(axis, tap):
    """Of a tap of the kernel."""
    number = tap - axis.first
    if number < 0 or number >= axis.taps:
        return Order(0, 0, 0)
    if axis.period == 1:  # no division
        return Order(0, axis.taps, number if axis.advance > 0 else axis.taps - 1 - number)
    job, k = number % axis.period, number // axis.period
    taps = (axis.taps - job + axis.period - 1) // axis.period
    return Order(taps_before(axis, job), taps, k if axis.advance > 0 else taps - 1 - k)


@device_function
def write_places(plan, places):
    """Of each weight of a filter, (channel, tap): its term; beyond them all where it has none."""
    t, h, w, summed = plan.t.taps, plan.h.taps, plan.w.taps, plan.summed
    all_taps, tap = t.kernel * h.kernel * w.kernel, 0
    for i in range(t.kernel):
        of_t = _order(t, i)
        for j in range(h.kernel):
            of_h = _order(h, j)
            for k in range(w.kernel):
                of_w = _order(w, k)
                row = (of_t.number * of_h.taps + of_h.number) * summed
                first, pitch = _first_term(plan, of_t, of_h, of_w) + row * of_w.taps + of_w.number, of_w.taps
                if of_t.taps * of_h.taps * of_w.taps == 0:
                    first, pitch = summed * t.taps * h.taps * w.taps, 0
                for c in range(summed):
                    put(places, c * all_taps + tap, first + c * pitch)
                tap += 1


@kernel
def term_places(numbers, places):
    """For the packer, ahead of all tasks."""
    write_places(plan_at(pointer(numbers), 0), pointer(places))
