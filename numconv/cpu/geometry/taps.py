"""The offset table: a convolution of any rank, stride, dilation and direction as sums over contiguous vectors.

Every problem is seen on three axes (leading ones of extent 1).  A *box* of the source, one group's channels, is copied into a zero-padded
*polyphase* buffer: sample j of phase f of an axis is source[origin + j·step + f].  Then each term k = (channel, tap) of the sum is one
offset into the buffer, the same for all output positions, and neighbouring positions are neighbours in memory.

A *job* is a set of outputs that share their taps: one for a forward convolution, prod(stride) stride phases for `input_grad`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from ...problem import Ints


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
