"""Gradients of the deformable convolution on the device: columns sampled anew, gradients of columns spread back.

Samples are taken in chunks, so that the workspace stays bounded.  Nothing is added up by atomics: every tap of every channel spreads into a
plane of its own, by one thread; the planes are then summed in the order of the taps.
"""

from __future__ import annotations

from math import prod
from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ....problem import DeformProblem
from ... import costs
from ...adapt import layout
from ...adapt.elementwise import elementwise, zeros
from ...geometry.decode import split
from ...ptx import idiv, imul
from ...runtime.arrays import allocate, flat, stream_of, view
from ...runtime.launch import flat_grid, jit, kernel_factory, launch
from ...scalars import loader, scalars
from .forward import make_columns
from .plan import MOST_COLUMNS, column_type, plan, plan_at, pointwise
from .samples import readers


@kernel_factory
def make_spread(dtype: str, wide: str, masked: bool) -> Any:
    """parts[n, c, r, q] = Σ_p g[n, c, r, p]·mask·(weight of pixel q in the sample at p's position).  One thread for each plane of parts."""
    number = scalars(dtype, wide)
    kind, load, load_g = number.kind, number.load, loader(wide, number.name)
    place, cell, corner = readers(load, kind)

    def spread(g, offset, mask, parts, tab, first, total):
        plan = plan_at(tab, 0)
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        height, width = plan.source.h, plan.source.w
        area, taps = int32(plan.outputs.h * plan.outputs.w), int32(plan.taps.h * plan.taps.w)
        while i < total:
            rest, r = split(i, taps)
            n, c = split(rest, plan.channels)
            slot = int32(imul(int32(imul(int32(n + first), plan.offset_groups) + idiv(c, plan.shared)), taps) + r)
            base, source = imul(i, int32(height * width)), imul(i, area)
            p = int32(0)
            while p < area:
                h, w = place(offset, plan, slot, r, p)
                near, jh, jw, dh, dw = cell(h, w, height, width)
                if near:
                    top = int32(base + imul(jh, width) + jw)
                    v = load_g(g, int32(source + p))
                    if masked:
                        v = kind(v * load(mask, int32(imul(slot, area) + p)))
                    for k in range(4):
                        inside, at, share = corner(k, jh, jw, dh, dw, height, width)
                        if inside:
                            at = int32(top + at)
                            parts[uint32(at)] = kind(parts[uint32(at)] + v * share)
                p = int32(p + int32(1))
            i = int32(i + step)

    return jit(spread)


