"""The row of the weight gradient on CUDA cores."""

from __future__ import annotations

from math import prod
from typing import Any

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ...geometry.convolution import lower
from ...runtime.arrays import allocate, flat, stream_of
from ...runtime.launch import ceil_div, launch
from ...scalars import ALL, scalars
from ..parts import add, cut
from . import plan
from .kernel import make_weight_grad


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, dy = arrays
    tile, count = plan.tile_for(problem), plan.parts(problem)
    acc = scalars(problem.dtype, problem.out_dtype).name
    direct = count == 1 and acc == problem.out_dtype
    parts = out if direct else allocate((count, prod(problem.weight_shape)), acc, out)
    tiles_m, tiles_n = ceil_div(problem.group_out, tile.targets), ceil_div(problem.group_in * problem.taps, tile.terms)
    kernel = make_weight_grad(problem.dtype, problem.out_dtype, problem.rank == 3, tile)
    table, blocks = lower(problem.with_(direction="forward")).table, tiles_m * tiles_n * problem.groups * count
    sizes = cut(tiles_m, tiles_n, plan.part_length(problem, tile))
    launch(kernel, blocks, tile.threads, stream_of(out), flat(x), flat(dy), flat(parts), table, sizes)
    if not direct:
        add(parts, out, count)


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The parts, where there are several."""
    count = plan.parts(problem)
    return count * prod(problem.weight_shape) * scalars(problem.dtype, problem.out_dtype).itemsize if count > 1 else 0


def seconds(problem: ConvProblem, machine: Machine) -> float:
    return plan.estimate(problem.with_(batch=1), machine).seconds


ROWS = (
    Kernel(
        name="implicit_gemm",
        problem=ConvProblem,
        run=run,
        cost=seconds,
        directions=frozenset({"weight_grad"}),
        dtypes=ALL,
        honours=frozenset({"groups", "layout", "precision"}),
        workspace=workspace,
        summary="GEMM over positions in parts of fixed length, added in a fixed order.",
    ),
)
