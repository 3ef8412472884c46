"""How a storage type is loaded, accumulated and stored: device functions picked by name, so that each kernel is written once.

float16 and bfloat16 are stored so and accumulated in float32; integers are exact, in int32 where the result has at most 32 bits (wrapping
is the same modulo 2³²), else in int64.  bfloat16 arrays reach kernels as uint16 bits: Numba has no NumPy dtype for them without ml_dtypes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba.cuda import types
from numba.cuda.types import complex64, complex128, float16, float32, float64, int32, int64, uint16, uint32

from .ptx import f32_bits, f32_from_bits, load4, store4
from .runtime.launch import inlined

_NUMBA = {"float32": float32, "float64": float64, "complex64": complex64, "complex128": complex128, "int32": int32, "int64": int64}
FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
COMPLEX = frozenset({"complex64", "complex128"})
INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
ALL = FLOATS | COMPLEX | INTEGERS


@dataclass(frozen=True)
class Scalars:
    """One choice of types."""

    name: str  # of the accumulator's type
    kind: Any  # kind(value) converts to it
    load: Callable[..., Any]  # load(array, index): the element, converted
    store: Callable[..., Any]  # store(array, index, value): converted back
    four: Callable[..., Any]  # four(array, index, target, at): four neighbours of the accumulator's type by a 128-bit load
    itemsize: int  # bytes of the accumulator's type


def accumulator(dtype: str, out_dtype: str) -> str:
    """The name of the accumulator's type."""
    if out_dtype in COMPLEX and dtype not in COMPLEX:
        return out_dtype
    if dtype in ("float16", "bfloat16"):
        return "float32" if out_dtype not in ("float64", "complex128") else out_dtype
    if dtype in INTEGERS:
        if out_dtype in ("float64", "complex128", "float32", "float16", "bfloat16", "complex64"):
            return "int64"
        return "int32" if np.dtype(out_dtype).itemsize <= 4 else "int64"
    return dtype


@lru_cache(maxsize=128)
def widener(dtype: str, acc: str) -> Callable[..., Any]:
    """widen(stored value) → the accumulator's type."""
    kind = _NUMBA[acc]
    if dtype == "bfloat16":

        @inlined
        def widen(value):
            return kind(f32_from_bits(uint32(uint32(value) << uint32(16))))

    elif dtype == "float16":

        @inlined
        def widen(value):
            return kind(float32(value))

    elif dtype == acc:

        @inlined
        def widen(value):
            return value

    else:

        @inlined
        def widen(value):
            return kind(value)

    return widen


@lru_cache(maxsize=128)
def loader(dtype: str, acc: str) -> Callable[..., Any]:
    """load(array, index) → the element as the accumulator's type."""
    widen = widener(dtype, acc)

    @inlined
    def load(array, index):
        return widen(array[uint32(index)])

    return load


@lru_cache(maxsize=128)
def narrower(dtype: str, acc: str) -> Callable[..., Any]:
    """narrow(value of the accumulator's type) → what is stored."""
    if dtype == "bfloat16":

        @inlined
        def narrow(value):
            bits = f32_bits(float32(value))
            rounded = uint32(bits + uint32(0x7FFF) + uint32(uint32(bits >> uint32(16)) & uint32(1)))
            if value != value:
                rounded = uint32(bits | uint32(0x400000))  # rounding could carry a NaN over into an infinity
            return uint16(rounded >> uint32(16))

    elif dtype == "float16":

        @inlined
        def narrow(value):
            return float16(value)

    elif dtype == acc:

        @inlined
        def narrow(value):
            return value

    else:
        stored = getattr(types, "uint8" if dtype == "bool" else dtype)

        @inlined
        def narrow(value):
            return stored(value)  # integers wrap

    return narrow


@lru_cache(maxsize=128)
def storer(dtype: str, acc: str) -> Callable[..., Any]:
    """store(array, index, value of the accumulator's type)."""
    narrow = narrower(dtype, acc)

    @inlined
    def store(array, index, value):
        array[uint32(index)] = narrow(value)

    return store


@lru_cache(maxsize=16)
def four(acc: str) -> Callable[..., Any]:
    """four(array, index, target, at): four neighbours into target[at : at + 4], by 128-bit loads where the type is a machine's."""
    if acc in COMPLEX:

        @inlined
        def separate(array, index, target, at):
            for i in range(4):
                target[at + i] = array[uint32(int32(index + int32(i)))]

        return separate

    @inlined
    def vector(array, index, target, at):
        values = load4(array, index)
        target[at] = values[0]
        target[at + 1] = values[1]
        target[at + 2] = values[2]
        target[at + 3] = values[3]

    return vector


@lru_cache(maxsize=32)
def quad_loader(dtype: str, acc: str, used: bool) -> Callable[..., Any]:
    """quad(array, index): four neighbours by one vector load; where it is not used, something of the same type to compile."""
    kind, widen = _NUMBA[acc], widener(dtype, acc)
    if used:

        @inlined
        def quad(array, index):
            a, b, c, d = load4(array, index)
            return widen(a), widen(b), widen(c), widen(d)

        return quad

    @inlined
    def nothing(array, index):
        return kind(0), kind(0), kind(0), kind(0)

    return nothing


@lru_cache(maxsize=32)
def quad_storer(acc: str, used: bool, dtype: str | None = None) -> Callable[..., Any]:
    """put(array, index, a, b, c, d): four neighbours by one vector store, as `dtype`; where it is not used, nothing."""
    narrow = narrower(dtype or acc, acc)
    if used:

        @inlined
        def put(array, index, a, b, c, d):
            store4(array, index, (narrow(a), narrow(b), narrow(c), narrow(d)))

        return put

    @inlined
    def nothing(array, index, a, b, c, d):
        pass

    return nothing


@lru_cache(maxsize=128)
def scalars(dtype: str, out_dtype: str, acc: str | None = None) -> Scalars:
    acc = acc or accumulator(dtype, out_dtype)
    return Scalars(acc, _NUMBA[acc], loader(dtype, acc), storer(out_dtype, acc), four(acc), np.dtype(acc).itemsize)


@lru_cache(maxsize=16)
def bias_loader(dtype: str | None, acc: str) -> Callable[..., Any]:
    """load(array, index) of the bias; of no bias: zero, whatever the array."""
    if dtype is not None:
        return loader(dtype, acc)
    kind = _NUMBA[acc]

    @inlined
    def nothing(array, index):
        return kind(0)

    return nothing


@lru_cache(maxsize=32)
def activation(name: str | None, acc: str) -> Callable[..., Any]:
    """The activation on the accumulator's type.  Written so that NaN passes, and that nothing overflows in the simulator."""
    kind = _NUMBA[acc]
    zero, one, three, six = kind(0), kind(1), kind(3), kind(6)

    def logistic(v):
        if v >= zero:
            return kind(one / (one + kind(math.exp(-v))))
        e = kind(math.exp(v))
        return kind(e / (one + e))

    sigmoid = inlined(logistic)

    def identity(v):
        return v

    def relu(v):
        return zero if v < zero else v

    def relu6(v):
        return zero if v < zero else (six if v > six else v)

    def silu(v):
        return kind(v * sigmoid(v))

    def hardswish(v):
        if v <= -three:
            return zero
        if v >= three:
            return v
        return kind(v * kind(v + three) / six)

    def tanh(v):
        return kind(math.tanh(v))

    table = {None: identity, "relu": relu, "relu6": relu6, "silu": silu, "hardswish": hardswish, "tanh": tanh, "sigmoid": logistic}
    return inlined(table[name])  # type: ignore[no-any-return]
