"""How well the cost models predict: predicted time / measured time of each row, over the layers of a committed result.

    python benchmarks/fit.py [benchmarks/results/peers_one.json …]

Predicted is what the plan took its row by: one sample on one core of the machine as its result describes it, or that core's part of it on
several threads (then the measured time holds what is lost by sharing, too).  The weights of a layer are
given plain and packed in the call; models price a kernel's own work, so small layers measure longer than predicted.  Rows are chosen by
these figures relative to each other: a mean that is off by the same factor for all of them does no harm, the spread does.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from statistics import geometric_mean, stdev
from typing import Any

import layers
import machine

ROOT = layers.ROOT
RESULTS = ("peers_one", "peers_avx2")  # one of each machine: on one thread, or on as many as there are
#: caches and multiply-adds a cycle of machines whose results were committed before results said so: by bytes of a vector
BEFORE: dict[int, dict[str, Any]] = {
    64: {"registers": 32, "multiply_adds": 1, "l1": 32 << 10, "l2": 1 << 20},  # Zen 4
    32: {"registers": 16, "multiply_adds": 2, "l1": 32 << 10, "l2": 512 << 10},  # Zen 3
}


def described(found: dict[str, Any]) -> Any:
    """The machine of a result, as its plans saw it."""
    from numconv.kernel import Machine

    width = found["vector_bytes"]
    seen = found.get("plans_see") or BEFORE[width]
    peak = 3e9 * 2 * width / 4 * seen["multiply_adds"]
    return Machine(name="cpu", vector_bytes=width, cores=found["threads"], flops=peak, bandwidth=1e10, **seen)


def problem_of(layer: layers.Layer, dtype: str) -> Any:
    """The layer as its kernel sees it."""
    from numconv.problem import ConvProblem

    transposed = layer.transposed
    channels = (layer.out_channels, layer.in_channels) if transposed else (layer.in_channels, layer.out_channels)
    spatial, outputs = (layer.outputs, layer.spatial) if transposed else (layer.spatial, layer.outputs)
    return ConvProblem(
        direction="input_grad" if transposed else "forward",
        batch=1,
        in_channels=channels[0],
        out_channels=channels[1],
        groups=layer.groups,
        spatial=spatial,
        kernel=layer.kernel,
        stride=layer.stride,
        pad_low=tuple(low for low, _ in layer.pads),
        dilation=layer.dilation,
        outputs=outputs,
        dtype=dtype,
        out_dtype=dtype,
        bias=True,
    )


def ratios(found: dict[str, Any]) -> list[tuple[str, str, float]]:
    """(row, layer, predicted / measured) of each layer of a result."""
    from numconv import devices

    rows = {row.name: row for row in devices.device("cpu").table()}
    target, every = described(found), {layer.index: layer for layer in layers.load()}
    result = []
    for measured in found["layers"]:
        layer, row = every[measured["index"]], rows[measured["algorithm"]]
        problem = problem_of(layer, found["options"]["dtype"])
        if row.refuses(problem) is None:
            predicted = layer.batch * row.cost(problem, target)
            result.append((row.name, layer.shape, 1e3 * predicted / measured["ours_ms"] / found["threads"]))
    return result


def table(found: dict[str, Any]) -> str:
    """A row a line: number of layers, geometric mean, spread (standard deviation of the logarithm), and the worst layer."""
    every = ratios(found)
    lines = ["| row | layers | predicted / measured | spread | worst | of |", "|---|---|---|---|---|---|"]
    names = list(dict.fromkeys(name for name, _, _ in every))
    for name in [*names, "all"]:
        mine = [(ratio, shape) for row, shape, ratio in every if name in (row, "all")]
        mean = geometric_mean(ratio for ratio, _ in mine)
        off = stdev(math.log(ratio) for ratio, _ in mine) if len(mine) > 1 else 0.0
        worst, shape = max(mine, key=lambda m: abs(math.log(m[0] / mean)))
        lines.append(f"| {name} | {len(mine)} | {mean:.2f} | {off:.2f} | {worst:.2f} | {shape} |")
    return "\n".join([*lines, "", f"{machine.line(found)}."])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", nargs="*", type=Path, default=[ROOT / "benchmarks" / "results" / f"{name}.json" for name in RESULTS])
    for path in parser.parse_args(argv).results:
        print(f"{path.name}\n{table(json.loads(path.read_text()))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
