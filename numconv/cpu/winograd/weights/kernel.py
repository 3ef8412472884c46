"""The weight gradient by Winograd's F(m, r): w = Gᵀ[ Σ_{n, tiles} (Bᵀ x B) ⊙ (A y Aᵀ) ]G, the forward pass with two of its transforms transposed.

    for each task (group, range of output channels, range of input channels)
        for each sample, each box of tiles
            x, its channels turned into the lanes, to V = Bᵀ x B: (frequency, position, input channel)
            y likewise to Y = A y Aᵀ: (frequency, block of output channels, position, channel of the block)
            for each block of output channels, each run of input channels, each frequency, each piece of the taps
                spread_tile over the positions: S[frequency, piece, input channel, channel of the block] += V·Y
            after the last: Gᵀ S G, turned back in squares into the weights

Axes, transforms and pieces are those of `winograd_axes`.  Channels are in the lanes throughout (`winograd_lift`), so that tables say which pixels a tile
reads, whatever stride, dilation and padding, and vectors are full however narrow the image is.
Each sum is one chain over (sample, box, position), which neither tiles nor threads have a part in.  A NaN or an infinity spreads over all taps.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf
from typing import Any

import numpy as np
from numba import prange

from ....kernel import Machine, worth_its_error
from ....problem import ConvProblem
from ...runtime.launch import device_function, kernel, threads
from ...runtime.workspace import borrow
from ...simd.spread import spread_tile
from ...simd.tiles import columns, lanes, rows, strided_shape, tile_shape
from ...simd.transpose import transpose_part
from ...simd.vector import get, moved, pointer
from ..axes import choices
from .lift import SIDE, lift, taps
from .plan import HEAD, plan, predicted


@device_function
def _fill(line, by_a, by_w, of_a, of_w, x, y, n, box, group, channel0, channels, b0, b1, width, scratch, s, g):
    """V and Y of a box of one sample."""
    group_in, group_out, size = get(g, 2), get(g, 3), lanes(line)
    outer, inner = box // get(g, 9), box % get(g, 9)
    v0, v_apart, pitch, y0, y_apart = s + get(g, 14), get(g, 15), get(g, 16), s + get(g, 17), get(g, 18)
    q = HEAD
    for c in range(0, channels, size):
        lift(
            line, by_a, by_w, x, ((n * get(g, 1) + group) * group_in + channel0 + c) * get(g, q), min(size, channels - c),
            get(g, q + 5) + outer * get(g, q + 6), get(g, q + 7) + inner * get(g, q + 8), g, q, scratch, s, v0 + c, pitch, v_apart,
        )  # fmt: skip
    q = HEAD + SIDE
    for k in range(b0 * width, min(b1 * width, group_out), size):
        lift(
            line, of_a, of_w, y, ((n * get(g, 1) + group) * group_out + k) * get(g, q), min(size, group_out - k), get(g, q + 5) + outer * get(g, q + 6),
            get(g, q + 7) + inner * get(g, q + 8), g, q, scratch, s, y0 + (k // width - b0) * get(g, 10) * width + k % width, width, y_apart,
        )  # fmt: skip


@device_function
def _multiply(shape, count_f, v, y, sums, tiles, scratch, accumulate, g):
    """S of a block of output channels and a run of tiles of input channels."""
    mr, width, terms, offsets, pieces, at = rows(shape), columns(shape), get(g, 10), get(g, 11), get(g, 12), get(g, 13)
    v_apart, y_apart, s_apart, room = get(g, 15), get(g, 18), get(g, 20), get(g, 22)
    for f in range(count_f):
        for piece in range(pieces):
            for tile in range(tiles):
                spread_tile(
                    shape, moved(scratch, v + f * v_apart + get(g, at + 4 * piece) + tile * mr), moved(g, offsets), moved(scratch, y + f * y_apart), moved(scratch, sums + f * s_apart + (piece * room + tile) * mr * width), terms, accumulate, None, None, 0,
                )  # fmt: skip


@device_function
def _deliver(shape, by_a, by_w, sums, channels, scratch, r, w, target, valid, g):
    """The weights of a block of output channels, `valid` of them, and a run of input channels: from r as (weight of a filter, channel of the block)."""
    mr, width, n, pieces, at, size = rows(shape), columns(shape), lanes(shape), get(g, 12), get(g, 13), get(g, 24)
    step_a, step_w, s_apart, room, filter_size = get(g, 25) * width, get(g, 26) * width, get(g, 20), get(g, 22), get(g, 2) * get(g, 24)
    for c in range(channels):
        for piece in range(pieces):
            k = at + 4 * piece
            for v in range(0, min(width, valid), n):
                taps(
                    by_a, by_w, scratch, sums + (piece * room * mr + c) * width + v, s_apart, scratch, r + (c * size + get(g, k + 1)) * width + v,
                    step_a, step_w, get(g, k + 2), get(g, k + 3), r + channels * size * width,
                )  # fmt: skip
    for v in range(0, min(width, valid), n):
        for i in range(0, channels * size, n):
            run, to = min(n, channels * size - i), target + v * filter_size + i
            transpose_part(shape, moved(scratch, r + i * width + v), width, None, run, moved(w, to), filter_size, min(n, valid - v), run)


@device_function
def _task(shape, line, by_a, by_w, of_a, of_w, task, x, y, w, scratch, s, g):
    group_in, group_out = get(g, 2), get(g, 3)
    block_splits, split_blocks, splits, split_channels = get(g, 4), get(g, 5), get(g, 6), get(g, 7)
    mr, width, boxes, room, r = rows(shape), columns(shape), get(g, 8) * get(g, 9), get(g, 22), s + get(g, 23)
    split, block_split, group = task % splits, task // splits % block_splits, task // (splits * block_splits)
    channel0 = split * split_channels
    channels = min(split_channels, group_in - channel0)
    b0, b1 = block_split * split_blocks, min((group_out + width - 1) // width, (block_split + 1) * split_blocks)
    for chunk in range(get(g, 0) * boxes):
        _fill(line, by_a, by_w, of_a, of_w, x, y, chunk // boxes, chunk % boxes, group, channel0, channels, b0, b1, width, scratch, s, g)
        sums = s + get(g, 19)
        for b in range(b0, b1):
            for c in range(0, channels, room * mr):
                count = min(room * mr, channels - c)
                _multiply(
                    shape, rows(by_a) * rows(by_w), s + get(g, 14) + c, s + get(g, 17) + (b - b0) * get(g, 10) * width, sums, (count + mr - 1) // mr,
                    scratch, chunk > 0, g,
                )  # fmt: skip
                if chunk == get(g, 0) * boxes - 1:
                    target = ((group * group_out + b * width) * group_in + channel0 + c) * get(g, 24)
                    _deliver(shape, by_a, by_w, sums, count, scratch, r, w, target, group_out - b * width, g)
                sums += get(g, 21)


@lru_cache(maxsize=64)
def driver(tile_rows: int, vectors: int, tile_lanes: int, frequencies_a: int, frequencies_w: int) -> Any:
    """The parallel loop for one register tile and two transforms."""

    def winograd_weights(x, y, w, scratch, worker_pitch, workers, tasks, geometry):
        for worker in prange(workers):
            shape, line = strided_shape(tile_rows, vectors, tile_lanes, 1), tile_shape(1, 1, tile_lanes)
            by_a, by_w = tile_shape(frequencies_a, 1, tile_lanes), tile_shape(frequencies_w, 1, tile_lanes)
            of_a, of_w = tile_shape(frequencies_a, 2, tile_lanes), tile_shape(frequencies_w, 2, tile_lanes)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _task(
                    shape, line, by_a, by_w, of_a, of_w, task, pointer(x), pointer(y), pointer(w), pointer(scratch), worker * worker_pitch,
                    pointer(geometry),
                )  # fmt: skip

    return kernel(winograd_weights)


def run(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, y = (a.reshape(-1) for a in arrays)
    p = plan(c, machine, threads())
    workers = min(threads(), p.tasks)
    loop = driver(*p.tile, *p.kinds)
    with borrow(workers * p.worker_pitch, out.dtype) as scratch:
        (loop if workers > 1 else loop.serial)(x, y, out.reshape(-1), scratch, p.worker_pitch, workers, p.tasks, p.integers)


def refuse(problem: ConvProblem) -> str | None:
    if not choices(problem):
        return "serves kernels of which a transform saves a third of the multiplications"
    if problem.group_in < 4:
        return "serves four input channels per group or more"
    return None


def cost(c: ConvProblem, machine: Machine) -> float:
    """Of all cores."""
    if not worth_its_error(c.with_(batch=1)):
        return inf  # by name only
    return machine.launch + predicted(c, machine, machine.cores) * machine.cycle


def workspace(c: ConvProblem, machine: Machine) -> int:
    return machine.cores * plan(c, machine, machine.cores).worker_pitch * np.dtype(c.out_dtype).itemsize
