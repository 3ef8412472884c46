"""Nearest and (bi)linear resizing, torch.nn.functional.interpolate's meaning, ranks 1 to 3, both layouts.

Indices and weights are tables of one axis each, made on the host in float64, so that no rounding on the device can pick another pixel.
Nearest is a gather copy; linear blends 2, 4 or 8 pixels, one thread for each output.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ... import sampling
from ...kernel import Kernel, Machine
from ...memory import kept
from ...problem import ResizeProblem
from ..adapt.gather import gather_axes
from ..geometry.decode import split
from ..geometry.image import Image, Three, image, three
from ..ptx import imul
from ..runtime.arrays import flat, stream_of
from ..runtime.launch import Table, flat_grid, jit, kernel_factory, launch
from ..runtime.record import reader, slots, table
from ..scalars import ALL, FLOATS, accumulator, scalars
from . import cost as model


class ResizePlan(NamedTuple):
    size: Three  # extents of the result
    source: Image  # as (outer, T, H, W, inner): a sample of it is one of `outer`
    inner: int  # elements that stand together: the channels of channels last, else 1
    pixels_at: int  # where in the table the lower pixels begin, of each output along t, then h, then w; behind them the upper ones


plan_at = reader(ResizePlan)


@kernel_factory
def make_linear(dtype: str) -> Any:
    """The kernel for this type."""
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store
    one = kind(1)

    def linear(x, y, tab, weights, total):
        plan = plan_at(tab, 0)
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        ot, oh, ow, inner = plan.size.t, plan.size.h, plan.size.w, plan.inner
        axes, pixels_at = int32(ot + oh + ow), plan.pixels_at
        while i < total:
            rest, b = split(i, inner)
            rest, w = split(rest, ow)
            rest, h = split(rest, oh)
            a, t = split(rest, ot)
            h, w = int32(ot + h), int32(ot + oh + w)
            base = int32(imul(a, plan.source.sample_pitch) + b)
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
                    pixel_t = tab[uint32(pixels_at + imul(int32(ct), axes) + t)]
                    pixel_h = tab[uint32(pixels_at + imul(int32(ch), axes) + h)]
                    pixel_w = tab[uint32(pixels_at + imul(int32(cw), axes) + w)]
                    at = int32(
                        base + pixel_t * plan.source.plane_pitch + pixel_h * plan.source.row_pitch + pixel_w * plan.source.pixel_pitch
                    )
                    v = kind(v + kind(ft * fh) * kind(fw * load(x, at)))
            store(y, i, v)
            i = int32(i + step)

    return jit(linear)


def _axes(problem: ResizeProblem) -> Iterator[tuple[int, int, float | None]]:
    """(input extent, output extent, scale or None) of each axis."""
    return zip(problem.spatial, problem.size, problem.scale or (None,) * len(problem.size), strict=True)


@kept
def _tables(problem: ResizeProblem) -> tuple[Table, Table]:
    """Of the plan with the pixels, and of the weights of the upper ones."""
    dtype = accumulator(problem.dtype, problem.dtype)  # complex images are blended by real weights of their own type
    found = [sampling.linear(n, o, scale, problem.align_corners, dtype) for n, o, scale in _axes(problem)]
    missing = [(np.zeros((2, 1), np.int64), np.zeros((2, 1), dtype))] * (3 - len(found))
    pixels, weights = zip(*missing, *found, strict=True)
    inner = problem.channels if problem.layout == "channels_last" else 1
    source = image(inner, problem.spatial, "channels_last")
    plan = ResizePlan(size=three(problem.size, 1), source=source, inner=inner, pixels_at=slots(ResizePlan))
    lower, upper = zip(*pixels, strict=True)
    return Table(table(plan, *lower, *upper)), Table(np.concatenate([upper for _, upper in weights]))


def run(problem: ResizeProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x = arrays[0]
    if problem.mode == "nearest":
        index = [sampling.nearest(*axis) for axis in _axes(problem)]
        outer = [np.arange(problem.batch), np.arange(problem.channels)]
        maps = [outer[0], *index, outer[1]] if problem.layout == "channels_last" else [*outer, *index]
        gather_axes(x, out, tuple(maps), problem)
        return
    tables = _tables(problem)
    total = prod(problem.result_shape)
    launch(make_linear(problem.dtype), *flat_grid(total), stream_of(out), flat(x), flat(out), *tables, total)


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
