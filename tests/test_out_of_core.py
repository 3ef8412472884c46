"""Data that no array holds: the whole's bits, under the limit, resumed after a kill at any moment."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numconv as nc
from numconv.chunks.journal import Journal

da = pytest.importorskip("dask.array", reason="dask is not installed (extra `dask`): it says which row blocks take")
Array = np.ndarray[Any, Any]
W = np.random.default_rng(1).standard_normal((1, 1, 3, 3, 3)).astype("f4")


def volume(path: Path, shape: tuple[int, ...] = (1, 48, 64, 64)) -> Array:
    """A file of random numbers, opened for reading."""
    made = np.lib.format.open_memmap(path, "w+", "f4", shape)
    made[...] = np.random.default_rng(0).standard_normal(shape)
    made.flush()
    return np.load(path, mmap_mode="r")


def unchunked(function: Any, x: Any, *arrays: Any, **options: Any) -> Array:
    """By the row that blocks take: of those whose order of sums follows no cut, the one that suits this machine."""
    row = nc.explain(function, da.from_array(x), *arrays, **options).algorithm
    found: Array = function(np.array(x), *arrays, algorithm=row, **options)
    return found


def whole(x: Any) -> Array:
    return unchunked(nc.conv3d, x, W, padding=1)


def test_files_of_numpy(tmp_path: Path) -> None:
    x = volume(tmp_path / "x.npy")
    y = nc.out_of_core(nc.conv3d, x, W, padding=1, target=tmp_path / "y.npy", memory_limit="1MB", progress=False)
    np.testing.assert_array_equal(y, whole(x))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npy", "y.npy"]  # the journal is gone
    again = nc.out_of_core(nc.conv3d, x, W, padding=1, target=str(tmp_path / "y.npy"), memory_limit=1 << 20, progress=False)
    np.testing.assert_array_equal(again, y)


def test_zarr_and_hdf5(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    x = np.array(volume(tmp_path / "x.npy"))
    source = zarr.create_array(store=str(tmp_path / "x.zarr"), shape=x.shape, dtype=x.dtype, chunks=(1, 10, 20, 64))
    source[...] = x
    with h5py.File(tmp_path / "y.h5", "w") as file:
        target = file.create_dataset("y", x.shape, "f4")
        nc.out_of_core(nc.conv3d, source, W, padding=1, target=target, memory_limit="1MB", progress=False)
        np.testing.assert_array_equal(target[...], whole(x))
        other = zarr.create_array(store=str(tmp_path / "y.zarr"), shape=x.shape, dtype=x.dtype, chunks=(1, 10, 20, 64))
        nc.out_of_core(nc.conv3d, file["y"], W, padding=1, target=other, memory_limit="1MB", progress=False)
        np.testing.assert_array_equal(other[...], whole(target[...]))


FILTERS = [
    (nc.ndimage.gaussian_filter, (1.0,), {}),
    (nc.ndimage.uniform_filter, (3,), {"mode": "wrap"}),
    (nc.ndimage.sobel, (), {"axis": 1}),
    (nc.signal.convolve, (np.ones((3, 3, 3), "f4"),), {"mode": "same"}),
]


@pytest.mark.parametrize(("function", "arguments", "options"), FILTERS, ids=lambda a: getattr(a, "__name__", ""))
def test_filters(function: Any, arguments: Any, options: Any, tmp_path: Path) -> None:
    x = volume(tmp_path / "x.npy")[0]
    y = nc.out_of_core(function, x, *arguments, **options, target=tmp_path / "y.npy", memory_limit="4MB", progress=False)
    np.testing.assert_allclose(y, function(np.array(x), *arguments, **options), rtol=1e-5, atol=1e-5)


def test_transposed_and_strided(tmp_path: Path) -> None:
    x = volume(tmp_path / "x.npy", (4, 200, 64))
    w = np.random.default_rng(2).standard_normal((4, 2, 4, 4)).astype("f4")
    y = nc.out_of_core(nc.conv_transpose2d, x, w, stride=2, padding=1, target=tmp_path / "y.npy", memory_limit="200kB", progress=False)
    np.testing.assert_array_equal(y, unchunked(nc.conv_transpose2d, x, w, stride=2, padding=1))


PEAK = """
import sys, json, threading, time, numpy as np, numconv as nc
x = np.load(sys.argv[1], mmap_mode="r")
w = np.ones((1, 1, 3, 3, 3), "f4")
nc.conv3d(np.ones((1, 5, 64, 64), "f4"), w, padding=1, accuracy="elementwise")
def anonymous():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("RssAnon"))
before, most, stop = anonymous(), [0], threading.Event()
def watch():
    while not stop.is_set():
        most[0] = max(most[0], anonymous())
        time.sleep(0.001)
