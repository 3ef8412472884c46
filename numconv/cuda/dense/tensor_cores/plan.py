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
from ...adapt.gather import gather_axes
from ...adapt.transpose import transpose
from ...geometry.convolution import lower
from ...runtime.launch import allocate, ceil_div, flat, is_aligned, launch, shared_limit, stream_of, words
from ...stages.cost import RATE, tensor_core_block
from ...stages.fragments import CHUNK, TILES, Tile, fitting, shared_bytes, threads, tiles
from ...stages.split_k import finish
from .. import cost as model
from .kernel import make_tensor_core


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
    sources, targets, taps = problem.source[0] // problem.groups, low.plan.targets, problem.taps
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
    return [tensor_core_block(dtype, tile) for tile in among]


@lru_cache(maxsize=512)
def schedule(problem: ConvProblem) -> tuple[Tile, int]:
    """(tile, parts of split-K), for one sample of a card as large as an H100: neither batch nor card changes the order of a sum."""
    low, dtype = lower(problem, chunk=CHUNK[problem.dtype]), problem.dtype
    depth = low.depth * CHUNK[dtype]
    product = costs.Product(
        positions=low.plan.positions,
        targets=low.plan.targets,
        terms=depth,
        deepest=depth,
        copies=problem.groups * low.plan.phases,
        rate=RATE[dtype],
        itemsize=costs.itemsize(dtype),
        moved=costs.traffic(problem),
    )
    found = costs.gemm(blocks(dtype, tiles()), product, costs.H100)
    return found.tile, found.parts


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, w, bias = arrays
    low = lower(problem, chunk=CHUNK[problem.dtype])
    tile, parts = schedule(problem)
    bias_dtype = None if bias is None else bias.dtype.name
    tiles_m, tiles_n = ceil_div(low.plan.positions * problem.batch, tile[0]), ceil_div(low.plan.targets, tile[1])
    grid = tiles_m * tiles_n * problem.groups * low.plan.phases * parts
    outer, stream, tile = problem.rank == 3, stream_of(out), fitting(tile, shared_limit())
    shared = shared_bytes(tile)
    x_words, w_words = words(image(problem, x)), words(w)
    sizes = np.int32(tiles_m), np.int32(tiles_n)
    if parts == 1:
        kernel = make_tensor_core(problem.dtype, problem.out_dtype, bias_dtype, problem.activation, outer, tile)
        bias_flat = w_words if bias is None else flat(bias)
        launch(kernel, grid, threads(tile), stream, x_words, w_words, bias_flat, flat(out), low.table, *sizes, shared=shared)
        return
    space = allocate((parts, out.size), "float32", out)
    kernel = make_tensor_core(problem.dtype, "float32", None, None, outer, tile, True)
    launch(kernel, grid, threads(tile), stream, x_words, w_words, w_words, flat(space), low.table, *sizes, shared=shared)
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
    width = padded(problem.source[0] // problem.groups, problem.dtype)
    return model.tensor_cores(problem, machine, blocks(problem.dtype, TILES), width, in_place(problem))


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
