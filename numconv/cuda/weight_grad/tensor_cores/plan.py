"""The weight gradient on tensor cores: operands channels last, the choice of tile and parts, and the rows.

The kernel is in `tensor_core_weights_kernel`.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ... import costs
from ...geometry.convolution import lower
from ...runtime.arrays import allocate, flat, shared_limit, stream_of, words
from ...runtime.launch import ceil_div, launch
from ...stages.chunks import chunked, in_place, padded
from ...stages.cost import tensor_core_block
from ...stages.fragments import CHUNK, TILES, Tile, fitting, shared_bytes, threads, tiles
from ...stages.rounding import ROUNDINGS, refuse
from .. import cost as model
from ..cuda_cores.kernel import add_parts
from .kernel import make_tensor_core_weights

#: parts of the sum over the positions: more than split-K has, for weights are few and positions many
PARTS = (1, 2, 4, 8, 16, 32, 64, 128)


def roles(problem: ConvProblem) -> tuple[ConvProblem, ConvProblem]:
    """The problems of which the image and the gradient of the result are the sources."""
    return problem.with_(direction="forward"), problem.with_(direction="input_grad")


def estimate(problem: ConvProblem, machine: Machine, among: tuple[Tile, ...] = TILES) -> costs.Estimate:
    copied = [p for p in roles(problem) if not in_place(p)]
    return model.tensor_cores(
        problem, machine, [tensor_core_block(problem.dtype, t) for t in among], padded(problem.group_in, problem.dtype), copied, PARTS
    )


@lru_cache(maxsize=256)
def schedule(problem: ConvProblem) -> tuple[Tile, int, int]:
    """(tile, positions of a part, parts): from the problem alone, chosen for a card as large as an H100."""
    found = estimate(problem, costs.H100, tiles())
    total, step = max(1, problem.batch * prod(problem.outputs)), found.tile[2] // 4 * CHUNK[problem.dtype]
    length = ceil_div(ceil_div(total, found.parts), step) * step
    return found.tile, length, ceil_div(total, length)


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, dy = (chunked(p, a) for p, a in zip(roles(problem), arrays, strict=True))
    tile, length, count = schedule(problem)
    columns, size = problem.group_in * problem.taps, prod(problem.weight_shape)
    rows = padded(problem.group_in, problem.dtype) * problem.taps
    tiles_m, tiles_n = ceil_div(rows, tile[0]), ceil_div(problem.group_out, tile[1])
    direct = count == 1 and problem.out_dtype == "float32"
    parts = out if direct else allocate((count, size), "float32", out)
    tile = fitting(tile, shared_limit())
    kernel = make_tensor_core_weights(problem.dtype, problem.rank == 3, tile)
    low = lower(roles(problem)[0], chunk=CHUNK[problem.dtype])
    sizes = [np.int32(v) for v in (tiles_m, tiles_n, length, columns)]
    grid = tiles_m * tiles_n * problem.groups * count
    launch(kernel, grid, threads(tile), stream_of(out), words(x), words(dy), flat(parts), low.table, *sizes, shared=shared_bytes(tile))
    if not direct:
        add_parts(parts, out, count)


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The parts, and what is transposed or padded."""
    copies = sum(
        problem.batch * problem.groups * padded(p.source[0] // p.groups, p.dtype) * prod(p.source[1]) * costs.itemsize(p.dtype)
        for p in roles(problem) if not in_place(p)
    )  # fmt: skip
    count = schedule(problem)[2]
    return copies + (0 if count == 1 and problem.out_dtype == "float32" else 4 * count * prod(problem.weight_shape))


def cost(problem: ConvProblem, machine: Machine) -> float:
    return estimate(problem.with_(batch=1), machine).seconds


ROWS = tuple(
    Kernel(
        name=rounding.row,
        problem=ConvProblem,
        run=run,
        cost=cost,
        directions=frozenset({"weight_grad"}),
        dtypes=rounding.dtypes,
        honours=frozenset({"groups", "layout", "precision"}),
        refuse=refuse,
        workspace=workspace,
        error_factor=rounding.error_factor,
        summary=f"Positions summed on tensor cores in parts of fixed length, added in a fixed order: {', '.join(sorted(rounding.dtypes))}.",
    )
    for rounding in ROUNDINGS
)
