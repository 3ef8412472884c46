"""Winograd F(m×m, 3×3) at stride 1: fewer multiplications, by the implicit GEMM's own kernel with a group for each frequency.

    V[n, f, c, p] = Bᵀ d B     one thread a tile
    M[n, f, k, p] = Σ_c U[f, k, c] · V[n, f, c, p]      a pointwise convolution of (m + 2)² times the groups
    y = Aᵀ M A                 bias, activation, shuffle, store

F(4×4) takes 36 multiplications for 16 outputs where the plain sum takes 144, F(2×2) 16 for 4 where it takes 36; V and M pass through memory.
A NaN or an infinity of the input spreads over the tiles that read it.  Lavin and Gray, arXiv 1509.09308; points: docs/decisions/0004.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf, prod
from typing import Any

import numpy as np

from ...kernel import Kernel, Machine, worth_its_error
from ...problem import ConvProblem
from ..adapt.layout import INDEX_LIMIT
from ..runtime.arrays import allocate, flat, is_aligned, stream_of
from ..runtime.launch import Table, ceil_div, flat_grid, launch
from ..stages.implicit_gemm import product as implicit_gemm
from . import cost as model
from .kernel import SIZE, make_filters, make_image, make_outputs

WORKSPACE = 512 << 20  # bytes of V and M at most, one sample at least


def tiles(problem: ConvProblem, m: int) -> tuple[int, int]:
    """Along h and w: each residue of a dilated axis has tiles of its own."""
    h, w = (ceil_div(ceil_div(o, d), m) * d for o, d in zip(problem.outputs, problem.dilation, strict=True))
    return h, w


def product(problem: ConvProblem, m: int) -> ConvProblem:
    """The multiplication of all frequencies, tiles padded to whole quads."""
    frequencies, positions = (m + 2) ** 2, (ceil_div(prod(tiles(problem, m)), 4) * 4,)
    return ConvProblem(
        "forward", problem.batch, frequencies * problem.in_channels, frequencies * problem.out_channels, frequencies * problem.groups, positions,
        (1,), (1,), (0,), (1,), positions, "float32", "float32",
    )  # fmt: skip


def seconds(problem: ConvProblem, machine: Machine, m: int) -> float:
    """Of the three passes after the filters are ready, one sample."""
    gemm = product(problem.with_(batch=1), m)
    return model.passes(problem, gemm, implicit_gemm.cost(gemm, machine), machine)


@lru_cache(maxsize=512)
def chosen(problem: ConvProblem, machine: Machine) -> int:
    """m, by the predicted time of one sample; F(2×2), which rounds less, where they are even."""
    return min((2, 4), key=lambda m: seconds(problem, machine, m))


@lru_cache(maxsize=256)
def _table(problem: ConvProblem, m: int) -> Any:
    counts = tiles(problem, m)
    values = (
        problem.in_channels, problem.out_channels, *problem.spatial, *problem.outputs, *problem.dilation, *problem.pad_low, counts[1],
        prod(counts), product(problem, m).spatial[0], problem.shuffle,
    )  # fmt: skip
    assert len(values) == SIZE
    return Table(np.array(values, np.int32))


def pack(problem: ConvProblem, w: Any, machine: Machine) -> Any:
    """U, (frequencies, channels out, channels in per group)."""
    m = chosen(problem.with_(batch=1), machine)
    frequencies, filters = (m + 2) ** 2, problem.out_channels * problem.group_in
    u = allocate((frequencies * problem.out_channels, problem.group_in, 1), "float32", w)
    launch(make_filters(m), *flat_grid(filters), stream_of(u), flat(w), flat(u), np.int32(filters))
    return u


def samples(problem: ConvProblem, m: int) -> int:
    """Taken at once, so that the workspace stays bounded."""
    gemm = product(problem, m)
    return max(1, min(problem.batch, WORKSPACE // (4 * (gemm.in_channels + gemm.out_channels) * gemm.spatial[0])))


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, u, bias = arrays
    m, stream = chosen(problem.with_(batch=1), machine), stream_of(out)
    size, table, positions = samples(problem, m), _table(problem.with_(batch=1), m), prod(tiles(problem, m))
    quads = m == 4 and problem.dilation[1] == 1 and problem.outputs[1] % 4 == 0 and is_aligned(out)
    back = make_outputs(m, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation, quads)
    for first in range(0, problem.batch, size):
        count = min(size, problem.batch - first)
        gemm = product(problem.with_(batch=count), m)
        v, products = (allocate((count, channels, gemm.spatial[0]), "float32", out) for channels in (gemm.in_channels, gemm.out_channels))
        total = count * problem.in_channels * positions
        launch(make_image(m), *flat_grid(total), stream, flat(x[first : first + count]), flat(v), table, np.int32(total))
        implicit_gemm.run(gemm, (v, u, None), products, machine)
        total = count * problem.out_channels * positions
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
    gemm = product(problem.with_(batch=1), 2)
    if 4 * max(gemm.in_channels, gemm.out_channels) * gemm.spatial[0] >= INDEX_LIMIT:
        return "transforms images whose frequencies stay within 32-bit indices"
    return None


def cost(problem: ConvProblem, machine: Machine) -> float:
    if not worth_its_error(problem.with_(batch=1)):
        return inf  # by name only
    one = problem.with_(batch=1)
    m = chosen(one, machine)
    return model.with_filters(problem, (m + 2) ** 2, seconds(one, machine, m), machine)


def workspace(problem: ConvProblem, machine: Machine) -> int:
    m = chosen(problem.with_(batch=1), machine)
    gemm = product(problem.with_(batch=samples(problem, m)), m)
    of_samples = gemm.batch * (gemm.in_channels + gemm.out_channels) * gemm.spatial[0]
    return 4 * (of_samples + (m + 2) ** 2 * problem.out_channels * problem.group_in) + implicit_gemm.workspace(gemm, machine)


ROWS = (
    Kernel(
        name="winograd",
        problem=ConvProblem,
        run=run,
        pack=pack,
        cost=cost,
        workspace=workspace,
        refuse=refuse,
        error_factor=4.0,
        ranks=frozenset({2}),
        dtypes=frozenset({"float32"}),
        honours=frozenset({"groups", "activation", "shuffle", "precision"}),
        summary="F(4×4) or F(2×2) for 3×3: a quarter to half of the multiplications, for about twice the rounding error",
    ),
)
