"""Convolutions by their definition in extended precision, and data that is hard on sums: an oracle that shares no code with the package.

80-bit numbers hold products of float32 exactly and of float64 with 11 bits to spare, and all exponents that either reaches.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
WIDE = np.longdouble


class Geometry(NamedTuple):
    """One of images and one of filters, channels first; the same in every direction."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1

    @property
    def outputs(self) -> tuple[int, ...]:
        reach = (self.dilation * (k - 1) + 1 for k in self.w[2:])
        return tuple((i + 2 * self.padding - r) // self.stride + 1 for i, r in zip(self.x[2:], reach, strict=True))

    @property
    def y(self) -> tuple[int, ...]:
        return (self.x[0], self.w[0], *self.outputs)


def _joined(g: Geometry) -> Any:
    """For each tap: its index, and where in the padded x it reads for each y."""
    for tap in np.ndindex(*g.w[2:]):
        yield tap, np.ix_(*(np.arange(o) * g.stride + t * g.dilation for o, t in zip(g.outputs, tap, strict=True)))


def _split(a: Array, axis: int, groups: int) -> Array:
    return a.reshape(*a.shape[:axis], groups, a.shape[axis] // groups, *a.shape[axis + 1 :])


def convolved(g: Geometry, direction: str, first: Array, second: Array) -> Array:
    """forward of x, w; input_grad of y, w; weight_grad of x, y.  Beside x are zeros, which are multiplied; beside y is nothing."""
    a, b = (v.astype(np.clongdouble if v.dtype.kind == "c" else WIDE) for v in (first, second))
    framed = (*g.x[:2], *(n + 2 * g.padding for n in g.x[2:]))
    if direction != "input_grad":
        a = np.pad(a, [(0, 0)] * 2 + [(g.padding, g.padding)] * (len(g.x) - 2))
    out = np.zeros({"forward": g.y, "input_grad": framed, "weight_grad": g.w}[direction], np.result_type(a, b))
    if direction == "weight_grad":
        a, b, target = _split(a, 1, g.groups), _split(b, 1, g.groups), _split(out, 0, g.groups)
    else:
        a, b, target = _split(a, 1, g.groups), _split(b, 0, g.groups), _split(out, 1, g.groups)
    with np.errstate(all="ignore"):
        for tap, read in _joined(g):
            if direction == "forward":
                target += np.einsum("ngc...,gkc->ngk...", a[(..., *read)], b[(..., *tap)])
            elif direction == "input_grad":
                target[(..., *read)] += np.einsum("ngk...,gkc->ngc...", a, b[(..., *tap)])
            else:
                seen, of = (v.reshape(*v.shape[:3], -1) for v in (a[(..., *read)], b))
                target[(..., *tap)] += np.einsum("ngcp,ngkp->gkc", seen, of)
    inner = (slice(g.padding, g.padding + n) for n in g.x[2:])
    return out[(..., *inner)] if direction == "input_grad" else out


def _widest(a: Array, reach: int) -> Array:
    """The largest within `reach` along each spatial axis."""
    for axis in range(2, a.ndim):
        padded = np.pad(a, [(reach, reach) if i == axis else (0, 0) for i in range(a.ndim)])
        a = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis).max(-1)
    return a


def around(g: Geometry, direction: str, first: Array, second: Array, reach: int) -> Array:
    """Σ max|x|·max|w| where an element's tile may reach, which begins somewhere within `reach`: what the error of Winograd goes with."""
    a, b = (np.nan_to_num(abs(v.astype(WIDE)), nan=0, posinf=0, neginf=0) for v in (first, second))
    if direction == "weight_grad":
        return convolved(g, direction, _widest(a, reach), _widest(b, reach))
    most = b.reshape(*b.shape[:2], -1).max(-1).reshape(*b.shape[:2], *(1 for _ in g.w[2:]))
    one_tap = np.zeros_like(b)
    one_tap[(..., *(k // 2 for k in g.w[2:]))] = most[(..., *(0 for _ in g.w[2:]))]
    return convolved(g, direction, _widest(a, reach), one_tap)


def _decades(rng: np.random.Generator, shape: tuple[int, ...], decades: float) -> Array:
    return rng.choice([-1.0, 1.0], shape) * 10.0 ** rng.uniform(-decades / 2, decades / 2, shape)


def hard(kind: str, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> Array:
    """Images of a kind."""
    a, middle = rng.standard_normal(shape), (slice(None), shape[1] // 2, *(n // 2 for n in shape[2:]))
    if kind == "one large value":
        a[middle] *= 1e6
    elif kind == "one large column":
        a[..., shape[-1] // 2] *= 1e6
    elif kind == "cancelling":  # neighbours in pairs of channels, up to a millionth
        a[:, 1::2] = -a[:, : 2 * (shape[1] // 2) : 2] * (1 + 1e-6 * rng.standard_normal(a[:, 1::2].shape))
    elif kind == "36 decades":
        a = _decades(rng, shape, 30.0)
    elif kind == "infinite":
        a[middle], a[(0, 0, *(1 for _ in shape[2:]))] = np.inf, -np.inf
    elif kind == "NaN":
        a[middle] = np.nan
    elif kind == "denormal":
        a *= float(np.finfo(dtype).smallest_normal) / 8
    else:
        raise ValueError(kind)
    return a.astype(dtype)


KINDS = ("one large value", "one large column", "cancelling", "36 decades", "infinite", "NaN", "denormal")
