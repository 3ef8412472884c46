"""What gradients need beside problems, on the device: elementwise steps, the adjoint of reading along an axis, the attention's way back.

Nothing is added up by atomics: each sum belongs to one thread, in ascending order.
"""

from __future__ import annotations

import math
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ...problem import AttentionProblem
from ..adapt import layout
from ..ptx import idiv, imul
from ..runtime.launch import Table, allocate, flat, flat_grid, inlined, jit, kernel_factory, launch, stream_of, view
from ..scalars import accumulator, bias_loader, loader, scalars
from .dynamic import THREADS as MEAN_THREADS
from .dynamic import make_mean


@lru_cache(maxsize=64)
def operation(name: str, kind: Any) -> Any:
    """(g, v) → the result; derivatives of activations from their result, those of silu and hardswish from their argument."""
    if name == "add":

        @inlined
        def apply(g, v):
            return kind(g + v)

    elif name == "conjugate":

        @inlined
        def apply(g, v):
            return g.conjugate()

    elif name == "real":

        @inlined
        def apply(g, v):
            return g.real

    elif name == "relu":

        @inlined
        def apply(g, v):
            return g if v > kind(0) else kind(0)

    elif name == "relu6":

        @inlined
        def apply(g, v):
            return g if v > kind(0) and v < kind(6) else kind(0)

    elif name == "sigmoid":

        @inlined
        def apply(g, v):
            return kind(g * kind(v * kind(kind(1) - v)))

    elif name == "tanh":

        @inlined
        def apply(g, v):
            return kind(g * kind(kind(1) - kind(v * v)))

    elif name == "silu":

        @inlined
        def apply(g, v):
            s = kind(kind(1) / kind(kind(1) + kind(math.exp(-v))))
            return kind(g * kind(s * kind(kind(1) + kind(v * kind(kind(1) - s)))))

    else:  # hardswish

        @inlined
        def apply(g, v):
            if v <= kind(-3):
                return kind(0)
            if v < kind(3):
                return kind(g * kind(kind(v / kind(3)) + kind(0.5)))
            return g

    return apply


