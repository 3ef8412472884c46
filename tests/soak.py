"""Minutes of random calls in one process, as a service lives: python tests/soak.py [--minutes 10] [--seed N] [--limit MIB]

Eight threads at once: new shapes without end, layers and pullbacks made, called, pickled, copied and dropped, forks whose children call,
mistakes and their errors.  Every result is held against the sum of its terms at places picked at random (float64, from the definition), and
against itself where the same call is made again.  Memory is the process's own, after a collection: what it holds once every cache
is warm it may not outgrow by more than `--limit`, and what a kernel takes that is compiled later.  Exits with 1 if a result was wrong, a child failed or memory grew.
"""

from __future__ import annotations

import argparse
import copy
import faulthandler
import gc
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numba
from numba.core.event import Event, Listener, install_listener

import numconv as nc

Rng = np.random.Generator
THREADS = 8
KERNEL = 10.0  # MiB that a compilation leaves in the process, LLVM's own included
HANGS = 60.0  # seconds without a tick
WARM = 0.5  # of the time: kernels are compiled, caches fill
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def ticks(pid: int) -> int:
    """What a process has had of the processor: on a busy machine a child may compile for minutes, and does not hang."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class Compilations(Listener):
    """How many kernels Numba has compiled; what they are made of is not counted."""

    count = 0

    def on_start(self, event: Event) -> None:
        pass

    def on_end(self, event: Event) -> None:
        self.count += str(event.data["dispatcher"].py_func.__name__).endswith(("_parallel", "_serial"))


class Conv:
    """A random convolution whose results can be told at any place from its definition."""

    def __init__(self, rng: Rng) -> None:
        self.rank = int(rng.integers(1, 3))
        self.groups = int(rng.choice([1, 1, 2, 8]))
        # few channels and taps, so that few kernels are compiled; extents that nobody asked for before
        self.channels, self.filters = (8, 16) if self.groups < 8 else (8, 8)
        self.kernel = (3,) * self.rank
        self.stride, self.dilation = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        self.padding = int(rng.integers(0, 4))
        least = self.dilation * 2 + 1
        self.spatial = tuple(int(n) for n in rng.integers(least, 3000 if self.rank == 1 else 70, self.rank))
        self.x = rng.standard_normal((int(rng.integers(1, 3)), self.channels, *self.spatial)).astype("f4")
        self.w = rng.standard_normal((self.filters, self.channels // self.groups, *self.kernel)).astype("f4")
        self.bias = rng.standard_normal(self.filters).astype("f4")

    @property
    def options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    @property
    def function(self) -> Callable[..., Any]:
        return nc.conv1d if self.rank == 1 else nc.conv2d  # type: ignore[no-any-return]

    def layer(self) -> Any:
        return (nc.Conv1d if self.rank == 1 else nc.Conv2d)(self.w, self.bias, **self.options)

    def check(self, y: np.ndarray, rng: Rng) -> None:
        """At eight places; and not anywhere NaN."""
        assert np.isfinite(y).all(), "not finite"
        per = self.channels // self.groups
        for _ in range(8):
            n, k, *p = (int(rng.integers(0, size)) for size in y.shape)
            first = k // (self.filters // self.groups) * per
            total, size = float(self.bias[k]), abs(float(self.bias[k]))
            for r in np.ndindex(*self.kernel):
                at = [q * self.stride - self.padding + t * self.dilation for q, t in zip(p, r, strict=True)]
                if all(0 <= a < e for a, e in zip(at, self.spatial, strict=True)):
                    products = self.x[(n, slice(first, first + per), *at)].astype("f8") * self.w[(k, slice(None), *r)]
                    total, size = total + products.sum(), size + np.abs(products).sum()
            assert abs(y[(n, k, *p)] - total) <= 1e-5 * size + 1e-6, f"{y[(n, k, *p)]} for {total} at {(n, k, *p)} of {vars(self)}"


def plain(rng: Rng) -> None:
    c = Conv(rng)
    y = c.function(c.x, c.w, c.bias, **c.options)
    c.check(y, rng)
    assert c.function(c.x, c.w, c.bias, **c.options).tobytes() == y.tobytes(), "other bits the second time"
    out = np.full_like(y, np.nan)
    assert c.function(c.x, c.w, c.bias, out=out, **c.options) is out
    assert out.tobytes() == y.tobytes(), "other bits into `out`"


def layers(rng: Rng) -> None:
    c = Conv(rng)
    layer = c.layer()
    y = layer(c.x)
    c.check(y, rng)
    for again in (copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
        assert again(layer)(c.x).tobytes() == y.tobytes(), "other bits of a copied layer"


def gradients(rng: Rng) -> None:
    c = Conv(rng)
    y, pullback = nc.vjp(c.function, c.x, c.w, c.bias, **c.options)
    dy = rng.standard_normal(y.shape).astype("f4")
    dx, dw, db = pullback(dy)
    there = np.vdot(dy, y - c.bias.reshape(-1, *[1] * c.rank))
    for back in (np.vdot(dx, c.x), np.vdot(dw, c.w)):
        assert abs(there - back) <= 1e-4 * np.linalg.norm(dy) * np.linalg.norm(y), f"{back} back, {there} there"
    assert np.allclose(db, dy.sum((0, *range(2, dy.ndim))), rtol=1e-3, atol=1e-3)
    a, b = pullback(dy), pickle.loads(pickle.dumps(pullback))(dy)
    assert all(u.tobytes() == v.tobytes() for u, v in zip(a, b, strict=True)), "other bits of a pickled pullback"


def others(rng: Rng) -> None:
    x = rng.standard_normal((2, 8, *rng.integers(3, 60, 2))).astype("f4")
    assert (nc.channel_shuffle(nc.channel_shuffle(x, 2), 4) == x).all()
    assert (nc.resize2d(x, scale=2)[:, :, ::2, ::2] == x).all()
    columns = nc.unfold(x, (2, 2), stride=(2, 2))
    even = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    assert (nc.fold(columns, even.shape[2:], (2, 2), (2, 2)) == even).all()
    taps = rng.standard_normal(5)
    signal = rng.standard_normal(int(rng.integers(10, 5000)))
    assert np.allclose(nc.convolve(signal, taps), np.convolve(signal, taps))


def mistakes(rng: Rng) -> None:
    for call in (lambda: nc.conv2d(np.ones((1, 3, 4, 4)), np.ones((2, int(rng.integers(4, 99)), 3, 3))), lambda: nc.conv1d(None, None)):
        try:
            call()
        except (ValueError, TypeError) as error:
            text = str(error)
        else:
            text = "no error"
        assert text.startswith("conv"), text


def forks(rng: Rng) -> None:
    """A child that calls while the other threads of its parent compile and compute."""
    c = Conv(rng)
    layer = c.layer()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            c.check(layer(c.x), rng)
            c.check(c.function(c.x, c.w, c.bias, **c.options), rng)
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    busy, used = time.monotonic(), 0
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert status == 0, f"a child ended with {status}"
            return
        now = ticks(pid)
        if now > used:
            busy, used = time.monotonic(), now
        if time.monotonic() > busy + HANGS:
            os.kill(pid, signal.SIGABRT)  # its own traceback says where
            os.waitpid(pid, 0)
            raise AssertionError("a child hangs")
        time.sleep(0.01)


ACTS = (plain, plain, plain, plain, layers, layers, gradients, gradients, others, mistakes)
FORK_EVERY = 2.0  # seconds


class Soak:
    """The threads, and what they came to."""

    def __init__(self, seconds: float, seed: int) -> None:
        self.end, self.seed = time.monotonic() + seconds, seed
        self.wrong: list[str] = []
        self.calls = [0] * THREADS
        self.forked = 0

    def work(self, number: int) -> None:
        turn = 0
        while time.monotonic() < self.end and not self.wrong:
            rng = np.random.default_rng((self.seed, number, turn))
            act = ACTS[int(rng.integers(len(ACTS)))]
            numba.set_num_threads(int(rng.integers(1, numba.config.NUMBA_NUM_THREADS + 1)))
            try:
                act(rng)
            except BaseException:
                self.wrong.append(f"seed {self.seed}, thread {number}, turn {turn}, {act.__name__}:\n{traceback.format_exc()}")
            self.calls[number], turn = turn + 1, turn + 1

    def run(self, limit: float) -> int:
        compiled = Compilations()
        with install_listener("numba:compile", compiled):
            return self._run(limit, compiled)

    def _run(self, limit: float, compiled: Compilations) -> int:
        begin, seconds = time.monotonic(), self.end - time.monotonic()
        threads = [threading.Thread(target=self.work, args=(i,)) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        warm, most, forked, said, kernels = 0.0, 0.0, begin, begin, 0
        while any(thread.is_alive() for thread in threads):
            time.sleep(0.2)
            now = time.monotonic()
            if hasattr(os, "fork") and now - forked > FORK_EVERY and now < self.end:
                try:
                    forks(np.random.default_rng((self.seed, 99, self.forked)))
                except BaseException:
                    self.wrong.append(traceback.format_exc())
                self.forked, forked = self.forked + 1, time.monotonic()
            if now - said > seconds / 20:
                gc.collect()
                held, said = resident(), now
                if now - begin < WARM * seconds:
                    warm, kernels = held, compiled.count
                else:
                    warm, most = warm or held, max(most, held)
                print(
                    f"{now - begin:6.0f} s  {sum(self.calls):7d} acts  {self.forked:4d} forks  {held:7.0f} MiB  {compiled.count} kernels",
                    flush=True,
                )
        later = compiled.count - kernels
        grown = max(most, warm) - warm - KERNEL * later
        print(*self.wrong, sep="\n")
        print(f"seed {self.seed}: {sum(self.calls)} acts in {THREADS} threads, {self.forked} forks, {warm:.0f} MiB after half of the time")
        print(f"{later} kernels compiled since; memory {grown:+.0f} MiB beyond {KERNEL:.0f} for each of these")
        return 1 if self.wrong or grown > limit else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=64.0, help="MiB that the process may grow by once it is warm")
    options = parser.parse_args()
    faulthandler.enable()
    return Soak(60 * options.minutes, options.seed).run(options.limit)


if __name__ == "__main__":
    sys.exit(main())
