"""Deformable convolution, torchvision's meaning: bilinear columns into a workspace, then a pointwise implicit GEMM.

columns[n, c, r, p] = m[n, r, p] · x[n, c] sampled at p·s − lo + r·d + offset[n, r, p], zero outside.  A column is sampled once and used by
all output channels.  Samples are taken in chunks, so that the workspace stays bounded.
"""

from __future__ import annotations

import math
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32

from ....kernel import Kernel, Machine
from ....problem import ConvProblem, DeformProblem
from ... import costs
from ...adapt.layout import cast
from ...dense.cuda_cores import plan as implicit_gemm
from ...geometry.axes import lower
from ...ptx import idiv, imul
from ...runtime.launch import Table, allocate, flat, flat_grid, inlined, jit, kernel_factory, launch, stream_of, view
from ...scalars import FLOATS, scalars

WORKSPACE = 256 << 20  # bytes of columns at most, one sample at least
# table: 0 C, 1 channels of an offset group, 2 offset groups, 3-4 H W, 5-6 kernel, 7-8 outputs, 9-10 stride, 11-12 dilation, 13-14 pads


@lru_cache(maxsize=8)
def samples(load: Any, kind: Any) -> tuple[Any, Any, Any]:
    """Device functions: where a tap reads, the pixel below that, and each of the four pixels around it.

    position(offset, tab, slot, r, p) → the real (h, w) that tap r reads for output p; `slot` is (sample, offset group, tap).
    cell(h, w, ih, iw) → (whether any pixel is near, row, column, and how far (h, w) lies beyond them).
    corner(k, jh, jw, dh, dw, ih, iw) → (whether pixel k lies in the image, its offset from pixel 0, its share of the sample).
    """
    one = kind(1)

    @inlined
    def position(offset, tab, slot, r, p):
        area = int32(tab[7] * tab[8])
        ph = idiv(p, tab[8])
        pw = int32(p - imul(ph, tab[8]))
        rh = idiv(r, tab[6])
        rw = int32(r - imul(rh, tab[6]))
        where = int32(imul(imul(slot, int32(2)), area) + p)
        h = kind(kind(int32(ph * tab[9] + rh * tab[11] - tab[13])) + load(offset, where))
        w = kind(kind(int32(pw * tab[10] + rw * tab[12] - tab[14])) + load(offset, int32(where + area)))
        return h, w

    @inlined
    def cell(h, w, ih, iw):
        # a position off the image, or no number, samples nothing; compared before it is made an integer
        near = h > kind(-1) and w > kind(-1) and h < kind(ih) and w < kind(iw)
        if not near:
            h, w = kind(0), kind(0)
        low_h, low_w = kind(math.floor(h)), kind(math.floor(w))
        return near, int32(low_h), int32(low_w), kind(h - low_h), kind(w - low_w)

    @inlined
    def corner(k, jh, jw, dh, dw, ih, iw):
        down, right = int32(k // 2), int32(k % 2)
        row, column = int32(jh + down), int32(jw + right)
        share = kind((dh if down == int32(1) else kind(one - dh)) * (dw if right == int32(1) else kind(one - dw)))
        return row >= int32(0) and row < ih and column >= int32(0) and column < iw, int32(imul(down, iw) + right), share

    return position, cell, corner


@kernel_factory
def make_columns(dtype: str, out_dtype: str, masked: bool) -> Any:
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    position, cell, corner = samples(load, kind)

    def columns(x, offset, mask, out, tab, first, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        ih, iw = tab[3], tab[4]
        area, taps = int32(tab[7] * tab[8]), int32(tab[5] * tab[6])
        while i < total:
            rest = idiv(i, area)
            p = int32(i - imul(rest, area))
            nc = idiv(rest, taps)
            r = int32(rest - imul(nc, taps))
            n = idiv(nc, tab[0])
            c = int32(nc - imul(n, tab[0]))
            n = int32(n + first)
            slot = int32(imul(int32(imul(n, tab[2]) + idiv(c, tab[1])), taps) + r)
            h, w = position(offset, tab, slot, r, p)
            near, jh, jw, dh, dw = cell(h, w, ih, iw)
            v = kind(0)
            if near:
                top = int32(imul(int32(imul(n, tab[0]) + c), int32(ih * iw)) + imul(jh, iw) + jw)
                for k in range(4):
                    inside, at, share = corner(k, jh, jw, dh, dw, ih, iw)
                    if inside:
                        v = kind(v + share * load(x, int32(top + at)))
                if masked:
                    v = kind(v * load(mask, int32(imul(slot, area) + p)))
            store(out, i, v)
            i = int32(i + step)

    return jit(columns)


@lru_cache(maxsize=256)
def table(problem: DeformProblem) -> Any:
    c = problem.conv
    values = (
        c.in_channels, c.in_channels // problem.offset_groups, problem.offset_groups, *c.spatial, *c.kernel, *c.outputs, *c.stride,
        *c.dilation, *c.pad_low,
    )  # fmt: skip
    return Table(np.array(values, np.int32))


def column_type(dtype: str) -> str:
    """Half types keep their columns in float32: rounding them would add an error that the plain convolution has not."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def chunk(problem: DeformProblem) -> int:
    """Samples taken at once."""
    c = problem.conv
    one = c.in_channels * c.taps * prod(c.outputs) * costs.itemsize(column_type(problem.dtype))
    return max(1, min(c.batch, WORKSPACE // max(1, one)))


def pointwise(problem: DeformProblem, batch: int) -> ConvProblem:
    """The product of columns and weights as a convolution with kernel 1."""
    c, area = problem.conv, prod(problem.conv.outputs)
    return c.with_(
        batch=batch, in_channels=c.in_channels * c.taps, spatial=(area,), kernel=(1,), stride=(1,), pad_low=(0,), dilation=(1,),
        outputs=(area,), layout="channels_first", dtype=column_type(problem.dtype),
    )  # fmt: skip


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
        sizes = np.int32(first), np.int32(total)
        launch(kernel, *flat_grid(total), stream, flat(x), offsets, masks, flat(space), table(problem), *sizes)
        plain = pointwise(problem, count)
        part = view(out, (conv.batch * per_sample,))[first * per_sample : (first + count) * per_sample]
        implicit_gemm.compute(plain, (space, w, bias), part, machine, lower(plain))


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
