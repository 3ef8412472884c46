"""The row of Winograd's convolution."""

from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np

from ...bounds import TILE, of_tiles
from ...kernel import Kernel, Machine, worth_its_error
from ...problem import ConvProblem
from ..adapt.layout import INDEX_LIMIT
from ..runtime.arrays import allocate, flat, is_aligned, stream_of
from ..runtime.launch import flat_grid, launch
from ..stages.implicit_gemm import product as implicit_gemm
from . import cost, plan
from .kernel import make_filters, make_image, make_outputs


def pack(problem: ConvProblem, w: Any, machine: Machine) -> Any:
    """U, (frequencies, channels out, channels in per group)."""
    m = plan.chosen(problem.with_(batch=1), machine)
    filters = problem.out_channels * problem.group_in
    u = allocate((plan.frequencies(m) * problem.out_channels, problem.group_in, 1), "float32", w)
    launch(make_filters(m), *flat_grid(filters), stream_of(u), flat(w), flat(u), np.int32(filters))
    return u


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, u, bias = arrays
    m, stream = plan.chosen(problem.with_(batch=1), machine), stream_of(out)
    size, table, tiles = plan.samples(problem, m), plan.plan_of(problem.with_(batch=1), m), prod(plan.tiles(problem, m))
    _, width = problem.outputs
    _, dilation = problem.dilation
    quads = m == 4 and dilation == 1 and width % 4 == 0 and is_aligned(out)
    back = make_outputs(m, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation, quads)
    for first in range(0, problem.batch, size):
        count = min(size, problem.batch - first)
        gemm = plan.product(problem.with_(batch=count), m)
        v, products = (allocate((count, channels, *gemm.spatial), "float32", out) for channels in (gemm.in_channels, gemm.out_channels))
        total = count * problem.in_channels * tiles
        launch(make_image(m), *flat_grid(total), stream, flat(x[first : first + count]), flat(v), table, np.int32(total))
        implicit_gemm.run(gemm, (v, u, None), products, machine)
        total = count * problem.out_channels * tiles
        flat_products = flat(products)
        biases = flat_products if bias is None else flat(bias)
        launch(back, *flat_grid(total), stream, flat_products, biases, flat(out[first : first + count]), table, np.int32(total))


def refuse(problem: ConvProblem) -> str | None:
    if problem.kernel != (3, 3):
        return "serves 3×3 kernels"
    if set(problem.stride) != {1}:
        return "serves stride 1"
    if problem.group_in < 4:
        return "serves four input channels per group or more"
    gemm = plan.product(problem.with_(batch=1), 2)
    if 4 * max(gemm.in_channels, gemm.out_channels) * prod(gemm.spatial) >= INDEX_LIMIT:
        return "transforms images whose frequencies stay within 32-bit indices"
    return None


def error_size(problem: ConvProblem) -> float:
    """Of the larger tiles."""
    return of_tiles(((max(plan.SIZES) + 2, 3),) * 2, problem.group_in, 1, problem.dtype)


def seconds(problem: ConvProblem, machine: Machine) -> float:
    one = problem.with_(batch=1)
    if not worth_its_error(one):
        return inf  # by name only
    m = plan.chosen(one, machine)
    return cost.with_filters(problem, plan.frequencies(m), plan.seconds(one, machine, m), machine)


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """U, and V and M of the samples that are taken at once."""
    m = plan.chosen(problem.with_(batch=1), machine)
    count = plan.samples(problem, m)
    elements = count * plan.sample_elements(problem, m) + plan.frequencies(m) * problem.out_channels * problem.group_in
    return cost.FLOAT32 * elements + implicit_gemm.workspace(plan.product(problem.with_(batch=count), m), machine)


ROWS = (
    Kernel(
        name="winograd",
        problem=ConvProblem,
        run=run,
        pack=pack,
        cost=seconds,
        workspace=workspace,
        refuse=refuse,
        error_factor=4.0,
        error_of=TILE,
        error_size=error_size,
        ranks=frozenset({2}),
        dtypes=frozenset({"float32"}),
        honours=frozenset({"groups", "activation", "shuffle", "precision"}),
        summary="F(4×4) or F(2×2) for 3×3: a quarter to half of the multiplications, for about twice the rounding error",
    ),
)