@kernel_factory
def make_elementwise(name: str, dtype: str, out_dtype: str) -> Any:
    """out[i] = operation(a[i], b[i])."""
    number = scalars(dtype, dtype)
    load = number.load
    store = scalars(out_dtype, out_dtype).store
    apply = operation(name, number.kind)

    def elementwise(a, b, out, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            store(out, i, apply(load(a, i), load(b, i)))
            i = int32(i + step)

    return jit(elementwise)


def elementwise(name: str, a: Any, b: Any | None = None, out_dtype: str | None = None) -> Any:
    """A fresh array; `b` of the shape and type of `a`."""
    a = layout.contiguous(a)
    b = a if b is None else layout.cast(layout.contiguous(b), a.dtype.name)
    out = allocate(tuple(a.shape), out_dtype or a.dtype.name, a)
    total = prod(a.shape)
    if total:
        kernel = make_elementwise(name, a.dtype.name, out.dtype.name)
        launch(kernel, *flat_grid(total), stream_of(out), flat(a), flat(b), flat(out), np.int32(total))
    return out


@lru_cache(maxsize=16)
def _one(dtype: str) -> Table:
    return Table(np.ones(1, dtype))


def ones(shape: tuple[int, ...], dtype: str, like: Any) -> Any:
    """One number, repeated by strides of zero; of half types in float32, which every problem casts."""
    one = layout.cast(_one("float32" if dtype in ("float16", "bfloat16") else dtype).here(), dtype)
    return view(one, tuple(shape), (0,) * len(shape))


def zeros(shape: tuple[int, ...], dtype: str, like: Any) -> Any:
    out = allocate(tuple(shape), dtype, like)
    if prod(shape):
        nothing = view(layout.cast(Table(np.zeros(1, "float32")).here(), dtype), tuple(shape), (0,) * len(shape))
        layout.copy_into(nothing, out)
    return out


@kernel_factory
def make_gather(dtype: str) -> Any:
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store

    def gather(g, out, tab, weights, targets, extent, inner, total):
        """out[a, q, b] = Σ_{j in first[q]..first[q + 1]} weights[j]·g[a, source[j], b]; tab: first, then source."""
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            rest = idiv(i, inner)
            b = int32(i - imul(rest, inner))
            a = idiv(rest, targets)
            q = int32(rest - imul(a, targets))
            acc = kind(0)
            for j in range(tab[uint32(q)], tab[uint32(int32(q + int32(1)))]):
                row = int32(imul(a, extent) + tab[uint32(int32(int32(j) + targets + int32(1)))])
                acc = kind(acc + weights[uint32(j)] * load(g, int32(imul(row, inner) + b)))
            store(out, i, acc)
            i = int32(i + step)

    return jit(gather)


def adjoint_along(g: Any, axis: int, index: np.ndarray[Any, Any], weight: np.ndarray[Any, Any] | None, count: int) -> Any:
    """As `numconv.cpu.axis_gather.adjoint_along`."""
    order = np.argsort(index.reshape(-1), kind="stable")
    first = np.searchsorted(index.reshape(-1)[order], np.arange(count + 1))
    acc = accumulator(g.dtype.name, g.dtype.name)
    real = {"complex64": "float32", "complex128": "float64"}.get(acc, acc)
    factors = np.ones(len(order), real) if weight is None else weight.reshape(-1)[order].astype(real)
    tab = Table(np.concatenate([first, order % index.shape[-1]]).astype(np.int32))
    g = layout.contiguous(g)
    shape = (*g.shape[:axis], count, *g.shape[axis + 1 :])
    out = allocate(shape, g.dtype.name, g)
    sizes = [np.int32(v) for v in (count, g.shape[axis], prod(shape[axis + 1 :]), prod(shape))]
    if prod(shape):
        kernel = make_gather(g.dtype.name)
        launch(kernel, *flat_grid(prod(shape)), stream_of(out), flat(g), flat(out), tab, Table(factors), *sizes)
    return out


@kernel_factory
def make_attention_back(dtype: str, out_dtype: str, bias1: str | None) -> Any:
    """One thread for each sample."""
    number = scalars(dtype, dtype)
    kind, load = number.kind, number.load
    load_result, load1 = loader(out_dtype, number.name), bias_loader(bias1, number.name)

    def attention_back(means, fc1, fc2, b1, a, g, hid, dz, dh, dmeans, channels, hidden, kernels, scale, area, batch):
        n = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while n < batch:
            at, row, first = imul(n, kernels), imul(n, hidden), imul(n, channels)
            total = kind(0)
            for k in range(kernels):
                i = int32(at + int32(k))
                total = kind(total + load_result(g, i) * load_result(a, i))
            for k in range(kernels):
                i = int32(at + int32(k))
                dz[uint32(i)] = kind(kind(load_result(a, i) * kind(load_result(g, i) - total)) / scale)
            for j in range(hidden):
                acc = kind(0)
                for c in range(channels):
                    acc = kind(acc + load(fc1, int32(imul(int32(j), channels) + int32(c))) * means[uint32(int32(first + int32(c)))])
                acc = kind(acc + load1(b1, int32(j)))
                back = kind(0)
                if acc > kind(0):
                    for k in range(kernels):
                        back = kind(back + load(fc2, int32(imul(int32(k), hidden) + int32(j))) * dz[uint32(int32(at + int32(k)))])
                hid[uint32(int32(row + int32(j)))] = acc if acc > kind(0) else kind(0)
                dh[uint32(int32(row + int32(j)))] = back
            for c in range(channels):
                acc = kind(0)
                for j in range(hidden):
                    acc = kind(acc + load(fc1, int32(imul(int32(j), channels) + int32(c))) * dh[uint32(int32(row + int32(j)))])
                dmeans[uint32(int32(first + int32(c)))] = kind(acc / area)
            n = int32(n + step)

    return jit(attention_back)


def attention_back(p: AttentionProblem, arrays: tuple[Any, ...], result: Any, g: Any) -> tuple[Any, ...]:
    """means (N, C), hidden (N, H), and the gradients of the logits before the temperature (N, K), of hidden and of the means."""
    x, fc1, fc2, b1, _ = (None if a is None else layout.contiguous(a) for a in arrays)
    acc = accumulator(p.dtype, p.dtype)
    kind = np.dtype(acc).type
    area = prod(p.spatial)
    means, hidden, dz, dh, dmeans = (
        allocate((p.batch, n), acc, x) for n in (p.channels, p.hidden, p.kernels, p.hidden, p.channels)
    )  # fmt: skip
    stream = stream_of(means)
    sizes = [np.int32(v) for v in (p.channels, area, p.channels * area, area, 1)]
    launch(make_mean(p.dtype, MEAN_THREADS), p.batch * p.channels, MEAN_THREADS, stream, flat(x), flat(means), *sizes)
    kernel = make_attention_back(p.dtype, result.dtype.name, None if b1 is None else b1.dtype.name)
    counts = [np.int32(v) for v in (p.channels, p.hidden, p.kernels)]
    launch(
        kernel, *flat_grid(p.batch), stream, flat(means), flat(fc1), flat(fc2), flat(fc1 if b1 is None else b1), flat(result),
        flat(layout.contiguous(g)), flat(hidden), flat(dz), flat(dh), flat(dmeans), *counts, kind(p.temperature), kind(area), np.int32(p.batch),
    )  # fmt: skip
    return means, hidden, dz, dh, dmeans
