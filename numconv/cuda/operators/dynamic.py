"""Dynamic convolution's own operators: the attention over kernels, and their weighted sum.

attention: a block means each (sample, channel) by a tree of fixed shape; then a block for each sample computes
softmax((fc2 · relu(fc1 · mean + b1) + b2) / T), each dense sum in one thread, channels ascending.
mix: out[n, j] = Σ_k attention[n, k] · values[k, j], k ascending, one thread for each output.
"""

from __future__ import annotations

import math
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ...kernel import Kernel, Machine
from ...problem import AttentionProblem, MixProblem
from ..adapt.layout import contiguous
from ..environment import SIMULATED
from ..geometry.decode import split
from ..ptx import imul
from ..runtime.arrays import allocate, flat, stream_of
from ..runtime.launch import flat_grid, jit, kernel_factory, launch
from ..scalars import COMPLEX, FLOATS, accumulator, bias_loader, loader, scalars
from . import cost as model

#: of a block, to a sum or a sample
BLOCK_THREADS = 8 if SIMULATED else 256


class PooledPlanes(NamedTuple):
    """Of whose pixels the means are taken; elements."""

    channels: int
    area: int  # pixels of a plane
    sample_pitch: int
    channel_pitch: int
    pixel_pitch: int


class Dense(NamedTuple):
    """Of the two dense layers and the softmax."""

    channels: int
    hidden: int
    kernels: int
    temperature: float  # of the accumulator's type


class Steps(NamedTuple):
    """What the gradients of the attention are made of."""

    means: Any  # (N, C)
    hidden: Any  # (N, H)
    dlogits: Any  # (N, K), before the temperature
    dhidden: Any  # (N, H)
    dmeans: Any  # (N, C)


class Back(NamedTuple):
    """Of the way back to the means."""

    channels: int
    hidden: int
    kernels: int
    temperature: float  # of the accumulator's type
    area: float  # pixels of a plane, in the accumulator's type
    batch: int


@kernel_factory
def make_mean(dtype: str, threads: int) -> Any:
    """means[n, c] = mean of x over the positions, in the accumulator's type."""
    NT = threads
    number = scalars(dtype, dtype)
    kind, load = number.kind, number.load

    def mean(x, means, planes):
        channels, area, pixel_pitch = planes.channels, planes.area, planes.pixel_pitch
        sums = cuda.shared.array(NT, kind)
        tid = int32(cuda.threadIdx.x)
        block = int32(cuda.blockIdx.x)
        n, c = split(block, channels)
        base = int32(imul(n, planes.sample_pitch) + imul(c, planes.channel_pitch))
        acc = kind(0)
        i = tid
        while i < area:
            acc = kind(acc + load(x, int32(base + imul(i, pixel_pitch))))
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

    def attention(means, fc1, fc2, b1, b2, space, out, sizes):
        channels, hidden, kernels, temperature = sizes.channels, sizes.hidden, sizes.kernels, sizes.temperature
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
def make_attention_back(dtype: str, out_dtype: str, bias1: str | None) -> Any:
    """Back to the means, through the softmax and the dense layers.  One thread for each sample."""
    number = scalars(dtype, dtype)
    kind, load = number.kind, number.load
    load_result, load1 = loader(out_dtype, number.name), bias_loader(bias1, number.name)

    def attention_back(means, fc1, fc2, b1, y, g, hidden_out, dlogits, dhidden, dmeans, sizes):
        channels, hidden, kernels = sizes.channels, sizes.hidden, sizes.kernels
        n = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while n < sizes.batch:
            at, row, first = imul(n, kernels), imul(n, hidden), imul(n, channels)
            total = kind(0)
            for k in range(kernels):
                i = int32(at + int32(k))
                total = kind(total + load_result(g, i) * load_result(y, i))
            for k in range(kernels):
                i = int32(at + int32(k))
                dlogits[uint32(i)] = kind(kind(load_result(y, i) * kind(load_result(g, i) - total)) / sizes.temperature)
            for j in range(hidden):
                acc = kind(0)
                for c in range(channels):
                    acc = kind(acc + load(fc1, int32(imul(int32(j), channels) + int32(c))) * means[uint32(int32(first + int32(c)))])
                acc = kind(acc + load1(b1, int32(j)))
                back = kind(0)
                if acc > kind(0):
                    for k in range(kernels):
                        back = kind(back + load(fc2, int32(imul(int32(k), hidden) + int32(j))) * dlogits[uint32(int32(at + int32(k)))])
                hidden_out[uint32(int32(row + int32(j)))] = acc if acc > kind(0) else kind(0)
                dhidden[uint32(int32(row + int32(j)))] = back
            for c in range(channels):
                acc = kind(0)
                for j in range(hidden):
                    acc = kind(acc + load(fc1, int32(imul(int32(j), channels) + int32(c))) * dhidden[uint32(int32(row + int32(j)))])
                dmeans[uint32(int32(first + int32(c)))] = kind(acc / sizes.area)
            n = int32(n + step)

    return jit(attention_back)


