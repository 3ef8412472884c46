"""What chunks cost: beside the unchunked call, beside dask_image and map_overlap around SciPy and torch; graphs of many chunks; out of core.

    python benchmarks/chunks.py [--quick] [--out benchmarks/results/chunks.json]

Each figure is the best of a few runs in turns.  `numconv` computes and joins the chunks of the result, as the peers do; `numconv, chunks`
leaves them apart (`persist`); `copy` is what dask takes for copying each chunk and joining the copies: what any result costs there.  Needs dask; dask_image, torch and distributed where they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import machine
import numpy as np
import scipy.ndimage

import numconv as nc

Array = np.ndarray[Any, Any]


def best(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of each, in turns."""
    found = {name: float("inf") for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name] = min(found[name], time.perf_counter() - start)
    return found


def _by_torch(block: Array, taps: Any) -> Array:
    """Along each axis in turn, of one channel; edges are map_overlap's."""
    import torch

    torch.set_num_threads(1)
    y = torch.from_numpy(np.ascontiguousarray(block))
    rank, conv = y.ndim, {2: torch.conv2d, 3: torch.conv3d}[y.ndim]
    for axis in range(rank):
        shape = [len(taps) if i == axis else 1 for i in range(rank)]
        y = conv(y[None, None], taps.reshape(1, 1, *shape), padding=[n // 2 for n in shape])[0, 0]
    return y.numpy()


def _peers(x: Any, sigma: float) -> dict[str, Callable[[], Any]]:
    reach = int(4 * sigma + 0.5)
    found = {
        "map_overlap SciPy": lambda: x.map_overlap(scipy.ndimage.gaussian_filter, depth=reach, boundary="reflect", sigma=sigma).compute(),
    }
    try:
        import torch

        taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        found["map_overlap torch"] = lambda: x.map_overlap(
            _by_torch, depth=reach, boundary="reflect", taps=torch.from_numpy((taps / taps.sum()).astype("f4"))
        ).compute()
    except ImportError:
        pass
    try:
        from dask_image import ndfilters
    except ImportError:
        return found
    found["dask_image"] = lambda: ndfilters.gaussian_filter(x, sigma=sigma).compute()
    return found


def filters(quick: bool) -> list[dict[str, Any]]:
    """A Gaussian of sigma 1, images and volumes, chunks of 4 to 64 MB."""
    rows, rng = [], np.random.default_rng(0)
    for shape in ((2048, 2048), (128,) * 3) if quick else ((8192, 8192), (256,) * 3):
        a = rng.standard_normal(shape, "f4")
        for megabytes in (4, 64):
            side = int((megabytes * 1e6 / 4) ** (1 / len(shape)))
            x = da.from_array(a, chunks=min(side, shape[0]), name=False)
            calls: dict[str, Callable[[], Any]] = {"whole": lambda a=a: nc.ndimage.gaussian_filter(a, 1.0)}  # type: ignore[misc]
            calls["numconv"] = lambda x=x: nc.ndimage.gaussian_filter(x, 1.0).compute()  # type: ignore[misc]
            calls["numconv, chunks"] = lambda x=x: nc.ndimage.gaussian_filter(x, 1.0).persist()  # type: ignore[misc]
            calls["copy"] = lambda x=x: x.map_blocks(np.copy).compute()  # type: ignore[misc]
            seconds = best(calls | _peers(x, 1.0), 2 if quick else 3)
            rows.append({"what": f"gaussian {'×'.join(map(str, shape))}", "chunk MB": megabytes, "seconds": seconds})
            print(rows[-1], flush=True)
    return rows


def convolutions(quick: bool) -> list[dict[str, Any]]:
    """8 → 8 channels, 3×3 and 3×3×3."""
    rows, rng = [], np.random.default_rng(0)
    cases = [
        (nc.conv2d, (1, 8, 1024, 1024) if quick else (1, 8, 4096, 4096)),
        (nc.conv3d, (1, 8, 64, 128, 128) if quick else (1, 8, 128, 256, 256)),
    ]
    for function, shape in cases:
        a, rank = rng.standard_normal(shape, "f4"), len(shape) - 2
        w = rng.standard_normal((8, 8, *[3] * rank), "f4")
        for megabytes in (4, 64):
            side = int((megabytes * 1e6 / 32) ** (1 / rank))
            x = da.from_array(a, chunks=(1, 8, *(min(side, n) for n in shape[2:])), name=False)
            calls: dict[str, Callable[[], Any]] = {
                "whole": lambda function=function, a=a, w=w: function(a, w, padding=1, accuracy="elementwise"),  # type: ignore[misc]
                "numconv": lambda function=function, x=x, w=w: function(x, w, padding=1).compute(),  # type: ignore[misc]
                "numconv, chunks": lambda function=function, x=x, w=w: function(x, w, padding=1).persist(),  # type: ignore[misc]
                "copy": lambda x=x: x.map_blocks(np.copy).compute(),  # type: ignore[misc]
            }
            rows.append({"what": f"{function.__name__} {'×'.join(map(str, shape))}", "chunk MB": megabytes, "seconds": best(calls, 3)})
            print(rows[-1], flush=True)
    return rows


def graph(count: int) -> dict[str, Any]:
    """Building the graph of so many chunks, and what a scheduler is sent."""
    side = round(count**0.5)
    x = da.zeros((side * 64, side * 64), chunks=64, dtype="f4")
    start = time.perf_counter()
    y = nc.ndimage.gaussian_filter(x, 1.0) if count < 10_000 else nc.conv2d(x[None], np.ones((1, 1, 3, 3), "f4"), padding=1)
    built = time.perf_counter() - start
    tasks = dict(y.__dask_graph__())
    size = len(pickle.dumps(tasks)) / 1e6
    start = time.perf_counter()
    dask.optimize(y)
    return {"chunks": y.npartitions, "tasks": len(tasks), "build s": built, "optimize s": time.perf_counter() - start, "pickled MB": size}


def out_of_core(quick: bool) -> dict[str, Any]:
    """A volume of eight times the limit from disk to disk, beside reading, writing and computing alone."""
    shape = (1, 128, 256, 256) if quick else (1, 512, 512, 512)
    w = np.random.default_rng(1).standard_normal((1, 1, 3, 3, 3), "f4")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        source = np.lib.format.open_memmap(Path(folder) / "x.npy", "w+", "f4", shape)
        for i in range(shape[1]):
            source[:, i] = np.random.default_rng(i).standard_normal((1, *shape[2:]), "f4")
        source.flush()
        limit = source.nbytes // 8
        start = time.perf_counter()
        nc.out_of_core(nc.conv3d, source, w, padding=1, target=Path(folder) / "y.npy", memory_limit=limit, progress=False)
        ours = time.perf_counter() - start
        start = time.perf_counter()
        copied = np.lib.format.open_memmap(Path(folder) / "z.npy", "w+", "f4", shape)
        for i in range(0, shape[1], 8):
            copied[:, i : i + 8] = source[:, i : i + 8]
        copied.flush()
        disk = time.perf_counter() - start
        whole = np.array(source)
        nc.conv3d(whole, w, padding=1, accuracy="elementwise")
        start = time.perf_counter()
        nc.conv3d(whole, w, padding=1, accuracy="elementwise")
        kernel = time.perf_counter() - start
    return {
        "shape": shape,
        "limit": limit,
        "out of core s": ours,
        "disk s": disk,
        "kernel s": kernel,
        "of the slower": max(disk, kernel) / ours,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = {
        "machine": machine.describe(os.cpu_count() or 1),
        "filters": filters(options.quick),
        "convolutions": convolutions(options.quick),
        "graphs": [graph(1_000), graph(10_000 if options.quick else 100_000)],
        "out of core": out_of_core(options.quick),
    }
    print(json.dumps(found, indent=1))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