thread = threading.Thread(target=watch)
thread.start()
nc.out_of_core(nc.conv3d, x, w, padding=1, target=sys.argv[2], memory_limit=int(sys.argv[3]), progress=False)
stop.set()
thread.join()
print(json.dumps(most[0] - before))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory of its own is read from Linux's /proc")
def test_peak_is_under_the_limit(tmp_path: Path) -> None:
    """A volume of eight times the limit; pages of the files are the system's to drop."""
    x = volume(tmp_path / "x.npy", (1, 256, 360, 360))
    limit = x.nbytes // 8  # 16 MB
    code = [sys.executable, "-c", PEAK, str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), str(limit)]
    run = subprocess.run(code, check=True, capture_output=True, text=True)
    assert 0 < json.loads(run.stdout) <= limit


KILLED = """
import sys, numpy as np, numconv as nc
x = np.load(sys.argv[1], mmap_mode="r")
w = np.random.default_rng(1).standard_normal((1, 1, 3, 3, 3)).astype("f4")
nc.out_of_core(nc.conv3d, x, w, padding=1, target=sys.argv[2], memory_limit="1200kB", progress=False)
"""


@pytest.mark.parametrize("kills_wanted", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_any_moment(kills_wanted: int, tmp_path: Path) -> None:
    """So many times, at moments that follow the number of lines in the journal; nothing half-written is counted as done."""
    x = volume(tmp_path / "x.npy", (1, 96, 96, 96))
    journal, code = tmp_path / "y.npy.numconv-journal", [sys.executable, "-c", KILLED, str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    kills, lines = 0, 0
    for _ in range(40):
        process = subprocess.Popen(code)
        end = time.monotonic() + 60
        while (
            process.poll() is None and time.monotonic() < end and not (journal.exists() and journal.read_bytes().count(b"\n") > lines + 1)
        ):
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
        now = journal.read_bytes().count(b"\n") if journal.exists() else 0
        assert now >= lines, "what was done is not done again"
        lines = now
        if kills == kills_wanted:
            break
    assert kills >= min(kills_wanted, 10)
    assert lines > kills
    subprocess.run(code, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), whole(x))
    assert not journal.exists()


def test_journal_counts_whole_lines_alone(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path, "this")
    journal.add(0)
    journal.add(12)
    journal.close(False)
    with open(path, "ab") as file:
        file.write(b"3")  # a kill in the middle of "34"
    for what, done in (("this", {0, 12}), ("that", set())):
        journal = Journal(path, what)
        assert journal.done == done
        journal.close(False)
    assert path.read_bytes() == b"that\n"


def test_refusals(tmp_path: Path) -> None:
    x, target = volume(tmp_path / "x.npy"), tmp_path / "y.npy"

    def refused(kind: type, text: str, function: Any = nc.conv3d, source: Any = x, **options: Any) -> None:
        given = {"target": target, "memory_limit": "1MB", "progress": False, "padding": 1} | options
        with pytest.raises(kind, match=text):
            nc.out_of_core(function, source, W, **given)

    refused(ValueError, r"^out_of_core: memory_limit of 100 bytes is too small: a tile takes \d+ at least", memory_limit=100)
    refused(ValueError, r"^out_of_core: memory_limit must be bytes or a size", memory_limit="much")
    refused(TypeError, r"^out_of_core: function must be an operator of numconv", function=np.add)
    refused(TypeError, r"^out_of_core: source must have a shape", source=3)
    refused(ValueError, r"^out_of_core: target must be an array that can be written into, or the name of a \.npy file", target="y.txt")
    refused(ValueError, r"^out_of_core: target must have the shape \(1, 48, 64, 64\)", target=np.empty((2, 2), "f4"))
    refused(TypeError, r"^out_of_core: progress", progress="yes")
    refused(ValueError, r"^conv3d: |^out_of_core: ", padding=-1)
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(1000)
    refused(ValueError, r"^out_of_core: source is cut off: .*x\.npy holds 1000 bytes of \d+")


def test_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nc.out_of_core(nc.conv3d, volume(tmp_path / "x.npy"), W, padding=1, target=tmp_path / "y.npy", memory_limit="1MB")
    assert "tile" in capsys.readouterr().err