@kernel_factory
def make_add_taps(wide: str) -> Any:
    """dx[n, c, q] = Σ_r parts[n, c, r, q], r ascending.  One thread for each pixel."""
    kind = scalars(wide, wide).kind

    def add_taps(parts, dx, taps, plane, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            nc, q = split(i, plane)
            at = int32(imul(imul(nc, taps), plane) + q)
            acc = kind(0)
            for _ in range(taps):
                acc = kind(acc + parts[uint32(at)])
                at = int32(at + plane)
            dx[uint32(i)] = acc
            i = int32(i + step)

    return jit(add_taps)


@kernel_factory
def make_shifts(dtype: str, wide: str, masked: bool) -> Any:
    """Derivatives by (Δy, Δx) and by the mask, summed over an offset group's channels, ascending.  One thread for each (n, group, r, p).

    Of the piecewise bilinear image: at a whole position the slope is that towards the larger index, outside it is zero.
    """
    number = scalars(dtype, wide)
    kind, load, load_g = number.kind, number.load, loader(wide, number.name)
    one = kind(1)
    place, cell, corner = readers(load, kind)

    def shifts(x, g, offset, mask, doffset, dmask, tab, first, total):
        pixels = cuda.local.array(4, kind)
        plan = plan_at(tab, 0)
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        height, width = plan.source.h, plan.source.w
        area, taps = int32(plan.outputs.h * plan.outputs.w), int32(plan.taps.h * plan.taps.w)
        while i < total:
            row, p = split(i, area)
            rest, r = split(row, taps)
            n, group = split(rest, plan.offset_groups)
            c = imul(group, plan.shared)
            last = int32(c + plan.shared)
            slot = int32(row + imul(imul(first, plan.offset_groups), taps))
            h, w = place(offset, plan, slot, r, p)
            by_h, by_w, by_mask = kind(0), kind(0), kind(0)
            near, jh, jw, dh, dw = cell(h, w, height, width)
            if near:
                while c < last:
                    top = int32(imul(int32(imul(int32(n + first), plan.channels) + c), int32(height * width)) + imul(jh, width) + jw)
                    for k in range(4):
                        inside, at, _ = corner(k, jh, jw, dh, dw, height, width)
                        pixels[k] = load(x, int32(top + at)) if inside else kind(0)
                    a, b, d, e = pixels[0], pixels[1], pixels[2], pixels[3]
                    v = load_g(g, int32(imul(int32(imul(int32(imul(n, plan.channels) + c), taps) + r), area) + p))
                    above, below = kind(kind(one - dw) * a + dw * b), kind(kind(one - dw) * d + dw * e)
                    by_h = kind(by_h + v * kind(below - above))
                    by_w = kind(by_w + v * kind(kind(one - dh) * kind(b - a) + dh * kind(e - d)))
                    by_mask = kind(by_mask + v * kind(kind(one - dh) * above + dh * below))
                    c = int32(c + int32(1))
            to = int32(imul(slot, area) + p)
            if masked:
                dmask[uint32(to)] = by_mask
                factor = load(mask, to)
                by_h, by_w = kind(by_h * factor), kind(by_w * factor)
            to = int32(to + imul(slot, area))
            doffset[uint32(to)] = by_h
            doffset[uint32(int32(to + area))] = by_w
            i = int32(i + step)

    return jit(shifts)


def gradients(session: Any, problem: DeformProblem, arrays: tuple[Any, ...], g: Any) -> tuple[Any, Any, Any, Any]:
    """Of x, offset, w and mask (None without one), each in its own type; half types by way of float32."""
    x, offset, w, mask = (None if a is None else layout.contiguous(a) for a in arrays)
    c, dtype, wide, masked = problem.conv, problem.dtype, column_type(problem.dtype), mask is not None
    area, plane, depth = prod(c.outputs), prod(c.spatial), c.in_channels * c.taps
    dx, doffset = (allocate(tuple(a.shape), wide, a) for a in (x, offset))
    dmask, dw = allocate(tuple(mask.shape), wide, x) if masked else None, None
    masks, dmasks = flat(mask if masked else offset), flat(dmask if masked else doffset)
    dy = view(layout.cast(layout.contiguous(g), wide), (c.batch, c.out_channels, area))
    rows = view(layout.cast(w, wide), (c.out_channels, c.group_in * c.taps, 1))
    stream, tab = stream_of(dx), plan(problem)
    columns_of, spread, shifts = (make(dtype, wide, masked) for make in (make_columns, make_spread, make_shifts))
    size = max(1, min(c.batch, MOST_COLUMNS // (depth * max(area, plane) * costs.itemsize(wide))))
    for first in range(0, c.batch, size):
        count = min(size, c.batch - first)
        total = count * depth * area
        columns = allocate((count, depth, area), wide, x)
        launch(columns_of, *flat_grid(total), stream, flat(x), flat(offset), masks, flat(columns), tab, first, total)
        product = pointwise(problem, count).with_(out_dtype=wide, bias=False, activation=None)
        upper = dy[first : first + count]
        part = session(product.with_(direction="weight_grad"), (columns, upper))
        dw = part if dw is None else elementwise("add", dw, part)
        dcolumns = session(product.with_(direction="input_grad"), (upper, rows, None))
        parts, total = zeros((count, depth, plane), wide, x), count * depth
        launch(spread, *flat_grid(total), stream, flat(dcolumns), flat(offset), masks, flat(parts), tab, first, total)
        total = count * c.in_channels * plane
        launch(make_add_taps(wide), *flat_grid(total), stream, flat(parts), flat(dx[first : first + count]), c.taps, plane, total)
        total = count * problem.offset_groups * c.taps * area
        read, written = (flat(x), flat(dcolumns), flat(offset), masks), (flat(doffset), dmasks)
        launch(shifts, *flat_grid(total), stream, *read, *written, tab, first, total)

    def own(array: Any, gradient: Any) -> Any:
        return None if array is None else layout.cast(gradient, array.dtype.name)

    return own(x, dx), own(offset, doffset), own(w, view(dw, tuple(w.shape))), own(mask, dmask)
