"""Two commits on this machine, layer by layer, in alternating processes: python benchmarks/compare.py BEFORE [AFTER] [--every 5] [--what forward …]

AFTER is the working tree by default.  Each commit is laid into a folder of its own; processes alternate so that a change of the machine's
speed meets both.  Exit status 1 if a layer became slower than `--tolerance` allows in every round.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import layers
import machine

WHAT = ("forward", "prepacked", "gradients")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", nargs="?")
    parser.add_argument("after", nargs="?", help="the working tree by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--layers", type=int, nargs="+", help="these alone, by their numbers, instead of every fifth")
    parser.add_argument("--what", nargs="+", default=["forward"], choices=WHAT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="per layer and round")
    parser.add_argument("--tolerance", type=float, default=0.1)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)  # inside: time the package in this folder
    return parser.parse_args(argv)


def chosen(options: argparse.Namespace) -> list[layers.Layer]:
    every = layers.load()
    return [layer for layer in every if layer.index in options.layers] if options.layers else every[:: options.every]


def lay(commit: str, folder: Path) -> Path:
    data = subprocess.run(["git", "archive", commit, "numconv"], cwd=machine.ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def measure(options: argparse.Namespace) -> None:
    """The smallest time of each layer, as JSON on standard output."""
    sys.path.insert(0, str(options.measure))
    import numba

    import numconv

    assert Path(numconv.__file__).is_relative_to(options.measure), numconv.__file__
    numba.set_num_threads(min(options.threads, numba.config.NUMBA_NUM_THREADS))
    clock = time.perf_counter
    found: dict[str, float] = {}
    for layer in chosen(options):
        for what in options.what:
            run = call(layer, what)
            run()
            best, end = math.inf, clock() + options.seconds
            while clock() < end or best is math.inf:
                start = clock()
                run()
                best = min(best, clock() - start)
            found[f"{layer.index} {what}"] = best
    json.dump(found, sys.stdout)


def call(layer: layers.Layer, what: str) -> Callable[[], Any]:
    """The layer forward, with its weights packed before, or its way back alone (both gradients)."""
    x, w, bias = layer.arrays()
    if what != "gradients":
        return layers.ours(layer, x, w, bias, prepacked=what == "prepacked")  # type: ignore[no-any-return]
    import numpy as np

    import numconv as nc

    options: dict[str, Any] = {"output_padding": layer.output_padding} if layer.transposed else {}
    options |= {"stride": layer.stride, "padding": layer.pads, "dilation": layer.dilation, "groups": layer.groups}
    y, pullback = nc.vjp(getattr(nc, f"conv{'_transpose' if layer.transposed else ''}{layer.rank}d"), x, w, **options)
    dy = np.random.default_rng(1).standard_normal(y.shape, "float32")
    return lambda: pullback(dy)


def rounds(folders: list[Path], options: argparse.Namespace) -> list[list[dict[str, float]]]:
    """Per folder, a dictionary of times for each round."""
    found: list[list[dict[str, float]]] = [[], []]
    for number in range(options.rounds):
        for folder, kept in zip(folders, found, strict=True):
            command = [sys.executable, __file__, "--measure", str(folder), "--threads", str(options.threads), "--every", str(options.every)]
            command += ["--layers", *map(str, options.layers)] if options.layers else []
            environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            run = subprocess.run(
                [*command, "--seconds", str(options.seconds), "--what", *options.what],
                capture_output=True,
                text=True,
                check=True,
                env=environment,
            )
            kept.append(json.loads(run.stdout))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return found


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.measure:
        measure(options)
        return 0
    if not options.before:
        print("compare: name the commit to compare with", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        before = lay(options.before, Path(temporary) / "before")
        after = lay(options.after, Path(temporary) / "after") if options.after else machine.ROOT
        old, new = rounds([before, after], options)
    every: list[Any] = []
    for what in options.what:
        slower, logs = [], []
        for layer in chosen(options):
            key = f"{layer.index} {what}"
            ratios: list[Any] = [a[key] / b[key] for a, b in zip(old, new, strict=True)]
            best = min(a[key] for a in old) / min(b[key] for b in new)
            logs.append(math.log(best))
            if max(ratios) < 1 / (1 + options.tolerance):
                slower.append(layer.index)
            mark = "  SLOWER" if layer.index in slower else ""
            print(f"{layer.index:>3} {layer.kind:<12} {layer.shape:<38} {what} before/after {best:5.2f}{mark}")
        print(f"{what}: geometric mean {math.exp(sum(logs) / len(logs)):.3f}; slower in every round: {slower or 'none'}")
        every += slower
    return 1 if every else 0


if __name__ == "__main__":
    sys.exit(main())
