"""How gpu.py measures: events, the card's own peaks, and the time it may take."""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import layers  # noqa: F401  (puts the checkout on the path)
import numpy as np
from numba import cuda

from numconv.cuda.environment import SIMULATED
from numconv.cuda.runtime import arrays
from numconv.cuda.runtime.launch import THREADS
from numconv.cuda.scalars import float32, uint32
from numconv.cuda.stages.fragments import MMA


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    copied: int = 1 << 28  # elements of float32
    steps: int = 4096  # of the arithmetic chains
    blocks: int = 8  # of them for each multiprocessor
    seconds: float = 0.04  # of one reading of a time
    readings: int = 5


#: what the simulator can run: the same code, figures without a meaning
SMALL = Scale(copied=64, steps=1, blocks=1, seconds=0.0, readings=1)


class Budget:
    """The run's time: whoever asks whether there is some left gets a share of it, and at the end of all the report is written as it is."""

    def __init__(self, seconds: float, out: Path, report: dict[str, Any]) -> None:
        self.start, self.seconds, self.out, self.report = time.monotonic(), seconds, out, report
        self.last = threading.Timer(seconds + 30, self._stop)  # a call that hangs, a compiler that does not come back
        self.last.daemon = True
        self.last.start()

    def left(self, share: float = 1.0) -> bool:
        """Whether less than this share of the time is over."""
        return time.monotonic() - self.start < share * self.seconds

    def write(self) -> None:
        self.report["seconds"] = round(time.monotonic() - self.start, 1)
        self.out.write_text(json.dumps(self.report, indent=1, ensure_ascii=False) + "\n")

    def _stop(self) -> None:
        self.report["cut_off"] = True
        self.write()
        os._exit(3)


def events(function: Callable[[], Any], scale: Scale) -> float:
    """Median seconds of one call, by CUDA events around as many calls as fill `scale.seconds`; by the clock in the simulator, which has none."""
    function()
    cuda.synchronize()
    start = time.perf_counter()
    function()
    cuda.synchronize()
    once = time.perf_counter() - start
    if SIMULATED:
        return once
    calls = max(1, min(200, int(scale.seconds / max(1e-6, once))))
    found = []
    for _ in range(scale.readings):
        first, last = cuda.event(), cuda.event()
        first.record()
        for _ in range(calls):
            function()
        last.record()
        last.synchronize()
        found.append(cuda.event_elapsed_time(first, last) / 1e3 / calls)
    return statistics.median(found)


def card(scale: Scale) -> dict[str, Any]:
    """What it ran on: name, capability, multiprocessors, clock, and peaks measured here."""
    device = cuda.get_current_device()
    name = getattr(device, "name", "simulator")
    count = arrays.multiprocessors() or 1
    peaks = {"float32": fma_peak(count, scale)}
    if arrays.capability() >= (8, 0):
        peaks |= {
            kind: mma_peak(dtype, count, scale) for kind, dtype in (("tf32", "float32"), ("float16", "float16"), ("bfloat16", "bfloat16"))
        }
    return {
        "name": name.decode() if isinstance(name, bytes) else name,
        "simulated": SIMULATED,
        "capability": list(device.compute_capability),
        "multiprocessors": count,
        "clock_khz": None if SIMULATED else getattr(device, "CLOCK_RATE", None),
        "copy_bytes_per_second": copy_bandwidth(count, scale),
        "flops": peaks,
        "numpy": np.__version__,
        "numba_cuda": getattr(cuda, "__version__", None),
        "date": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
    }


def copy_bandwidth(multiprocessors: int, scale: Scale) -> float:
    """Bytes read and written each second by a plain copy of float32."""

    @cuda.jit
    def copy(x, y):
        i = cuda.grid(1)
        step = cuda.gridsize(1)
        while i < x.size:
            y[i] = x[i]
            i += step

    x, y = cuda.to_device(np.zeros(scale.copied, np.float32)), cuda.device_array(scale.copied, np.float32)
    return 8.0 * scale.copied / events(lambda: copy[multiprocessors * 2 * scale.blocks, THREADS](x, y), scale)


def make_fma_chains(steps: int) -> Any:
    """A kernel of eight independent chains of multiply-adds in each thread."""

    @cuda.jit
    def chains(out, a, b):
        sums = cuda.local.array(8, float32)
        for j in range(8):
            sums[j] = float32(cuda.threadIdx.x + j)
        for _ in range(steps):
            for j in range(8):
                sums[j] = sums[j] * a + b
        total = float32(0)
        for j in range(8):
            total += sums[j]
        out[cuda.grid(1)] = total

    return chains


def fma_peak(multiprocessors: int, scale: Scale) -> float:
    """float32 operations each second."""
    blocks = multiprocessors * scale.blocks
    kernel, out = make_fma_chains(scale.steps), cuda.device_array(blocks * THREADS, np.float32)
    seconds = events(lambda: kernel[blocks, THREADS](out, np.float32(0.5), np.float32(1.0)), scale)
    return 2.0 * 8 * scale.steps * blocks * THREADS / seconds


def make_mma_chains(dtype: str, steps: int) -> Any:
    """A kernel of eight independent chains of `mma.sync` in each warp."""
    mma = MMA[dtype]

    @cuda.jit
    def chains(out):
        acc = cuda.local.array((8, 4), float32)
        for j in range(8):
            for e in range(4):
                acc[j, e] = float32(0)
        zero = uint32(0)
        for _ in range(steps):
            for j in range(8):
                d = mma((zero, zero, zero, zero), (zero, zero), (acc[j, 0], acc[j, 1], acc[j, 2], acc[j, 3]))
                acc[j, 0] = d[0]
                acc[j, 1] = d[1]
                acc[j, 2] = d[2]
                acc[j, 3] = d[3]
        total = float32(0)
        for j in range(8):
            for e in range(4):
                total += acc[j, e]
        out[cuda.grid(1)] = total

    return chains


def mma_peak(dtype: str, multiprocessors: int, scale: Scale) -> float:
    """Operations each second through `mma.sync`: what these kernels could reach at most, less than the data sheet's `wgmma`."""
    warps, blocks = (1 if scale is SMALL else 8), multiprocessors * scale.blocks
    kernel, out = make_mma_chains(dtype, scale.steps), cuda.device_array(blocks * warps * 32, np.float32)
    depth = 8 if dtype == "float32" else 16
    return 2.0 * 16 * 8 * depth * 8 * scale.steps * blocks * warps / events(lambda: kernel[blocks, warps * 32](out), scale)
