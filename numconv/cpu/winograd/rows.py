"""Winograd F(m, r) on one axis or two of any convolution: fewer multiplications, on the same register tiles.

    for each task (sample, group, box of outputs, range of output channels)
        for each channel: rows transformed along W, then along the other axis: V = Bᵀ d B      one frequency of all positions is one vector
        for each superblock of channels, each frequency: gemm_tile; the pieces that an axis' taps are cut into are terms of the sum
        for each channel: Aᵀ M A, merged back into rows, bias, activation

A 3×3 kernel takes 36 multiplications for 4×4 outputs where direct convolution takes 144; five taps on one axis 8 for 20, eleven 21 for 44.  Longer
filters and strided ones are cut into pieces (`winograd_axes`).  A dilated axis is `dilation` interleaved plain ones, whose positions stand side by side.
A NaN or an infinity of the input spreads over its tile.  Lavin and Gray, arXiv 1509.09308; points: Barabasz et al., arXiv 1803.10986.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf
from typing import Any

import numpy as np
from numba import prange

from ...kernel import FEW, Kernel, Machine, worth_its_error
from ...problem import ConvProblem
from ..adapt.mirror import forward_of, refusal
from ..adapt.sums import summed
from ..runtime.launch import kernel, threads
from ..runtime.workspace import aligned, borrow
from ..simd.tiles import strided_shape, tile_shape
from ..simd.vector import get, pointer
from .axes import choices, frequencies, steady
from .pixels import run_pixels_task
from .plan import CLOCK, Blocking, chosen, on_the_way, prepared
from .planes import BOTH, FILL, filters, run_task
from .weights import kernel as weights


@lru_cache(maxsize=64)
def driver(tile_rows: int, tile_vectors: int, tile_lanes: int, frequencies_a: int, frequencies_w: int, way: int) -> Any:
    def winograd(x, u, fused, bias, y, scratch, worker_pitch, workers, tasks, stage, geometry):
        for worker in prange(workers):
            g = pointer(geometry)
            shape = tile_shape(tile_rows, tile_vectors, tile_lanes)
            by_a, by_w = tile_shape(frequencies_a, 1, tile_lanes), tile_shape(frequencies_w, way, tile_lanes)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                v = workers * worker_pitch + (worker if stage == BOTH else task // get(g, 3)) * get(g, 10)
                run_task(
                    shape, by_a, by_w, task, stage, pointer(x), pointer(u), fused, pointer(bias), pointer(y), worker * worker_pitch, pointer(scratch),
                    v, g,
                )  # fmt: skip

    return kernel(winograd)


@lru_cache(maxsize=64)
def pixel_driver(positions: int, vectors: int, tile_lanes: int, frequencies_a: int, frequencies_w: int) -> Any:
    """The same for channels last."""
    block_rows = vectors * tile_lanes

    def winograd_pixels(x, u, fused, bias, y, scratch, worker_pitch, workers, tasks, stage, geometry):
        for worker in prange(workers):
            g = pointer(geometry)
            shape, block = strided_shape(positions, vectors, tile_lanes, 0), tile_shape(block_rows, 1, tile_lanes)
            by_a, by_w = tile_shape(frequencies_a, 1, tile_lanes), tile_shape(frequencies_w, 1, tile_lanes)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                v = workers * worker_pitch + (worker if stage == BOTH else task // get(g, 3)) * get(g, 10)
                run_pixels_task(
                    shape, block, by_a, by_w, task, stage, pointer(x), pointer(u), fused, pointer(bias), pointer(y), worker * worker_pitch,
                    pointer(scratch), v, g,
                )  # fmt: skip

    return kernel(winograd_pixels)


@lru_cache(maxsize=64)
def filter_driver(tile_rows: int, tile_lanes: int, frequencies_a: int, frequencies_w: int) -> Any:
    """U = G g Gᵀ of weights as they are given: (groups, frequencies, blocks, terms, rows)."""

    def transform(w, u, room_size, geometry):
        channels, produced, groups, terms, u_pitch, count_f, taps = (
            geometry[0], geometry[1], geometry[2], geometry[6], geometry[21], geometry[22], geometry[23]
        )  # fmt: skip
        blocks = (produced + tile_rows - 1) // tile_rows
        for task in prange(groups * blocks):
            shape = tile_shape(tile_rows, 1, tile_lanes)
            by_a, by_w = tile_shape(frequencies_a, 1, tile_lanes), tile_shape(frequencies_w, 1, tile_lanes)
            room = np.empty(room_size, w.dtype)
            g, b = task // blocks, task % blocks
            target = g * count_f * u_pitch + b * terms * tile_rows
            for c in range(0, channels, tile_lanes):
                filters(
                    shape, by_a, by_w, pointer(w), g * produced * channels * taps, b, c, min(tile_lanes, channels - c), pointer(geometry), pointer(u),
                    target + c * (terms // channels) * tile_rows, u_pitch, pointer(room), 0,
                )  # fmt: skip

    return kernel(transform)


def _on_the_way(problem: ConvProblem, b: Blocking) -> bool:
    p = forward_of(problem)
    return on_the_way(p, p.batch * b.tasks // (p.groups * b.splits))


def _pack(problem: ConvProblem, w: np.ndarray, machine: Machine, u: np.ndarray) -> None:
    b, layout, geometry = prepared(problem.with_(batch=1), machine, 1)
    filter_driver(b.rows, b.tile[2], *b.kinds)(w.reshape(-1), u, layout.room_size, geometry)


def _packed_size(problem: ConvProblem, machine: Machine) -> int:
    b, layout, _ = prepared(problem.with_(batch=1), machine, 1)
    return problem.groups * frequencies(b.box.axes) * layout.u_pitch


def pack(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    """The transformed filters, (groups, frequencies, blocks, terms, rows)."""
    u = aligned((_packed_size(problem, machine),), w.dtype)
    _pack(problem, w, machine, u)
    return u


def _inputs(problem: ConvProblem, b: Blocking, workers: int) -> int:
    """Transformed inputs V at a time: each worker's own; or, where the tasks of a box share one, of all boxes."""
    return workers if b.splits == 1 else problem.batch * b.tasks // b.splits


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, u, bias = arrays
    workers = threads()
    b, layout, geometry = prepared(problem, machine, workers, u.ndim > 1)
    size = _packed_size(problem, machine) if u.ndim > 1 and not _on_the_way(problem, b) else 0
    tasks = problem.batch * b.tasks
    workers = min(workers, tasks)
    loop = pixel_driver(*b.tile, *b.kinds) if b.last else driver(*b.tile, *b.kinds, 1 if b.box.axes[3].plain else 2)
    loop, y = loop if workers > 1 else loop.serial, out.ravel()
    own = workers * layout.total + _inputs(problem, b, workers) * layout.v_size
    with borrow(own + size, out.dtype) as scratch:
        if size:
            w, u = u, scratch[own:]
            _pack(problem, w, machine, u)
        for stage in (BOTH,) if b.splits == 1 else (FILL, BOTH - FILL):
            loop(
                x.ravel(), u.ravel(), u.ndim > 1, y if bias is None else bias, y, scratch, layout.total,
                workers, tasks, stage, geometry,
            )  # fmt: skip


