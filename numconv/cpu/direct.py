"""Direct convolution by offset tables: the dense CPU kernel, of any rank, stride, dilation, grouping and direction.

    for each box of outputs (a task: sample, group, output-channel range, box)
        copy the box's source into the polyphase buffer                           filling.fill_box
        for each job (one; prod(stride) for input_grad), superblock of channels, block of terms
            for each panel of positions, block of channels: gemm_tile             simd.tiles
        bias, activation, store the rows                                          epilogue.store_row

Each output is one chain of fused multiply-adds over (channel, tap) in a fixed order, so its bits depend on neither tiles, boxes nor threads.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import prange

from ..kernel import Kernel, Machine
from ..problem import ConvProblem
from .blocking import Blocking, blocking, seconds
from .epilogue import ACTIVATIONS, store_row
from .filling import HEAD, fill_box, line, spans
from .geometry import Geometry, geometry, weight_taps
from .launch import device_function, kernel, threads
from .packing import runs, weight_packer, zero
from .simd.tiles import columns, gemm_tile, rows, tile_shape
from .simd.vector import get, pointer, zero_of
from .workspace import borrow

SMALL_PACK = 1 << 14  # weights; fewer are packed in the calling thread
SHORT = 32 << 10  # bytes
SMALL_WORK = 200_000  # multiply-adds; as fewer are done


@device_function
def _multiply(shape, a, a0, buffer, b0, offsets, o0, ws, w0, terms, block_terms, blocks, panels, pitch, channels_outer):
    """ws = packed weights × buffer for `blocks` blocks of channels and all panels of positions."""
    mr, nr = rows(shape), columns(shape)
    if terms == 0:
        zero(shape, ws, w0, blocks * mr * pitch)
    for k in range(0, terms, block_terms):
        count = min(block_terms, terms - k)
        b, j = 0, 0
        for _ in range(panels * blocks):
            gemm_tile(
                shape, a, a0 + (b * terms + k) * mr, buffer, b0 + j * nr, offsets, o0 + k, ws, w0 + b * mr * pitch + j * nr, count, pitch, k > 0
            )  # fmt: skip
            if channels_outer:
                j += 1
                if j == panels:
                    b, j = b + 1, 0
            else:
                b += 1
                if b == blocks:
                    b, j = 0, j + 1


@device_function
def _store(line, ws, w0, pitch, y, bias, n, channels_box, corner, box, first_target, g, m):
    """The rows of a block of channels, out of the workspace into y."""
    group, first, count = channels_box
    u_t, u_h, u_w = corner
    nt, nh, nw = box
    target_t, target_h, target_w, step_t, step_h, step_w = (
        get(g, m + 17), get(g, m + 18), get(g, m + 19), get(g, m + 20), get(g, m + 21), get(g, m + 22)
    )  # fmt: skip
    group_out, channels = get(g, m + 8), get(g, m + 6) * get(g, m + 8)
    has_bias, activation, shuffle = get(g, m + 23), get(g, m + 24), get(g, m + 25)
    extent_h, extent_w, spread_t, spread_h = get(g, 4), get(g, 5), get(g, 20), get(g, 21)
    for r in range(count):
        channel = group * group_out + first + r
        b = get(bias, channel * has_bias) if has_bias else zero_of(bias)
        if shuffle > 1:
            n_per = channels // shuffle
            channel = (channel % n_per) * shuffle + channel // n_per
        plane = (n * channels + channel) * target_t
        for t in range(nt):
            for h in range(nh):
                row = (plane + first_target[0] + step_t * (u_t + t * spread_t)) * target_h + first_target[1] + step_h * (u_h + h * spread_h)
                source = w0 + r * pitch + (t * extent_h + h) * extent_w
                store_row(line, ws, source, y, row * target_w + first_target[2] + step_w * u_w, nw, step_w, b, activation)


@device_function
def locate(task, groups, g, m):
    """(sample, group of `groups`, split of the channels, first target of the box, padded coordinates of its first samples) of a task's number."""
    box_t, box_h, box_w, boxes_t, boxes_h, boxes_w = get(g, m), get(g, m + 1), get(g, m + 2), get(g, m + 3), get(g, m + 4), get(g, m + 5)
    splits = get(g, m + 9)
    spread_t, spread_h, step_t, step_h = get(g, 20), get(g, 21), get(g, 9), get(g, 10)
    bw, task = task % boxes_w, task // boxes_w
    bh, task = task % boxes_h, task // boxes_h
    bt, task = task % boxes_t, task // boxes_t
    split, task = task % splits, task // splits
    group, n = task % groups, task // groups
    # targets of the box: corner + spread·v; its samples start at the padded coordinates `start`
    corner = (bt % spread_t + bt // spread_t * box_t * spread_t, bh % spread_h + bh // spread_h * box_h * spread_h, bw * box_w)
    start = (corner[0] * step_t, corner[1] * step_h, bw)
    return n, group, split, corner, start


@device_function
def _task(shape, line, task, x, a, bias, y, scratch, s0, offsets, tables, jobs, g, m):
    """See the module: one box of one sample and group, one range of its output channels.  `m`: where the second part of g starts."""
    mr, nr = rows(shape), columns(shape)
    box_t, box_h, box_w = get(g, m), get(g, m + 1), get(g, m + 2)
    groups, group_in, group_out, split_blocks, super_blocks = (
        get(g, m + 6), get(g, m + 7), get(g, m + 8), get(g, m + 10), get(g, m + 11)
    )  # fmt: skip
    block_terms, pitch, buffer_size, channels_outer, n_jobs = get(g, m + 12), get(g, m + 13), get(g, m + 14), get(g, m + 15), get(g, m + 16)
    n, group, split, corner, start = locate(task, groups, g, m)
    spread_t, spread_h = get(g, 20), get(g, 21)
    fill_box(line, x, (n * groups + group) * group_in * get(g, 0) * get(g, 1) * get(g, 2), group_in, scratch, s0, tables, start, g)
    all_blocks = (group_out + mr - 1) // mr
    last = min(all_blocks, (split + 1) * split_blocks)
    for job in range(n_jobs):
        q = job * 9
        nt = min(box_t, (get(jobs, q + 6) - corner[0] + spread_t - 1) // spread_t)
        nh = min(box_h, (get(jobs, q + 7) - corner[1] + spread_h - 1) // spread_h)
        nw = min(box_w, get(jobs, q + 8) - corner[2])
        if nt <= 0 or nh <= 0 or nw <= 0:
            continue
        terms = get(jobs, q + 2)
        panels = (((nt - 1) * get(g, 4) + nh - 1) * get(g, 5) + nw + nr - 1) // nr
        for b in range(split * split_blocks, last, super_blocks):
            blocks = min(super_blocks, last - b)
            a0 = get(jobs, q) + (group * all_blocks + b) * terms * mr
            _multiply(
                shape, a, a0, scratch, s0, offsets, get(jobs, q + 1), scratch, s0 + buffer_size, terms, block_terms, blocks, panels, pitch,
                channels_outer > 0,
            )  # fmt: skip
            channels_box = (group, b * mr, min(blocks * mr, group_out - b * mr))
            first = (get(jobs, q + 3), get(jobs, q + 4), get(jobs, q + 5))
            _store(line, scratch, s0 + buffer_size, pitch, y, bias, n, channels_box, corner, (nt, nh, nw), first, g, m)


@lru_cache(maxsize=64)
def driver(tile_rows: int, tile_vectors: int, tile_lanes: int) -> Any:
    """The parallel loop for one tile shape: compiled per shape and dtype, kept in this cache and on disk."""

    def direct(x, a, bias, y, scratch, worker_pitch, workers, tasks, offsets, table_t, table_h, table_w, jobs, geometry):
        for worker in prange(workers):
            shape, line = tile_shape(tile_rows, tile_vectors, tile_lanes), tile_shape(1, 1, tile_lanes)
            tables = (pointer(table_t), pointer(table_h), pointer(table_w))
            g = pointer(geometry)
            m = get(g, 12)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _task(
                    shape, line, task, pointer(x), pointer(a), pointer(bias), pointer(y), pointer(scratch), worker * worker_pitch,
                    pointer(offsets), tables, pointer(jobs), g, m,
                )  # fmt: skip

    return kernel(direct)


def _ahead(g: Geometry, b: Blocking, problem: ConvProblem, machine: Machine) -> int:
    """How far ahead of the copy its source is asked for: a channel, where it comes from beyond the second cache in pieces that end before a prefetcher is of use."""
    size = np.dtype(problem.dtype).itemsize
    piece = b.extents[1] * g.axes[1].step * g.source[2] * size
    return prod(g.source) if g.group_in * prod(g.source) * size > machine.l2 and piece <= SHORT else 0


@lru_cache(maxsize=512)
def prepared(problem: ConvProblem, machine: Machine, workers: int) -> tuple[Any, ...]:
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
    w = g.axes[2]
    lines = [
        value for i in range(b.boxes[2]) for f in w.phases
        for value in line(w.origin + i * b.box[2] * w.step + f, w.step, g.source[2], b.extents[2], b.tile[2])
    ]  # fmt: skip
    phases = spans(g.axes[0], b.box[0]) + spans(g.axes[1], b.box[1])
    integers = [
        *g.source, *b.extents, *b.phases, *(a.step for a in g.axes), HEAD + len(phases) + len(lines), 0, 0, b.phase_pitch,
        b.channel_pitch, g.axes[2].origin, int(problem.padding_mode == "zeros"),
        b.gap, g.axes[0].spread, g.axes[1].spread, _ahead(g, b, problem, machine),
        *phases, *lines, *b.box, *b.boxes, problem.groups, g.group_in, g.group_out, b.splits, b.split_blocks,
        b.super_blocks, b.block_terms, b.pitch, b.buffer_size, int(b.channels_outer), len(g.jobs), *g.target,
        *(a.target_step for a in g.axes), int(problem.bias), ACTIVATIONS[problem.activation], problem.shuffle,
    ]  # fmt: skip
    table = np.concatenate(offsets)
    table = table.astype(np.int32) if table.size == 0 or table.max() < 2**31 else table
    return b, g.tables, table, np.array(jobs, np.int64), np.array(integers, np.int64), a_start


@lru_cache(maxsize=512)
def _packing(problem: ConvProblem, machine: Machine) -> tuple[Any, int, tuple[Any, ...]]:
    """The packer, the size of what it makes, and its arguments after the two arrays."""
    b, _, _, jobs, _, size = prepared(problem, machine, 1)
    g = geometry(problem)
    kernel = (1,) * (3 - problem.rank) + problem.kernel
    channels, step = g.group_in, g.weight_strides[1]
    taps = [weight_taps(job, kernel) for job in g.jobs]
    if step == problem.taps == taps[0].size:  # the channels are one run
        channels, taps = 1, [np.arange(channels * step)]
    table = [value for i, t in enumerate(taps) for run in runs(t, int(jobs[9 * i]), b.tile[0]) for value in run]
    packer = weight_packer(b.tile[0], b.tile[2])
    packer = packer if problem.out_channels * g.group_in * problem.taps > SMALL_PACK else packer.serial
    return packer, size, (np.array(table, np.int64), channels, step, g.weight_group, g.weight_strides[0], g.group_out, problem.groups)


def pack(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    """Weights in register-tile order: per job, (groups, blocks, terms, rows)."""
    packer, size, arguments = _packing(problem, machine)
    packed = np.empty(size, w.dtype)
    packer(w.reshape(-1), packed, *arguments)
    return packed


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, packed, bias = arrays
    workers = threads() if problem.multiplications > SMALL_WORK else 1
    b, tables, offsets, jobs, integers, _ = prepared(problem, machine, workers)
    tasks = problem.batch * problem.groups * b.splits * b.boxes[0] * b.boxes[1] * b.boxes[2]
    workers = min(workers, tasks)
    loop = driver(*b.tile)
    flat = out.reshape(-1)
    with borrow(workers * b.worker_pitch, out.dtype) as scratch:
        (loop if workers > 1 else loop.serial)(
            x.reshape(-1), packed, flat if bias is None else bias, flat, scratch, b.worker_pitch, workers, tasks,
            offsets, *tables, jobs, integers,
        )  # fmt: skip


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    b: Blocking = blocking(problem, machine, machine.cores)
    return (prepared(problem, machine, machine.cores)[5] + machine.cores * b.worker_pitch) * np.dtype(problem.dtype).itemsize


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
