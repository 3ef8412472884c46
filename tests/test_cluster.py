"""A cluster of processes: kernels are compiled where they run, and a worker that is killed loses nothing."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np
import pytest

import numconv as nc

da = pytest.importorskip("dask.array", reason="dask is not installed (extra `dask`)")
distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # of distributed, about ports and workers that are gone


@pytest.fixture(scope="module")
def client() -> Any:
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True) as cluster,
        distributed.Client(cluster) as found,
    ):
        yield found


def slowly(block: Any) -> Any:
    time.sleep(0.1)
    return block


def test_a_worker_killed_in_the_middle(client: Any) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 3, 96, 96)).astype("f4"), rng.standard_normal((4, 3, 3, 3)).astype("f4")
    source = da.from_array(x, chunks=(1, 3, 16, 16)).map_blocks(slowly, dtype="f4", meta=np.empty((0,) * 4, "f4"))
    future = client.compute(nc.conv2d(source, w, padding=1))
    workers = client.run(os.getpid)
    time.sleep(1.0)
    assert not future.done()
    os.kill(next(iter(workers.values())), signal.SIGKILL)
    np.testing.assert_array_equal(future.result(timeout=120), nc.conv2d(x, w, padding=1, accuracy="elementwise"))


def test_gradients_on_a_cluster(client: Any) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (2, 3, 40, 40)).astype("f8"), rng.integers(-4, 5, (4, 3, 3, 3)).astype("f8")
    y, pullback = nc.vjp(nc.conv2d, da.from_array(x, chunks=(1, 3, 20, 20)), w)
    _, whole = nc.vjp(nc.conv2d, x, w)
    dy = np.ones(y.shape)
    for one, other in zip(pullback(da.from_array(dy, chunks=(1, 4, 19, 19))), whole(dy), strict=True):
        np.testing.assert_array_equal(client.compute(one).result(timeout=120), other)