@kernel_factory
def make_mix(dtype: str) -> Any:
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store

    def mix(attention, values, out, kernels, length, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            n, at = split(i, length)
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
    means = pooled(problem, x, out)
    space = allocate((problem.batch, problem.hidden + problem.kernels), np.dtype(kind).name, out)
    kernel = make_attention(problem.dtype, None if b1 is None else b1.dtype.name, None if b2 is None else b2.dtype.name, BLOCK_THREADS)
    w1, w2 = flat(fc1), flat(fc2)
    biases = w1 if b1 is None else flat(b1), w2 if b2 is None else flat(b2)
    sizes = Dense(channels=problem.channels, hidden=problem.hidden, kernels=problem.kernels, temperature=kind(problem.temperature))
    launch(kernel, problem.batch, BLOCK_THREADS, stream_of(out), flat(means), w1, w2, *biases, flat(space), flat(out), sizes)


def pooled(problem: AttentionProblem, x: Any, like: Any) -> Any:
    """The means (N, C), on the device and stream of `like`."""
    channels, area, last = problem.channels, prod(problem.spatial), problem.layout == "channels_last"
    means = allocate((problem.batch, channels), scalars(problem.dtype, problem.dtype).name, like)
    planes = PooledPlanes(
        channels=channels,
        area=area,
        sample_pitch=channels * area,
        channel_pitch=1 if last else area,
        pixel_pitch=channels if last else 1,
    )
    launch(make_mean(problem.dtype, BLOCK_THREADS), problem.batch * channels, BLOCK_THREADS, stream_of(means), flat(x), flat(means), planes)
    return means


def run_mix(problem: MixProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    attention, values = arrays
    total = problem.batch * problem.length
    kernel = make_mix(problem.dtype)
    launch(kernel, *flat_grid(total), stream_of(out), flat(attention), flat(values), flat(out), problem.kernels, problem.length, total)


def attention_back(p: AttentionProblem, arrays: tuple[Any, ...], result: Any, g: Any) -> Steps:
    x, fc1, fc2, b1, _ = (None if a is None else contiguous(a) for a in arrays)
    acc = accumulator(p.dtype, p.dtype)
    kind = np.dtype(acc).type
    found = Steps(pooled(p, x, x), *(allocate((p.batch, n), acc, x) for n in (p.hidden, p.kernels, p.hidden, p.channels)))
    kernel = make_attention_back(p.dtype, result.dtype.name, None if b1 is None else b1.dtype.name)
    sizes = Back(
        channels=p.channels,
        hidden=p.hidden,
        kernels=p.kernels,
        temperature=kind(p.temperature),
        area=kind(prod(p.spatial)),
        batch=p.batch,
    )
    weights, stream = (flat(fc1), flat(fc2), flat(fc1 if b1 is None else b1)), stream_of(found.means)
    means, *others = (flat(a) for a in found)
    launch(kernel, *flat_grid(p.batch), stream, means, *weights, flat(result), flat(contiguous(g)), *others, sizes)
    return found


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
