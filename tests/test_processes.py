"""Layers go into other processes and copies; children of a process whose threads run, or which compiles, are right."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import numconv as nc

ROOT = Path(__file__).resolve().parents[1]
X, W = np.arange(2.0 * 49).reshape(1, 2, 7, 7).astype("float32"), np.arange(54.0).reshape(3, 2, 3, 3).astype("float32")


@pytest.mark.parametrize(
    "again", [lambda layer: pickle.loads(pickle.dumps(layer)), copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"]
)
@pytest.mark.parametrize("called", [False, True])
def test_layers_are_copied(again: object, called: bool) -> None:
    layer = nc.Conv2d(W, np.ones(3, "float32"), padding=1, activation="relu")
    wanted = nc.conv2d(X, W, np.ones(3, "float32"), padding=1, activation="relu")
    if called:
        layer(X)
    fresh = again(layer)  # type: ignore[operator]
    np.testing.assert_array_equal(fresh(X), wanted)
    np.testing.assert_array_equal(fresh.weight, W)
    assert type(fresh.weight) is np.ndarray
    np.testing.assert_array_equal(layer(X), wanted)


CHILD = """
import os, signal, sys, threading, time
import numba, numpy as np
import numconv as nc

@numba.njit(parallel=True)
def mine(a):
    s = 0.0
    for i in numba.prange(a.size):
        s += a[i]
    return s

def child(f):
    pid = os.fork()
    if pid == 0:
        signal.alarm(100)
        f()
        os._exit(0)
    return os.waitpid(pid, 0)[1]

def large():
    assert nc.conv2d(np.ones((1, 16, 56, 56), "f4"), np.ones((16, 16, 3, 3), "f4"))[0, 0, 5, 5] == 144

if sys.argv[1] == "threads":
    mine(np.ones(1000))
    status = child(large)
else:
    shapes = [(np.ones((1, 3, 40 + k)), np.ones((k, 3, 3))) for k in range(1, 30)]
    threading.Thread(target=lambda: [nc.conv1d(x, w, algorithm="direct") for x, w in shapes], daemon=True).start()
    time.sleep(0.5)
    status = child(lambda: nc.unfold(np.ones((1, 1, 5, 5), "i2"), 3))
sys.stdout.flush()
os._exit(status != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("when", ["threads", "compiling"])
def test_forks(when: str, tmp_path: Path) -> None:
    """After a parallel loop of the user's own, and while another thread compiles (with no kernel kept before)."""
    environment = {**os.environ, "NUMCONV_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", CHILD, when], env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr


def test_numbas_switch_is_named() -> None:
    code = "import numpy as np, numconv as nc; nc.conv1d(np.ones((1, 1, 5)), np.ones((1, 1, 2)))"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "NUMBA_DISABLE_JIT=1" in found.stderr


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", ["gather", "matrix"])
def test_silu_far_below_zero(dtype: str, algorithm: str) -> None:
    """In vectors and one by one.  Zero is the limit; −0.06 at −1e37 and −∞ at −∞ were v over the largest number that e⁻ᵛ is given."""
    x = np.array([[[-1e37, -100, -80, 2, -3e38, -np.inf, np.nan]]], dtype)
    y = nc.conv_transpose1d(x, np.ones((1, 1, 1), dtype), activation="silu", algorithm=algorithm)[0, 0]
    assert (np.abs(y[[0, 1, 4, 5]]) < 1e-30).all()
    np.testing.assert_allclose(y[[2, 3]], [-80 * np.exp(-80), 2 / (1 + np.exp(-2))], rtol=1e-4, atol=1e-30)
    assert np.isnan(y[6])
