"""Direct convolution by offset tables: the dense CPU kernel, of any rank, stride, dilation, grouping and direction.

    for each box of outputs (a task: sample, group, output-channel range, box)
        copy the box's source into the polyphase buffer                           packing.fill_row
        for each job (one; prod(stride) for input_grad), superblock of channels, block of terms
            for each panel of positions, block of channels: gemm_tile             simd.tiles
        bias, activation, store the rows                                          epilogue.store_row

Each output is one chain of fused multiply-adds over (channel, tap) in a fixed order, so its bits depend on neither tiles, boxes nor threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from ..kernel import Kernel, Machine
from ..problem import ConvProblem
from .blocking import Blocking, blocking, seconds
from .epilogue import ACTIVATIONS, store_row
from .geometry import geometry, weight_terms
from .launch import device_function, kernel, threads
from .packing import fill_row, pack_weights, zero
from .simd.tiles import columns, gemm_tile, rows, tile_shape
from .simd.vector import get, zero_of
from .workspace import borrow


@device_function
def reachable(table, phase, step):
    """How many samples of a phase an axis has; the last box may ask for more, which nothing reads."""
    return (table.size - 1 - phase) // step + 1


@device_function
def _fill(shape, x, base, channels, buffer, b0, tables, g):
    """The box at (u0, u1, u2) of `channels` channels from element `base` of x."""
    table_t, table_h, table_w = tables
    source_t, source_h, source_w = g[0], g[1], g[2]
    extent_t, extent_h, extent_w = g[3], g[4], g[5]
    phases_t, phases_h, phases_w = g[6], g[7], g[8]
    step_t, step_h, step_w = g[9], g[10], g[11]
    u_t, u_h, u_w, phase_pitch, channel_pitch, origin_w, list0 = g[12], g[13], g[14], g[15], g[16], g[17], g[18]
    for c in range(channels):
        plane = base + c * source_t * source_h * source_w
        for ft in range(phases_t):
            for fh in range(phases_h):
                for fw in range(phases_w):
                    plane_d = b0 + c * channel_pitch + ((ft * phases_h + fh) * phases_w + fw) * phase_pitch
                    pt, ph, pw = g[list0 + ft], g[list0 + phases_t + fh], g[list0 + phases_t + phases_h + fw]
                    row_size = min(extent_w, reachable(table_w, pw, step_w) - u_w)
                    for t in range(min(extent_t, reachable(table_t, pt, step_t) - u_t)):
                        at = get(table_t, (u_t + t) * step_t + pt)
                        d = plane_d + t * extent_h * extent_w
                        for h in range(min(extent_h, reachable(table_h, ph, step_h) - u_h)):
                            ah = get(table_h, (u_h + h) * step_h + ph)
                            if at < 0 or ah < 0:
                                zero(shape, buffer, d, row_size)
                            else:
                                row = plane + (at * source_h + ah) * source_w
                                fill_row(shape, x, row, source_w, origin_w, table_w, u_w * step_w + pw, step_w, buffer, d, row_size)
                            d += extent_w


@device_function
def _multiply(shape, a, a0, buffer, b0, offsets, o0, ws, w0, terms, block_terms, blocks, panels, pitch, channels_outer):
    """ws = packed weights × buffer for `blocks` blocks of channels and all panels of positions."""
    mr, nr = rows(shape), columns(shape)
    if terms == 0:
        zero(shape, ws, w0, blocks * mr * pitch)
    for k in range(0, terms, block_terms):
        count = min(block_terms, terms - k)
        for i in range(panels * blocks):
            j, b = (i % panels, i // panels) if channels_outer else (i // blocks, i % blocks)
            gemm_tile(
                shape, a, a0 + (b * terms + k) * mr, buffer, b0 + j * nr, offsets, o0 + k, ws, w0 + b * mr * pitch + j * nr, count, pitch, k > 0
            )  # fmt: skip


@device_function
def _store(shape, ws, w0, pitch, y, bias, n, group, first, count, box, job, g, s):
    """Rows of `count` channels from channel `first` of the group, out of the workspace into y."""
    u_t, u_h, u_w, nt, nh, nw = box
    target_t, target_h, target_w, step_t, step_h, step_w, channels, group_out, has_bias, activation, shuffle = s
    extent_h, extent_w = g[4], g[5]
    for r in range(count):
        channel = group * group_out + first + r
        b = get(bias, channel) if has_bias else zero_of(bias)
        if shuffle > 1:
            n_per = channels // shuffle
            channel = (channel % n_per) * shuffle + channel // n_per
        plane = (n * channels + channel) * target_t
        for t in range(nt):
            for h in range(nh):
                row = (plane + job[0] + step_t * (u_t + t)) * target_h + job[1] + step_h * (u_h + h)
                source = w0 + r * pitch + (t * extent_h + h) * extent_w
                store_row(shape, ws, source, y, row * target_w + job[2] + step_w * u_w, nw, step_w, b, activation)


@device_function
def _task(shape, task, x, a, bias, y, scratch, s0, offsets, tables, jobs, geometry):
    """See the module: one box of one sample and group, one range of its output channels."""
    mr, nr = rows(shape), columns(shape)
    g = geometry.copy()  # private: the box's corner is written into it
    m = 19 + g[6] + g[7] + g[8]
    box_t, box_h, box_w, boxes_t, boxes_h, boxes_w = g[m], g[m + 1], g[m + 2], g[m + 3], g[m + 4], g[m + 5]
    groups, group_in, group_out, splits, split_blocks, super_blocks = g[m + 6], g[m + 7], g[m + 8], g[m + 9], g[m + 10], g[m + 11]
    block_terms, pitch, buffer_size, channels_outer, n_jobs = g[m + 12], g[m + 13], g[m + 14], g[m + 15], g[m + 16]
    s = (g[m + 17], g[m + 18], g[m + 19], g[m + 20], g[m + 21], g[m + 22], groups * group_out, group_out, g[m + 23], g[m + 24], g[m + 25])
    bw, task = task % boxes_w, task // boxes_w
    bh, task = task % boxes_h, task // boxes_h
    bt, task = task % boxes_t, task // boxes_t
    split, task = task % splits, task // splits
    group, n = task % groups, task // groups
    g[12], g[13], g[14] = bt * box_t, bh * box_h, bw * box_w
    _fill(shape, x, (n * groups + group) * group_in * g[0] * g[1] * g[2], group_in, scratch, s0, tables, g)
    all_blocks = (group_out + mr - 1) // mr
    last = min(all_blocks, (split + 1) * split_blocks)
    for job in range(n_jobs):
        q = job * 9
        nt, nh, nw = min(box_t, jobs[q + 6] - g[12]), min(box_h, jobs[q + 7] - g[13]), min(box_w, jobs[q + 8] - g[14])
        if nt <= 0 or nh <= 0 or nw <= 0:
            continue
        terms = jobs[q + 2]
        panels = (((nt - 1) * g[4] + nh - 1) * g[5] + nw + nr - 1) // nr
        for b in range(split * split_blocks, last, super_blocks):
            blocks = min(super_blocks, last - b)
            a0 = jobs[q] + (group * all_blocks + b) * terms * mr
            _multiply(
                shape, a, a0, scratch, s0, offsets, jobs[q + 1], scratch, s0 + buffer_size, terms, block_terms, blocks, panels, pitch,
                channels_outer > 0,
            )  # fmt: skip
            count = min(blocks * mr, group_out - b * mr)
            box = (g[12], g[13], g[14], nt, nh, nw)
            first = (jobs[q + 3], jobs[q + 4], jobs[q + 5])
            _store(shape, scratch, s0 + buffer_size, pitch, y, bias, n, group, b * mr, count, box, first, g, s)


@lru_cache(maxsize=64)
def driver(tile_rows: int, tile_vectors: int, tile_lanes: int) -> Any:
    """The parallel loop for one tile shape: compiled per shape and dtype, kept in this cache and on disk."""

    def direct(x, a, bias, y, scratch, worker_pitch, workers, tasks, offsets, table_t, table_h, table_w, jobs, geometry):
        for worker in prange(workers):
            shape = tile_shape(tile_rows, tile_vectors, tile_lanes)
            tables = (table_t, table_h, table_w)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _task(shape, task, x, a, bias, y, scratch, worker * worker_pitch, offsets, tables, jobs, geometry)

    return kernel(direct)


@lru_cache(maxsize=512)
def _prepared(problem: ConvProblem, machine: Machine, workers: int) -> tuple[Any, ...]:
    """Everything that does not depend on the data: offsets, jobs, the integers of the geometry."""
    g = geometry(problem)
    b = blocking(problem, machine, workers)
    offsets, jobs = [], []
    a_start = o_start = 0
    channel = np.arange(g.group_in)[:, None] * b.channel_pitch
    all_blocks = -(-g.group_out // b.tile[0])
    for job in g.jobs:
        (ft, nt, taps_t), (fh, nh, taps_h), (fw, nw, taps_w) = job
        one = np.array(
            [
                b.place((pt, ph, pw), (mt, mh, mw)) for _, pt, mt in taps_t for _, ph, mh in taps_h for _, pw, mw in taps_w
            ], np.int64,
        )  # fmt: skip
        table = (channel + one[None, :]).ravel()
        jobs += [a_start, o_start, table.size, ft, fh, fw, nt, nh, nw]
        a_start += problem.groups * all_blocks * table.size * b.tile[0]
        o_start += table.size
        offsets.append(table)
    integers = [
        *g.source, *b.extents, *b.phases, *(a.step for a in g.axes), 0, 0, 0, b.phase_pitch, b.channel_pitch, g.axes[2].origin, 19,
        *(f for axis in g.axes for f in axis.phases), *b.box, *b.boxes, problem.groups, g.group_in, g.group_out, b.splits, b.split_blocks,
        b.super_blocks, b.block_terms, b.pitch, b.buffer_size, int(b.channels_outer), len(g.jobs), *g.target,
        *(a.target_step for a in g.axes), int(problem.bias), ACTIVATIONS[problem.activation], problem.shuffle,
    ]  # fmt: skip
    table = np.concatenate(offsets)
    table = table.astype(np.int32) if table.size == 0 or table.max() < 2**31 else table
    return b, g.tables, table, np.array(jobs, np.int64), np.array(integers, np.int64), a_start


def pack(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    """Weights in register-tile order: per job, (groups, blocks, terms, rows)."""
    b, _, _, jobs, _, size = _prepared(problem, machine, 1)
    g = geometry(problem)
    packed = np.empty(size, w.dtype)
    for i, job in enumerate(g.jobs):
        terms = weight_terms(g, job, (1,) * (3 - problem.rank) + problem.kernel)
        if terms.size:
            pack_weights(
                w.reshape(-1), packed, terms, terms.size, g.weight_group, g.weight_strides[0], g.group_out, problem.groups, b.tile[0], int(jobs[9 * i])
            )  # fmt: skip
    return packed


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, packed, bias = arrays
    workers = threads()
    b, tables, offsets, jobs, integers, _ = _prepared(problem, machine, workers)
    tasks = problem.batch * problem.groups * b.splits * b.boxes[0] * b.boxes[1] * b.boxes[2]
    workers = min(workers, tasks) if b.work > 2e5 else 1
    loop = driver(*b.tile)
    with borrow(workers * b.worker_pitch, out.dtype) as scratch:
        (loop if workers > 1 else loop.serial)(
            x.reshape(-1), packed, out.reshape(-1)[:1] if bias is None else bias, out.reshape(-1), scratch, b.worker_pitch, workers, tasks,
            offsets, *tables, jobs, integers,
        )  # fmt: skip


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    b: Blocking = blocking(problem, machine, machine.cores)
    return (_prepared(problem, machine, machine.cores)[5] + machine.cores * b.worker_pitch) * np.dtype(problem.dtype).itemsize


ROWS = tuple(
    Kernel(
        name=name, problem=ConvProblem, run=run, pack=pack, cost=seconds, workspace=_workspace,
        directions=frozenset({direction}), dtypes=frozenset({"float32", "float64", "int32", "int64"}),
        honours=frozenset({"groups", "padding_mode", "activation", "shuffle", "precision"}), summary=summary,
    )
    for name, direction, summary in (
        ("direct", "forward", "offset-table convolution: register tiles over a polyphase copy of the input"),
        ("gather", "input_grad", "stride phases: one stride-1 convolution per output phase, no zeros inserted"),
    )
)  # fmt: skip
