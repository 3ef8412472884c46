"""Dynamic convolution: the attention over kernels, and the mixing of the kernels."""

from __future__ import annotations

from math import exp, prod
from typing import Any

import numpy as np
from numba import prange

from ...kernel import Kernel, Machine
from ...problem import AttentionProblem, MixProblem
from ..runtime.launch import kernel
from ..simd.vector import filled, get, load, load_n, put, store

LANES = 16
BLOCK = 2048


@kernel
def mean_rows(x, y, rows, length):
    """y[row] = mean of x[row, :], flat; four times sixteen interleaved sums, the same on every machine.  Parallel over rows."""
    for row in prange(rows):
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
        lanes = np.empty(LANES, x.dtype)
        store(lanes, 0, (a + b) + (c + d))
        total = lanes[0]
        for lane in range(1, LANES):
            total += lanes[lane]
        y[row] = total / x.dtype.type(length)


@kernel
def mean_columns(x, y, batch, length, channels):
    """y[n, c] = mean over l of x[n, l, c], flat; blocks of 64 positions are summed first.  Parallel over samples."""
    for n in prange(batch):
        total = np.zeros(channels, x.dtype)
        part = np.empty(channels, x.dtype)
        for first in range(0, length, 64):
            for c in range(channels):
                put(part, c, x.dtype.type(0))
            for position in range(first, min(first + 64, length)):
                source = (n * length + position) * channels
                for c in range(channels):
                    put(part, c, get(part, c) + get(x, source + c))
            for c in range(channels):
                put(total, c, get(total, c) + get(part, c))
        for c in range(channels):
            y[n * channels + c] = total[c] / x.dtype.type(length)


@kernel
def attend(pooled, fc1, fc2, bias1, bias2, temperature, y):
    """y[n] = softmax((fc2 · relu(fc1 · pooled[n] + bias1) + bias2) / temperature).  Parallel over samples."""
    batch, channels = pooled.shape
    hidden, kernels = fc1.shape[0], fc2.shape[0]
    for n in prange(batch):
        between = np.empty(hidden, y.dtype)
        for h in range(hidden):
            total = y.dtype.type(0)
            for c in range(channels):
                total += fc1[h, c] * pooled[n, c]
            total += bias1[h]
            between[h] = y.dtype.type(0) if total < 0 else total
        largest = y.dtype.type(-np.inf)
        for k in range(kernels):
            total = y.dtype.type(0)
            for h in range(hidden):
                total += fc2[k, h] * between[h]
            total = (total + bias2[k]) / temperature
            y[n, k] = total
            largest = max(largest, total)
        total = y.dtype.type(0)
        for k in range(kernels):
            y[n, k] = exp(y[n, k] - largest)
            total += y[n, k]
        for k in range(kernels):
            y[n, k] /= total


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
    length = prod(problem.spatial)
    pooled = np.empty((problem.batch, problem.channels), out.dtype)
    if problem.layout == "channels_last":
        mean_columns(x.reshape(-1), pooled.reshape(-1), problem.batch, length, problem.channels)
    else:
        mean_rows(x.reshape(-1), pooled.reshape(-1), problem.batch * problem.channels, length)
    bias1 = np.zeros(problem.hidden, out.dtype) if bias1 is None else bias1
    bias2 = np.zeros(problem.kernels, out.dtype) if bias2 is None else bias2
    attend(pooled, fc1, fc2, bias1, bias2, out.dtype.type(problem.temperature), out)


def _run_mix(problem: MixProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    attention, values = arrays
    if out.size:
        mix_kernels(attention.reshape(-1), values.reshape(-1), out.reshape(-1), problem.batch, problem.kernels, problem.length)


def _attention_cost(problem: AttentionProblem, machine: Machine) -> float:
    size = np.dtype(problem.dtype).itemsize
    dense = 2 * problem.hidden * (problem.channels + problem.kernels)
    return 2 * machine.launch + size * problem.channels * prod(problem.spatial) / machine.bandwidth + dense / 1e9


def _attention_workspace(problem: AttentionProblem, machine: Machine) -> int:
    pooled = problem.batch * problem.channels + problem.hidden * machine.cores
    return np.dtype(problem.dtype).itemsize * (pooled + (2 * problem.channels * machine.cores if problem.layout == "channels_last" else 0))


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
