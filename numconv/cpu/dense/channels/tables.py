"""For `spread`: where the taps lie, and which of them see the input.

A tap reads coordinate origin + u·step + o of an axis for target u.  On the two outer axes those that fall outside are left out, target by
target; on the last axis the rows are copied between zeros if any falls outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from ....problem import ConvProblem, Ints
from ...geometry.axes import Three, collapsed, three
from ...geometry.taps import PhasedAxis, forward_axis, gradient_axis, live_taps
from ...runtime.record import size_of
from ...stages.copy import Copy
from ...stages.filters import Filters


@dataclass(frozen=True)
class Taps:
    """One axis: the taps of each job as (index in the kernel, o), by increasing o."""

    axis: PhasedAxis
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


def _taps(axis: PhasedAxis, extent: int) -> Taps:
    jobs = tuple(
        tuple(sorted(((a, shift * axis.step + axis.phases[slot]) for a, slot, shift in taps), key=lambda tap: tap[1]))
        for _, _, taps in axis.jobs
    )
    return Taps(axis, jobs, max((o for job in jobs for _, o in job), default=0), extent)


@dataclass(frozen=True)
class SpreadLayout:
    """What does not depend on tiles and boxes."""

    axes: tuple[Taps, Taps, Taps]
    summed: int  # channels of a group
    produced: int
    source: Ints
    target: Ints
    kernel: Ints
    forward: bool
    pixel_pitch: int  # elements from one pixel to the next in the source; 1: channels first
    last: bool  # the channels are

    @property
    def jobs(self) -> list[Ints]:
        return list(product(*(range(len(a.jobs)) for a in self.axes)))

    @cached_property
    def terms(self) -> int:
        """Of all jobs."""
        return sum(terms_of(self))

    @cached_property
    def seen(self) -> float:
        """Of all jobs: terms of a target, on average over rows and planes those that see the source."""
        t, h = (sum(float(number.sum()) / max(1, number.size) for _, number in axis.live) for axis in self.axes[:2])
        return t * h * self.summed * sum(len(job) for job in self.axes[2].jobs)


@lru_cache(maxsize=512)
def layout(problem: ConvProblem) -> SpreadLayout:
    p = collapsed(problem)
    kernel, stride, dilation = three(p.kernel, 1), three(p.stride, 1), three(p.dilation, 1)
    low, spatial, outputs = three(p.pad_low, 0), three(p.spatial, 1), three(p.outputs, 1)
    forward = p.direction == "forward"
    source, target = (spatial, outputs) if forward else (outputs, spatial)
    axes = []
    for k, s, d, lo, o, i in zip(kernel, stride, dilation, low, outputs, spatial, strict=True):
        axis = forward_axis(live_taps(k, s, d, lo, o, i), s, d, lo, o, False) if forward else gradient_axis(k, s, d, lo, i, o)
        axes.append(_taps(axis, i if forward else o))
    summed, produced = (p.group_in, p.group_out) if forward else (p.group_out, p.group_in)
    last = p.layout == "channels_last"
    return SpreadLayout(
        axes=tuple(axes),  # type: ignore[arg-type]
        summed=summed,
        produced=produced,
        source=source,
        target=target,
        kernel=kernel,
        forward=forward,
        pixel_pitch=p.source[0] if last else 1,
        last=last,
    )


def terms_of(a: SpreadLayout) -> list[int]:
    return [a.summed * prod(len(axis.jobs[j]) for axis, j in zip(a.axes, job, strict=True)) for job in a.jobs]


class SpreadJob(NamedTuple):
    """Targets that share their taps: all of them, or one stride phase of an input gradient."""

    first: Three  # target
    targets: Three  # their number
    first_term: int  # of a block's terms, and of the offsets
    plane_terms: int  # of one plane of taps
    row_terms: int  # of one row of taps
    live_t_at: int  # in the table: of each target, which planes of taps see the input
    live_h_at: int  # likewise, rows of taps


class LiveTaps(NamedTuple):
    """The taps of an axis that see the input, for one target."""

    first: int
    number: int


def tables_of(a: SpreadLayout, copy: Copy, jobs_at: int) -> tuple[list[SpreadJob], np.ndarray, np.ndarray]:
    """The jobs, the live taps that follow them, and the offsets of all terms; `jobs_at`: where the jobs lie in the table."""
    live, live_at, at = [], {}, jobs_at + len(a.jobs) * size_of(SpreadJob)
    for axis, j in [(x, j) for x in (0, 1) for j in range(len(a.axes[x].jobs))]:
        live_at[axis, j] = at
        live.append(np.stack(a.axes[axis].live[j], 1).ravel())
        at += live[-1].size
    jobs, offsets, start = [], [], 0
    channel = np.arange(a.summed, dtype=np.int64)[:, None] * copy.channel_pitch
    for job in a.jobs:
        t, h, w = (axis.jobs[j] for axis, j in zip(a.axes, job, strict=True))
        job_t, job_h, _ = job
        row = channel + np.array([o for _, o in w], np.int64)[None, :] * copy.pixel_pitch
        offsets += [row.ravel() + ot * copy.plane_pitch + oh * copy.row_pitch for _, ot in t for _, oh in h]
        mine = [x.axis.jobs[j] for x, j in zip(a.axes, job, strict=True)]
        jobs.append(
            SpreadJob(
                first=Three(*(m.first for m in mine)),
                targets=Three(*(m.number for m in mine)),
                first_term=start,
                plane_terms=len(h) * row.size,
                row_terms=row.size,
                live_t_at=live_at[0, job_t],
                live_h_at=live_at[1, job_h],
            )
        )
        start += len(t) * len(h) * row.size
    every = np.concatenate([*offsets, np.zeros(1, np.int64)])
    return jobs, np.concatenate(live), every.astype(np.int32) if every.max() < 2**31 else every


@lru_cache(maxsize=512)
def weight_places(problem: ConvProblem, blocks: int, width: int) -> tuple[np.ndarray, Filters]:
    """The term of each weight of a filter, and how filters lie, for blocks of so many."""
    a = layout(problem)
    taps = prod(a.kernel)
    starts = np.cumsum([0, *terms_of(a)])
    places = np.full((a.summed, *a.kernel), starts[-1], np.int64)
    channel = np.arange(a.summed)
    for start, job in zip(starts, a.jobs, strict=False):
        t, h, w = (axis.jobs[j] for axis, j in zip(a.axes, job, strict=True))
        for i, j, k in product(range(len(t)), range(len(h)), range(len(w))):
            places[:, t[i][0], h[j][0], w[k][0]] = start + ((i * len(h) + j) * a.summed + channel) * len(w) + k
    forward = a.forward  # there a filter is one run; else one of each channel that is summed over
    filters = Filters(
        produced=a.produced,
        stretches=1 if forward else a.summed,
        length=a.summed * taps if forward else taps,
        stretch_pitch=0 if forward else a.produced * taps,
        filter_pitch=a.summed * taps if forward else taps,
        group_pitch=a.summed * a.produced * taps,
        blocks=blocks,
        block_size=(int(starts[-1]) + 1) * width,
    )
    return np.ascontiguousarray(places.ravel()), filters
