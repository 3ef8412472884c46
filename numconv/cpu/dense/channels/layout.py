"""What `spread` sees of a problem, tiles and boxes aside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from math import prod

import numpy as np

from ....memory import kept
from ....problem import ConvProblem
from ...geometry.axes import Three, collapsed, three
from ...geometry.jobs import JobAxis, forward_taps, gradient_taps, inside, job_of, live_of, origin, padded, reach
from ...stages.filters import Filters

WORTH_PIECES = 0.75  # of a dilated row's inner taps; where more are seen all are taken


@dataclass(frozen=True)
class Taps:
    """One axis, for the choice of boxes."""

    taps: JobAxis

    @cached_property
    def origin(self) -> int:
        return origin(self.taps)

    @cached_property
    def reach(self) -> int:
        return reach(self.taps)

    @cached_property
    def padded(self) -> bool:
        return padded(self.taps)

    @cached_property
    def phases(self) -> int:
        """Of the target: targets that lie a stride apart, served by taps or not."""
        return min(self.taps.target_step, self.taps.target)

    @cached_property
    def count(self) -> int:
        """Targets of a phase, at most …"""
        return -(-self.taps.target // self.taps.target_step)

    @cached_property
    def least(self) -> int:
        """… and at least."""
        return -(-(self.taps.target - self.phases + 1) // self.taps.target_step)

    @cached_property
    def pieces(self) -> np.ndarray:
        """(length, taps) of the pieces of a row whose targets see the same taps; of one job."""
        a, job = self.taps, job_of(self.taps, 0)
        live = [live_of(a, job, p) for p in range(self.count)]
        return np.array([(len(list(group)), number) for (_, number), group in groupby(live)]).T

    @cached_property
    def seen(self) -> float:
        """Of all phases: taps of a target, on average those that see the source."""
        a = self.taps
        if not self.padded:
            return float(a.taps)
        if a.jobs == 1:
            job = job_of(a, 0)
            return inside(a, job) / max(1, job.targets)  # as below, in a fourth of the time
        quotient, first = np.divmod(a.start + a.dilation * np.arange(a.taps), a.target_step)
        at, targets = a.direction * quotient, np.maximum(0, (a.target - first + a.target_step - 1) // a.target_step)
        begin, end = (np.minimum(np.maximum(-((at - edge) // a.step), 0), targets) for edge in (0, a.source))
        return float(((end - begin) / np.maximum(1, targets)).sum())


@dataclass(frozen=True)
class SpreadLayout:
    axes: tuple[Taps, Taps, Taps]
    summed: int  # channels of a group
    produced: int
    forward: bool
    pixel_pitch: int  # elements from one pixel to the next in the source; 1: channels first
    last: bool  # the channels are

    @cached_property
    def source(self) -> Three:
        return Three(*(axis.taps.source for axis in self.axes))

    @cached_property
    def target(self) -> Three:
        return Three(*(axis.taps.target for axis in self.axes))

    @cached_property
    def taps(self) -> int:
        """Of a filter, in all."""
        return prod(axis.taps.kernel for axis in self.axes)

    @cached_property
    def phases(self) -> int:
        return prod(axis.phases for axis in self.axes)

    @cached_property
    def terms(self) -> int:
        """Of all jobs."""
        return self.summed * prod(axis.taps.taps for axis in self.axes)

    @cached_property
    def apart(self) -> bool:
        """Whether inner taps stand before the channels among the terms: by no extent, so that orders of sums follow none."""
        return self.axes[2].taps.dilation > 1 and self.axes[2].taps.taps > 1

    @cached_property
    def in_pieces(self) -> bool:
        """Whether rows are taken in pieces whose targets see the same taps; few taps unseen are cheaper than tiles of short pieces."""
        w = self.axes[2]
        return self.apart and w.taps.jobs == 1 and w.seen <= WORTH_PIECES * w.taps.taps

    @cached_property
    def lines(self) -> float:
        """Of all jobs of the outer axes: terms of one inner tap, on average over rows and planes those that see the source."""
        t, h, _ = self.axes
        return self.summed * t.seen * h.seen

    @cached_property
    def seen(self) -> float:
        """… of all inner taps; of a row in pieces those that see it, too."""
        _, h, w = self.axes
        return self.lines * (w.seen if self.in_pieces else w.taps.taps)


@kept
def as_pixels(p: ConvProblem) -> ConvProblem:
    """Samples of one pixel each as the pixels of one image, which they are in memory: weights are read once for many of them.

    So are a squeeze, an excitation, or a fully connected layer.
    """
    if p.batch == 0 or p.taps * prod(p.spatial) * prod(p.outputs) != 1 or p.pad_low != (0,) * p.rank:
        return p
    samples, one = (p.batch,), (1,)
    return p.with_(batch=1, spatial=samples, outputs=samples, kernel=one, stride=one, dilation=one, pad_low=(0,), layout="channels_last")


@kept
def layout(problem: ConvProblem) -> SpreadLayout:
    p = collapsed(problem)
    kernel, stride, dilation = three(p.kernel, 1), three(p.stride, 1), three(p.dilation, 1)
    low, spatial, outputs = three(p.pad_low, 0), three(p.spatial, 1), three(p.outputs, 1)
    forward = p.direction == "forward"
    taps = forward_taps if forward else gradient_taps
    if forward:  # from one target a stride leads nowhere, but a tile reads as far as it is wide
        stride = Three(*(s if o > 1 else min(s, i) for s, o, i in zip(stride, outputs, spatial, strict=True)))
    t, h, w = (Taps(taps(*numbers)) for numbers in zip(kernel, stride, dilation, low, spatial, outputs, strict=True))
    summed, produced = (p.group_in, p.group_out) if forward else (p.group_out, p.group_in)
    last = p.layout == "channels_last"
    return SpreadLayout(
        axes=(t, h, w), summed=summed, produced=produced, forward=forward, pixel_pitch=p.source[0] if last else 1, last=last
    )


def filters_of(a: SpreadLayout, blocks: int, width: int) -> Filters:
    """How they lie as given, a run of memory or one of each channel that is summed over, and in blocks of so many."""
    taps, forward = a.taps, a.forward
    return Filters(
        produced=a.produced,
        stretches=1 if forward else a.summed,
        length=a.summed * taps if forward else taps,
        stretch_pitch=0 if forward else a.produced * taps,
        filter_pitch=a.summed * taps if forward else taps,
        group_pitch=a.summed * a.produced * taps,
        blocks=blocks,
        block_size=(a.terms + 1) * width,
    )
