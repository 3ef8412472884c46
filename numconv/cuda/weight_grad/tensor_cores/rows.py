"""The rows of the weight gradient on tensor cores, one for each way of rounding: operands channels last, in chunks."""

from __future__ import annotations

from math import prod
from typing import Any

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ... import costs
from ...geometry.convolution import lower
from ...runtime.arrays import allocate, flat, shared_limit, stream_of, words
from ...runtime.launch import ceil_div, launch
from ...stages.chunks import chunked, in_place, padded
from ...stages.rounding import ROUNDINGS, error_size, refuse
from ...stages.warp_tiles import CHUNK, fitting, shared_bytes
from ..parts import add, cut
from . import plan
from .kernel import make_tensor_core_weights


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    roles = plan.roles(problem)
    x, dy = (chunked(role, array) for role, array in zip(roles, arrays, strict=True))
    tile, length, count = plan.schedule(problem)
    rows = padded(problem.group_in, problem.dtype) * problem.taps
    tiles_m, tiles_n = ceil_div(rows, tile.rows), ceil_div(problem.group_out, tile.columns)
    direct = count == 1 and problem.out_dtype == "float32"
    parts = out if direct else allocate((count, prod(problem.weight_shape)), "float32", out)
    tile = fitting(tile, shared_limit())
    kernel = make_tensor_core_weights(problem.dtype, problem.rank == 3, tile)
    table, blocks = lower(roles.image, chunk=CHUNK[problem.dtype]).table, tiles_m * tiles_n * problem.groups * count
    sizes, shared = cut(tiles_m, tiles_n, length), shared_bytes(tile)
    launch(kernel, blocks, tile.threads, stream_of(out), words(x), words(dy), flat(parts), table, sizes, shared=shared)
    if not direct:
        add(parts, out, count)


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The parts, and what is transposed or padded."""
    size = costs.itemsize(problem.dtype)
    copied = [role.source for role in plan.roles(problem) if not in_place(role)]
    widths = ((problem.groups * padded(channels // problem.groups, problem.dtype), spatial) for channels, spatial in copied)
    copies = sum(problem.batch * width * prod(spatial) * size for width, spatial in widths)
    _, _, count = plan.schedule(problem)
    return copies + (0 if count == 1 and problem.out_dtype == "float32" else 4 * count * prod(problem.weight_shape))


def seconds(problem: ConvProblem, machine: Machine) -> float:
    return plan.estimate(problem.with_(batch=1), machine).seconds


ROWS = tuple(
    Kernel(
        name=rounding.row,
        problem=ConvProblem,
        run=run,
        cost=seconds,
        directions=frozenset({"weight_grad"}),
        dtypes=rounding.dtypes,
        honours=frozenset({"groups", "layout", "precision"}),
        refuse=refuse,
        workspace=workspace,
        error_factor=rounding.error_factor,
        error_size=error_size,
        summary=f"Positions summed on tensor cores in parts of fixed length, added in a fixed order: {', '.join(sorted(rounding.dtypes))}.",
    )
    for rounding in ROUNDINGS
)
