"""Steps that a thread takes for each element, and arrays of one number: what gradients need beside problems, as NumPy does on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32

from ..runtime.arrays import allocate, flat, stream_of, view
from ..runtime.launch import Table, flat_grid, inlined, jit, kernel_factory, launch
from ..scalars import scalars
from . import layout


@lru_cache(maxsize=64)
def operation(name: str, kind: Any) -> Callable[..., Any]:
    """(g, v) → the result; derivatives of activations from their result, those of silu and hardswish from their argument."""
    zero, one = kind(0), kind(1)

    def add(g, v):
        return kind(g + v)

    def conjugate(g, v):
        return g.conjugate()

    def real(g, v):
        return g.real

    def relu(g, v):
        return g if v > zero else zero

    def relu6(g, v):
        return g if v > zero and v < kind(6) else zero

    def sigmoid(g, v):
        return kind(g * kind(v * kind(one - v)))

    def tanh(g, v):
        return kind(g * kind(one - kind(v * v)))

    def silu(g, v):
        s = kind(one / kind(one + kind(math.exp(-v))))
        return kind(g * kind(s * kind(one + kind(v * kind(one - s)))))

    def hardswish(g, v):
        if v <= kind(-3):
            return zero
        if v < kind(3):
            return kind(g * kind(kind(v / kind(3)) + kind(0.5)))
        return g

    of_activations = {"relu": relu, "relu6": relu6, "sigmoid": sigmoid, "tanh": tanh, "silu": silu, "hardswish": hardswish}
    return inlined({"add": add, "conjugate": conjugate, "real": real, **of_activations}[name])  # type: ignore[no-any-return]


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
        launch(kernel, *flat_grid(total), stream_of(out), flat(a), flat(b), flat(out), total)
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
