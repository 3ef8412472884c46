"""Small layers beside busy processes: python benchmarks/neighbours.py [--index 4 12 …] [--busy 0 1 2] [--out results/neighbours.json]

Numconv, torch and onnxruntime in a process each, one after the other, on all cores, while so many other processes burn a core each.  Then,
without neighbours, one process a core: all of them with the default number of threads, and with one thread each (as servers are set up).
Times in milliseconds of a call; weights are packed before.  The machine must have nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import layers
import machine
import numpy as np
from onnx_peer import with_onnxruntime

LAYERS = (0, 4, 12, 28, 36, 40, 48, 56, 92)
KINDS = ("numconv", "torch", "onnxruntime")
ALONE = ("default", "one")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--index", type=int, nargs="+", default=list(LAYERS), help="layers, by their numbers")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=2.0, help="a layer")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", choices=KINDS, help=argparse.SUPPRESS)  # inside: print the times of each layer
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def call(kind: str, layer: layers.Layer, threads: int) -> Any:
    x, w, bias = layer.arrays()
    if kind == "numconv":
        return layers.ours(layer, x, w, bias, prepacked=True)
    if kind == "onnxruntime":
        return with_onnxruntime(layer, x, w, bias, threads)
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return layers.with_torch(layer, *map(torch.from_numpy, (x, w, bias)))


def measure(options: argparse.Namespace) -> None:
    cores = len(os.sched_getaffinity(0))
    if options.threads and options.measure == "numconv":
        import numba

        numba.set_num_threads(options.threads)
    found = {}
    for layer in layers.load(indices=options.index):
        run = call(options.measure, layer, options.threads or cores)
        for _ in range(5):
            run()
        times, end = [], time.perf_counter() + options.seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            run()
            times.append((time.perf_counter() - start) * 1e3)
        found[layer.index] = {"median": float(np.median(times)), "mean": float(np.mean(times)), "p99": float(np.percentile(times, 99))}
    json.dump(found, sys.stdout)


def burn() -> None:
    while True:
        pass


def start(kind: str, options: argparse.Namespace, threads: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--measure", kind, "--threads", str(threads), "--seconds", str(options.seconds), "--index"]
    return subprocess.Popen([*command, *map(str, options.index)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def result(process: subprocess.Popen[str]) -> dict[str, dict[str, float]]:
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed")
    return json.loads(out)  # type: ignore[no-any-return]


def beside(kind: str, busy: int, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    neighbours = [multiprocessing.Process(target=burn, daemon=True) for _ in range(busy)]
    for neighbour in neighbours:
        neighbour.start()
    try:
        return result(start(kind, options))
    finally:
        for neighbour in neighbours:
            neighbour.terminate()


def show(name: str, found: dict[str, dict[str, float]]) -> None:
    cells = "  ".join(f"{i:>3}: {t['median']:7.3f} {t['mean']:7.3f}" for i, t in found.items())
    print(f"{name:<32}{cells}   mean, geometric over layers: {geometric_mean(t['mean'] for t in found.values()):.3f}", flush=True)


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    if options.measure:
        measure(options)
        return 0
    report: dict[str, Any] = {"machine": machine.describe(len(os.sched_getaffinity(0))), "beside": {}, "one_process_a_core": {}}
    print("milliseconds, median and mean, of layers by their numbers")
    for kind in KINDS:  # compiled, and in the caches of files
        result(start(kind, argparse.Namespace(seconds=0.01, index=options.index)))
    for busy in options.busy:
        for kind in KINDS:
            of_kind = report["beside"].setdefault(str(busy), {})[kind] = beside(kind, busy, options)
            show(f"{busy} busy, {kind}", of_kind)
    for name, threads in zip(ALONE, (0, 1), strict=True):
        running = [start("numconv", options, threads) for _ in os.sched_getaffinity(0)]
        report["one_process_a_core"][name] = [result(process) for process in running]
        for one in report["one_process_a_core"][name]:
            show(f"one process a core, {name} threads", one)
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
