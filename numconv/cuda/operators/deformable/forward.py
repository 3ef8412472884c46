"""Deformable convolution, torchvision's meaning: bilinear columns into a workspace, then a pointwise implicit GEMM.

columns[n, c, r, p] = m[n, r, p] · x[n, c] sampled at p·s − lo + r·d + offset[n, r, p], zero outside.  A column is sampled once and used by
all output channels.  Samples are taken in chunks, so that the workspace stays bounded.
"""

from __future__ import annotations

from math import prod
from typing import Any

from numba import cuda
from numba.cuda.types import int32

from ....kernel import Kernel, Machine
from ....problem import DeformProblem
from ... import costs
from ...adapt.layout import cast
from ...geometry.convolution import lower
from ...geometry.decode import split
from ...ptx import idiv, imul
from ...runtime.arrays import allocate, flat, stream_of, view
from ...runtime.launch import flat_grid, jit, kernel_factory, launch
from ...scalars import FLOATS, scalars
from ...stages.implicit_gemm import product as implicit_gemm
from .plan import chunk, column_type, plan, plan_at, pointwise
from .samples import readers


@kernel_factory
def make_columns(dtype: str, out_dtype: str, masked: bool) -> Any:
    """columns[n, c, r, p], from sample `first` on.  One thread for each."""
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    place, cell, corner = readers(load, kind)

    def columns(x, offset, mask, out, tab, first, total):
        plan = plan_at(tab, 0)
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        height, width = plan.source.h, plan.source.w
        area, taps = int32(plan.outputs.h * plan.outputs.w), int32(plan.taps.h * plan.taps.w)
        while i < total:
            rest, p = split(i, area)
            rest, r = split(rest, taps)
            n, c = split(rest, plan.channels)
            n = int32(n + first)
            slot = int32(imul(int32(imul(n, plan.offset_groups) + idiv(c, plan.shared)), taps) + r)
            h, w = place(offset, plan, slot, r, p)
            near, jh, jw, dh, dw = cell(h, w, height, width)
            v = kind(0)
            if near:
                top = int32(imul(int32(imul(n, plan.channels) + c), int32(height * width)) + imul(jh, width) + jw)
                for k in range(4):
                    inside, at, share = corner(k, jh, jw, dh, dw, height, width)
                    if inside:
                        v = kind(v + share * load(x, int32(top + at)))
                if masked:
                    v = kind(v * load(mask, int32(imul(slot, area) + p)))
            store(out, i, v)
            i = int32(i + step)

    return jit(columns)


def run(problem: DeformProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, offset, w, bias, mask = arrays
    conv, stream = problem.conv, stream_of(out)
    size, area = chunk(problem), prod(conv.outputs)
    depth = conv.in_channels * conv.taps
    wide = column_type(problem.dtype)
    space, w = allocate((size, depth, area), wide, out), cast(w, wide)
    kernel = make_columns(problem.dtype, wide, problem.masked)
    offsets = flat(offset)
    masks = flat(mask) if problem.masked else offsets
    per_sample = conv.out_channels * area
    for first in range(0, conv.batch, size):
        count = min(size, conv.batch - first)
        total = count * depth * area
        launch(kernel, *flat_grid(total), stream, flat(x), offsets, masks, flat(space), plan(problem), first, total)
        product = pointwise(problem, count)
        part = view(out, (conv.batch * per_sample,))[first * per_sample : (first + count) * per_sample]
        implicit_gemm.compute(product, (space, w, bias), part, machine, lower(product))


def refuse(problem: DeformProblem) -> str | None:
    if problem.conv.padding_mode != "zeros":
        return f"does not honour padding_mode={problem.conv.padding_mode!r}"
    return None if problem.conv.layout == "channels_first" else "reads channels-first images only"


def workspace(problem: DeformProblem, machine: Machine) -> int:
    c = problem.conv
    return chunk(problem) * c.in_channels * c.taps * prod(c.outputs) * costs.itemsize(column_type(problem.dtype))


ROWS = (
    Kernel(
        name="columns",
        problem=DeformProblem,
        run=run,
        cost=lambda problem, machine: implicit_gemm.cost(pointwise(problem, 1), machine) + machine.launch,
        dtypes=FLOATS,
        refuse=refuse,
        workspace=workspace,
        error_factor=4.0,
        summary="Bilinear columns into a bounded workspace, then a pointwise implicit GEMM.",
    ),
)
