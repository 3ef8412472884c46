"""Implicit GEMM on tensor cores: packing, the image channels last, the choice of tile and parts, and the rows.

The kernel is in `tensor_core_kernel`.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ... import costs
from ...adapt.layout import gather_axes
from ...adapt.transpose import transpose
from ...geometry.axes import lower
from ...runtime.launch import allocate, ceil_div, flat, is_aligned, launch, shared_limit, stream_of, words
from ...stages.fragments import CHUNK, TILES, Tile, fitting, shared_bytes, threads, tiles
from ...stages.split_k import finish
from .kernel import make_tensor_core

#: dense products over those of float32 on the CUDA cores, by the data sheet of an H100; what `mma.sync` reaches of them, an estimate
RATE = {"float16": 16.0, "bfloat16": 16.0, "float32": 8.0}
MMA_SYNC = 0.6


def padded(channels: int, dtype: str) -> int:
    """Channels of a group rounded up to whole chunks."""
    return ceil_div(channels, CHUNK[dtype]) * CHUNK[dtype]


def in_place(problem: ConvProblem) -> bool:
    """Whether the image is what the kernel reads."""
    channels = problem.source[0] // problem.groups
    return problem.layout == "channels_last" and padded(channels, problem.dtype) == channels


def pack(problem: ConvProblem, w: Any, machine: Machine) -> Any:
    """The weights as (group, target channel, tap in the order of the phases, source channel padded with zeros)."""
    low = lower(problem, chunk=CHUNK[problem.dtype])
    sources, targets, taps = problem.source[0] // problem.groups, low.targets, problem.taps
    forward = problem.direction == "forward"
    steps = (taps, problem.group_in * taps) if forward else (problem.group_in * taps, taps)
    width = padded(sources, problem.dtype)
    channel = np.arange(width)
    maps = (
        np.arange(problem.groups) * (sources * targets * taps),
        np.arange(targets) * steps[1],
        np.array(low.taps, np.int64),
        np.where(channel < sources, channel * steps[0], -(2**28)),
    )
    out = allocate((problem.groups, targets, len(low.taps), width), problem.dtype, w)
    gather_axes(w, out, maps, ("tensor_core", problem.with_(batch=1)), absolute=True)
    return out


def image(problem: ConvProblem, x: Any) -> Any:
    """The image channels last, groups padded."""
    if in_place(problem) and is_aligned(x):
        return x
    channels, spatial = problem.source
    group, area = channels // problem.groups, prod(spatial)
    width = padded(group, problem.dtype)
    out = allocate((problem.batch, area, problem.groups, width), problem.dtype, x)
    if problem.layout == "channels_last":
        c = np.arange(width)
        maps = (
            np.arange(problem.batch) * (area * channels), np.arange(area) * channels, np.arange(problem.groups) * group,
            np.where(c < group, c, -(2**28)),
        )  # fmt: skip
        gather_axes(x, out, maps, ("tensor_core image", problem), absolute=True)
    else:
        transpose(x, out, problem.batch, problem.groups, group, area, width)
    return out


def blocks(dtype: str, among: tuple[Tile, ...]) -> list[costs.Block]:
    """A tile's share of the peak: of what `mma.sync` reaches of it, or of what shared memory feeds, 128 bytes a cycle for all warps' fragments and
    the copies (a cycle is 128 products of the CUDA cores)."""
    found = []
    for tile in among:
        BM, BN, BK, WM, WN, _ = tile
        words = (BM // WM) * (BN // WN) * (WM + WN) + BM + BN
        share = min(MMA_SYNC, BM * BN / (words * costs.itemsize(dtype) * RATE[dtype]))
        found.append(costs.Block(tile, BM, BN, BK // 4 * CHUNK[dtype], share, min(512 // threads(tile), (227 << 10) // shared_bytes(tile))))
    return found


@lru_cache(maxsize=512)
def schedule(problem: ConvProblem) -> tuple[Tile, int]:
    """(tile, parts of split-K), for one sample of a card as large as an H100: neither batch nor card changes the order of a sum."""
    low, dtype = lower(problem, chunk=CHUNK[problem.dtype]), problem.dtype
    depth = low.depth * CHUNK[dtype]
    found = costs.gemm(
        blocks(dtype, tiles()), low.positions, low.targets, depth, depth, problem.groups * low.phases, costs.H100, RATE[dtype], costs.itemsize(dtype),
        costs.traffic(problem),
    )  # fmt: skip
    return found.tile, found.parts


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, w, bias = arrays
    low = lower(problem, chunk=CHUNK[problem.dtype])
    tile, parts = schedule(problem)
    bias_dtype = None if bias is None else bias.dtype.name
    tiles_m, tiles_n = ceil_div(low.positions * problem.batch, tile[0]), ceil_div(low.targets, tile[1])
    grid = tiles_m * tiles_n * problem.groups * low.phases * parts
    outer, stream, tile = problem.rank == 3, stream_of(out), fitting(tile, shared_limit())
    shared = shared_bytes(tile)
    x_words, w_words = words(image(problem, x)), words(w)
    sizes = np.int32(tiles_m), np.int32(tiles_n)
    if parts == 1:
        kernel = make_tensor_core(problem.dtype, problem.out_dtype, bias_dtype, problem.activation, outer, tile)
        bias_flat = w_words if bias is None else flat(bias)
        launch(kernel, grid, threads(tile), stream, x_words, w_words, bias_flat, flat(out), low.device, *sizes, shared=shared)
        return
    space = allocate((parts, out.size), "float32", out)
    kernel = make_tensor_core(problem.dtype, "float32", None, None, outer, tile, True)
    launch(kernel, grid, threads(tile), stream, x_words, w_words, w_words, flat(space), low.device, *sizes, shared=shared)
    finish(problem, space, bias, out, parts, "float32")


def refuse(problem: ConvProblem) -> str | None:
    if problem.dtype == "float32" and problem.precision != "tf32":
        return "rounds float32 to tf32: ask for it with precision='tf32'"
    if problem.out_dtype in ("float64", "complex64", "complex128"):
        return f"stores no {problem.out_dtype}"
    return None


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The packed weights, and the image where it is transposed or padded."""
    channels, spatial = problem.source
    width, size = padded(channels // problem.groups, problem.dtype), costs.itemsize(problem.dtype)
    weights = problem.target[0] * problem.taps * width * size
    parts = schedule(problem)[1]
    weights += 4 * parts * prod(problem.result_shape) if parts > 1 else 0
    return weights + (0 if in_place(problem) else problem.batch * problem.groups * width * prod(spatial) * size)


def estimate(problem: ConvProblem, machine: Machine) -> costs.Estimate:
    """The pass over the image, where it is not in place, on top."""
    dtype, sources = problem.dtype, problem.source[0] // problem.groups
    waste = padded(sources, dtype) / sources
    extra = 0.0 if in_place(problem) else (1 + 2 * waste) * problem.source[0] * prod(problem.source[1]) * costs.itemsize(dtype)
    return costs.tiled(problem, machine, blocks(dtype, TILES), RATE[dtype], waste, extra, 1 if in_place(problem) else 2)


def cost(problem: ConvProblem, machine: Machine) -> float:
    return estimate(problem, machine).seconds


_COMMON: dict[str, Any] = {
    "problem": ConvProblem,
    "run": run,
    "cost": cost,
    "directions": frozenset({"forward", "input_grad"}),
    "honours": frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
    "refuse": refuse,
    "workspace": workspace,
    "pack": pack,
}
ROWS = (
    Kernel(
        name="tensor_core",
        dtypes=frozenset({"float16", "bfloat16"}),
        summary="Tensor cores on half types, float32 accumulation; cp.async, swizzled shared memory.",
        **_COMMON,
    ),
    Kernel(
        name="tensor_core_tf32",
        dtypes=frozenset({"float32"}),
        error_factor=2.0**12,
        summary="Tensor cores on float32 rounded to tf32, only with precision='tf32'.",
        **_COMMON,
    ),
)
