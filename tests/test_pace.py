"""A busy machine: what is late, how long loops run alone then, and how many cores there are to use."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time

import numba
import numpy as np
import pytest

import numconv as nc
from numconv.cpu.runtime import cores, launch, pace


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the test sets, on a machine where nothing was late yet."""
    now = [100.0]
    monkeypatch.setattr(pace, "clock", lambda: now[0])
    monkeypatch.setattr(pace._Machine, "until", 0.0)
    monkeypatch.setattr(pace._Machine, "pause", pace.FIRST_PAUSE)
    return now


def test_a_loop_in_time_changes_nothing(clock):
    of = pace.Pace()
    for took in (5e-4, 6e-4, 9e-4, 1.4e-3):
        of.note(took, alone=False)
        assert not pace.busy()


def test_after_a_late_loop_others_run_alone_for_a_while(clock):
    of = pace.Pace()
    of.note(5e-4, alone=False)
    of.note(2e-2, alone=False)
    assert pace.busy()
    clock[0] += 0.99 * pace.FIRST_PAUSE
    assert pace.busy()
    clock[0] += 0.02 * pace.FIRST_PAUSE
    assert not pace.busy()


def test_pauses_grow_while_loops_are_late_soon_and_shrink_after(clock):
    of, lengths = pace.Pace(), []
    of.note(5e-4, alone=False)
    for after in (100.0, *[0.01] * 7, 100.0, 100.0):
        clock[0] = max(clock[0], pace._Machine.until) + after
        of.note(2e-2, alone=False)
        lengths.append(pace._Machine.until - clock[0])
    first, last = pace.FIRST_PAUSE, pace.LAST_PAUSE
    assert lengths == pytest.approx([first, *[min(last, first * 2**i) for i in range(1, 8)], last / 2, last / 4])


def test_a_process_that_begins_beside_a_neighbour_finds_out(clock):
    """Where no loop was ever quick, one alone shows what quick is."""
    of = pace.Pace()
    of.note(2e-2, alone=False)
    assert of.doubtful()
    of.note(1e-3, alone=True)
    assert not of.doubtful()
    of.note(2e-2, alone=False)
    assert pace.busy()


def test_long_loops_are_not_judged(clock):
    of = pace.Pace()
    of.note(0.2, alone=False)
    assert not of.doubtful()
    of.note(1.2, alone=False)
    assert not pace.busy()


def test_bits_are_the_same_alone(monkeypatch):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 32, 40, 40), np.float32), rng.standard_normal((48, 32, 3, 3), np.float32)
    together = nc.conv2d(x, w, padding=1)
    monkeypatch.setattr(pace._Machine, "until", time.perf_counter() + 60)
    assert pace.busy()
    before = numba.get_num_threads()
    np.testing.assert_array_equal(nc.conv2d(x, w, padding=1), together)
    assert numba.get_num_threads() == before


def test_alone_is_one_thread(monkeypatch):
    if launch.threads() < 2:
        pytest.skip("one core")

    seen = []
    loop = launch.ParallelKernel(lambda: None)
    monkeypatch.setattr(loop, "together", lambda: seen.append(numba.get_num_threads()))
    loop.among(1)
    loop()
    monkeypatch.setattr(pace._Machine, "until", time.perf_counter() + 60)
    loop()
    assert seen == [1, launch.threads(), 1]


@pytest.mark.parametrize(
    ("files", "membership", "wanted"),
    [
        ({}, "0::/", np.inf),
        ({"cpu.max": "max 100000"}, "0::/", np.inf),
        ({"cpu.max": "150000 100000"}, "0::/", 1.5),
        ({"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000", "cpu.max": "400000 100000"}, "0::/a/b", 0.5),
        ({"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"}, "5:memory:/\n4:cpu,cpuacct:/a", 2.0),
        ({"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/a", np.inf),
        ({"cpu.max": "garbage"}, "0::/", np.inf),
    ],
)
def test_a_containers_share_of_the_cores(tmp_path, files, membership, wanted):
    root = tmp_path / "cgroup"
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    memberships = tmp_path / "memberships"
    memberships.write_text(membership + "\n")
    assert cores._granted(root, memberships) == wanted
    allowed = len(os.sched_getaffinity(0))
    assert cores.usable_cores(root, memberships) == max(1, min(allowed, int(np.ceil(min(wanted, 1e9)))))


def test_the_users_number_of_threads_stands(monkeypatch):
    """A container's share limits the default alone."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one core")

    monkeypatch.setattr(launch, "_limit", lambda: 1)
    assert launch.threads() == 1
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 64)
    assert launch.threads() == numba.get_num_threads()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_is_followed():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nfrom numconv.cpu.runtime import launch\nprint(launch.threads())"
    code += "\nfrom numconv.cpu.machine import detect; print(detect().cores)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "1"]


def _burn() -> None:
    while True:
        pass


@pytest.mark.slow
def test_a_small_layer_beside_busy_neighbours():
    """In the mean no worse than three times what one thread takes that is given two cores of three: it took 24 ms for 0.5."""
    rng = np.random.default_rng(0)
    layer = nc.Conv2d(rng.standard_normal((192, 160, 1, 7), np.float32), padding=(0, 3))
    x = rng.standard_normal((1, 160, 17, 17), np.float32)

    def mean(seconds: float) -> float:
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            layer(x)
            times.append(time.perf_counter() - start)
        return float(np.mean(times))

    mean(0.2)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    alone = mean(0.5)
    numba.set_num_threads(before)
    neighbours = [multiprocessing.get_context("spawn").Process(target=_burn, daemon=True) for _ in os.sched_getaffinity(0)]
    for neighbour in neighbours:
        neighbour.start()
    try:
        time.sleep(1.0)
        assert mean(3.0) < 3 * 1.5 * alone
    finally:
        for neighbour in neighbours:
            neighbour.kill()
