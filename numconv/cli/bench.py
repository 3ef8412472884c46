"""Named layers against the peers that are installed (torch, SciPy): best time of each, results compared first."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

import numconv as nc

from . import at_least
from .terminal import Column, Table

EXAMPLES = """examples:
  python -m numconv bench --threads 1 --seconds 0.2
  python -m numconv bench --json > bench.json"""
#: (network and layer, function, x, w, options)
LAYERS: tuple[tuple[str, str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("ResNet-50 3×3", "conv2d", (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    ("ResNet-50 3×3, deep", "conv2d", (1, 512, 7, 7), (512, 512, 3, 3), {"padding": 1}),
    ("ResNet-50 1×1", "conv2d", (1, 256, 56, 56), (64, 256, 1, 1), {}),
    ("ResNet-50 stem", "conv2d", (1, 3, 224, 224), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    ("MobileNet depthwise", "conv2d", (1, 128, 56, 56), (128, 1, 3, 3), {"padding": 1, "groups": 128}),
    ("ResNeXt-50 grouped", "conv2d", (1, 128, 56, 56), (128, 4, 3, 3), {"padding": 1, "groups": 32}),
    ("DeepLab dilated", "conv2d", (1, 256, 33, 33), (256, 256, 3, 3), {"padding": 4, "dilation": 4}),
    ("DCGAN transposed", "conv_transpose2d", (1, 256, 16, 16), (256, 128, 4, 4), {"stride": 2, "padding": 1}),
    ("HiFi-GAN 1-D", "conv1d", (1, 128, 4096), (128, 128, 3), {"padding": 1}),
    ("one image, 15×15", "conv2d", (1, 1, 512, 512), (1, 1, 15, 15), {}),
    ("U-Net 3-D", "conv3d", (1, 32, 24, 24, 24), (32, 32, 3, 3, 3), {"padding": 1}),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=at_least(0), default=0, help="threads of every library (default: all)")
    parser.add_argument("--seconds", type=at_least(0, float), default=0.5, help="time for each layer and library")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, for programs: times in ms")


def run(options: argparse.Namespace) -> int:
    import numba

    threads = min(options.threads or numba.config.NUMBA_NUM_THREADS, numba.config.NUMBA_NUM_THREADS)
    numba.set_num_threads(threads)
    peers = {name: make for name, make in (("torch", with_torch), ("scipy", with_scipy)) if find_spec(name)}
    if options.json:
        for found in measured(threads, peers, options.seconds):
            print(json.dumps(found, ensure_ascii=False), flush=True)
        return 0
    columns = [Column("layer", 22), Column("numconv", 9, True), Column("GF/s", 7, True), *(Column(name, 9, True) for name in peers)]
    title = f"{threads} threads, float32, best times in ms; a peer that cannot run a layer has no entry"
    with Table([*columns, Column(" algorithm")], title) as table:
        for found in measured(threads, peers, options.seconds):
            times = [f"{found[name]:.3f}" if name in found else "" for name in peers]
            table.row([found["layer"], f"{found['numconv']:.3f}", f"{found['gflops']:.1f}", *times, f" {found['algorithm']}"])
    return 0


def measured(threads: int, peers: dict[str, Any], budget: float) -> Iterator[dict[str, Any]]:
    """Each layer, times in ms, after the results have been compared."""
    for title, function, x_shape, w_shape, keywords in LAYERS:
        rng = np.random.default_rng(0)
        x, w = (rng.standard_normal(s, "float32") for s in (x_shape, w_shape))
        call = getattr(nc, function)
        flops = 2 * nc.cost(call, x, w, **keywords).multiplications
        ours = call(x, w, **keywords)
        seconds = best(lambda call=call, x=x, w=w, keywords=keywords: call(x, w, **keywords), budget)  # type: ignore[misc]
        found: dict[str, Any] = {"layer": title, "threads": threads, "numconv": 1e3 * seconds, "gflops": flops / seconds / 1e9}
        for name, make in peers.items():
            other = make(function, x, w, keywords, threads)
            if other is None:
                continue
            np.testing.assert_allclose(np.asarray(other()), ours, rtol=1e-3, atol=1e-3 * float(np.abs(ours).max()))
            found[name] = 1e3 * best(other, budget)
        found["algorithm"] = nc.explain(call, x, w, **keywords).algorithm
        yield found


def best(call: Callable[[], Any], budget: float) -> float:
    """Smallest of the times of calls within the budget, three at least."""
    clock = time.perf_counter
    times: list[float] = []
    end = clock() + budget
    while clock() < end or len(times) < 3:
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def with_torch(function: str, x: Any, w: Any, keywords: dict[str, Any], threads: int) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    a, b = torch.from_numpy(x), torch.from_numpy(w)
    return lambda: getattr(torch.nn.functional, function)(a, b, **keywords)


def with_scipy(function: str, x: Any, w: Any, keywords: dict[str, Any], threads: int) -> Callable[[], Any] | None:
    """SciPy has no channels: it runs what is one image and one filter."""
    if x.shape[:2] != (1, 1) or w.shape[:2] != (1, 1) or set(keywords) - {"padding"}:
        return None
    from scipy import signal

    pads = [(keywords.get("padding", 0),) * 2] * (x.ndim - 2)
    return lambda: signal.correlate(np.pad(x[0, 0], pads), w[0, 0], "valid")[None, None]
