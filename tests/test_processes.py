"""Layers go into other processes and copies; children of a process whose threads run, or which compiles, are right."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import numconv as nc

ROOT = Path(__file__).resolve().parents[1]
X, W = np.arange(2.0 * 49).reshape(1, 2, 7, 7).astype("float32"), np.arange(54.0).reshape(3, 2, 3, 3).astype("float32")
COPIES = [lambda found: pickle.loads(pickle.dumps(found)), copy.copy, copy.deepcopy]


@pytest.mark.parametrize("again", COPIES, ids=["pickle", "copy", "deepcopy"])
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


DY = np.cos(np.arange(3.0 * 49)).reshape(1, 3, 7, 7).astype("float32")

#: what a pullback goes back along: a sum under an activation, views, padding by a mode, several steps, a shuffle, complex numbers
PULLED: dict[str, Callable[[], Any]] = {
    "conv2d": lambda: nc.vjp(nc.conv2d, X, W, np.ones(3, "f4"), padding=1, activation="silu", accuracy="elementwise"),
    "one sample": lambda: nc.vjp(nc.conv2d, X[0], W, padding=1, padding_mode="reflect"),
    "layer": lambda: nc.vjp(nc.Conv2d(W, padding=1), X),
    "separable": lambda: nc.vjp(nc.spatially_separable_conv2d, X, np.ones(3, "f4"), np.arange(3.0, dtype="f4"), padding="same"),
    "resize": lambda: nc.vjp(nc.resize2d, X, scale=2, mode="bilinear"),
    "shuffle": lambda: nc.vjp(nc.channel_shuffle, X, 2),
    "attention": lambda: nc.vjp(nc.dynamic_attention, X, np.ones((4, 2), "f4"), np.ones((3, 4), "f4")),
    "complex": lambda: nc.vjp(nc.conv1d, X[0, :, :, 0].astype("c8"), W[..., 0].astype("c8")),
    "signal": lambda: nc.vjp(nc.convolve, X[0, 0], W[0, 0]),
}


@pytest.mark.parametrize("again", COPIES, ids=["pickle", "copy", "deepcopy"])
@pytest.mark.parametrize("name", PULLED)
def test_pullbacks_are_copied(again: Any, name: str) -> None:
    y, pullback = PULLED[name]()
    dy = np.sin(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
    fresh = again(pullback)
    for _ in range(2):  # the second time with packed weights
        for mine, other in zip(pullback(dy), fresh(dy), strict=True):
            np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("again", COPIES, ids=["pickle", "copy", "deepcopy"])
@pytest.mark.parametrize("options", [{}, {"accuracy": "elementwise"}, {"algorithm": "winograd"}])
def test_explanations_and_plans_are_copied(again: Any, options: dict[str, Any]) -> None:
    x, w = np.ones((1, 16, 30, 30), "f4"), np.ones((16, 16, 3, 3), "f4")
    nc.conv2d(x, w, **options)  # binds the plan, which is not for other processes
    found = nc.explain(nc.conv2d, x, w, **options)
    fresh, plan = again(found), again(found.plan)
    assert str(fresh) == str(found)
    assert fresh.bound == found.bound
    assert (plan.kernel, plan.problem, plan.seconds) == (found.plan.kernel, found.plan.problem, found.plan.seconds)
    assert [c.reason for c in plan.candidates] == [c.reason for c in found.plan.candidates]


@pytest.mark.parametrize("again", COPIES, ids=["pickle", "copy", "deepcopy"])
def test_operators_are_copied(again: Any) -> None:
    operator = nc.matrix.conv_operator(W, X.shape[1:], padding=1, padding_mode="reflect")
    fresh = again(operator)
    np.testing.assert_array_equal(fresh @ X.ravel(), operator @ X.ravel())
    np.testing.assert_array_equal(fresh.T @ DY.ravel(), operator.T @ DY.ravel())


class Task(NamedTuple):
    """What a worker is sent: a layer, a pullback, an operator, an explanation."""

    layer: Any
    pullback: Any
    operator: Any
    explanation: Any


def task() -> Task:
    return Task(
        nc.Conv2d(W, padding=1),
        nc.vjp(nc.conv2d, X, W, padding=1)[1],
        nc.matrix.conv_operator(W, X.shape[1:], padding=1),
        nc.explain(nc.conv2d, X, W),
    )


def worked(task: Task) -> list[Any]:
    return [task.layer(X), *task.pullback(DY), task.operator @ X.ravel(), str(task.explanation)]


def same(found: list[Any], wanted: list[Any]) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("start", ["spawn", pytest.param("fork", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork"))])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Python: a fork of a process with threads
def test_into_workers_of_multiprocessing(start: str) -> None:
    mine = task()
    with multiprocessing.get_context(start).Pool(1) as pool:
        same(pool.apply(worked, (mine,)), worked(mine))


@pytest.mark.parametrize("library", ["joblib", "dask"])
def test_into_workers_of_others(library: str) -> None:
    """By their own pickling, which is cloudpickle's."""
    module, mine = pytest.importorskip(library), task()
    if library == "joblib":
        (found,) = module.Parallel(n_jobs=2, backend="loky")([module.delayed(worked)(mine)])
    else:
        found = module.delayed(worked)(mine).compute(scheduler="processes", num_workers=1)
    same(found, worked(mine))


def test_by_cloudpickle() -> None:
    cloudpickle, mine = pytest.importorskip("cloudpickle"), task()
    same(worked(pickle.loads(cloudpickle.dumps(mine))), worked(mine))


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
elif sys.argv[1] == "compiled":  # nothing is kept on disk: the child has what its parent has, or compiles
    layer = nc.Conv2d(np.ones((16, 16, 3, 3), "f4"), padding=1, activation="relu")
    image = np.random.default_rng(0).standard_normal((1, 16, 56, 56)).astype("f4")
    wanted = layer(image)
    large()
    def again():
        from numba.core import event
        class Heard(event.Listener):
            def on_start(self, event): raise AssertionError(f"compiles {event.data['dispatcher']}")
            def on_end(self, event): ...
        event.register("numba:compile", Heard())
        large()
        assert np.array_equal(layer(image), wanted)
    status = child(again)
    assert np.array_equal(layer(image), wanted)
else:
    shapes = [(np.ones((1, 3, 40 + k)), np.ones((k, 3, 3))) for k in range(1, 30)]
    threading.Thread(target=lambda: [nc.conv1d(x, w, algorithm="direct") for x, w in shapes], daemon=True).start()
    time.sleep(0.5)
    status = child(lambda: nc.unfold(np.ones((1, 1, 5, 5), "i2"), 3))
sys.stdout.flush()
os._exit(status != 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("when", ["threads", "compiling", "compiled"])
def test_forks(when: str, tmp_path: Path) -> None:
    """After a parallel loop of the user's own, while another thread compiles (with no kernel kept before), with what is compiled."""
    place = "off" if when == "compiled" else str(tmp_path / "cache")
    environment = {**os.environ, "NUMCONV_CACHE_DIR": place, "PYTHONPATH": str(ROOT)}
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
