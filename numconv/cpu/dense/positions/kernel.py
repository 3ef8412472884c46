"""Direct convolution by offset tables: the dense CPU kernel, of any rank, stride, dilation, grouping and direction.

    for each box of outputs (a task: sample, group, output-channel range, box)
        for each chunk of input channels (one, unless the second cache is too small)
            copy the box's source into the polyphase buffer    filling.fill_box
            for each job (one; prod(stride) for input_grad), block of output channels, block of terms
                for each panel of positions: gemm_tile                                           simd.tiles
                after the last terms: bias, activation, store the rows                           epilogue.store_row

Each output is one chain of fused multiply-adds over (channel, tap) in a fixed order, so its bits depend on neither tiles, boxes nor threads.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import prange

from ....activations import ACTIVATIONS
from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ...geometry.axes import Geometry, geometry, unfold, weight_taps
from ...runtime.launch import device_function, kernel, threads
from ...runtime.workspace import borrow
from ...simd.streaming import fence
from ...simd.tiles import columns, gemm_tile, lanes, rows, tile_shape
from ...simd.vector import get, moved, pointer, zero_of
from ...stages.epilogue import store_row
from ...stages.fill import HEAD, fill_box, inside, spans
from ...stages.pack import pack_block, runs, weight_packer, zero
from .cost import Blocking, ahead, blocking, past_caches, seconds

JOB = 11  # integers per job
SMALL_PACK = 1 << 14  # weights; fewer are packed in the calling thread
SMALL_WORK = 200_000  # multiply-adds; as fewer are done


@device_function
def _multiply(shape, narrow, line, a, a0, x, x0, offsets, o0, ws, w0, terms, resume, final, target, g, m):
    """ws (+)= one block of packed weights × the source at all positions of the box, panel by panel; the last pass takes its sums on to y.

    Whole registers of positions: `shape` while it fills its vectors, then `narrow`, which has one.
    """
    mr, nr, width = rows(shape), columns(shape), lanes(shape)
    block_terms, pitch, run, apart = get(g, m + 12), get(g, m + 13), get(g, m + 15), get(g, m + 26)
    nt, nh, nw = target[4]
    positions = ((nt - 1) * get(g, 4) + nh - 1) * get(g, 5) + nw
    end = (positions + width - 1) // width * width
    wide = end // nr * nr
    for k in range(0, max(1, terms), block_terms):
        count, last = min(block_terms, terms - k), final and k + block_terms >= terms
        j = done = stored = 0
        while j < end:
            size = nr if j < wide else width
            if count <= 0:
                zero(shape, moved(ws, w0), mr * pitch)
            elif size == nr:
                gemm_tile(
                    shape, moved(a, a0 + k * mr), moved(x, x0 + j), moved(offsets, o0 + k), moved(ws, w0 + j), count, pitch, resume or k > 0
                )
            else:
                gemm_tile(
                    narrow,
                    moved(a, a0 + k * mr),
                    moved(x, x0 + j),
                    moved(offsets, o0 + k),
                    moved(ws, w0 + j),
                    count,
                    pitch,
                    resume or k > 0,
                )
            j += size
            if last and (j - stored >= apart or j == end):
                if run:
                    _store(line, ws, w0 + stored, pitch, target, (0, 0, stored), (1, 1, min(j, positions) - stored), g, m)
                elif nt == 1:  # the rows that are complete
                    ready = min(nh, max(0, (j - nw) // get(g, 5) + 1))
                    _store(line, ws, w0 + done * get(g, 5), pitch, target, (0, done, 0), (1, ready - done, nw), g, m)
                    done = ready
                stored = j
        if last and nt > 1 and run == 0:
            _store(line, ws, w0, pitch, target, (0, 0, 0), (nt, nh, nw), g, m)


@device_function
def _store(line, ws, w0, pitch, target, begin, box, g, m):
    """`box` rows of a block of channels from `begin` on in the target, out of the workspace into y."""
    y, bias, n, corner, _, first_target, group, first, count = target
    nt, nh, nw = box
    target_t, target_h, target_w, step_t, step_h, step_w = (
        get(g, m + 17), get(g, m + 18), get(g, m + 19), get(g, m + 20), get(g, m + 21), get(g, m + 22)
    )  # fmt: skip
    group_out, channels = get(g, m + 8), get(g, m + 6) * get(g, m + 8)
    has_bias, activation, shuffle, past = get(g, m + 23), get(g, m + 24), get(g, m + 25), get(g, m + 32) > 0
    extent_h, extent_w, spread_t, spread_h = get(g, 4), get(g, 5), get(g, 20), get(g, 21)
    at_t, at_h = first_target[0] + step_t * (corner[0] + begin[0] * spread_t), first_target[1] + step_h * (corner[1] + begin[1] * spread_h)
    at_w = first_target[2] + step_w * (corner[2] + begin[2])
    for r in range(count):
        channel = group * group_out + first + r
        b = get(bias, channel * has_bias) if has_bias else zero_of(bias)
        if shuffle > 1:
            n_per = channels // shuffle
            channel = (channel % n_per) * shuffle + channel // n_per
        plane = (n * channels + channel) * target_t + at_t
        for t in range(nt):
            for h in range(nh):
                row = (plane + step_t * t * spread_t) * target_h + at_h + step_h * h * spread_h
                store_row(
                    line,
                    moved(ws, w0 + r * pitch + (t * extent_h + h) * extent_w),
                    moved(y, row * target_w + at_w),
                    nw,
                    step_w,
                    b,
                    activation,
                    past,
                )


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
def _task(shape, narrow, line, task, x, a, bias, y, scratch, s0, offsets, tables, jobs, stretches, plain, g, m):
    """See the module: one box of one sample and group, one range of its output channels.  `m`: where the second part of g starts.

    `plain`: `a` are the weights as given, of which a block is packed when its turn comes.
    """
    mr = rows(shape)
    box_t, box_h, box_w = get(g, m), get(g, m + 1), get(g, m + 2)
    groups, group_in, group_out, split_blocks, chunk = get(g, m + 6), get(g, m + 7), get(g, m + 8), get(g, m + 10), get(g, m + 11)
    block_size, volume = mr * get(g, m + 13), get(g, 0) * get(g, 1) * get(g, 2)
    n, group, split, corner, start = locate(task, groups, g, m)
    spread_t, spread_h = get(g, 20), get(g, 21)
    all_blocks = (group_out + mr - 1) // mr
    for channel in range(0, group_in, chunk):
        channels = min(chunk, group_in - channel)
        base = ((n * groups + group) * group_in + channel) * volume
        fill_box(line, x, base, channels, scratch, s0, tables, start, g)
        held = s0 + get(g, m + 14)
        for job in range(get(g, m + 16)):
            q = job * JOB
            box = (
                min(box_t, (get(jobs, q + 6) - corner[0] + spread_t - 1) // spread_t), min(box_h, (get(jobs, q + 7) - corner[1] + spread_h - 1) // spread_h),
                min(box_w, get(jobs, q + 8) - corner[2]),
            )  # fmt: skip
            if box[0] <= 0 or box[1] <= 0 or box[2] <= 0:
                continue
            first, taps = (get(jobs, q + 3), get(jobs, q + 4), get(jobs, q + 5)), get(jobs, q + 2)
            for b in range(split * split_blocks, min(all_blocks, (split + 1) * split_blocks)):
                weights, a0, valid = (
                    a,
                    get(jobs, q) + ((group * all_blocks + b) * group_in + channel) * taps * mr,
                    min(mr, group_out - b * mr),
                )
                if plain:
                    weights, a0 = scratch, s0 + get(g, m + 31)
                    row_step, channel_step, whole = get(g, m + 27), get(g, m + 28), get(g, m + 30)
                    pack_block(
                        narrow, a, group * get(g, m + 29) + b * mr * row_step + channel * channel_step, row_step, valid, scratch, a0, 0,
                        stretches, get(jobs, q + 9), get(jobs, q + 10), 1 if whole else channels, channel_step, whole * channels * taps,
                    )  # fmt: skip
                target = (y, bias, n, corner, box, first, group, b * mr, valid)
                _multiply(
                    shape, narrow, line, weights, a0, scratch, s0, offsets, get(jobs, q + 1), scratch, held, channels * taps, channel > 0, channel + chunk >= group_in, target, g, m,
                )  # fmt: skip
                if chunk < group_in:  # until the last channels have come
                    held += block_size


@lru_cache(maxsize=64)
def driver(tile_rows: int, tile_vectors: int, tile_lanes: int) -> Any:
    """The parallel loop for one tile shape: compiled per shape and dtype, kept in this cache and on disk."""

    def direct(x, a, bias, y, scratch, worker_pitch, workers, tasks, offsets, table_t, table_h, table_w, jobs, stretches, plain, geometry):
        for worker in prange(workers):
            shape, narrow, line = (
                tile_shape(tile_rows, tile_vectors, tile_lanes), tile_shape(tile_rows, 1, tile_lanes), tile_shape(1, 1, tile_lanes)
            )  # fmt: skip
            tables = (pointer(table_t), pointer(table_h), pointer(table_w))
            g = pointer(geometry)
            m = get(g, 12)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _task(
                    shape, narrow, line, task, pointer(x), pointer(a), pointer(bias), pointer(y), pointer(scratch), worker * worker_pitch,
                    pointer(offsets), tables, pointer(jobs), pointer(stretches), plain, g, m,
                )  # fmt: skip
            fence()

    return kernel(direct)


@lru_cache(maxsize=512)
def prepared(problem: ConvProblem, machine: Machine, workers: int) -> tuple[Any, ...]:
    """Everything that does not depend on the data: offsets, jobs, the integers of the geometry."""
    b = blocking(problem, machine, workers)
    g, kernel = unfold(problem, b.unfolded), (1,) * (3 - problem.rank) + problem.kernel
    offsets, jobs = [], []
    stretches: list[int] = []
    a_start = o_start = 0
    channel = np.arange(b.chunk)[:, None] * b.channel_pitch
    all_blocks = -(-g.group_out // b.tile[0])
    for job in g.jobs:
        (ft, nt, taps_t), (fh, nh, taps_h), (fw, nw, taps_w) = job
        one = np.array(
            [
                b.place((pt, ph, pw), (mt, mh, mw)) for _, pt, mt in taps_t for _, ph, mh in taps_h for _, pw, mw in taps_w
            ], np.int64,
        )  # fmt: skip
        table = (channel + one[None, :]).ravel()
        begin = len(stretches)
        stretches += [value for run in runs(weight_taps(job, kernel), 0, b.tile[0]) for value in run]
        jobs += [a_start, o_start, one.size, ft, fh, fw, nt, nh, nw, begin, len(stretches)]
        a_start += problem.groups * all_blocks * g.group_in * one.size * b.tile[0]
        o_start += table.size
        offsets.append(table)
    w = g.axes[2]
    lines = [
        value for i in range(b.boxes[2]) for f in w.phases
        for value in inside(w.origin + i * b.box[2] * w.step + f, w.step, g.source[2], b.extents[2], b.tile[2])
    ]  # fmt: skip
    phases = spans(g.axes[0], b.box[0]) + spans(g.axes[1], b.box[1])
    integers = [
        *g.source, *b.extents, *b.phases, *(a.step for a in g.axes), HEAD + len(phases) + len(lines), 0, 0, b.phase_pitch,
        b.channel_pitch, g.axes[2].origin, int(problem.padding_mode == "zeros"),
        b.gap, g.axes[0].spread, g.axes[1].spread, ahead(g, b, problem, machine),
        *phases, *lines, *b.box, *b.boxes, problem.groups, g.group_in, g.group_out, b.splits, b.split_blocks,
        b.chunk, b.block_terms, b.pitch, b.buffer_size, int(b.run), len(g.jobs), *g.target,
        *(a.target_step for a in g.axes), int(problem.bias), ACTIVATIONS[problem.activation], problem.shuffle, b.apart,
        *g.weight_strides, g.weight_group, int(_whole(problem, g, jobs)), b.worker_pitch, int(past_caches(g, b, problem)),
    ]  # fmt: skip
    table = np.concatenate(offsets)
    table = table.astype(np.int32) if table.size == 0 or table.max() < 2**31 else table
    return b, g.tables, table, np.array(jobs, np.int64), np.array(integers, np.int64), a_start, np.array(stretches, np.int64)


def _whole(problem: ConvProblem, g: Geometry, jobs: list[int]) -> bool:
    """Whether all channels and taps of a filter are one run."""
    return g.weight_strides[1] == problem.taps == jobs[2]


@lru_cache(maxsize=512)
def _packing(problem: ConvProblem, machine: Machine) -> tuple[Any, int, tuple[Any, ...]]:
    """The packer, the size of what it makes, and its arguments after the two arrays."""
    b, _, _, jobs, _, size, _ = prepared(problem, machine, 1)
    g = geometry(problem)
    kernel = (1,) * (3 - problem.rank) + problem.kernel
    channels, step = g.group_in, g.weight_strides[1]
    taps = [weight_taps(job, kernel) for job in g.jobs]
    if _whole(problem, g, jobs):
        channels, taps = 1, [np.arange(channels * step)]
    table = [value for i, t in enumerate(taps) for run in runs(t, int(jobs[JOB * i]), b.tile[0]) for value in run]
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
    b, tables, offsets, jobs, integers, _, stretches = prepared(problem, machine, workers)
    plain = packed.ndim > 1
    packer, size, arguments = _packing(problem, machine) if plain and not _once(problem, b) else (None, 0, ())
    pitch = b.worker_pitch + b.block_size if plain and not size else b.worker_pitch
    tasks = problem.batch * problem.groups * b.splits * b.boxes[0] * b.boxes[1] * b.boxes[2]
    workers = min(workers, tasks)
    loop = driver(*b.tile)
    flat = out.ravel()
    with borrow(workers * pitch + size, out.dtype) as scratch:
        if packer:
            w, packed, plain = packed, scratch[workers * pitch :], False
            packer(w.reshape(-1), packed, *arguments)
        (loop if workers > 1 else loop.serial)(
            x.ravel(), packed.ravel(), flat if bias is None else bias, flat, scratch, pitch, workers, tasks,
            offsets, *tables, jobs, stretches, plain, integers,
        )  # fmt: skip


def _once(problem: ConvProblem, b: Blocking) -> bool:
    """Whether each block of filters is used by one task, which packs it."""
    return problem.batch == 1 and prod(b.boxes) == 1


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    b: Blocking = blocking(problem, machine, machine.cores)
    block, packed = (b.block_size, 0) if _once(problem, b) else (0, prepared(problem, machine, machine.cores)[5])
    return (packed + machine.cores * (b.worker_pitch + block)) * np.dtype(problem.dtype).itemsize


ROWS = tuple(
    Kernel(
        name=name, problem=ConvProblem, run=run, pack=pack, cost=seconds, workspace=_workspace, takes_plain=True,
        directions=frozenset({direction}), dtypes=frozenset({"float32", "float64", "int32", "int64"}),
        honours=frozenset({"groups", "padding_mode", "activation", "shuffle", "precision"}), summary=summary,
    )
    for name, direction, summary in (
        ("direct", "forward", "offset-table convolution: register tiles over a polyphase copy of the input"),
        ("gather", "input_grad", "stride phases: one stride-1 convolution per output phase, no zeros inserted"),
    )
)  # fmt: skip
