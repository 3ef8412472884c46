"""What gradients need beside problems: sums, conjugates, derivatives of activations.  NumPy arrays; a GPU's where it says so."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..devices import kind
from ..problem import Ints
from ..session import Session

Array = np.ndarray[Any, Any]


def on_host(what: str, *arrays: Any) -> None:
    """Refuse a GPU's arrays where the way back exists on the CPU only."""
    if any(a is not None and kind(a) != "cpu" for a in arrays):
        raise TypeError(f"vjp: the gradient of {what} is computed on the CPU only; got arrays on cuda")


def add(a: Any, b: Any) -> Any:
    on_host("an array that is read twice", a, b)
    return a + b


def conjugate(a: Any) -> Any:
    if a.dtype.kind != "c":
        return a
    on_host("complex arrays", a)
    return a.conj()


def zeros(shape: Ints, dtype: np.dtype[Any], like: Any) -> Any:
    """On the device of `like`."""
    fresh = np.zeros(shape, dtype)
    if kind(like) == "cpu":
        return fresh
    from ..cuda import launch

    return launch.upload(fresh)


def cast_back(session: Session, g: Any, dtype: np.dtype[Any]) -> Any:
    """A gradient in the type of what was cast: of a real array that became complex, the real part."""
    if g.dtype.kind == "c" and dtype.kind != "c":
        on_host("complex arrays", g)
        g = g.real
    return session.cast(g, dtype.name)


def unbroadcast(session: Session, g: Any, shape: Ints) -> Any:
    """The sum over what was repeated."""
    if tuple(g.shape) == shape:
        return g
    on_host("an array that serves every channel", g)
    lead = g.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1)
    return g.sum(axis=axes, keepdims=True).reshape(shape)


def channel_sum(session: Session, g: Any, last: bool, dtype: np.dtype[Any]) -> Any:
    """Σ over everything but the channels: the gradient of a bias, in float64 where rows are not neighbours in memory."""
    on_host("a bias", g)
    wide = np.complex128 if g.dtype.kind == "c" else np.float64
    if last:
        return g.reshape(-1, g.shape[-1]).sum(axis=0, dtype=wide).astype(dtype)
    rows = g.reshape(*g.shape[:2], prod(g.shape[2:]))
    inner = rows.sum(axis=2, dtype=np.float64 if g.dtype.itemsize == 2 else None)
    return inner.sum(axis=0, dtype=wide).astype(dtype)


def _sigmoid(v: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * v))  # type: ignore[no-any-return]


#: activations whose derivative follows from the result; of the others it needs what they were applied to
FROM_RESULT = frozenset({"relu", "relu6", "sigmoid", "tanh"})


def through_activation(g: Any, v: Any, activation: str) -> Any:
    """g times the derivative; `v` is the activation's result where it is one of FROM_RESULT, else its argument."""
    on_host(f"activation {activation!r}", g, v)
    half = v.dtype.itemsize == 2
    if half:
        g, v = g.astype(np.float32), v.astype(np.float32)
    if activation == "relu":
        return g * (v > 0)
    if activation == "relu6":
        return g * ((v > 0) & (v < 6))
    if activation == "sigmoid":
        return g * (v * (1 - v))
    if activation == "tanh":
        return g * (1 - v * v)
    if activation == "silu":
        s = _sigmoid(v)
        return g * (s * (1 + v * (1 - s)))
    return g * np.where(v <= -3, 0, np.where(v < 3, v / 3 + 0.5, 1)).astype(v.dtype)  # hardswish
