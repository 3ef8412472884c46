"""The offset table: a convolution of any rank, stride, dilation and direction as sums over contiguous vectors.

Every problem is seen on three axes (leading ones of extent 1).  A *box* of the source, one group's channels, is copied into a zero-padded
*polyphase* buffer: sample j of phase f of an axis is source[origin + j·step + f].  Then each term k = (channel, tap) of the sum is one
offset into the buffer, the same for all output positions, and neighbouring positions are neighbours in memory.

A *job* is a set of outputs that share their taps: one for a forward convolution, prod(stride) stride phases for `input_grad`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from ...problem import ConvProblem, Ints
from ...sampling import padded
from .axes import collapsed, three


class Tap(NamedTuple):
    """A tap on one axis, and the sample that it reads for target u of a job: u + shift of a phase."""

    tap: int  # in the kernel
    slot: int  # of its phase, among those of the axis
    shift: int


class Targets(NamedTuple):
    """One axis of a job."""

    first: int  # target
    number: int
    taps: tuple[Tap, ...]


Job = tuple[Targets, Targets, Targets]  # t, h, w


@dataclass(frozen=True)
class PhasedAxis:
    """One axis of the buffer and the taps on it, per job."""

    step: int  # in the source, from one sample of a phase to the next
    phases: Ints  # those that some tap touches
    origin: int  # source coordinate of padded coordinate 0
    jobs: tuple[Targets, ...]
    target_step: int
    count: int  # target positions per job and residue at most: what boxes divide
    reach: int  # largest shift
    spread: int = 1  # a dilated axis is that many interleaved ones: targets residue + spread·v read samples `spread` apart

    def coordinate(self, residue: int, sample: int, phase: int) -> int:
        """Padded coordinate of a sample of a phase, for the targets of a residue."""
        return residue * self.step + self.spread * (sample * self.step + phase)

    def table(self, extent: int, mode: str) -> np.ndarray:
        """Source index of each padded coordinate, −1 for a zero; as far again as it goes: the last box asks for it and nothing reads it."""
        length = self.coordinate(self.spread - 1, self.count - 1 + self.reach, max(self.phases)) + 1
        coordinate = np.arange(length) + self.origin
        table = np.full(self.coordinate(self.spread - 1, 2 * self.count + self.reach, max(self.phases)) + 1, -1, np.int32)
        if mode == "zeros":
            table[:length] = np.where((coordinate >= 0) & (coordinate < extent), coordinate, -1)
        else:
            low, high = max(0, -self.origin), max(0, int(coordinate[-1]) - extent + 1)
            table[:length] = padded(extent, low, high, mode)[self.origin + low :][:length]
        return table


def forward_axis(live: Ints, stride: int, dilation: int, low: int, outputs: int, spread: bool) -> PhasedAxis:
    """`live`: the taps.  `spread`: outer axes, whose rows may come in any order, are split by the output's residue modulo the dilation."""
    if spread and len(live) > 1 and dilation > 1:
        inner = forward_axis(live, stride, 1, low, -(-outputs // dilation), False)
        return replace(inner, jobs=tuple(job._replace(number=outputs) for job in inner.jobs), spread=dilation)
    phases = tuple(sorted({(a * dilation) % stride for a in live}))
    taps = tuple(Tap(a, phases.index((a * dilation) % stride), (a * dilation) // stride) for a in live)
    return PhasedAxis(
        step=stride,
        phases=phases,
        origin=-low,
        jobs=(Targets(0, outputs, taps),),
        target_step=1,
        count=outputs,
        reach=max(tap.shift for tap in taps),
    )


def unfolded(axis: PhasedAxis) -> PhasedAxis:
    """Each tap a phase of its own, copied for itself: no reach, so that the rows (planes) of a box follow each other without a gap."""
    at = sorted({axis.phases[slot] + shift * axis.step for _, _, taps in axis.jobs for _, slot, shift in taps}) or [0]
    jobs = tuple(
        Targets(first, n, tuple(Tap(a, at.index(axis.phases[slot] + shift * axis.step), 0) for a, slot, shift in taps))
        for first, n, taps in axis.jobs
    )
    return replace(axis, phases=tuple(axis.spread * p for p in at), jobs=jobs, count=max(j.number for j in jobs), reach=0, spread=1)


def live_taps(kernel: int, stride: int, dilation: int, low: int, outputs: int, extent: int) -> Ints:
    """Those that reach the input for some output; a widely dilated filter may have others, which see nothing but padding."""
    live = []
    for a in range(kernel):
        at = a * dilation - low
        p = max(0, -(at // stride))  # the first output whose tap is not before the input
        if p < outputs and at + p * stride < extent:
            live.append(a)
    return tuple(live) or (0,)


def gradient_axis(kernel: int, stride: int, dilation: int, low: int, spatial: int, outputs: int) -> PhasedAxis:
    """Stride phases: target q = first + stride·u reads source u + shift by the taps with (q + low − a·dilation) divisible by stride.

    Taps that reach the source for no target are left out.
    """
    jobs = []
    for first in range(min(stride, spatial)):
        taps = [(a, (first + low - a * dilation) // stride) for a in range(kernel) if (first + low - a * dilation) % stride == 0]
        count = (spatial - first + stride - 1) // stride
        jobs.append((first, count, [(a, m) for a, m in taps if -count < m < outputs]))
    shifts = [m for _, _, taps in jobs for _, m in taps] or [0]
    origin = min(shifts)
    return PhasedAxis(
        step=1,
        phases=(0,),
        origin=origin,
        jobs=tuple(Targets(first, n, tuple(Tap(a, 0, m - origin) for a, m in taps)) for first, n, taps in jobs),
        target_step=stride,
        count=max(n for _, n, _ in jobs),
        reach=max(shifts) - origin,
    )


@dataclass(frozen=True, eq=False)
class Geometry:
    """What `direct` needs of a problem besides the choice of boxes and tiles."""

    axes: tuple[PhasedAxis, PhasedAxis, PhasedAxis]
    summed: int  # channels of a group that are summed over
    produced: int  # channels of a group
    source: Ints
    target: Ints
    tables: tuple[np.ndarray, np.ndarray, np.ndarray]  # of `PhasedAxis.table`
    filter_pitch: int  # elements of w from one produced channel's weights to the next …
    channel_pitch: int  # … from one summed channel's …
    group_pitch: int  # … from one group's
    gap: int  # zeros that end every row of a whole-width box and begin it as well: neighbouring rows can share them

    @property
    def jobs(self) -> list[Job]:
        t, h, w = self.axes
        return list(product(t.jobs, h.jobs, w.jobs))


@lru_cache(maxsize=512)
def geometry(problem: ConvProblem) -> Geometry:
    p = collapsed(problem)
    kernel, stride, dilation = three(p.kernel, 1), three(p.stride, 1), three(p.dilation, 1)
    low, spatial, outputs = three(p.pad_low, 0), three(p.spatial, 1), three(p.outputs, 1)
    taps = prod(kernel)
    forward = p.direction == "forward"
    if forward:
        seen = [tuple(range(k)) for k in kernel]
        if p.padding_mode == "zeros":
            seen = [live_taps(*v) for v in zip(kernel, stride, dilation, low, outputs, spatial, strict=True)]
        axes = tuple(forward_axis(*v) for v in zip(seen, stride, dilation, low, outputs, (True, True, False), strict=True))
        strides = (p.group_in * taps, taps)
    else:
        axes = tuple(gradient_axis(*v) for v in zip(kernel, stride, dilation, low, spatial, outputs, strict=True))
        strides = (taps, p.group_in * taps)
    source, target = (spatial, outputs) if forward else (outputs, spatial)
    return Geometry(
        axes=axes,  # type: ignore[arg-type]
        summed=p.group_in if forward else p.group_out,
        produced=p.group_out if forward else p.group_in,
        source=source,
        target=target,
        tables=tuple(a.table(s, p.padding_mode) for a, s in zip(axes, source, strict=True)),  # type: ignore[arg-type]
        filter_pitch=strides[0],
        channel_pitch=strides[1],
        group_pitch=p.group_out * p.group_in * taps,
        gap=_gap(axes[2], source[2], p.padding_mode),
    )


@lru_cache(maxsize=512)
def unfold(problem: ConvProblem, number: int) -> Geometry:
    """With the last `number` axes unfolded."""
    g = geometry(problem)
    if not number:
        return g
    axes = g.axes[: 3 - number] + tuple(unfolded(a) for a in g.axes[3 - number :])
    tables = tuple(a.table(s, problem.padding_mode) for a, s in zip(axes, g.source, strict=True))
    return replace(g, axes=axes, tables=tables, gap=_gap(axes[2], g.source[2], problem.padding_mode))  # type: ignore[arg-type]


def _gap(axis: PhasedAxis, extent: int, mode: str) -> int:
    if mode != "zeros":
        return 0
    length = axis.count + axis.reach
    gaps = []
    for phase in axis.phases:
        inside = [j for j in range(length) if 0 <= j * axis.step + phase + axis.origin < extent]
        gaps.append(min(inside[0], length - 1 - inside[-1]) if inside else length // 2)
    return max(0, min(gaps))


def weight_taps(job: Job, kernel: Ints) -> np.ndarray:
    """Offset of each tap of a job in a filter."""
    k1, k2 = kernel[1:]
    return np.array([(a.tap * k1 + b.tap) * k2 + c.tap for a, b, c in product(*(targets.taps for targets in job))], np.int64)


def taps_of(job: Job) -> int:
    """Their number."""
    return prod(len(targets.taps) for targets in job)
