"""The weight gradient as a sum of outer products over output positions: w[k, c, r] = Σ_{n, p} y[n, k, p]·x[n, c, p·stride − pad + r·dilation].

    for each task (group, range of blocks of output channels, range of input channels)
        for each sample, each chunk of positions
            copy the rows that the chunk reads, zeros at their ends, or read the input where it stands
            for each block of output channels
                the chunk's gradient, transposed in squares: (position, channel of the block)
                for each tap of the outer axes, each register tile of (channel, tap of the last axis)
                    spread_tile over the positions whose input lies in the image
        squares of the sums transposed into the weights

The lanes are output channels; an input value is spread over them (simd.spread), whatever stride and dilation.  Read in place from an image
padded on the last axis, that axis' taps are outer ones too, and each row a run of its own.
Each sum is one chain of fused multiply-adds in the order of (n, p), which neither chunks, tiles nor threads have a part in.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.walk import end_inside, first_inside
from ...runtime.launch import device_function, kernel, threads
from ...runtime.workspace import borrow
from ...simd.spread import spread_tile
from ...simd.tiles import columns, lanes, rows, tile_shape
from ...simd.transpose import transpose_part
from ...simd.vector import get, moved, pointer
from ...stages.copy import Copy, clipped, copy_rows
from ...stages.pack import zero
from .plan import plan


@device_function
def _gradient(shape, y, source, positions, count, valid, target, t):
    """target[p, j] = y[j, p] for a chunk of `count` positions and a block of `valid` channels; columns beyond repeat the last."""
    n, width = lanes(shape), columns(shape)
    for v in range(0, width, n):
        first = min(v, valid - 1)
        for p in range(0, count, n):
            transpose_part(
                shape, moved(y, source + first * positions + p), positions, None, valid - first, moved(target, t + p * width + v), width, min(n, count - p), n
            )  # fmt: skip


@device_function
def _sums(shape, x, origin, offsets, first, size, step, extent, outer, outers, places, p0, tiles, pitch, gradient, q, c, c0):
    """c[outer tap, row, j] += Σ over the chunk's positions whose input lies inside `extent`; `pitch`: tiles between outer taps."""
    mr, width = rows(shape), columns(shape)
    for o in range(outers):
        at_t, at_h, at_w = first[0] + get(outer, 4 * o), first[1] + get(outer, 4 * o + 1), first[2] + get(outer, 4 * o + 2)
        h, w = first_inside(at_h, step[1]), first_inside(at_w, step[2])
        runs, terms = end_inside(at_h, step[1], extent[1], size[1]) - h, end_inside(at_w, step[2], extent[2], size[2]) - w
        if terms == size[2]:  # whole rows are one run
            runs, terms = min(runs, 1), runs * terms
        if terms <= 0:
            continue
        for tile in range(tiles):
            for t in range(first_inside(at_t, step[0]), end_inside(at_t, step[0], extent[0], size[0])):
                for run in range(runs):
                    k = (t * size[1] + h + run) * size[2] + w
                    spread_tile(
                        shape, moved(x, origin + get(outer, 4 * o + 3)), moved(offsets, k), moved(gradient, q + k * width), moved(c, c0 + (o * pitch + tile) * mr * width),
                        terms, True, moved(places, p0 + tile * mr), None, 0,
                    )  # fmt: skip


@device_function
def _deliver(shape, c, c0, sources, w, target, filter_size, valid, count):
    """w[j, i] = c[sources[i], j] for a block of `valid` filters and `count` weights of each."""
    n, width = lanes(shape), columns(shape)
    for v in range(0, min(width, valid), n):
        for i in range(0, count, n):
            run = min(n, count - i)
            transpose_part(
                shape, moved(c, c0 + v), width, moved(sources, i), run, moved(w, target + v * filter_size + i), filter_size, min(n, valid - v), run
            )  # fmt: skip


@device_function
def _first(corner, g):
    """Coordinates of the input that a position's first tap sees, in the padding perhaps."""
    return corner[0] * get(g, 10) - get(g, 13), corner[1] * get(g, 11) - get(g, 14), corner[2] * get(g, 12) - get(g, 15)


@device_function
def _copy(line, x, base, channels, corner, size, scratch, s0, g):
    """The input that a box of positions reads, zeros left and right; where the box begins in it."""
    first, extent, pitch, apart = _first(corner, g), (get(g, 4), get(g, 5), get(g, 6)), get(g, 27), get(g, 28)
    start_t, end_t = clipped(first[0], size[0], get(g, 10), get(g, 30), extent[0])
    start_h, end_h = clipped(first[1], size[1], get(g, 11), get(g, 31), extent[1])
    copy = Copy(channels, extent[1], extent[2], extent[0] * extent[1] * extent[2], pitch, apart, get(g, 29), 0, 1, 1)
    start, rows_of = (start_t, start_h), (end_t - start_t, end_h - start_h)
    copy_rows(line, moved(x, base), moved(scratch, s0), channels, start, rows_of, first[2], copy)
    return s0 + (first[0] - start_t) * apart + (first[1] - start_h) * pitch


