"""The contest: named layers, numconv against torch, onnxruntime or its own other layout, interleaved in one process on the same threads.

    python benchmarks/peers.py --threads 2 [--kind depthwise] [--index 3 7] [--peer onnxruntime] [--out results/peers.json]

Per layer: both results are compared first (within both rounding bounds), then blocks of calls alternate, the peer first; the first call of
every block is thrown away (the other library's threads may still spin, its data fill the caches).  The time is the median over all
kept calls.  Weights are given plain in every call, `--prepacked` apart (onnxruntime always has its own prepacked).  Ratios are the
peer's time / our time: above 1 we are faster.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import layers
import machine
import numpy as np
from layers import Layer
from onnx_peer import with_onnxruntime


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--peer", default="torch", choices=("torch", "onnxruntime", "channels_first"), help="channels_first: numconv itself in that layout"
    )
    parser.add_argument("--kind", nargs="*", help="only these kinds")
    parser.add_argument("--index", type=int, nargs="*", help="only these layers")
    parser.add_argument("--every", type=int, default=1, help="every n-th layer only")
    parser.add_argument("--batch", type=int, help="batch size in place of the layer's")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    parser.add_argument("--layout", default="channels_first", choices=("channels_first", "channels_last"))
    parser.add_argument("--prepacked", action="store_true", help="ours with weights packed once")
    parser.add_argument("--algorithm", default="auto", help="ours with this algorithm")
    parser.add_argument(
        "--best", action="store_true", help="smallest time of each in place of the median: for a machine that others use too"
    )
    parser.add_argument("--seconds", type=float, default=0.6, help="time budget per layer, both libraries")
    parser.add_argument("--layers", type=Path, help="another layers.json")
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    options = parser.parse_args(argv)
    if options.peer == "onnxruntime" and (options.dtype, options.layout) != ("float32", "channels_first"):
        parser.error("onnxruntime: float32, channels first")
    return options


def contest(first: Any, second: Any, seconds: float, before: Any = None) -> tuple[list[float], list[float]]:
    """Seconds of each kept call of both, in alternating blocks; `before` each call of the second, untimed."""
    clock = time.perf_counter
    for f in (first, second):
        f()
    start = clock()
    first()
    once = clock() - start
    calls = max(2, min(20, int(seconds / 8 / max(once, 1e-6))))
    times: tuple[list[float], list[float]] = ([], [])
    end = clock() + seconds
    while clock() < end or len(times[1]) < 3:
        for f, kept in zip((first, second), times, strict=True):
            for i in range(calls + 1):
                if before is not None and f is second:
                    before()
                t = clock()
                f()
                t = clock() - t
                if i:
                    kept.append(t)
    return times


def spread(times: list[float]) -> float:
    """Half the distance between the quartiles, as a share of the median."""
    q = np.percentile(times, [25, 50, 75])
    return float((q[2] - q[0]) / 2 / q[1])


def measure(layer: Layer, options: argparse.Namespace) -> dict[str, Any]:
    """Check, then time."""
    import torch

    last = options.layout == "channels_last"
    x, w, bias = layer.arrays(options.dtype)
    tx, tw, tb = map(torch.from_numpy, (x, w, bias))
    xs = x
    if last:
        xs = np.ascontiguousarray(np.moveaxis(x, 1, -1))
        tx = torch.from_numpy(xs).movedim(-1, 1)  # torch's channels_last memory
    plain = theirs = layers.with_torch(layer, tx, tw, tb)
    if options.peer == "onnxruntime":
        theirs = with_onnxruntime(layer, x, w, bias, options.threads)
    if options.peer == "channels_first":
        theirs = layers.ours(layer, x, w, bias, prepacked=options.prepacked)
    run = layers.ours(layer, xs, w, bias, options.layout, options.prepacked, options.algorithm)
    name, factor, workspace = layers.algorithm(layer, xs, w, bias, options.layout)
    start = time.perf_counter()
    y = run()
    first = time.perf_counter() - start
    wanted = plain().double().numpy()
    magnitude = layers.with_torch(layer, tx.abs().double(), tw.abs().double(), tb.abs().double())().numpy()
    error = layers.check(layer, np.moveaxis(y, -1, 1) if last else y, wanted, magnitude, options.dtype, factor)
    layers.check(layer, theirs(), wanted, magnitude, options.dtype, factor)
    del wanted, magnitude
    t_peer, t_ours = contest(theirs, run, options.seconds)
    middle = min if options.best else median
    a, b = middle(t_peer), middle(t_ours)
    return {
        "index": layer.index, "name": layer.name, "kind": layer.kind, "shape": layer.shape, "algorithm": name if options.algorithm == "auto" else options.algorithm,
        "peer_ms": 1e3 * a, "ours_ms": 1e3 * b, "ratio": a / b, "gflops": layer.flops / b / 1e9, "peer_gflops": layer.flops / a / 1e9,
        "gbytes": layer.bytes(x.itemsize) / b / 1e9, "workspace": workspace, "first_call_s": first, "error": error,
        "peer_spread": spread(t_peer), "ours_spread": spread(t_ours), "calls": [len(t_peer), len(t_ours)],
    }  # fmt: skip


def geomean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Geometric means by kind and over all, and the worst layer."""
    kinds = list(dict.fromkeys(r["kind"] for r in rows))
    by_kind = {
        k: {
            "layers": len([r for r in rows if r["kind"] == k]),
            "ratio": geomean([r["ratio"] for r in rows if r["kind"] == k]),
            "gflops": geomean([r["gflops"] for r in rows if r["kind"] == k]),
            "peer_gflops": geomean([r["peer_gflops"] for r in rows if r["kind"] == k]),
            "worst": min(r["ratio"] for r in rows if r["kind"] == k),
        }
        for k in kinds
    }
    worst = min(rows, key=lambda r: r["ratio"])
    return {
        "kinds": by_kind,
        "ratio": geomean([r["ratio"] for r in rows]),
        "worst": {k: worst[k] for k in ("index", "shape", "kind", "ratio")},
    }


