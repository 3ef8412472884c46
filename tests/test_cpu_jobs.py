"""An axis in closed form (cpu.geometry.jobs) against its definition, tap by tap and target by target, on the host and compiled."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import numpy as np
import pytest

from numconv.cpu.geometry import jobs
from numconv.cpu.runtime.launch import kernel
from numconv.cpu.runtime.record import reader, table
from numconv.cpu.simd.vector import pointer, put
from numconv.sampling import padded

AXES = 3000


def _axes(number: int = AXES) -> list[tuple[int, int, int, int, int, int]]:
    """kernel, stride, dilation, low, extent, outputs: any numbers, more outputs than fit included."""
    draw = Random(17)
    return [
        (
            draw.randint(1, 7),
            draw.choice((1, 1, 2, 3, 4, 6, 9)),
            draw.choice((1, 1, 2, 3, 4, 6)),
            draw.randint(-3, 14),
            draw.randint(1, 16),
            draw.randint(1, 9),
        )
        for _ in range(number)
    ]


def _live(kernel: int, stride: int, dilation: int, low: int, extent: int, outputs: int) -> list[int]:
    return [a for a in range(kernel) if any(0 <= a * dilation - low + p * stride < extent for p in range(outputs))]


def _reads(axis: jobs.JobAxis) -> dict[int, list[tuple[int, int]]]:
    """Of each target that some tap serves, (tap, sample) in order; a sample may lie beside the source."""
    found: dict[int, list[tuple[int, int]]] = {}
    for i in range(axis.jobs):
        job = jobs.job_of(axis, i)
        for u in range(job.targets):
            q = job.first + axis.target_step * u
            assert q not in found, "each target has one job"
            found[q] = [(job.tap + k * axis.period, job.at + u * axis.step + k * axis.advance) for k in range(job.taps)]
    return found


def test_taps_and_what_they_read() -> None:
    for case in _axes():
        kernel, stride, dilation, low, extent, outputs = case
        forward, back = jobs.forward_taps(*case), jobs.gradient_taps(*case)
        live = _live(*case)
        for axis in (forward, back):
            covered = range(axis.first, axis.first + axis.taps)
            assert set(live) <= set(covered), case
            if extent >= stride and live:
                assert list(covered) == live, case
        assert _reads(forward) == {p: [(a, a * dilation - low + p * stride) for a in _taps(forward)] for p in range(outputs)}, case
        expected = defaultdict(list)
        for q in range(extent):
            for a in _taps(back):
                if (q + low - a * dilation) % stride == 0:
                    expected[q].append((a, (q + low - a * dilation) // stride))
        assert _reads(back) == expected, case


def _taps(axis: jobs.JobAxis) -> range:
    return range(axis.first, axis.first + axis.taps)


def test_every_padding_mode_but_zeros_sees_all_taps() -> None:
    axis = jobs.forward_taps(5, 1, 8, 16, 4, 4, "circular")
    assert (axis.first, axis.taps, axis.start) == (0, 5, -16)
    assert jobs.forward_taps(5, 1, 8, 16, 4, 4)[3:5] == (2, 1)


def test_live_taps_ends_and_numbers() -> None:
    for case in _axes():
        for axis in (jobs.forward_taps(*case), jobs.gradient_taps(*case)):
            first, outside, before = [], False, 0
            for i in range(axis.jobs):
                job = jobs.job_of(axis, i)
                assert jobs.taps_before(axis, i) == before
                before, total = before + job.taps, 0
                at = [job.at + k * axis.advance for k in range(job.taps)]
                first += at
                for u in range(job.targets):
                    seen = [k for k in range(job.taps) if 0 <= at[k] + u * axis.step < axis.source]
                    assert jobs.live_of(axis, job, u) == ((seen[0], len(seen)) if seen else (0, 0)), case
                    outside |= len(seen) < job.taps
                    total += len(seen)
                assert jobs.inside(axis, job) == total, case
            assert before == axis.taps, case
            phases = {q % axis.target_step for q in range(axis.target)}
            assert jobs.unserved(axis) == len(phases - {q % axis.target_step for q in _reads(axis)}), case
            taps = [jobs.job_of(axis, i).taps for i in range(axis.jobs)]
            assert [jobs.kind_of(axis, i) for i in range(axis.jobs)] == [int(number < max(taps)) for number in taps], case
            assert jobs.kinds_of(axis) == max(1, len(set(taps))), case
            if first:
                assert (jobs.origin(axis), jobs.reach(axis)) == (min(first), max(first) - min(first)), case
            if case[4] >= case[1]:  # else some job may have no target
                assert jobs.padded(axis) == outside, case


@pytest.mark.parametrize(
    "case", [(3, 2**31 - 1, 1, 1, 9, 1), (3, 1, 2**30, 2**30, 9, 9), (10**5, 3, 7, 10**5, 10**8, 10**7), (64, 32, 1, 16, 480, 15)]
)
def test_any_size_in_the_same_time(case: tuple) -> None:
    """Of huge numbers the ends, by their definition."""
    kernel, stride, dilation, low, extent, outputs = case
    forward, back = jobs.forward_taps(*case), jobs.gradient_taps(*case)
    ends = forward.first, forward.first + forward.taps - 1
    for a, beyond in zip(ends, (-1, 1), strict=True):

        def sees(tap: int) -> bool:
            v = tap * dilation - low
            p = max(0, -(v // stride))
            return 0 <= tap < kernel and p < outputs and v + p * stride < extent

        assert sees(a) and not sees(a + beyond)
    assert ends == (back.first, back.first + back.taps - 1)
    assert back.jobs == min(back.taps, back.period)
    assert jobs.inside(forward, jobs.job_of(forward, 0)) == sum(jobs.inside(back, jobs.job_of(back, i)) for i in range(back.jobs))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "symmetric"])
def test_source_of_every_coordinate(mode: str) -> None:
    for extent in (1, 2, 3, 7):
        for low in range(20):
            expected = padded(extent, low, 20, mode)
            assert [jobs.source_of(jobs.MODES[mode], at, extent) for at in range(-low, extent + 20)] == list(expected), (extent, low)
    assert [jobs.source_of(jobs.MODES["zeros"], at, 2) for at in range(-1, 4)] == [-1, 0, 1, -1, -1]


axis_at = reader(jobs.JobAxis)


def _compiled(tables: Any, out: Any) -> None:
    axis, to = axis_at(pointer(tables), 0), 0
    for i in range(axis.jobs):
        job = jobs.job_of(axis, i)
        for value in job:
            put(pointer(out), to, value)
            to += 1
        for value in (*jobs.live_of(axis, job, 1), jobs.taps_before(axis, i), jobs.source_of(i % 5, job.at, axis.source)):
            put(pointer(out), to, value)
            to += 1


def test_kernels_find_the_same() -> None:
    compiled = kernel(_compiled)
    for case in _axes(200):
        for axis in (jobs.forward_taps(*case), jobs.gradient_taps(*case)):
            expected = []
            for i in range(axis.jobs):
                job = jobs.job_of(axis, i)
                expected += [*job, *jobs.live_of(axis, job, 1), jobs.taps_before(axis, i), jobs.source_of(i % 5, job.at, axis.source)]
            out = np.zeros(len(expected), np.int64)
            compiled.serial(table(axis), out)
            assert out.tolist() == expected, case
