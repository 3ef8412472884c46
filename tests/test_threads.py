"""Eight threads that call at once, under each of Numba's threading layers: the bits that one thread gets."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = """
import ctypes, sys, threading, time, traceback
layer, seconds, library = sys.argv[1], float(sys.argv[2]), sys.argv[3]
if library:
    ctypes.CDLL(library, ctypes.RTLD_GLOBAL)  # Numba looks where the system's loader looks, which is not where a wheel lies
import numba, numpy as np
numba.config.THREADING_LAYER = layer
import numconv as nc
from numconv.cpu.runtime import pace

pace.QUANTUM = float("inf")  # no loop is late: all of them stay parallel on a busy machine too
rng = np.random.default_rng(0)

def array(*shape, dtype="float32"):
    return rng.standard_normal(shape).astype(dtype)

x, w, b = array(2, 32, 30, 30), array(32, 32, 3, 3), array(32)
layer_of = nc.Conv2d(w, b, padding=1, activation="silu")
depthwise, wide, small = array(32, 1, 3, 3), array(64, 32), array(1, 3, 9, 9)
signal, taps, kernels, attention = array(2, 16, 3000), array(24, 16, 5), array(3, 8, 32, 3, 3), array(2, 3)

def back(function, *arrays, **options):
    y, pullback = nc.vjp(function, *arrays, **options)
    return [y, *pullback(y)]

CALLS = [
    lambda: [layer_of(x)],
    lambda: [layer_of(x[:, :, :17])],
    lambda: [nc.conv2d(x, w, b, padding=1, algorithm="spread")],
    lambda: [nc.conv2d(x, w, stride=2, padding=1)],
    lambda: [nc.conv2d(np.moveaxis(x, 1, -1), w, padding=1, layout="channels_last")],
    lambda: [nc.depthwise_conv2d(x, depthwise, padding=1)],
    lambda: [nc.pointwise_conv2d(x, wide)],
    lambda: [nc.conv2d(small, np.ones((2, 3, 3, 3), "f4"))],
    lambda: [nc.conv1d(signal, taps, padding=2)],
    lambda: [nc.conv_transpose2d(x, w, stride=2)],
    lambda: [nc.dynamic_conv2d(x, kernels, attention)],
    lambda: [nc.resize2d(x, scale=2, mode="bilinear")],
    lambda: [nc.channel_shuffle(x, 4)],
    lambda: back(nc.conv2d, x, w, padding=1),
    lambda: back(nc.depthwise_conv2d, x, depthwise, padding=1),
]
bits, wrong, calls, end = [set() for _ in CALLS], [], [0] * 8, time.monotonic() + seconds

def work(number):
    mine = np.random.default_rng(number)
    try:
        for turn in range(1 << 60):
            if turn >= len(CALLS) and time.monotonic() > end:
                break
            which = (number + turn) % len(CALLS) if turn < len(CALLS) else int(mine.integers(len(CALLS)))
            numba.set_num_threads(int(mine.integers(1, numba.config.NUMBA_NUM_THREADS + 1)))
            bits[which].add(b"".join(a.tobytes() for a in CALLS[which]()))
            calls[number] += 1
    except BaseException:
        wrong.append(traceback.format_exc())

threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for t in threads: t.start()
for t in threads: t.join()
assert not wrong, wrong[0]
numba.set_num_threads(1)
for which, call in enumerate(CALLS):
    assert bits[which] == {b"".join(a.tobytes() for a in call())}, f"call {which} has other bits in threads"
assert numba.threading_layer() == layer
print(sum(calls))
"""


def library(layer: str) -> str:
    """Where the wheel of TBB has put its library; "" for the layers that Numba brings along."""
    if layer != "tbb":
        return ""
    try:
        files = importlib.metadata.files("tbb") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tbb is not installed")
    found = [Path(str(f.locate())) for f in files if f.name.startswith(("libtbb.so", "libtbb.1", "tbb12"))]
    found = [f for f in found if f.exists()]
    return str(found[0]) if found else pytest.skip("tbb's library is not where its wheel says")


def in_eight_threads(layer: str, seconds: float) -> int:
    paths = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, "PYTHONPATH": paths, "NUMBA_NUM_THREADS": "3"}
    command = [sys.executable, "-c", CODE, layer, str(seconds), library(layer)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if "No threading layer could be loaded" in found.stderr:
        pytest.skip(f"this Numba has no {layer} layer")
    assert found.returncode == 0, found.stderr[-3000:]
    return int(found.stdout)


@pytest.mark.parametrize("layer", ["omp", "workqueue", "tbb"])
def test_eight_threads_get_the_bits_of_one(layer: str) -> None:
    """What no process has compiled before is compiled by whichever thread comes first, while the others wait or go on."""
    assert in_eight_threads(layer, 5) >= 8 * 15