ROW = "{index:>3}  {kind:<12} {shape:<38} {peer_ms:>9.3f} {ours_ms:>9.3f} {ratio:>6.2f} {gflops:>7.1f}  {algorithm}"


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    import numba
    import torch

    torch.set_num_threads(options.threads)
    numba.set_num_threads(min(options.threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_grad_enabled(False)
    header = machine.describe(options.threads)
    print(machine.line(header))
    print(f"{'':>3}  {'kind':<12} {'shape':<38} {options.peer + ' ms':>9} {'ours ms':>9} {'ratio':>6} {'GF/s':>7}  algorithm", flush=True)
    rows, wrong = [], []
    for layer in layers.load(options.batch, options.kind, options.index, options.layers)[:: options.every]:
        try:
            rows.append(measure(layer, options))
        except (AssertionError, NotImplementedError, ValueError) as error:
            wrong.append(f"{layer.index}: {error}")
            print(f"{layer.index:>3}  {layer.kind:<12} {layer.shape:<38} {error}", flush=True)
            continue
        print(ROW.format(**rows[-1]), flush=True)
    if not rows:
        return 1
    total = summary(rows)
    print(f"\n{'kind':<14} {'layers':>6} {'ratio':>6} {'worst':>6} {'GF/s':>7} {'peer':>7}")
    for kind, k in total["kinds"].items():
        print(f"{kind:<14} {k['layers']:>6} {k['ratio']:>6.2f} {k['worst']:>6.2f} {k['gflops']:>7.1f} {k['peer_gflops']:>7.1f}")
    w = total["worst"]
    print(f"{'all':<14} {len(rows):>6} {total['ratio']:>6.2f} {w['ratio']:>6.2f}   worst: {w['index']} {w['kind']} {w['shape']}")
    if options.out:
        told = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items() if k not in ("out", "layers")}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"what": "peers", **header, "options": told, "summary": total, "layers": rows}, indent=1) + "\n")
        print(f"written: {options.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
