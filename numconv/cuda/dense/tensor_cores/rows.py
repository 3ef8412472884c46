"""The rows on tensor cores: packed weights, the image channels last in chunks, the launch."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ... import costs
from ...adapt.gather import gather_axes
from ...runtime.arrays import allocate, flat, shared_limit, stream_of, words
from ...runtime.launch import ceil_div, launch
from ...stages.chunks import NOWHERE, chunked, in_place, padded
from ...stages.rounding import ROUNDINGS, error_size, refuse
from ...stages.split_k import finish
from ...stages.warp_tiles import fitting, shared_bytes
from .kernel import make_tensor_core
from .plan import cost, lowered, schedule


def pack(problem: ConvProblem, w: Any, machine: Machine) -> Any:
    """The weights as (group, target channel, tap in the order of the phases, source channel padded with zeros)."""
    low = lowered(problem)
    sources, targets, taps = problem.source[0] // problem.groups, low.plan.targets, problem.taps
    forward = problem.direction == "forward"
    pitches = taps, problem.group_in * taps
    source_pitch, target_pitch = pitches if forward else pitches[::-1]
    width = padded(sources, problem.dtype)
    channel = np.arange(width)
    of_group, of_target = np.arange(problem.groups) * (sources * targets * taps), np.arange(targets) * target_pitch
    of_tap, of_source = np.array(low.taps, np.int64), np.where(channel < sources, channel * source_pitch, NOWHERE)
    out = allocate((problem.groups, targets, len(low.taps), width), problem.dtype, w)
    gather_axes(w, out, (of_group, of_target, of_tap, of_source), ("tensor_core", problem.with_(batch=1)), absolute=True)
    return out


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, w, bias = arrays
    low = lowered(problem)
    tile, parts = schedule(problem)
    bias_dtype = None if bias is None else bias.dtype.name
    tiles_m, tiles_n = ceil_div(low.plan.positions * problem.batch, tile.rows), ceil_div(low.plan.targets, tile.columns)
    grid = tiles_m * tiles_n * problem.groups * low.plan.phases * parts
    outer, stream, tile = problem.rank == 3, stream_of(out), fitting(tile, shared_limit())
    shared = shared_bytes(tile)
    x_words, w_words = words(chunked(problem, x)), words(w)
    sizes = np.int32(tiles_m), np.int32(tiles_n)
    if parts == 1:
        kernel = make_tensor_core(problem.dtype, problem.out_dtype, bias_dtype, problem.activation, outer, tile)
        bias_flat = w_words if bias is None else flat(bias)
        launch(kernel, grid, tile.threads, stream, x_words, w_words, bias_flat, flat(out), low.table, *sizes, shared=shared)
        return
    space = allocate((parts, out.size), "float32", out)
    kernel = make_tensor_core(problem.dtype, "float32", None, None, outer, tile, True)
    launch(kernel, grid, tile.threads, stream, x_words, w_words, w_words, flat(space), low.table, *sizes, shared=shared)
    finish(problem, space, bias, out, parts, "float32")


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The packed weights, and the image where it is transposed or padded."""
    channels, spatial = problem.source
    width, size = padded(channels // problem.groups, problem.dtype), costs.itemsize(problem.dtype)
    weights = problem.target[0] * problem.taps * width * size
    parts = schedule(problem)[1]
    weights += 4 * parts * prod(problem.result_shape) if parts > 1 else 0
    return weights + (0 if in_place(problem) else problem.batch * problem.groups * width * prod(spatial) * size)


_SUMMARIES = {
    "tensor_core": "Tensor cores on half types, float32 accumulation; cp.async, swizzled shared memory.",
    "tensor_core_tf32": "Tensor cores on float32 rounded to tf32, only with precision='tf32'.",
}
ROWS = tuple(
    Kernel(
        name=rounding.row,
        problem=ConvProblem,
        run=run,
        cost=cost,
        directions=frozenset({"forward", "input_grad"}),
        dtypes=rounding.dtypes,
        honours=frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
        refuse=refuse,
        workspace=workspace,
        pack=pack,
        error_factor=rounding.error_factor,
        error_size=error_size,
        summary=_SUMMARIES[rounding.row],
    )
    for rounding in ROUNDINGS
)
