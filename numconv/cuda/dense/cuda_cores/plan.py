"""Implicit GEMM on CUDA cores: the choice of tile, form and parts, and the row; the kernel is in `implicit_gemm_kernel`."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ... import costs
from ...geometry.convolution import Lowered, lower
from ...runtime.launch import SIMULATED, allocate, ceil_div, flat, is_aligned, launch, stream_of
from ...scalars import ALL, accumulator, scalars
from ...stages.cost import cuda_core_block
from ...stages.split_k import finish
from .kernel import SIMULATED_TILES, TILES, WIDE_TILES, Form, Tile, make_implicit_gemm, threads


def tiles_for(dtype: str, out_dtype: str, act: str | None) -> tuple[Tile, ...]:
    if SIMULATED:
        return SIMULATED_TILES
    if scalars(dtype, out_dtype).itemsize > 4:
        return WIDE_TILES
    # the body of these in 64 copies stays a loop, which puts the sums into local memory: tests/gpu/test_compile.py
    return TILES[1:] if act in ("silu", "sigmoid", "tanh", "hardswish") else TILES


def blocks(tiles: tuple[Tile, ...]) -> list[costs.Block]:
    return [cuda_core_block(t, t[0], t[1], t[2], threads(t)) for t in tiles]


@lru_cache(maxsize=512)
def schedule(problem: ConvProblem, low: Lowered) -> tuple[Tile, int]:
    """(tile, parts of split-K), for one sample of a card as large as an H100: neither batch nor card changes the order of a sum."""
    product = costs.Product(
        positions=low.plan.positions,
        targets=low.plan.targets,
        terms=low.depth,
        deepest=low.depth,
        copies=problem.groups * low.plan.phases,
        rate=costs.peak_share(problem.dtype),
        itemsize=costs.itemsize(problem.dtype),
        moved=costs.traffic(problem),
    )
    found = costs.gemm(blocks(tiles_for(problem.dtype, problem.out_dtype, problem.activation)), product, costs.H100)
    return found.tile, found.parts


def form_of(problem: ConvProblem, x: Any, out: Any, parts: int) -> Form:
    """How the kernel may read and store; addresses matter for the 128-bit accesses."""
    whole = prod(problem.target[1]) % 4 == 0
    first = problem.layout == "channels_first"
    acc = accumulator(problem.dtype, problem.out_dtype)
    plain = problem.taps == 1 and max(problem.stride) == 1 and problem.source[1] == problem.target[1] and not any(problem.pad_low)
    quads = plain and first and whole and acc == problem.dtype in ("float32", "int32") and is_aligned(x)
    forward = problem.direction == "forward" or max(problem.stride) == 1
    stored = acc if parts > 1 else problem.out_dtype
    quad_stores = forward and first and whole and acc == stored in ("float32", "int32") and (parts > 1 or is_aligned(out))
    channels = not first and problem.source[0] // problem.groups >= 4
    return Form(problem.rank == 3, "quads" if quads else "channels" if channels else "positions", quad_stores, parts > 1)


def compute(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine, low: Lowered) -> None:
    """Launch on lowered tables (also those of zero insertion)."""
    x, w, bias = arrays
    tile, parts = schedule(problem, low)
    acc = scalars(problem.dtype, problem.out_dtype).name
    tiles_m, tiles_n = ceil_div(low.plan.positions * problem.batch, tile[0]), ceil_div(low.plan.targets, tile[1])
    grid = tiles_m * tiles_n * problem.groups * low.plan.phases * parts
    form, stream = form_of(problem, x, out, parts), stream_of(out)
    w_flat = flat(w)
    sizes = np.int32(tiles_m), np.int32(tiles_n)
    if parts == 1:
        bias_dtype, bias_flat = (None, w_flat) if bias is None else (bias.dtype.name, flat(bias))
        kernel = make_implicit_gemm(problem.dtype, problem.out_dtype, bias_dtype, problem.activation, form, tile)
        launch(kernel, grid, threads(tile), stream, flat(x), w_flat, bias_flat, flat(out), low.table, *sizes)
        return
    space = allocate((parts, out.size), acc, out)
    kernel = make_implicit_gemm(problem.dtype, acc, None, None, form, tile)
    launch(kernel, grid, threads(tile), stream, flat(x), w_flat, w_flat, flat(space), low.table, *sizes)
    finish(problem, space, bias, out, parts, acc)


def table_of(problem: ConvProblem) -> Lowered:
    """Neighbouring k are neighbouring channels where the image has them so."""
    return lower(problem, tap_major=problem.layout == "channels_last")


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    compute(problem, arrays, out, machine, table_of(problem))


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The parts of split-K."""
    parts = schedule(problem, table_of(problem))[1]
    return parts * prod(problem.result_shape) * scalars(problem.dtype, problem.out_dtype).itemsize if parts > 1 else 0


def estimate(problem: ConvProblem, machine: Machine) -> costs.Estimate:
    return costs.tiled(problem, machine, blocks(TILES if costs.peak_share(problem.dtype) == 1.0 else WIDE_TILES))


def cost(problem: ConvProblem, machine: Machine) -> float:
    return estimate(problem, machine).seconds


COMMON: dict[str, Any] = {
    "problem": ConvProblem,
    "dtypes": ALL,
    "honours": frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
}
ROWS = (
    Kernel(
        name="implicit_gemm",
        run=run,
        cost=cost,
        workspace=workspace,
        directions=frozenset({"forward"}),
        summary="Register-tiled implicit GEMM on CUDA cores; input gradients by stride phases.",
        **COMMON,
    ),
)
