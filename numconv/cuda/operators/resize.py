"""Nearest and (bi)linear resizing, torch.nn.functional.interpolate's meaning, ranks 1 to 3, both layouts.

Indices and weights are tables of one axis each, made on the host in float64, so that no rounding on the device can pick another pixel.
Nearest is a gather copy; linear blends 2, 4 or 8 pixels, one thread for each output.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ...kernel import Kernel, Machine
from ...problem import ResizeProblem
from ..adapt.layout import gather_axes
from ..geometry.axes import three
from ..ptx import idiv, imul
from ..runtime.launch import Table, flat, flat_grid, jit, kernel_factory, launch, stream_of
from ..scalars import ALL, FLOATS, accumulator, scalars
from . import cost as model

# table: 0-2 output extents, 3-5 input strides, 6 inner, 7 input elements per outer index; from 8 the low indices of the axes, then the high
HEAD = 8


@kernel_factory
def make_linear(dtype: str) -> Any:
    """The kernel for this type."""
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store
    one = kind(1)

    def linear(x, y, tab, weights, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        ot, oh, ow, inner = tab[0], tab[1], tab[2], tab[6]
        axes = int32(ot + oh + ow)
        while i < total:
            rest = idiv(i, inner)
            b = int32(i - imul(rest, inner))
            q = idiv(rest, ow)
            w = int32(rest - imul(q, ow))
            rest = idiv(q, oh)
            h = int32(q - imul(rest, oh))
            a = idiv(rest, ot)
            t = int32(rest - imul(a, ot))
            h, w = int32(ot + h), int32(ot + oh + w)
            base = int32(imul(a, tab[7]) + b)
            v = kind(0)
            for corner in range(8):
                ct, ch, cw = int32(int32(corner) >> int32(2)), int32(int32(corner) >> int32(1)) & int32(1), int32(corner) & int32(1)
                ft, fh, fw = weights[uint32(t)], weights[uint32(h)], weights[uint32(w)]
                if ct == int32(0):
                    ft = kind(one - ft)
                if ch == int32(0):
                    fh = kind(one - fh)
                if cw == int32(0):
                    fw = kind(one - fw)
                # an axis that is not resized has weight 0 on its second pixel, which must not be read: it may be infinite
                if ft != kind(0) and fh != kind(0) and fw != kind(0):
                    at = int32(
                        base
                        + tab[uint32(int32(HEAD) + imul(int32(ct), axes) + t)] * tab[3]
                        + tab[uint32(int32(HEAD) + imul(int32(ch), axes) + h)] * tab[4]
                        + tab[uint32(int32(HEAD) + imul(int32(cw), axes) + w)] * tab[5]
                    )
                    v = kind(v + kind(ft * fh) * kind(fw * load(x, at)))
            store(y, i, v)
            i = int32(i + step)

    return jit(linear)


def axis_steps(problem: ResizeProblem) -> list[tuple[int, int, float]]:
    """(input extent, output extent, input pixels for each output pixel) of the axes."""
    scales = problem.scale or (None,) * len(problem.size)
    return [(n, o, n / o if f is None else 1 / f) for n, o, f in zip(problem.spatial, problem.size, scales, strict=True)]


def nearest_index(problem: ResizeProblem) -> list[np.ndarray[Any, Any]]:
    scales = problem.scale or (None,) * len(problem.size)
    found = []
    for (n, o, step), factor in zip(axis_steps(problem), scales, strict=True):
        p = np.arange(o)
        found.append(np.minimum(p * n // o if factor is None else np.floor(p * step).astype(np.int64), n - 1))
    return found


def linear_axes(problem: ResizeProblem) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """(low index, high index, weight of the high one) for each axis."""
    found = []
    for n, o, step in axis_steps(problem):
        p = np.arange(o)
        corners = (n - 1) / (o - 1) if o > 1 else 0.0
        at = p * corners if problem.align_corners else np.maximum((p + 0.5) * step - 0.5, 0)
        low = np.minimum(np.floor(at).astype(np.int64), n - 1)
        found.append((low, np.minimum(low + 1, n - 1), at - low))
    return found


@lru_cache(maxsize=256)
def _tables(problem: ResizeProblem) -> tuple[Any, Any]:
    axes = linear_axes(problem)
    one = (np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1))
    axes = [one] * (3 - len(axes)) + axes
    spatial, size = three(problem.spatial, 1), three(problem.size, 1)
    inner = problem.channels if problem.layout == "channels_last" else 1
    head = (*size, spatial[1] * spatial[2] * inner, spatial[2] * inner, inner, inner, prod(spatial) * inner)
    indices = [head, *(a[0] for a in axes), *(a[1] for a in axes)]
    dtype = accumulator(problem.dtype, problem.dtype)
    # complex images are blended by real weights of their own type
    weights = np.concatenate([a[2] for a in axes]).astype(dtype)
    return Table(np.concatenate(indices).astype(np.int32)), Table(weights)


def run(problem: ResizeProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x = arrays[0]
    if problem.mode == "nearest":
        index = nearest_index(problem)
        outer = [np.arange(problem.batch), np.arange(problem.channels)]
        maps = [outer[0], *index, outer[1]] if problem.layout == "channels_last" else [*outer, *index]
        gather_axes(x, out, tuple(maps), problem)
        return
    tables = _tables(problem)
    total = prod(problem.result_shape)
    launch(make_linear(problem.dtype), *flat_grid(total), stream_of(out), flat(x), flat(out), *tables, np.int32(total))


def refuse(problem: ResizeProblem) -> str | None:
    if problem.mode != "nearest" and problem.dtype not in FLOATS and not problem.dtype.startswith("complex"):
        return f"blends inexact types only, got {problem.dtype}"
    return None


ROWS = (
    Kernel(
        name="tables",
        problem=ResizeProblem,
        run=run,
        cost=model.bytes_only,
        dtypes=ALL,
        honours=frozenset({"layout"}),
        refuse=refuse,
        error_factor=4.0,
        summary="One thread for each output; indices and weights from tables of one axis.",
    ),
)
