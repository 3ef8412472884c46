"""Time against size: one thing varied about a base layer, numconv beside torch, and against the number of threads.

    python benchmarks/scaling.py --threads 2 --out benchmarks/results/scaling.json

Cost should be flat in dilation and linear in batch, channels, pixels and taps: the exponent is the slope of log time over log work
(1 where linear).  For dilation, the ratio of the slowest to the fastest is what counts.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import layers
import machine
from layers import Layer
from peers import contest

VALUES: dict[str, tuple[int, ...]] = {
    "batch": (1, 2, 4, 8, 16), "channels": (16, 32, 64, 128, 256), "extent": (14, 28, 56, 112), "kernel": (1, 3, 5, 7, 9), "dilation": (1, 2, 3, 4, 8),
}  # fmt: skip


def made(batch: int = 1, channels: int = 64, extent: int = 56, kernel: int = 3, dilation: int = 1) -> Layer:
    """A 2-D layer that keeps its size."""
    pad = dilation * (kernel - 1) // 2
    work = batch * channels * channels * (extent * kernel) ** 2
    return Layer(
        0, "scaling", "scaling", batch, channels, channels, 1, (extent,) * 2, (kernel,) * 2, (1, 1), ((pad, pad),) * 2, (dilation,) * 2, (0, 0),
        (extent,) * 2, False, work,
    )  # fmt: skip


def points() -> Iterator[tuple[str, int, Layer]]:
    for what, values in VALUES.items():
        for value in values:
            yield what, value, made(**{what: value})


def measure(layer: Layer, seconds: float) -> tuple[float, float, str]:
    """Smallest times of torch and ours, results compared first; the algorithm."""
    import numpy as np
    import torch

    x, w, bias = layer.arrays()
    theirs, ours = layers.with_torch(layer, *map(torch.from_numpy, (x, w, bias))), layers.ours(layer, x, w, bias)
    a, b = theirs().numpy(), ours()
    assert np.abs(a - b).max() <= 1e-4 * np.abs(a).max(), layer
    times = contest(theirs, ours, seconds)
    return min(times[0]), min(times[1]), layers.algorithm(layer, x, w, bias)[0]


def slope(work: list[float], times: list[float]) -> float:
    """Of the least-squares line through the logarithms."""
    xs, ys = [math.log(v) for v in work], [math.log(v) for v in times]
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / sum((x - mx) ** 2 for x in xs)


def threads_rows(most: int, seconds: float) -> list[dict[str, Any]]:
    """The base layer with 1 … `most` threads."""
    import numba
    import torch

    rows = []
    for count in range(1, most + 1):
        torch.set_num_threads(count)
        numba.set_num_threads(count)
        theirs, ours, name = measure(replace(made(), name="threads"), seconds)
        rows.append(
            {"what": "threads", "value": count, "peer_ms": 1e3 * theirs, "ours_ms": 1e3 * ours, "ratio": theirs / ours, "algorithm": name}
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    import torch

    torch.set_grad_enabled(False)
    header = machine.describe(options.threads)
    rows = threads_rows(options.threads, options.seconds)  # leaves both libraries at all threads
    for what, value, layer in points():
        theirs, ours, name = measure(layer, options.seconds)
        row = {"what": what, "value": value, "peer_ms": 1e3 * theirs, "ours_ms": 1e3 * ours, "ratio": theirs / ours, "algorithm": name}
        rows.append({**row, "gflops": layer.flops / ours / 1e9, "work": layer.multiplications})
    found: dict[str, float] = {"threads": rows[0]["ours_ms"] / rows[options.threads - 1]["ours_ms"]}
    for what in VALUES:
        mine = [r for r in rows if r["what"] == what]
        times = [r["ours_ms"] for r in mine]
        found[what] = max(times) / min(times) if what == "dilation" else slope([r["work"] for r in mine], times)
    for row in rows:
        print(
            f"{row['what']:<10} {row['value']:>4} torch {row['peer_ms']:>9.3f} ours {row['ours_ms']:>9.3f} ratio {row['ratio']:>5.2f}  {row['algorithm']}"
        )
    print({k: round(v, 2) for k, v in found.items()})
    if options.out:
        options.out.write_text(json.dumps({"what": "scaling", **header, "summary": found, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
