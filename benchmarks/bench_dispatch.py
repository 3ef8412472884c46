"""Overhead of a call on a tiny problem (1×1×8×8, 3×3), and of its parts: python benchmarks/bench_dispatch.py [--out results/dispatch.json]"""

from __future__ import annotations

import argparse
import json
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine

if str(machine.ROOT) not in sys.path:
    sys.path.insert(0, str(machine.ROOT))

import numpy as np

import numconv as nc


def microseconds(call: Callable[[], Any]) -> float:
    """Median over 15 repeats of the mean of a thousand calls."""
    call()
    return float(np.median(timeit.repeat(call, number=1000, repeat=15))) * 1e3


def figures() -> dict[str, dict[str, Any]]:
    x, w = np.ones((1, 1, 8, 8), "float32"), np.ones((1, 1, 3, 3), "float32")
    out = nc.conv2d(x, w)
    layer = nc.Conv2d(w)
    last = np.ones((1, 8, 8, 1), "float32")
    calls: dict[str, Callable[[], Any]] = {
        "conv2d": lambda: nc.conv2d(x, w),
        "conv2d, padding pairs": lambda: nc.conv2d(x, w, padding=((1, 1), (1, 1))),
        "conv2d, out=": lambda: nc.conv2d(x, w, out=out),
        "conv2d, channels last": lambda: nc.conv2d(last, w, layout="channels_last"),
        "Conv2d layer": lambda: layer(x),
        "Conv2d layer, out=": lambda: layer(x, out=out),
        "conv_transpose2d": lambda: nc.conv_transpose2d(x, w),
        "depthwise_conv2d": lambda: nc.depthwise_conv2d(x, w),
    }
    return {name: {"value": microseconds(call), "unit": "µs"} for name, call in calls.items()}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(argv)
    found = figures()
    for name, figure in found.items():
        print(f"{name:<28} {figure['value']:8.2f} {figure['unit']}")
    if options.out:
        options.out.write_text(json.dumps({"what": "dispatch", **machine.describe(1), "figures": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
