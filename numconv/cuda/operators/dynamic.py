"""Dynamic convolution's own operators: the attention over kernels, and their weighted sum.

attention: a block means each (sample, channel) by a tree of fixed shape; then a block for each sample computes
softmax((fc2 · relu(fc1 · mean + b1) + b2) / T), each dense sum in one thread, channels ascending.
mix: out[n, j] = Σ_k attention[n, k] · values[k, j], k ascending, one thread for each output.
"""

from __future__ import annotations

import math
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ...kernel import Kernel, Machine
from ...problem import AttentionProblem, MixProblem
from ..ptx import idiv, imul
from ..runtime.launch import SIMULATED, allocate, flat, flat_grid, jit, kernel_factory, launch, stream_of
from ..scalars import COMPLEX, FLOATS, bias_loader, scalars
from . import cost as model

THREADS = 8 if SIMULATED else 256


@kernel_factory
def make_mean(dtype: str, threads: int) -> Any:
    """means[n, c] = mean of x over the positions, in the accumulator's type."""
    NT = threads
    number = scalars(dtype, dtype)
    kind, load = number.kind, number.load

    def mean(x, means, channels, area, sample_step, channel_step, step):
        sums = cuda.shared.array(NT, kind)
        tid = int32(cuda.threadIdx.x)
        block = int32(cuda.blockIdx.x)
        n = idiv(block, channels)
        c = int32(block - imul(n, channels))
        base = int32(imul(n, sample_step) + imul(c, channel_step))
        acc = kind(0)
        i = tid
        while i < area:
            acc = kind(acc + load(x, int32(base + imul(i, step))))
            i = int32(i + int32(NT))
        sums[uint32(tid)] = acc
        cuda.syncthreads()
        half = int32(NT // 2)
        while half > int32(0):
            if tid < half:
                sums[uint32(tid)] = kind(sums[uint32(tid)] + sums[uint32(int32(tid + half))])
            cuda.syncthreads()
            half = int32(half >> int32(1))
        if tid == int32(0):
            means[uint32(block)] = kind(sums[uint32(0)] / kind(area))

    return jit(mean, launch_bounds=threads)


@kernel_factory
def make_attention(dtype: str, bias1: str | None, bias2: str | None, threads: int) -> Any:
    """One block for each sample."""
    NT = threads
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store
    load1, load2 = bias_loader(bias1, number.name), bias_loader(bias2, number.name)

    def attention(means, fc1, fc2, b1, b2, space, out, channels, hidden, kernels, temperature):
        tid = int32(cuda.threadIdx.x)
        n = int32(cuda.blockIdx.x)
        mine = imul(n, int32(hidden + kernels))
        mean_at = imul(n, channels)
        j = tid
        while j < hidden:
            acc = kind(0)
            for c in range(channels):
                acc = kind(acc + load(fc1, int32(imul(j, channels) + int32(c))) * means[uint32(int32(mean_at + int32(c)))])
            acc = kind(acc + load1(b1, j))
            space[uint32(int32(mine + j))] = kind(0) if acc < kind(0) else acc
            j = int32(j + int32(NT))
        cuda.syncthreads()
        j = tid
        while j < kernels:
            acc = kind(0)
            for c in range(hidden):
                acc = kind(acc + load(fc2, int32(imul(j, hidden) + int32(c))) * space[uint32(int32(mine + int32(c)))])
            space[uint32(int32(mine + hidden + j))] = kind(kind(acc + load2(b2, j)) / temperature)
            j = int32(j + int32(NT))
        cuda.syncthreads()
        j = tid
        while j < kernels:
            logits = int32(mine + hidden)
            top = space[uint32(logits)]
            for c in range(kernels):
                v = space[uint32(int32(logits + int32(c)))]
                top = v if v > top else top
            total = kind(0)
            for c in range(kernels):
                total = kind(total + kind(math.exp(space[uint32(int32(logits + int32(c)))] - top)))
            share = kind(kind(math.exp(space[uint32(int32(logits + j))] - top)) / total)
            store(out, int32(imul(n, kernels) + j), share)
            j = int32(j + int32(NT))

    return jit(attention, launch_bounds=threads)


@kernel_factory
def make_mix(dtype: str) -> Any:
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store

    def mix(attention, values, out, kernels, length, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            n = idiv(i, length)
            at = int32(i - imul(n, length))
            acc = kind(0)
            for k in range(kernels):
                acc = kind(acc + load(attention, int32(imul(n, kernels) + int32(k))) * load(values, at))
                at = int32(at + length)
            store(out, i, acc)
            i = int32(i + step)

    return jit(mix)


def run_attention(problem: AttentionProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, fc1, fc2, b1, b2 = arrays
    kind = np.dtype(scalars(problem.dtype, problem.dtype).name).type
    channels, area = problem.channels, prod(problem.spatial)
    stream = stream_of(out)
    means = allocate((problem.batch, channels), np.dtype(kind).name, out)
    space = allocate((problem.batch, problem.hidden + problem.kernels), np.dtype(kind).name, out)
    last = problem.layout == "channels_last"
    steps = (channels * area, 1, channels) if last else (channels * area, area, 1)
    sizes = [np.int32(v) for v in (channels, area, *steps)]
    launch(make_mean(problem.dtype, THREADS), problem.batch * channels, THREADS, stream, flat(x), flat(means), *sizes)
    kernel = make_attention(problem.dtype, None if b1 is None else b1.dtype.name, None if b2 is None else b2.dtype.name, THREADS)
    w1, w2 = flat(fc1), flat(fc2)
    biases = w1 if b1 is None else flat(b1), w2 if b2 is None else flat(b2)
    counts = [np.int32(v) for v in (channels, problem.hidden, problem.kernels)]
    launch(kernel, problem.batch, THREADS, stream, flat(means), w1, w2, *biases, flat(space), flat(out), *counts, kind(problem.temperature))


def run_mix(problem: MixProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    total = problem.batch * problem.length
    sizes = [np.int32(v) for v in (problem.kernels, problem.length, total)]
    kernel = make_mix(problem.dtype)
    launch(kernel, *flat_grid(total), stream_of(out), flat(arrays[0]), flat(arrays[1]), flat(out), *sizes)


def attention_workspace(problem: AttentionProblem, machine: Machine) -> int:
    return problem.batch * (problem.channels + problem.hidden + problem.kernels) * scalars(problem.dtype, problem.dtype).itemsize


ROWS = (
    Kernel(
        name="attention",
        problem=AttentionProblem,
        run=run_attention,
        cost=model.attention,
        dtypes=FLOATS,
        honours=frozenset({"layout"}),
        workspace=attention_workspace,
        error_factor=4.0,
        summary="Channel means by a tree of fixed shape, then one block for each sample.",
    ),
    Kernel(
        name="mix",
        problem=MixProblem,
        run=run_mix,
        cost=model.bytes_only,
        dtypes=FLOATS | COMPLEX,
        summary="One thread for each element; kernels ascending.",
    ),
)