@device_function
def _sample(shape, line, x, y, scratch, s0, n, group, channel0, channels, blocks, offsets, outer, places, p0, tiles, g):
    """All chunks of one sample: their part of every sum of the task."""
    counts, box, boxes, step = (get(g, 7), get(g, 8), get(g, 9)), (get(g, 16), get(g, 17), get(g, 18)), (get(g, 19), get(g, 20), get(g, 21)), (
        get(g, 10), get(g, 11), get(g, 12)
    )  # fmt: skip
    width, group_out, copied, positions = columns(shape), get(g, 3), get(g, 26), counts[0] * counts[1] * counts[2]
    base = ((n * get(g, 1) + group) * get(g, 2) + channel0) * get(g, 4) * get(g, 5) * get(g, 6)
    first = _first((0, 0, 0), g)
    source, whole = scratch, base + (first[0] * get(g, 5) + first[1]) * get(g, 6) + first[2]
    if copied == 0:
        source = x
    if copied == 2:
        whole = _copy(line, x, base, channels, (0, 0, 0), counts, scratch, s0, g)
    for chunk in range(boxes[0] * boxes[1] * boxes[2]):
        corner = (chunk // (boxes[1] * boxes[2]) * box[0], chunk // boxes[2] % boxes[1] * box[1], chunk % boxes[2] * box[2])
        size = (min(box[0], counts[0] - corner[0]), min(box[1], counts[1] - corner[1]), min(box[2], counts[2] - corner[2]))
        if copied == 1:
            origin = _copy(line, x, base, channels, corner, size, scratch, s0, g)
        else:
            origin = whole + corner[0] * step[0] * get(g, 28) + corner[1] * step[1] * get(g, 27) + corner[2] * step[2]
        for b in range(blocks[0], blocks[1]):
            channel = (n * get(g, 1) + group) * group_out + b * width
            place = channel * positions + (corner[0] * counts[1] + corner[1]) * counts[2] + corner[2]
            _gradient(shape, y, place, positions, size[0] * size[1] * size[2], min(width, group_out - b * width), scratch, s0 + get(g, 35))
            _sums(
                shape, source, origin, offsets, _first(corner, g), size, step, (get(g, 4), get(g, 5), get(g, 39)), outer, get(g, 34), places, p0,
                tiles, get(g, 37), scratch, s0 + get(g, 35), scratch, s0 + get(g, 36) + (b - blocks[0]) * get(g, 38),
            )  # fmt: skip


@device_function
def _task(shape, line, task, x, y, w, scratch, s0, offsets, outer, places, sources, g):
    group_in, group_out, block_splits, split_blocks, splits, split_channels = (
        get(g, 2),
        get(g, 3),
        get(g, 22),
        get(g, 23),
        get(g, 24),
        get(g, 25),
    )
    width, inner, taps, sums, block_size = columns(shape), get(g, 32), get(g, 33), s0 + get(g, 36), get(g, 38)
    split, block_split, group = task % splits, task // splits % block_splits, task // (splits * block_splits)
    channel0 = split * split_channels
    channels = min(split_channels, group_in - channel0)
    tiles = (channels * inner + rows(shape) - 1) // rows(shape)
    p0 = get(g, 37) * rows(shape) if split == splits - 1 else 0
    blocks = (block_split * split_blocks, min((group_out + width - 1) // width, (block_split + 1) * split_blocks))
    zero(line, moved(scratch, sums), (blocks[1] - blocks[0]) * block_size)
    for n in range(get(g, 0)):
        _sample(shape, line, x, y, scratch, s0, n, group, channel0, channels, blocks, offsets, outer, places, p0, tiles, g)
    for b in range(blocks[0], blocks[1]):
        target = ((group * group_out + b * width) * group_in + channel0) * taps
        _deliver(
            shape, scratch, sums + (b - blocks[0]) * block_size, sources, w, target, group_in * taps, group_out - b * width, channels * taps
        )  # fmt: skip


@lru_cache(maxsize=64)
def driver(tile_rows: int, vectors: int, tile_lanes: int) -> Any:
    """The parallel loop for one tile shape."""

    def outer_product(x, y, w, scratch, worker_pitch, workers, tasks, offsets, outer, places, sources, geometry):
        for worker in prange(workers):
            shape, line = tile_shape(tile_rows, vectors, tile_lanes), tile_shape(1, 1, tile_lanes)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _task(
                    shape, line, task, pointer(x), pointer(y), pointer(w), pointer(scratch), worker * worker_pitch, pointer(offsets),
                    pointer(outer), pointer(places), pointer(sources), pointer(geometry),
                )  # fmt: skip

    return kernel(outer_product)


def run(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, y = (a.reshape(-1) for a in arrays)
    p = plan(c, machine, threads())
    workers = min(threads(), p.tasks) if c.multiplications > 200_000 else 1
    loop = driver(*p.tile)
    with borrow(workers * p.worker_pitch, out.dtype) as scratch:
        (loop if workers > 1 else loop.serial)(
            x, y, out.reshape(-1), scratch, p.worker_pitch, workers, p.tasks, p.offsets, p.outer, p.places, p.sources, p.integers
        )  # fmt: skip


def cost(c: ConvProblem, machine: Machine) -> float:
    """Of all cores."""
    p = plan(c, machine, machine.cores)
    return machine.launch + p.cycles * machine.cycle


def workspace(c: ConvProblem, machine: Machine) -> int:
    return machine.cores * plan(c, machine, machine.cores).worker_pitch * np.dtype(c.out_dtype).itemsize
