"""How near the large dense layers come to the machine's limit: share of the FMA peak that this process measures beside them.

    python benchmarks/roof.py --threads 2 --out benchmarks/results/roof.json

The peak is that of a loop of FMAs on registers alone, of the vectors that the kernels use; it takes its turn among the kernels, so that a
change of the clock meets all.  Smallest time of each; with one thread its CPU time, which a busy machine disturbs less.  Multiplications
with padding count, as in the contest: a kernel that leaves them out can pass 100 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import layers
import machine
from peers import geomean

#: column → algorithm, whether its weights are packed ahead
COLUMNS = {
    "direct": ("direct", False),
    "direct, prepacked": ("direct", True),
    "spread": ("spread", False),
    "spread, prepacked": ("spread", True),
}
LEAST, CHANNELS = 3e8, 64  # multiply-adds, channels in and out: what is large and dense
SUMS, STEPS = 12, 100_000  # independent sums (latency times width), FMAs of each


def selected() -> list[layers.Layer]:
    return [
        layer
        for layer in layers.load()
        if layer.groups == 1 and not layer.transposed and max(layer.dilation) == 1 and layer.multiplications >= LEAST
        and min(layer.in_channels, layer.out_channels) >= CHANNELS
    ]  # fmt: skip


def spinner(threads: int, lanes: int) -> Callable[[], Any]:
    """SUMS · STEPS FMAs of vectors on each thread."""
    import numba
    import numpy as np
    from numba import prange

    from numconv.cpu.simd.vector import filled, fma, load, store

    @numba.njit(parallel=threads > 1, nogil=True, error_model="numpy")
    def spin(y, steps):  # type: ignore[no-untyped-def]
        for worker in prange(len(y) // lanes):
            like = load(y, worker * lanes, lanes)
            a, b = filled(like, y[0]), filled(like, y[1])
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = s10 = s11 = b
            for _ in range(steps):
                s0, s1, s2, s3, s4, s5 = fma(s0, a, b), fma(s1, a, b), fma(s2, a, b), fma(s3, a, b), fma(s4, a, b), fma(s5, a, b)
                s6, s7, s8, s9, s10, s11 = fma(s6, a, b), fma(s7, a, b), fma(s8, a, b), fma(s9, a, b), fma(s10, a, b), fma(s11, a, b)
            store(y, worker * lanes, s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11)

    y = np.full(threads * lanes, 0.5, "float32")
    return lambda: spin(y, STEPS)


def smallest(calls: dict[str, Callable[[], Any]], seconds: float, clock: Callable[[], float]) -> dict[str, float]:
    """Of each, in turns."""
    best = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, call in calls.items():
            for _ in range(2):
                start = clock()
                call()
                best[name] = min(best[name], clock() - start)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.5, help="per layer")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    import numba

    numba.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    header = machine.describe(options.threads)
    lanes = header["vector_bytes"] // 4
    spin, work = spinner(options.threads, lanes), 2 * SUMS * STEPS * lanes * options.threads
    rows: list[dict[str, Any]] = []
    for layer in selected():
        arrays = layer.arrays()
        calls = {name: layers.ours(layer, *arrays, prepacked=packed, algorithm=kernel) for name, (kernel, packed) in COLUMNS.items()}
        best = smallest({"peak": spin, **calls}, options.seconds, clock)
        peak = work / best["peak"]
        shares = {name: layer.flops / best[name] / peak for name in COLUMNS}
        rows.append({"index": layer.index, "shape": layer.shape, "kind": layer.kind, "peak": peak / 1e9, "shares": shares})
        print(
            f"{layer.index:>3}  {layer.shape:<34} peak {peak / 1e9:6.1f} GFLOP/s; {', '.join(f'{k} {v:.0%}' for k, v in shares.items())}",
            flush=True,
        )
    means = {name: geomean([r["shares"][name] for r in rows]) for name in COLUMNS}
    print(f"geometric means: {', '.join(f'{k} {v:.1%}' for k, v in means.items())}")
    if options.out:
        options.out.write_text(json.dumps({"what": "roof", **header, "summary": means, "layers": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
