"""One axis of a convolution in closed form: which targets share their taps, and which samples these read.

A *job* is a set of targets that share their taps: all of them, forward; for an input gradient one *stride phase*, the targets
first + target_step·u.  By its taps tap + period·k target u of a job reads sample at + step·u + advance·k of the source.  Nothing here is
a table, and nothing depends on extents, strides and dilations but the numbers that come out: plans ask on the host, kernels as they go.

Let v = a·dilation − low, for tap a.  Forward, target u reads sample v + u·stride.  The other way that sample is the target: tap a serves
the targets v mod stride + u·stride, and reads sample u − v // stride; taps that are stride / gcd(stride, dilation) apart serve the same.
"""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

from ..runtime.launch import anywhere, rarely

#: padding modes, as kernels know them
MODES = {"zeros": 0, "reflect": 1, "replicate": 2, "circular": 3, "symmetric": 4}
ZEROS, REFLECT, REPLICATE, CIRCULAR = (MODES[mode] for mode in ("zeros", "reflect", "replicate", "circular"))


class JobAxis(NamedTuple):
    """One axis, of the taps that may see the source: from the first that does to the last."""

    source: int  # extent
    target: int  # extent
    kernel: int  # taps in all
    first: int  # tap
    taps: int  # 0: none sees the source
    start: int  # v of that first tap
    dilation: int
    jobs: int  # with taps
    fewest: int  # taps of a job, or one more:
    longer: int  # so many jobs, the first
    step: int  # in the source, from a target of a job to its next one
    target_step: int  # in the target, likewise
    period: int  # from a tap of a job to its next one
    advance: int  # in the source, likewise
    direction: int  # +1 forward, −1: from v to where in the source


class AxisJob(NamedTuple):
    """Of one axis.  In compiled code these are registers."""

    first: int  # target
    targets: int  # their number; 0 where the axis is shorter than the stride
    tap: int  # the first
    taps: int
    at: int  # the sample that the first target reads by it; beyond the source's ends there is padding


