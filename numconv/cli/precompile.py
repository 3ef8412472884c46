"""Compile the kernels into the cache, so that no first call waits for the compiler (for an image, or before measuring)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import numconv as nc

from ..arguments.types import COMPLEX, FLOATS, INTEGERS
from ..catalog import VARIANTS, Case
from .progress import Bar

Job = tuple[str, Callable[[], Any]]

#: problems of everyday size, (function, x, w, options): what `auto` takes for them is compiled in its parallel form
LAYERS: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
    ("conv2d", (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    ("conv2d", (1, 64, 56, 56), (128, 64, 3, 3), {"padding": 1, "stride": 2}),
    ("conv2d", (1, 3, 224, 224), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
    ("conv2d", (1, 256, 14, 14), (256, 256, 1, 1), {}),
    ("conv2d", (1, 64, 56, 56), (64, 64, 1, 1), {}),
    ("conv2d", (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 2, "dilation": 2}),
    ("conv2d", (1, 64, 56, 56), (64, 2, 3, 3), {"padding": 1, "groups": 32}),
    ("conv2d", (1, 64, 56, 56), (64, 1, 3, 3), {"padding": 1, "groups": 64}),
    ("conv2d", (1, 64, 56, 56), (64, 1, 3, 3), {"padding": 1, "groups": 64, "stride": 2}),
    ("conv2d", (1, 64, 56, 56), (64, 1, 7, 7), {"padding": 3, "groups": 64}),
    ("conv2d", (1, 1, 512, 512), (1, 1, 5, 5), {"padding": 2}),
    ("conv1d", (1, 64, 4096), (64, 64, 3), {"padding": 1}),
    ("conv3d", (1, 16, 24, 24, 24), (32, 16, 3, 3, 3), {"padding": 1}),
    ("conv_transpose2d", (1, 64, 28, 28), (64, 32, 4, 4), {"padding": 1, "stride": 2}),
    ("conv_transpose1d", (1, 64, 1024), (64, 32, 4), {"padding": 1, "stride": 2}),
    ("conv_transpose3d", (1, 16, 12, 12, 12), (16, 16, 2, 2, 2), {"stride": 2}),
)

EXAMPLES = """examples:
  python -m numconv precompile"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dtype",
        nargs="+",
        choices=sorted(INTEGERS | FLOATS | COMPLEX),
        metavar="TYPE",
        default=["float32"],
        help="element types (default: float32)",
    )
    parser.add_argument("--tiles", action="store_true", help="every register tile of the direct kernel, not only the usual ones")
    parser.add_argument("--variants", action="store_true", help="every sample case of the catalog, serial kernels of tiny problems")


def run(options: argparse.Namespace) -> int:
    from ..cpu.runtime.cache import folder

    jobs = [job for dtype in options.dtype for job in _jobs(dtype, options)]
    with Bar(len(jobs)) as bar:
        for label, work in jobs:
            bar.step(label)
            work()
    print(f"cache: {folder()}")
    return 0


def _jobs(dtype: str, options: argparse.Namespace) -> Iterator[Job]:
    for name, x, w, keywords in LAYERS:
        yield f"{dtype} {name} {'×'.join(map(str, x))}", _call(getattr(nc, name), (x, w), dtype, keywords)
    if options.tiles:
        yield from _tiles(dtype)
    if options.variants:
        for variant in VARIANTS:
            for case in variant.cases:
                if "mask" not in case.options:
                    yield f"{dtype} {variant.name}: {case.label}", _case(variant.function, case, dtype)


def _call(function: Callable[..., Any], shapes: tuple[tuple[int, ...], ...], dtype: str, keywords: dict[str, Any]) -> Callable[[], Any]:
    return lambda: function(*(np.zeros(s, dtype) for s in shapes), **keywords)


def _case(function: Callable[..., Any], case: Case, dtype: str) -> Callable[[], Any]:
    return lambda: function(*case.arrays(np.random.default_rng(0), dtype), **case.options)


def _tiles(dtype: str) -> Iterator[Job]:
    """One small and one large call for every register tile that the choice ever makes on this machine."""
    from ..cpu.dense.positions.choice import tile_for
    from ..cpu.machine import detect

    seen = set()
    for channels in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 96):
        for side in (7, 14, 28, 56, 112):
            shapes = ((1, 16, side, side), (channels, 16, 3, 3))
            problem: Any = nc.explain(nc.conv2d, *(np.zeros(s, dtype) for s in shapes)).plan.problem
            tile = tile_for(problem, detect())
            if tile in seen:
                continue
            seen.add(tile)
            label = f"{dtype} direct {tile[0]}×{tile[1]}"
            large = ((64, *shapes[0][1:]), shapes[1])
            small = ((1, 1, 3, 3), (channels, 1, 3, 3))
            yield f"{label}, parallel", _call(nc.conv2d, large, dtype, {"algorithm": "direct"})
            yield f"{label}, serial", _call(nc.conv2d, small, dtype, {"algorithm": "direct"})
