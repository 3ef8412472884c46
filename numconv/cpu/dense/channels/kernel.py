"""Convolution with output channels in the lanes: every input value is spread over a register of filters (simd.spread).

    for each task (sample, group, box of positions, range of output channels)
        where the last axis is padded: copy the rows that the box reads, zeros at their ends
        for each block of channels
            weights given plain and used by this task only: pack the block's
            for each row of the box, each register tile of positions: spread_tile over the taps that see the input
            bias, activation; squares transposed into rows of the result                 spread_store.py

Channels last need no squares: a tile's sums are pixels of the result, and its positions lie where a table says (pixels.py).
`direct` has positions in the lanes.  Here rows of 7 or 13 leave no lane idle, strides cost nothing, taps that see only padding above, below,
before or behind the image are left out row by row, and an input without padding on its last axis is read where it stands.
Each output is one chain of fused multiply-adds over (outer taps, channel, inner taps), in an order that nothing else has a part in.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ...runtime.launch import device_function, inlined, kernel, threads
from ...runtime.workspace import borrow
from ...simd.spread import spread_tile, transpose_to
from ...simd.tiles import columns, lanes, rows, strided_shape, tile_shape
from ...simd.vector import get, load_between, load_n, pointer, prefetch, store
from ...stages.pack import zero
from ...stages.pixels import copy_pixels, store_pixels
from .plan import JOB, once, plan, seconds
from .store import store_block


@inlined
def clipped(first, count, step, reach, extent):
    """The samples [first, end) of an axis that targets reach, inside the source."""
    start = max(0, first)
    return start, max(start, min(extent, first + (count - 1) * step + reach + 1))


@device_function
def copy_rows(line, x, base, buffer, b0, start, size, column, pitch, apart, channel_apart, channels, height, width, volume):
    """size[0] × size[1] source rows of each channel, from column `column` (zeros outside), at `pitch`; planes and channels apart as said."""
    n = lanes(line)
    for c in range(channels):
        for t in range(size[0]):
            s = base + c * volume + ((start[0] + t) * height + start[1]) * width + column
            d = b0 + c * channel_apart + t * apart
            later = (t + 2) // size[
                0
            ]  # the piece after the next, two planes or channels on: no prefetcher of the machine's gets from one to another
            ahead = later * volume + (t + 2 - later * size[0] - t) * height * width
            for _ in range(size[1]):
                for j in range(0, pitch, n):  # what overruns the row is written again with the next one
                    prefetch(x, s + j + ahead)
                    store(buffer, d + j, load_between(x, s + j, -column - j, width - column - j, line))
                s += width
                d += pitch


@device_function
def _row(
    shape,
    line,
    x,
    x0,
    offsets,
    a,
    ws,
    w0,
    ranges,
    r_t,
    r_h,
    t,
    h,
    o_first,
    a_first,
    per_plane,
    per_row,
    count,
    step,
    near,
    near0,
    last,
    most,
    ahead,
    slope,
):
    """All register tiles of one row of `count` targets.  `near`: where the positions of a tile lie, None: at the step that its shape has.
    `last`: of pixels (channels last), stored here.  `most` terms at a time: what tiles side by side read stays in the first cache.
    `ahead`, `slope`: what `spread_tile` asks for."""
    np_, mr = rows(shape), columns(shape)
    lo_t, n_t, lo_h, n_h = get(ranges, r_t + 2 * t), get(ranges, r_t + 2 * t + 1), get(ranges, r_h + 2 * h), get(ranges, r_h + 2 * h + 1)
    terms, whole = n_h * per_row, count // np_ * np_
    if terms * n_t == 0:
        zero(shape, ws, w0, max(count, np_) * mr)
    for begin, end, size in (
        (0, whole, min(most, terms) if whole > np_ else terms),
        (whole, count, terms),
    ):  # the last tile overlaps the one before: from its own beginning
        for plane in range(lo_t, lo_t + (n_t if end > begin else 0)):
            for first in range(0, terms, max(1, size)):
                k, some = plane * per_plane + lo_h * per_row + first, min(size, terms - first)
                for tile in range(begin, end, np_):
                    p = max(0, min(tile, count - np_))
                    spread_tile(
                        shape, x, x0 + p * step, offsets, o_first + k, a, a_first + k * mr, ws, w0 + p * mr, some, plane > lo_t or first > 0, near, near0, ahead, slope
                    )  # fmt: skip
    if last is not None:
        y, place, apart, bias, has_bias, channel, valid, channels, activation, shuffle = last
        store_pixels(line, ws, w0, mr, y, place, apart, count, bias, has_bias, channel, valid, channels, activation, shuffle)


@device_function
def _pixels(y, bias, n, channel, valid, at, jobs, q, g):
    """Where a row of targets and a block of channels go, channels last: what `store_pixels` asks for."""
    t, h, w = get(jobs, q + 2) + get(g, 9) * at[0], get(jobs, q + 3) + get(g, 10) * at[1], get(jobs, q + 4) + get(g, 11) * at[2]
    channels = get(g, 0) * get(g, 2)
    place = (((n * get(g, 6) + t) * get(g, 7) + h) * get(g, 8) + w) * channels
    return y, place, get(g, 11) * channels, bias, get(g, 27), channel, valid, channels, get(g, 28), get(g, 29)


@device_function
def _pack_block(shape, w, places, group, b, packed, target, stretches, terms, g):
    """Of one block of filters, (term, columns), some: stretch i of a filter goes to the terms places[i·length …]; the last place takes what no term needs."""
    width, n = columns(shape), lanes(shape)
    length, stretch_pitch, row_step, group_pitch = get(g, 41), get(g, 42), get(g, 43), get(g, 44)
    source = group * group_pitch + b * width * row_step
    valid = min(width, get(g, 2) - b * width)
    for i in range(stretches[0], stretches[1]):
        if row_step == 1:  # the input gradient of a pointwise convolution: as the tile wants them
            for v in range(0, width, n):
                store(packed, target + get(places, i) * width + v, load_n(w, source + i * stretch_pitch + v, valid - v, shape))
            continue
        for k in range(terms[0], terms[1], n):
            transpose_to(
                shape, w, source + i * stretch_pitch + k, row_step, valid, min(n, length - k), packed, target, width, places, i * length + k
            )  # fmt: skip


@device_function
def _pack_part(shape, w, places, group, b, packed, target, part, parts, g):
    """Part of `parts` of a block: of its stretches, or of the terms of each where stretches are fewer."""
    stretches, length, n = get(g, 40), get(g, 41), lanes(shape)
    lines = (length + n - 1) // n
    if stretches >= parts or get(g, 43) == 1:
        _pack_block(
            shape, w, places, group, b, packed, target, (part * stretches // parts, (part + 1) * stretches // parts), (0, length), g
        )
    else:
        terms = (part * lines // parts * n, min(length, (part + 1) * lines // parts * n))
        _pack_block(shape, w, places, group, b, packed, target, (0, stretches), terms, g)


@device_function
def _locate(task, g):
    box_t, box_h, box_w, boxes_t, boxes_h, boxes_w = get(g, 18), get(g, 19), get(g, 20), get(g, 21), get(g, 22), get(g, 23)
    splits, groups = get(g, 24), get(g, 0)
    bw, task = task % boxes_w, task // boxes_w
    bh, task = task % boxes_h, task // boxes_h
    bt, task = task % boxes_t, task // boxes_t
    split, task = task % splits, task // splits
    group, n = task % groups, task // groups
    return n, group, split, (bt * box_t, bh * box_h, bw * box_w)


@device_function
def _copied(line, x, base, first, scratch, s0, g):
    """The rows that a box reads, zeros at their ends; where the box begins in them."""
    extent, pitch, apart, channels, every = (get(g, 3), get(g, 4), get(g, 5)), get(g, 30), get(g, 31), get(g, 1), get(g, 47)
    start_t, end_t = clipped(first[0], get(g, 18), get(g, 12), get(g, 37), extent[0])
    start_h, end_h = clipped(first[1], get(g, 19), get(g, 13), get(g, 38), extent[1])
    start, size = (start_t, start_h), (end_t - start_t, end_h - start_h)
    if get(g, 49):
        copy_pixels(line, x, base, scratch, s0, start, size, first[2], get(g, 49), apart, channels, get(g, 46), extent[1], extent[2], every)
    else:  # a row of pixels is one run, as that of a channel is
        copy_rows(
            line, x, base, scratch, s0, start, size, first[2] * every, pitch, apart, get(g, 32), channels // every, extent[1], extent[2] * every,
            extent[0] * extent[1] * extent[2] * every,
        )  # fmt: skip
    return s0 + (first[0] - start_t) * apart + (first[1] - start_h) * pitch


@device_function
def _task(shape, line, task, x, a, bias, y, scratch, s0, offsets, ranges, jobs, places, plain, g, near, fetch):
    """`near`: channels last, the jobs' table, which ends with the places of a tile's positions; or None.  `fetch`: None where a tile asks for nothing."""
    mr = columns(shape)
    groups, channels, group_out = get(g, 0), get(g, 1), get(g, 2)
    extent = (get(g, 3), get(g, 4), get(g, 5))
    target, target_step = (get(g, 6), get(g, 7), get(g, 8)), (get(g, 9), get(g, 10), get(g, 11))
    step = (get(g, 12), get(g, 13), get(g, 14))
    split_blocks, pitch, apart, pixel, every = get(g, 25), get(g, 30), get(g, 31), get(g, 46), get(g, 47)
    ws, tmp, tmp_pitch, total = s0 + get(g, 33), s0 + get(g, 34), get(g, 35), get(g, 36)
    n, group, split, corner = _locate(task, g)
    first = (get(g, 15) + corner[0] * step[0], get(g, 16) + corner[1] * step[1], get(g, 17) + corner[2] * step[2])
    base = n * groups * channels * extent[0] * extent[1] * extent[2] + group * get(g, 48)
    source, origin = x, base + ((first[0] * extent[1] + first[1]) * extent[2] + first[2]) * every
    if get(g, 26):
        source, origin = scratch, _copied(line, x, base, first, scratch, s0, g)
    blocks = (group_out + mr - 1) // mr
    weights = scratch if plain else a
    ahead = None if fetch is None else get(g, 51)
    for b in range(split * split_blocks, min(blocks, (split + 1) * split_blocks)):
        a0, valid = (group * blocks + b) * total * mr, min(mr, group_out - b * mr)
        if plain:
            a0 = s0 + get(g, 45)
            _pack_block(shape, a, places, group, b, scratch, a0, (0, get(g, 40)), (0, get(g, 41)), g)
        for job in range(get(g, 39)):
            q = job * JOB
            nt, nh, nw = (
                min(get(g, 18), get(jobs, q + 5) - corner[0]), min(get(g, 19), get(jobs, q + 6) - corner[1]),
                min(get(g, 20), get(jobs, q + 7) - corner[2]),
            )  # fmt: skip
            if nt <= 0 or nh <= 0 or nw <= 0:
                continue
            for row in range(nt * nh):
                t, h = row // nh, row % nh
                if near is None:
                    w0, last = ws + row * nw * mr, None
                else:
                    w0, last = (
                        ws,
                        _pixels(y, bias, n, group * group_out + b * mr, valid, (corner[0] + t, corner[1] + h, corner[2]), jobs, q, g),
                    )
                _row(
                    shape, line, source, origin + t * step[0] * apart + h * step[1] * pitch, offsets, weights, scratch, w0, ranges,
                    get(jobs, q + 8), get(jobs, q + 9), corner[0] + t, corner[1] + h, get(jobs, q + 1), a0 + get(jobs, q) * mr,
                    get(jobs, q + 10), get(jobs, q + 11), nw, step[2] * pixel, near, get(g, 39) * JOB, last, get(g, 50), ahead, get(g, 52),
                )  # fmt: skip
            if near is None:
                store_block(
                    line, scratch, ws, mr, scratch, tmp, tmp_pitch, y, bias, n, (group, b * mr, valid), corner, (nt, nh, nw), target,
                    (get(jobs, q + 2), get(jobs, q + 3), get(jobs, q + 4)), target_step, g,
                )  # fmt: skip


@lru_cache(maxsize=64)
def driver(positions: int, vectors: int, tile_lanes: int, step: int, fetch: bool) -> Any:
    """The parallel loop for one tile shape and one step of the last axis; 0: channels last, whose pixels are any distance apart.  `fetch`: asks for what later tiles read."""
    asks, last = 1 if fetch else None, step == 0

    def spread(x, a, bias, y, scratch, worker_pitch, workers, tasks, offsets, ranges, jobs, places, plain, geometry):
        for worker in prange(workers):
            shape, line = strided_shape(positions, vectors, tile_lanes, step), tile_shape(1, 1, tile_lanes)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _task(
                    shape, line, task, pointer(x), pointer(a), pointer(bias), pointer(y), pointer(scratch), worker * worker_pitch,
                    pointer(offsets), pointer(ranges), pointer(jobs), pointer(places), plain, pointer(geometry), pointer(jobs) if last else None, asks,
                )  # fmt: skip

    return kernel(spread)


@lru_cache(maxsize=64)
def packer(vectors: int, tile_lanes: int) -> Any:
    """All blocks of all groups, each in `parts` tasks and with a term more that nothing reads."""

    def pack(w, packed, places, total, blocks, parts, tasks, geometry):
        for task in prange(tasks):
            shape, number = tile_shape(1, vectors, tile_lanes), task // parts
            target = number * total * vectors * tile_lanes
            _pack_part(
                shape, pointer(w), pointer(places), number // blocks, number % blocks, pointer(packed), target, task % parts, parts, pointer(geometry)
            )  # fmt: skip

    return kernel(pack)


def _pack(problem: ConvProblem, w: np.ndarray, machine: Machine, packed: np.ndarray) -> None:
    p = plan(problem, machine, 1)
    loop, blocks = packer(*p.tile[1:3]), problem.groups * p.blocks
    parts = -(-2 * threads() // blocks)
    (loop if w.size > 1 << 15 else loop.serial)(w.reshape(-1), packed, p.places, p.terms + 1, p.blocks, parts, parts * blocks, p.integers)


def pack(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    packed = np.empty(plan(problem, machine, 1).packed, w.dtype)
    _pack(problem, w, machine, packed)
    return packed


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, w, bias = arrays
    workers = threads()
    plain = w.ndim > 1
    p = plan(problem, machine, workers, plain)
    tasks = problem.batch * p.tasks
    workers = min(workers, tasks) if p.work > 2e5 else 1
    ahead = plain and not once(problem, p.boxes)
    pitch = p.worker_pitch + p.block_size if plain and not ahead else p.worker_pitch
    loop, y = driver(*p.tile), out.ravel()
    with borrow(workers * pitch + ahead * p.packed, out.dtype) as scratch:
        if ahead:
            packed = scratch[workers * pitch :]
            _pack(problem, w, machine, packed)
            w, plain = packed, False
        (loop if workers > 1 else loop.serial)(
            x.ravel(), w.ravel(), y if bias is None else bias, y, scratch, pitch, workers, tasks,
            p.offsets, p.ranges, p.jobs, p.places, plain, p.integers,
        )  # fmt: skip


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    plans = [plan(problem, machine, machine.cores, plain) for plain in (False, True)]
    packed = [(p.block_size * machine.cores, 0) if once(problem, p.boxes) else (0, p.packed) for p in plans]
    return max(sum(more) + machine.cores * p.worker_pitch for p, more in zip(plans, packed, strict=True)) * np.dtype(problem.dtype).itemsize


ROWS = (
    Kernel(
        name="spread", problem=ConvProblem, run=run, pack=pack, cost=seconds, workspace=_workspace, takes_plain=True,
        directions=frozenset({"forward", "input_grad"}), dtypes=frozenset({"float32", "float64", "int32", "int64"}),
        honours=frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
        summary="output channels in the lanes, input values spread over them: for narrow images and strides",
    ),
)  # fmt: skip