def seen(kernel: int, stride: int, dilation: int, low: int, extent: int, outputs: int) -> tuple[int, int]:
    """The first tap that sees the input for some output, and how many there are from it to the last one that does.

    Of an input shorter than the stride some of them may see nothing: they meet zeros, as a tap does beside the ends.
    """
    first = max(0, -(((outputs - 1) * stride - low) // dilation))
    end = min(kernel, (extent - 1 + low) // dilation + 1)
    return (first, end - first) if first < end else (0, 0)


def forward_taps(kernel: int, stride: int, dilation: int, low: int, extent: int, outputs: int, mode: str = "zeros") -> JobAxis:
    """At least one tap; in other padding modes than zeros each sees something."""
    first, taps = seen(kernel, stride, dilation, low, extent, outputs) if mode == "zeros" else (0, kernel)
    return JobAxis(
        source=extent,
        target=outputs,
        kernel=kernel,
        first=first,
        taps=max(1, taps),
        start=first * dilation - low,
        dilation=dilation,
        jobs=1,
        fewest=max(1, taps),
        longer=0,
        step=stride,
        target_step=1,
        period=1,
        advance=dilation,
        direction=1,
    )


def gradient_taps(kernel: int, stride: int, dilation: int, low: int, extent: int, outputs: int) -> JobAxis:
    """Of the gradient of an input of that extent, from one of so many outputs."""
    first, taps = seen(kernel, stride, dilation, low, extent, outputs)
    common = gcd(stride, dilation)
    fewest, longer = divmod(taps, stride // common)
    return JobAxis(
        source=outputs,
        target=extent,
        kernel=kernel,
        first=first,
        taps=taps,
        start=first * dilation - low,
        dilation=dilation,
        jobs=min(taps, stride // common),
        fewest=fewest,
        longer=longer,
        step=1,
        target_step=stride,
        period=stride // common,
        advance=-(dilation // common),
        direction=-1,
    )


@anywhere
def part(value, divisor):  # type: ignore[no-untyped-def]
    """value // divisor; most strides and dilations are 1, and a division takes as long as ten additions."""
    return value if divisor == 1 else value // divisor


@rarely
def job_of(axis, i):  # type: ignore[no-untyped-def]
    """Job i: that of tap first + i."""
    if axis.target_step == 1:  # no division
        return AxisJob(0, axis.target, axis.first, axis.taps, axis.direction * axis.start)
    v = axis.start + i * axis.dilation
    quotient = v // axis.target_step
    first = v - quotient * axis.target_step
    targets = max(0, (axis.target - first + axis.target_step - 1) // axis.target_step)
    return AxisJob(first, targets, axis.first + i, taps_of(axis, i), axis.direction * quotient)


@anywhere
def taps_of(axis, i):  # type: ignore[no-untyped-def]
    """Of job i."""
    return axis.fewest + 1 if i < axis.longer else axis.fewest


@anywhere
def taps_before(axis, i):  # type: ignore[no-untyped-def]
    """Of the jobs 0 to i − 1."""
    return i * axis.fewest + min(i, axis.longer)


@anywhere
def kinds_of(axis):  # type: ignore[no-untyped-def]
    """Kinds of jobs, by their taps: 1 or 2, the longer ones first."""
    return 2 if 0 < axis.longer < axis.jobs else 1


@anywhere
def kind_of(axis, i):  # type: ignore[no-untyped-def]
    """That of job i."""
    return 1 if 0 < axis.longer <= i else 0


def unserved(axis: JobAxis) -> int:
    """How many of the stride phases that have targets no tap serves."""
    phases = min(axis.target_step, axis.target)
    if axis.direction > 0 or axis.target >= axis.target_step:
        return phases - min(phases, axis.jobs)
    served = sum_of_quotients(axis.jobs, axis.start, axis.dilation, axis.target_step)
    return phases - served + sum_of_quotients(axis.jobs, axis.start - axis.target, axis.dilation, axis.target_step)


@anywhere
def live_of(axis, job, target):  # type: ignore[no-untyped-def]
    """(k, n): of a job's taps those from the k-th on, n of them, see the source for its target of that number; (0, 0): none does."""
    at, apart = job.at + axis.step * target, abs(axis.advance)
    left = at if axis.advance < 0 else axis.source - 1 - at  # samples that the taps go on to before they leave the source
    first = 0 if left < axis.source else (left - axis.source) // apart + 1  # most targets see all taps, and take no division
    end = job.taps if left >= (job.taps - 1) * apart else left // apart + 1
    return (first, end - first) if first < end else (0, 0)


@anywhere
def least_of(axis, job):  # type: ignore[no-untyped-def]
    """The least sample that a job's first target reads; beside the source perhaps."""
    return job.at + min(0, (job.taps - 1) * axis.advance)


def origin(axis: JobAxis) -> int:
    """The least sample that the first target of any job reads; 0 where there is none."""
    if axis.taps == 0:
        return 0
    return axis.start if axis.direction > 0 else -((axis.start + (axis.taps - 1) * axis.dilation) // axis.target_step)


def reach(axis: JobAxis) -> int:
    """From there to the greatest one."""
    if axis.taps == 0:
        return 0
    return (axis.taps - 1) * axis.dilation if axis.direction > 0 else -(axis.start // axis.target_step) - origin(axis)


def padded(axis: JobAxis) -> bool:
    """Whether some tap looks beside the source for some target."""
    if axis.taps == 0:
        return False
    last = axis.target - 1  # of a gradient the first tap is the one that reads farthest
    greatest = origin(axis) + reach(axis) + last * axis.step if axis.direction > 0 else (last - axis.start) // axis.target_step
    return origin(axis) < 0 or greatest >= axis.source


def sum_of_quotients(number: int, first: int, step: int, divisor: int) -> int:
    """Σ (first + i·step) // divisor over i < number, by Euclid's steps: as many as the numbers have digits."""
    total = 0
    while number > 0:
        total += number * (number - 1) // 2 * (step // divisor) + number * (first // divisor)
        step, first = step % divisor, first % divisor
        number, first = divmod(first + number * step, divisor)
        divisor, step = step, divisor
    return total


def pairs_before(axis: JobAxis, job: AxisJob, end: int) -> int:
    """How many pairs of a target of a job and one of its taps there are that read a sample before that one."""
    left = end - least_of(axis, job)
    apart, last = abs(axis.advance), (job.targets - 1) * axis.step
    some = min(job.taps, max(0, -(-left // apart)))  # taps, the nearest first, that do so for a target
    every = min(some, max(0, -((last - left) // apart)))  # for all of them
    return every * job.targets + sum_of_quotients(some - every, left - 1 - (some - 1) * apart + axis.step, apart, axis.step)


def inside(axis: JobAxis, job: AxisJob) -> int:
    """Pairs of a target of a job and one of its taps that see the source; over number of targets: such taps of a target on average."""
    return pairs_before(axis, job, axis.source) - pairs_before(axis, job, 0) if job.taps and job.targets else 0


@anywhere
def source_of(mode, at, extent):  # type: ignore[no-untyped-def]
    """The sample that stands at a coordinate, beyond the ends of an axis too; −1 for a zero.  `mode`: of MODES."""
    return at if 0 <= at < extent else -1 if mode == ZEROS else _repeated(mode, at, extent)


@rarely
def _repeated(mode, at, extent):  # type: ignore[no-untyped-def]
    if mode == REPLICATE:
        return 0 if at < 0 else extent - 1
    if mode == CIRCULAR:
        return at % extent
    if mode == REFLECT:
        at %= max(1, 2 * extent - 2)
        return min(at, 2 * extent - 2 - at) if extent > 1 else 0
    at %= 2 * extent
    return min(at, 2 * extent - 1 - at)
