"""A convolution by the implicit GEMM, as rows and other stages call it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.convolution import Lowered
from ...runtime.arrays import allocate, flat, stream_of
from ...runtime.launch import ceil_div, launch
from ...scalars import scalars
from ..split_k import finish
from .kernel import make_implicit_gemm
from .plan import estimate, form_of, lowered, schedule


def compute(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine, low: Lowered) -> None:
    """Launch on lowered tables (also those of zero insertion)."""
    x, w, bias = arrays
    tile, parts = schedule(problem, low)
    acc = scalars(problem.dtype, problem.out_dtype).name
    tiles_m, tiles_n = ceil_div(low.plan.positions * problem.batch, tile.positions), ceil_div(low.plan.targets, tile.targets)
    grid = tiles_m * tiles_n * problem.groups * low.plan.phases * parts
    form, stream = form_of(problem, x, out, parts), stream_of(out)
    w_flat = flat(w)
    sizes = np.int32(tiles_m), np.int32(tiles_n)
    if parts == 1:
        bias_dtype, bias_flat = (None, w_flat) if bias is None else (bias.dtype.name, flat(bias))
        kernel = make_implicit_gemm(problem.dtype, problem.out_dtype, bias_dtype, problem.activation, form, tile)
        launch(kernel, grid, tile.threads, stream, flat(x), w_flat, bias_flat, flat(out), low.table, *sizes)
        return
    space = allocate((parts, out.size), acc, out)
    kernel = make_implicit_gemm(problem.dtype, acc, None, None, form, tile)
    launch(kernel, grid, tile.threads, stream, flat(x), w_flat, w_flat, flat(space), low.table, *sizes)
    finish(problem, space, bias, out, parts, acc)


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    compute(problem, arrays, out, machine, lowered(problem))


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The parts of split-K."""
    parts = schedule(problem, lowered(problem))[1]
    return parts * prod(problem.result_shape) * scalars(problem.dtype, problem.out_dtype).itemsize if parts > 1 else 0


def cost(problem: ConvProblem, machine: Machine) -> float:
    return estimate(problem, machine).seconds
