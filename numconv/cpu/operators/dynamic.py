"""Dynamic convolution: the attention over kernels, and the mixing of the kernels."""

from __future__ import annotations

from math import exp, prod
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from ...kernel import Kernel, Machine
from ...problem import AttentionProblem, MixProblem
from ..runtime.launch import ParallelKernel, inlined, kernel, threads
from ..runtime.record import reader, table
from ..runtime.tasks import Work, over_tasks, perform
from ..runtime.workspace import spaced
from ..simd.vector import filled, get, load, load_n, moved, pointed_to, put, store, zero_of

LANES = 16
SUMMED_TOGETHER = 64  # positions that are summed before they join a mean
BLOCK = 2048


class Means(NamedTuple):
    """What is averaged: an image (rows, length), or channels last (rows, length, channels)."""

    length: int  # positions of a mean
    channels: int  # channels last; else 1


means_at = reader(Means)


@inlined
def _mean_of_row(task, row):
    """y[row] = mean of x[row, :], flat; four times sixteen interleaved sums, the same on every machine.  The room: the lanes of a sum."""
    length, x, lanes = means_at(task.tables, 0).length, task.x, task.room
    start = row * length
    end = start + length
    a = filled(load_n(x, start, 0, LANES), 0)
    b, c, d = a, a, a
    while start + 4 * LANES <= end:
        a = a + load(x, start, LANES)
        b = b + load(x, start + LANES, LANES)
        c = c + load(x, start + 2 * LANES, LANES)
        d = d + load(x, start + 3 * LANES, LANES)
        start += 4 * LANES
    while start < end:
        a = a + load_n(x, start, end - start, LANES)
        start += LANES
    store(lanes, 0, (a + b) + (c + d))
    total = pointed_to(lanes)
    for lane in range(1, LANES):
        total += get(lanes, lane)
    put(task.y, row, total / type(total)(length))


@inlined
def _means_of_channels(task, n):
    """y[n, c] = mean over l of x[n, l, c], flat; blocks of positions are summed first.  The room: the sums of all, and of a block."""
    means = means_at(task.tables, 0)
    length, channels, x, zero = means.length, means.channels, task.x, zero_of(task.x)
    total, part = task.room, moved(task.room, channels)
    for c in range(channels):
        put(total, c, zero)
    for first in range(0, length, SUMMED_TOGETHER):
        for c in range(channels):
            put(part, c, zero)
        for position in range(first, min(first + SUMMED_TOGETHER, length)):
            source = (n * length + position) * channels
            for c in range(channels):
                put(part, c, get(part, c) + get(x, source + c))
        for c in range(channels):
            put(total, c, get(total, c) + get(part, c))
    for c in range(channels):
        put(task.y, n * channels + c, get(total, c) / type(zero)(length))


class Attention(NamedTuple):
    """Two dense layers and a softmax."""

    channels: int
    hidden: int
    kernels: int


attention_at = reader(Attention)


@inlined
def _attend(task, n):
    """y[n] = softmax((fc2 · relu(fc1 · x[n] + bias1) + bias2) / temperature), x the means.  The room: what lies between the layers."""
    attention = attention_at(task.tables, 0)
    channels, hidden, kernels = attention.channels, attention.hidden, attention.kernels
    fc1, (fc2, bias2, temperature) = task.weights, task.offsets
    pooled, y, between = moved(task.x, n * channels), moved(task.y, n * kernels), task.room
    zero, divisor = zero_of(task.y), pointed_to(temperature)
    for h in range(hidden):
        total = zero
        for c in range(channels):
            total += get(fc1, h * channels + c) * get(pooled, c)
        total += get(task.bias, h)
        put(between, h, zero if total < 0 else total)
    largest = type(zero)(-np.inf)
    for k in range(kernels):
        total = zero
        for h in range(hidden):
            total += get(fc2, k * hidden + h) * get(between, h)
        total = (total + get(bias2, k)) / divisor
        put(y, k, total)
        largest = max(largest, total)
    total = zero
    for k in range(kernels):
        put(y, k, exp(get(y, k) - largest))
        total += get(y, k)
    for k in range(kernels):
        put(y, k, get(y, k) / total)


