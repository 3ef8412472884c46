"""What gradients need beside problems: sums, conjugates, derivatives of activations.  NumPy's arrays here, others by their device's own."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..devices import kind
from ..problem import ConvProblem, Ints, MixProblem
from ..session import Session

Array = np.ndarray[Any, Any]


def elsewhere(a: Any) -> Any:
    """This module's counterpart for the device that `a` lies on; None for the host's arrays."""
    where = kind(a)
    if where == "cpu":
        return None
    if where == "chunks":
        from ..chunks import gradients

        return gradients
    from ..cuda.adapt import elementwise

    return elementwise


def add(a: Any, b: Any) -> Any:
    other = elsewhere(a)
    return other.elementwise("add", a, b) if other else a + b


def conjugate(a: Any) -> Any:
    if a is None or a.dtype.kind != "c":
        return a
    other = elsewhere(a)
    return other.elementwise("conjugate", a) if other else a.conj()


def zeros(shape: Ints, dtype: np.dtype[Any], like: Any) -> Any:
    """On the device of `like`."""
    other = elsewhere(like)
    return other.zeros(shape, dtype.name, like) if other else np.zeros(shape, dtype)


def cast_back(session: Session, g: Any, dtype: np.dtype[Any]) -> Any:
    """A gradient in the type of what was cast: of a real array that became complex, the real part."""
    if g.dtype.kind == "c" and dtype.kind != "c":
        other = elsewhere(g)
        g = other.elementwise("real", g, None, "float32" if g.dtype.itemsize == 8 else "float64") if other else g.real
    return session.cast(g, dtype.name)


def unbroadcast(session: Session, g: Any, shape: Ints) -> Any:
    """The sum over what was repeated, all of it in front of what was not."""
    if tuple(g.shape) == shape:
        return g
    length = prod(shape)
    rows = session.reshape(g, (prod(g.shape) // max(length, 1), length))
    return session.reshape(column_sum(session, rows, g.dtype), shape)


def column_sum(session: Session, rows: Any, dtype: np.dtype[Any]) -> Any:
    """Σ over the first of two axes."""
    other = elsewhere(rows)
    if other is None:
        return rows.sum(axis=0, dtype=_wide(rows)).astype(dtype)
    count, length = rows.shape
    mix = MixProblem(1, count, length, rows.dtype.name)
    total = session(mix, (other.ones((1, count), rows.dtype.name, rows), rows))
    return session.reshape(session.cast(total, dtype.name), (length,))


def _wide(a: Array) -> Any:
    return np.complex128 if a.dtype.kind == "c" else np.float64


def channel_sum(session: Session, g: Any, last: bool, dtype: np.dtype[Any]) -> Any:
    """Σ over everything but the channels: the gradient of a bias.  Elsewhere it is that of a 1×1 filter over an image of ones."""
    other = elsewhere(g)
    if other is not None:
        batch, channels = g.shape[0], g.shape[g.ndim - 1 if last else 1]
        plane = tuple(g.shape[1:-1] if last else g.shape[2:])
        each = (1,) * len(plane)
        problem = ConvProblem(
            direction="weight_grad", batch=batch, in_channels=1, out_channels=channels, groups=1, spatial=plane, kernel=each, stride=each,
            pad_low=(0,) * len(plane), dilation=each, outputs=plane, dtype=g.dtype.name, out_dtype=g.dtype.name,
            layout="channels_last" if last else "channels_first",
        )  # fmt: skip
        image = (batch, *plane, 1) if last else (batch, 1, *plane)
        total = session(problem, (other.ones(image, g.dtype.name, g), g))
        return session.cast(session.reshape(total, (channels,)), dtype.name)
    if last:  # float64 where rows are not neighbours in memory
        return g.reshape(-1, g.shape[-1]).sum(axis=0, dtype=_wide(g)).astype(dtype)
    rows = g.reshape(*g.shape[:2], prod(g.shape[2:]))
    inner = rows.sum(axis=2, dtype=np.float64 if g.dtype.itemsize == 2 else None)
    return inner.sum(axis=0, dtype=_wide(g)).astype(dtype)


def adjoint_along(g: Any, axis: int, index: Array, weight: Array | None, count: int) -> Any:
    """Where a map reads out[p] = Σ_i weight[i, p]·in[index[i, p]] along an axis of `count` elements: its adjoint, applied to g."""
    where = kind(g)
    if where == "cpu":
        from ..cpu.operators import axis_gather
    elif where == "chunks":
        from ..chunks import gradients as axis_gather  # type: ignore[no-redef]
    else:
        from ..cuda.operators import axis_gather  # type: ignore[no-redef]
    return axis_gather.adjoint_along(g, axis, index, weight, count)


#: activations whose derivative follows from the result; of the others it needs what they were applied to
FROM_RESULT = frozenset({"relu", "relu6", "sigmoid", "tanh"})


def _derivative(v: Array, activation: str) -> Array:
    if activation == "relu":
        return v > 0
    if activation == "relu6":
        return (v > 0) & (v < 6)
    if activation == "sigmoid":
        return v * (1 - v)  # type: ignore[no-any-return]
    if activation == "tanh":
        return 1 - v * v  # type: ignore[no-any-return]
    if activation == "silu":
        s = 0.5 * (1 + np.tanh(0.5 * v))
        return s * (1 + v * (1 - s))  # type: ignore[no-any-return]
    return np.where(v <= -3, 0, np.where(v < 3, v / 3 + 0.5, 1)).astype(v.dtype)  # hardswish


def through_activation(session: Session, problem: Any, arrays: Any, result: Any, g: Any, plan_as: Any = None) -> Any:
    """g times the derivative of the problem's activation, which is applied last in it; g itself where there is none."""
    conv: ConvProblem = getattr(problem, "conv", problem)
    activation = conv.activation
    if activation is None:
        return g
    v = result
    if activation not in FROM_RESULT:  # what it was applied to is computed anew
        bare = replace(problem, conv=conv.with_(activation=None)) if conv is not problem else conv.with_(activation=None)
        v = session(bare, arrays, None, plan_as and plan_as.with_(activation=None))
    other = elsewhere(g)
    if other is not None:
        return other.elementwise(activation, g, v)
    return through(g, v, activation)


def through(g: Array, v: Array, activation: str) -> Array:
    """g times the activation's derivative at v."""
    if v.dtype.itemsize == 2:
        g, v = g.astype(np.float32), v.astype(np.float32)
    return g * _derivative(v, activation)
