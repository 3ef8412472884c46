"""Depthwise convolution, row by row: each channel's box stays in L1, a register tile spans rows and columns of one output plane.

    for each task (sample, a lump of channels, some of their filters, box)
        copy the box of those channels into the polyphase buffer          filling.fill_box
        for each filter of each channel, `rows` output rows, columns: row_tile, straight into y
        activation, in place

`direct` computes the same with its gap columns and a pass to drop them; here there is nothing to drop.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from ..kernel import Kernel, Machine
from ..problem import ConvProblem
from .blocking import Blocking, blocking
from .direct import locate, prepared
from .epilogue import store_row
from .filling import fill_box
from .geometry import collapsed, geometry, weight_terms
from .launch import device_function, kernel, threads
from .scalars import three
from .simd.tiles import columns, row_tile, rows, tile_shape
from .simd.vector import get, pointer, zero_of
from .workspace import borrow

TILE = (1, 8)  # for the choice of boxes: one channel, eight registers of positions
#: rows × registers: eight sums hide the latency of a multiply-add; narrow images take more rows
SHAPES = ((8, 1), (4, 2), (3, 3), (2, 4), (2, 5))


@device_function
def _rows(shape, line, w, channel, taps, bias, scratch, source, offsets, y, top, nh, nw, g, m):
    """One plane of one filter: nh × nw outputs from `top` of y."""
    mr, nr = rows(shape), columns(shape)
    pitch, apart = get(g, 5), get(g, 21) * get(g, m + 19)
    activation = get(g, m + 24)
    b = get(bias, channel) if get(g, m + 23) else zero_of(bias)
    for h in range(0, nh, mr):
        for c in range(0, nw, nr):
            row_tile(
                shape, w, channel * taps, scratch, source + h * pitch + c, offsets, 0, pitch, y, top + h * apart + c, apart, taps, b, nh - h, nw - c
            )  # fmt: skip
    if activation > 0:
        for h in range(nh):
            store_row(line, y, top + h * apart, y, top + h * apart, nw, 1, zero_of(bias), activation)


@device_function
def _lump(shape, line, task, lumps, lump, x, w, bias, y, scratch, s0, offsets, tables, taps, g, m):
    groups, group_out = get(g, m + 6), get(g, m + 8)
    n, first, split, corner, start = locate(task, lumps, g, m)
    filters = get(g, m + 10)  # of a split; a block is one filter here
    count = min(lump, groups - first * lump)
    base = (n * groups + first * lump) * get(g, 0) * get(g, 1) * get(g, 2)
    fill_box(line, x, base, count, scratch, s0, tables, start, g)
    spread_t, spread_h = get(g, 20), get(g, 21)
    target_t, target_h, target_w = get(g, m + 17), get(g, m + 18), get(g, m + 19)
    nt = min(get(g, m), (target_t - corner[0] + spread_t - 1) // spread_t)
    nh = min(get(g, m + 1), (target_h - corner[1] + spread_h - 1) // spread_h)
    nw = min(get(g, m + 2), target_w - corner[2])
    for c in range(count):
        for f in range(split * filters, min(group_out, (split + 1) * filters)):
            channel = (first * lump + c) * group_out + f
            plane = (n * groups * group_out + channel) * target_t + corner[0]
            for t in range(nt):
                top = ((plane + t * spread_t) * target_h + corner[1]) * target_w + corner[2]
                source = s0 + c * get(g, 16) + t * get(g, 4) * get(g, 5)
                _rows(shape, line, w, channel, taps, bias, scratch, source, offsets, y, top, nh, nw, g, m)


@lru_cache(maxsize=64)
def driver(tile_rows: int, tile_vectors: int, tile_lanes: int) -> Any:
    """The parallel loop over (sample, channels, filters, box), for one shape of the row tile."""

    def depthwise(x, w, bias, y, scratch, worker_pitch, workers, tasks, offsets, table_t, table_h, table_w, taps, lump, geometry):
        lumps = (geometry[geometry[12] + 6] + lump - 1) // lump
        for worker in prange(workers):
            shape, line = tile_shape(tile_rows, tile_vectors, tile_lanes), tile_shape(1, 1, tile_lanes)
            tables = (pointer(table_t), pointer(table_h), pointer(table_w))
            g = pointer(geometry)
            m = get(g, 12)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _lump(
                    shape, line, task, lumps, lump, pointer(x), pointer(w), pointer(bias), pointer(y), pointer(scratch), worker * worker_pitch,
                    pointer(offsets), tables, taps, g, m,
                )  # fmt: skip

    return kernel(depthwise)


def _shape(problem: ConvProblem, b: Blocking) -> tuple[int, int]:
    """The tile that wastes least of a box: the widest that its columns fill."""
    lanes = b.tile[2]
    shapes = SHAPES if problem.dtype == "float32" else (SHAPES[0], SHAPES[3])
    return min(shapes, key=lambda s: (-(-b.box[2] // (s[1] * lanes)) * s[1] * (-(-b.box[1] // s[0]) * s[0]), -s[1]))


def _together(problem: ConvProblem, b: Blocking, machine: Machine, workers: int) -> int:
    """Channels per task: small ones share what a task costs, as long as they fit into L1 and all workers have some."""
    size = b.channel_pitch * np.dtype(problem.dtype).itemsize
    return max(1, min(16, machine.l1 // 2 // size, problem.batch * problem.groups // (4 * workers)))


def _scratch(b: Blocking, shape: tuple[int, int], lump: int) -> int:
    """Elements per worker: the box, and what a tile may read beyond its last row."""
    return b.buffer_size + (lump - 1) * b.channel_pitch + shape[0] * b.extents[2] + (shape[1] + 2) * b.tile[2] + 64


def _live(problem: ConvProblem) -> np.ndarray:
    """Which of the taps the offsets are of."""
    g = geometry(problem)
    return weight_terms(g, g.jobs[0], three(collapsed(problem).kernel, 1))


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, w, bias = arrays
    workers = threads()
    b, tables, offsets, _, integers, _ = prepared(problem, machine, workers, TILE)
    lump = _together(problem, b, machine, workers)
    tasks = problem.batch * -(-problem.groups // lump) * b.splits * b.boxes[0] * b.boxes[1] * b.boxes[2]
    workers = min(workers, tasks) if b.work > 2e5 else 1
    if offsets.size != problem.taps:  # the offsets leave out taps that see nothing but padding
        w = np.ascontiguousarray(w.reshape(problem.out_channels, problem.taps)[:, _live(problem)])
    shape = _shape(problem, b)
    pitch = _scratch(b, shape, lump)
    loop = driver(*shape, b.tile[2])
    with borrow(workers * pitch, out.dtype) as scratch:
        (loop if workers > 1 else loop.serial)(
            x.reshape(-1), w.reshape(-1), out.reshape(-1)[:1] if bias is None else bias, out.reshape(-1), scratch, pitch, workers, tasks,
            offsets, *tables, offsets.size, lump, integers,
        )  # fmt: skip


def _refuse(problem: ConvProblem) -> str | None:
    return None if problem.group_in == 1 else "serves one input channel per group"


def cost(problem: ConvProblem, machine: Machine) -> float:
    """Register tiles at one multiply-add a cycle, the copy, and a call's share."""
    b = blocking(problem.with_(batch=1), machine, 1, TILE)
    rows_, vectors = _shape(problem, b)
    tiles = -(-b.box[1] // rows_) * -(-b.box[2] // (vectors * b.tile[2])) * b.box[0] * problem.group_out
    lines = b.phases[0] * b.phases[1] * b.phases[2] * b.extents[0] * b.extents[1]
    cycles = tiles * (problem.taps * (rows_ * vectors + 1.5) + 30) + lines * (12 + 2 * -(-b.extents[2] // b.tile[2])) + 150
    return cycles * problem.groups * b.boxes[0] * b.boxes[1] * b.boxes[2] * 2 * machine.vector_bytes / 4 / machine.flops


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    b = blocking(problem, machine, machine.cores, TILE)
    return machine.cores * _scratch(b, _shape(problem, b), _together(problem, b, machine, machine.cores)) * np.dtype(problem.dtype).itemsize


ROWS = (
    Kernel(
        name="depthwise", problem=ConvProblem, run=run, cost=cost, workspace=_workspace, refuse=_refuse,
        dtypes=frozenset({"float32", "float64", "int32", "int64"}), honours=frozenset({"groups", "padding_mode", "activation", "precision"}),
        summary="row kernel: one channel's box in L1, register tiles over rows and columns",
    ),
)  # fmt: skip