mean_rows = over_tasks("mean_rows", _mean_of_row)
mean_columns = over_tasks("mean_columns", _means_of_channels)
attend = over_tasks("attend", _attend)


@kernel
def mix_kernels(attention, values, y, batch, kernels, length):
    """y[n, j] = Σ_k attention[n, k]·values[k, j], k ascending, flat arrays.  Parallel over (n, block of j)."""
    blocks = (length + BLOCK - 1) // BLOCK
    for task in prange(batch * blocks):
        n = task // blocks
        start = (task - n * blocks) * BLOCK
        count = min(BLOCK, length - start)
        target = n * length + start
        share = attention[n * kernels]
        for j in range(count):
            put(y, target + j, share * get(values, start + j))
        for k in range(1, kernels):
            share = attention[n * kernels + k]
            source = k * length + start
            for j in range(count):
                put(y, target + j, get(y, target + j) + share * get(values, source + j))


def _run_attention(problem: AttentionProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, fc1, fc2, bias1, bias2 = arrays
    if not out.size:
        return
    length, last = prod(problem.spatial), problem.layout == "channels_last"
    pooled = np.empty((problem.batch, problem.channels), out.dtype)
    if last:
        work = _work(mean_columns, table(Means(length, problem.channels)), problem.batch, 2 * problem.channels, out)
    else:
        work = _work(mean_rows, table(Means(length, 1)), problem.batch * problem.channels, LANES, out)
    perform(work, x, x, None, pooled)
    bias1 = np.zeros(problem.hidden, out.dtype) if bias1 is None else bias1
    bias2 = np.zeros(problem.kernels, out.dtype) if bias2 is None else bias2
    sizes = table(Attention(problem.channels, problem.hidden, problem.kernels))
    others = fc2, bias2, np.full(1, problem.temperature, out.dtype)
    perform(_work(attend, sizes, problem.batch, problem.hidden, out, others), pooled, fc1, bias1, out)


def _work(loop: ParallelKernel, tables: np.ndarray, tasks: int, room: int, out: np.ndarray, others: Any = None) -> Work:
    """`room`: elements of a worker's scratch; `others`: arrays that the tasks read beside the usual ones."""
    return Work(
        loop=loop,
        tables=tables,
        offsets=tables if others is None else others,
        tasks=tasks,
        workers=min(threads(), tasks),
        room_pitch=spaced(room, out.itemsize),
    )


def _run_mix(problem: MixProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    attention, values = arrays
    if out.size:
        mix_kernels(attention.reshape(-1), values.reshape(-1), out.reshape(-1), problem.batch, problem.kernels, problem.length)


def _attention_cost(problem: AttentionProblem, machine: Machine) -> float:
    size = np.dtype(problem.dtype).itemsize
    dense = 2 * problem.hidden * (problem.channels + problem.kernels)
    return 2 * machine.launch + size * problem.channels * prod(problem.spatial) / machine.bandwidth + dense / 1e9


def _attention_workspace(problem: AttentionProblem, machine: Machine) -> int:
    """The means, and the larger of the rooms, which lie there one after the other."""
    size = np.dtype(problem.dtype).itemsize
    rooms = max(2 * problem.channels if problem.layout == "channels_last" else LANES, problem.hidden)
    return size * (problem.batch * problem.channels + machine.cores * spaced(rooms, size))


def _mix_cost(problem: MixProblem, machine: Machine) -> float:
    return machine.launch + np.dtype(problem.dtype).itemsize * (problem.kernels + 1) * problem.length / machine.bandwidth


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="attention",
        problem=AttentionProblem,
        run=_run_attention,
        cost=_attention_cost,
        honours=frozenset({"layout"}),
        workspace=_attention_workspace,
        error_factor=4.0,
        summary="channel means, two small dense layers and a softmax, one sample per task",
    ),
    Kernel(
        name="mix",
        problem=MixProblem,
        run=_run_mix,
        cost=_mix_cost,
        dtypes=frozenset({"float32", "float64", "complex64", "complex128"}),
        summary="weighted sum of the kernels, in ascending order, blocks that stay in the L1 cache",
    ),
)
