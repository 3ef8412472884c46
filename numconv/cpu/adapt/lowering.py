"""Storage types and complex numbers as the kernels see them: float32, float64, int32, int64, pairs of int16 in an int32.

Half precision is computed in float32.  A complex convolution is a real one with twice the channels, in each group the real parts and then
the imaginary ones: one mechanism, no kernel of its own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ...hosts import PAIRS, dtype_of
from ...problem import ConvProblem
from .pairs import paired

HALF = frozenset({"float16", "bfloat16"})
SMALL_INTEGERS = frozenset({"int8", "uint8", "int16", "uint16"})
PAIRED = SMALL_INTEGERS - {"uint16"}  # an int16 holds them
INTEGERS = SMALL_INTEGERS | {"int32", "uint32", "int64", "uint64"}
COMPLEX = {"complex64": "float32", "complex128": "float64"}
FLOATS = frozenset({"float32", "float64"})
INEXACT = FLOATS | COMPLEX.keys()
ALL = HALF | INTEGERS | COMPLEX.keys() | {"float32", "float64"}


@cache
def compute_dtype(dtype: str, out_dtype: str) -> str:
    """In which a kernel works.  Integer sums wrap, so 32 bits serve every integer result of at most 32 bits."""
    if dtype in HALF:
        return "float32"
    if dtype in COMPLEX:
        return COMPLEX[dtype]
    if dtype in INTEGERS:
        out = np.dtype(out_dtype) if out_dtype not in HALF else np.dtype("float32")
        return "int32" if out.kind in "iu" and out.itemsize <= 4 else "int64"
    return dtype


def lower(problem: ConvProblem, honours: frozenset[str]) -> ConvProblem:
    """The real problem in a type that kernels compute in, pairs if they are honoured; the same object where it is one already."""
    compute = compute_dtype(problem.dtype, problem.out_dtype)
    if problem.dtype == compute == problem.out_dtype:
        return problem
    summed = problem.group_in if problem.direction == "forward" else problem.group_out
    if "pairs" in honours and problem.dtype in PAIRED and compute == "int32" and summed > 1 and problem.direction != "weight_grad":
        side = "in_channels" if problem.direction == "forward" else "out_channels"
        return problem.with_(dtype=PAIRS, out_dtype="int32", **{side: problem.groups * -(-summed // 2)})
    changes: dict[str, Any] = {"dtype": compute, "out_dtype": compute}
    if problem.dtype in COMPLEX:
        changes |= {"in_channels": 2 * problem.in_channels, "out_channels": 2 * problem.out_channels}
    return problem.with_(**changes)


def framed(problem: ConvProblem) -> tuple[int, ...]:
    """The spatial size with its padding around it."""
    return tuple(i + max(0, lo) + max(0, hi) for i, lo, hi in zip(problem.spatial, problem.pad_low, problem.pad_high, strict=True))


def plain(problem: ConvProblem, honours: frozenset[str]) -> ConvProblem:
    """The problem without what `device.execute` brings about around a kernel that does not honour it; where that is nothing, itself."""
    changes: dict[str, Any] = {}
    if problem.layout != "channels_first" and ("layout" not in honours or problem.dtype in COMPLEX):
        changes["layout"] = "channels_first"
    if problem.padding_mode != "zeros" and "padding_mode" not in honours:
        changes |= {"padding_mode": "zeros", "spatial": framed(problem), "pad_low": (0,) * problem.rank}
    if problem.shuffle > 1 and ("shuffle" not in honours or problem.dtype in COMPLEX):
        changes["shuffle"] = 1
    return problem.with_(**changes) if changes else problem


def image_as(a: np.ndarray, problem: ConvProblem, compute: str, layout: str) -> np.ndarray:
    """What is read, in the type that a kernel computes in."""
    if compute == PAIRS:
        return paired(a, problem.groups, -1 if layout == "channels_last" else 1)
    return as_compute(real_image(a, problem.groups) if problem.dtype in COMPLEX else a, compute)


def weights_as(w: np.ndarray, problem: ConvProblem, compute: str) -> np.ndarray:
    """The weights, likewise."""
    if compute == PAIRS:
        return paired(w, 1, 1) if problem.direction == "forward" else paired(w, problem.groups, 0)
    return as_compute(real_weights(w, problem.groups, problem.direction) if problem.dtype in COMPLEX else w, compute)


def _stack(parts: list[np.ndarray], groups: int, axis: int) -> np.ndarray:
    """Channels (groups, n) of each part → (groups, parts·n)."""
    shape = parts[0].shape
    n = shape[axis] // groups
    split = [p.reshape(*shape[:axis], groups, n, *shape[axis + 1 :]) for p in parts]
    return np.concatenate(split, axis + 1).reshape(*shape[:axis], len(parts) * shape[axis], *shape[axis + 1 :])


def real_image(x: np.ndarray, groups: int) -> np.ndarray:
    """(N, C, …) complex → (N, 2·C, …) real."""
    return _stack([x.real, x.imag], groups, 1)


def real_weights(w: np.ndarray, groups: int, direction: str) -> np.ndarray:
    """(K, C/g, …) complex → (2·K, 2·C/g, …): rows and columns of [[re, −im], [im, re]], or its mirror for input_grad."""
    sign = -1 if direction == "forward" else 1
    top = np.concatenate([w.real, sign * w.imag], 1)
    bottom = np.concatenate([-sign * w.imag, w.real], 1)
    return _stack([top, bottom], groups, 0)


def real_bias(bias: np.ndarray, groups: int) -> np.ndarray:
    return _stack([bias.real, bias.imag], groups, 0)


def complex_image(y: np.ndarray, groups: int, out: np.ndarray) -> None:
    """The inverse of `real_image`, into `out`."""
    n = out.shape[1] // groups
    split = y.reshape(y.shape[0], groups, 2, n, *y.shape[2:])
    for part, target in ((0, out.real), (1, out.imag)):
        target[...] = split[:, :, part].reshape(out.shape)


def complex_weights(dw: np.ndarray, groups: int, out: np.ndarray) -> None:
    """Gradient of doubled weights → Σ dy·x of the complex ones, into `out`."""
    k, c = out.shape[0] // groups, out.shape[1]
    split = dw.reshape(groups, 2, k, 2, c, *dw.shape[2:])
    out.real[...] = (split[:, 0, :, 0] - split[:, 1, :, 1]).reshape(out.shape)
    out.imag[...] = (split[:, 0, :, 1] + split[:, 1, :, 0]).reshape(out.shape)


def computes(array: np.ndarray, dtype: str) -> bool:
    """Whether it is C-contiguous, aligned, in native byte order and of the dtype, as kernels want it."""
    flags = array.flags
    return array.dtype == dtype_of(dtype) and flags.c_contiguous and flags.aligned


def as_compute(array: np.ndarray, dtype: str) -> np.ndarray:
    """An array that is so; the array itself where it is already."""
    return array if computes(array, dtype) else np.require(array, dtype_of(dtype), ["C", "A"])  # which takes 3 µs to find that out