def _refuse(problem: ConvProblem) -> str | None:
    reason = refusal(problem)
    if reason is not None:
        return reason
    p = forward_of(problem)
    if not choices(p):
        return "serves kernels of which a transform saves a third of the multiplications"
    if p.group_in < 4:
        return "serves four input channels per group or more"
    return None


def _cost(problem: ConvProblem, machine: Machine) -> float:
    one = forward_of(problem.with_(batch=1))
    if not worth_its_error(one) and (one.multiplications < FEW or not steady(one, choices(one)[0])):
        return inf  # by name only
    b = chosen(one, machine)
    return CLOCK * (b.cycles + b.pack_cycles) * machine.cycle


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    sizes = []
    for plain in (False, True):
        b, layout, _ = prepared(problem, machine, machine.cores, plain)
        filters = _packed_size(problem, machine) + machine.cores * layout.room_size if plain and not _on_the_way(problem, b) else 0
        sizes.append(machine.cores * layout.total + _inputs(problem, b, machine.cores) * layout.v_size + filters)
    return 4 * max(sizes)


ROWS = (
    Kernel(
        name="winograd", problem=ConvProblem, run=run, pack=pack, cost=_cost, workspace=_workspace, refuse=_refuse, takes_plain=True,
        error_factor=4.0, directions=frozenset({"forward", "input_grad"}), dtypes=frozenset({"float32"}),
        honours=frozenset({"groups", "layout", "activation", "precision"}),
        summary="F(4, r) on one axis or two, taps cut into pieces: a half to a quarter of the multiplications, for about twice the rounding error",
    ),
    Kernel(
        name="winograd_weights",
        problem=ConvProblem,
        run=summed(weights.run),
        cost=weights.cost,
        workspace=weights.workspace,
        refuse=weights.refuse,
        error_factor=4.0,
        directions=frozenset({"weight_grad"}),
        dtypes=frozenset({"float32"}),
        honours=frozenset({"groups", "activation", "precision"}),
        summary="the sum of outer products on Winograd's frequencies: a half to a quarter of the multiplications, for about twice the rounding error",
    ),
)  # fmt: skip
