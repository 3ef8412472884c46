"""Sums or transforms: what `nc.signal.convolve` chooses on a grid of sizes, beside what each way takes.

    python benchmarks/transforms.py [--threads 2] [--out benchmarks/results/transforms.json]

Both ways of each cell take turns; the time of each is the least.  `loss` is the chosen way's time / the better way's, 1 where the choice is
right.  The constants of numconv/cpu/named/fft/cost.py are fitted to what this prints with `--fit`: predictions beside measurements.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import layers  # noqa: F401  (puts the checkout on the path)
import machine
import numpy as np

LINES = ((300, 1000, 3000, 10_000, 30_000, 100_000, 1_000_000), (65, 129, 257, 513, 1025, 4097))
PLANES = ((64, 256, 1024, 2048), (9, 15, 23, 31, 47, 63))
VOLUMES = ((32, 64, 128), (5, 7, 9, 11, 15))
MOST = 2e10  # products of sums that are timed; beyond, a transform is right
ALLOWED = 1.25  # of a wrong choice
Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def grid() -> Iterator[tuple[Shapes, str]]:
    for dtype in ("float32", "float64", "int32"):
        for rank, (sizes, taps) in enumerate((LINES, PLANES, VOLUMES), start=1):
            for n in sizes if dtype != "int32" else sizes[::2]:
                for k in taps:
                    if k <= n:
                        yield ((n,) * rank, (k,) * rank), dtype


def least(ways: tuple[Any, ...], seconds: float) -> list[float]:
    """Of each way, in turns."""
    clock, found = time.perf_counter, [float("inf")] * len(ways)
    end, turns = clock() + seconds, 0
    while clock() < end or turns < 4:  # the first is thrown away
        for i, way in enumerate(ways):
            start = clock()
            way()
            took = clock() - start
            found[i] = min(found[i], took) if turns else found[i]
        turns += 1
    return found


def measure(shapes: Shapes, dtype: str, seconds: float) -> dict[str, Any]:
    import numconv as nc
    from numconv import devices
    from numconv.arguments.signal import correlation
    from numconv.arguments.values import Subject
    from numconv.planning import plan_for
    from numconv.signal.ways import choice_of

    rng = np.random.default_rng(0)
    one, two = (rng.integers(-9, 10, shape).astype(dtype) for shape in shapes)
    subject, cpu = Subject("convolve"), devices.device("cpu")
    sums = correlation("full", *shapes, dtype, dtype)
    floats = sums.with_(dtype="float64", out_dtype="float64") if dtype == "int32" else sums
    plans = [plan_for(subject, cpu, sums, None, "auto", "elementwise"), plan_for(subject, cpu, floats, None, "fft")]
    chosen = "fft" if choice_of(subject, one, two, "full", "auto") == "fft" else "direct"
    row: dict[str, Any] = {"shapes": shapes, "dtype": dtype, "row": plans[0].kernel.name, "chosen": chosen}
    row["predicted_us"] = dict(zip(("direct", "fft"), (1e6 * p.seconds for p in plans), strict=True))
    methods = ("direct", "fft") if sums.multiplications <= MOST else ("fft",)
    ways = tuple((lambda m=m: nc.convolve(one, two, method=m)) for m in methods)
    row["us"] = {m: 1e6 * t for m, t in zip(methods, least(ways, seconds), strict=True)}
    row["loss"] = row["us"].get(chosen, float("inf")) / min(row["us"].values())
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.3, help="a cell")
    parser.add_argument("--every", type=int, default=1, help="every n-th cell only")
    parser.add_argument("--fit", action="store_true", help="print predictions too")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    import numba

    numba.set_num_threads(options.threads)
    rows = []
    for shapes, dtype in list(grid())[:: options.every]:
        row = measure(shapes, dtype, options.seconds)
        rows.append(row)
        us, said = row["us"], row["predicted_us"]
        predicted = f"   predicted {said['direct']:>10.0f} {said['fft']:>10.0f}" if options.fit else ""
        wrong = f"  LOSS {row['loss']:.2f}" if row["loss"] > ALLOWED else ""
        print(
            f"{shapes!s:<36} {dtype:<8} {row['row']:<10} {us.get('direct', float('nan')):>10.0f} {us['fft']:>10.0f} {row['chosen']:<6}{predicted}{wrong}",
            flush=True,
        )
    losses = [r["loss"] for r in rows]
    print(
        f"{len(rows)} cells: loss {geometric_mean(losses):.3f}, worst {max(losses):.2f}, beyond {ALLOWED}: {sum(v > ALLOWED for v in losses)}"
    )
    if options.out:
        options.out.write_text(json.dumps({"what": "transforms", **machine.describe(options.threads), "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
