"""Gradients of the deformable convolution on the device: columns sampled anew, gradients of columns spread back.

Samples are taken in chunks, so that the workspace stays bounded.  Nothing is added up by atomics: every tap of every channel spreads into a
plane of its own, by one thread; the planes are then summed in the order of the taps.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ....problem import DeformProblem
from ... import costs
from ...adapt import layout
from ...adapt.elementwise import elementwise, zeros
from ...ptx import idiv, imul
from ...runtime.launch import allocate, flat, flat_grid, jit, kernel_factory, launch, stream_of, view
from ...scalars import loader, scalars
from .forward import WORKSPACE, column_type, make_columns, pointwise, samples, table


@kernel_factory
def make_spread(dtype: str, wide: str, masked: bool) -> Any:
    """parts[n, c, r, q] = Σ_p g[n, c, r, p]·mask·(weight of pixel q in the sample at p's position).  One thread for each plane of parts."""
    number = scalars(dtype, wide)
    kind, load, load_g = number.kind, number.load, loader(wide, number.name)
    position, cell, corner = samples(load, kind)

    def spread(g, offset, mask, parts, tab, first, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        ih, iw = tab[3], tab[4]
        area, taps = int32(tab[7] * tab[8]), int32(tab[5] * tab[6])
        while i < total:
            nc = idiv(i, taps)
            r = int32(i - imul(nc, taps))
            n = idiv(nc, tab[0])
            c = int32(nc - imul(n, tab[0]))
            slot = int32(imul(int32(imul(int32(n + first), tab[2]) + idiv(c, tab[1])), taps) + r)
            base, source = imul(i, int32(ih * iw)), imul(i, area)
            p = int32(0)
            while p < area:
                h, w = position(offset, tab, slot, r, p)
                near, jh, jw, dh, dw = cell(h, w, ih, iw)
                if near:
                    top = int32(base + imul(jh, iw) + jw)
                    v = load_g(g, int32(source + p))
                    if masked:
                        v = kind(v * load(mask, int32(imul(slot, area) + p)))
                    for k in range(4):
                        inside, at, share = corner(k, jh, jw, dh, dw, ih, iw)
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
            nc = idiv(i, plane)
            at = int32(imul(imul(nc, taps), plane) + int32(i - imul(nc, plane)))
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
    position, cell, corner = samples(load, kind)

    def shifts(x, g, offset, mask, doffset, dmask, tab, first, total):
        pixels = cuda.local.array(4, kind)
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        ih, iw = tab[3], tab[4]
        area, taps = int32(tab[7] * tab[8]), int32(tab[5] * tab[6])
        while i < total:
            row = idiv(i, area)
            p = int32(i - imul(row, area))
            ng = idiv(row, taps)
            r = int32(row - imul(ng, taps))
            n = idiv(ng, tab[2])
            c = imul(int32(ng - imul(n, tab[2])), tab[1])
            last = int32(c + tab[1])
            slot = int32(row + imul(imul(first, tab[2]), taps))
            h, w = position(offset, tab, slot, r, p)
            by_h, by_w, by_mask = kind(0), kind(0), kind(0)
            near, jh, jw, dh, dw = cell(h, w, ih, iw)
            if near:
                while c < last:
                    top = int32(imul(int32(imul(int32(n + first), tab[0]) + c), int32(ih * iw)) + imul(jh, iw) + jw)
                    for k in range(4):
                        inside, at, _ = corner(k, jh, jw, dh, dw, ih, iw)
                        pixels[k] = load(x, int32(top + at)) if inside else kind(0)
                    a, b, d, e = pixels[0], pixels[1], pixels[2], pixels[3]
                    v = load_g(g, int32(imul(int32(imul(int32(imul(n, tab[0]) + c), taps) + r), area) + p))
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
    stream, tab = stream_of(dx), table(problem)
    size = max(1, min(c.batch, WORKSPACE // (depth * max(area, plane) * costs.itemsize(wide))))
    for first in range(0, c.batch, size):
        count = min(size, c.batch - first)
        total, start = count * depth * area, np.int32(first)
        columns = allocate((count, depth, area), wide, x)
        launch(
            make_columns(dtype, wide, masked),
            *flat_grid(total),
            stream,
            flat(x),
            flat(offset),
            masks,
            flat(columns),
            tab,
            start,
            np.int32(total),
        )
        plain = pointwise(problem, count).with_(out_dtype=wide, bias=False, activation=None)
        upper = dy[first : first + count]
        part = session(plain.with_(direction="weight_grad"), (columns, upper))
        dw = part if dw is None else elementwise("add", dw, part)
        dcolumns = session(plain.with_(direction="input_grad"), (upper, rows, None))
        parts = zeros((count, depth, plane), wide, x)
        launch(
            make_spread(dtype, wide, masked), *flat_grid(count * depth), stream, flat(dcolumns), flat(offset), masks, flat(parts), tab, start,
            np.int32(count * depth),
        )  # fmt: skip
        pixels = count * c.in_channels * plane
        counts = [np.int32(v) for v in (c.taps, plane, pixels)]
        launch(make_add_taps(wide), *flat_grid(pixels), stream, flat(parts), flat(dx[first : first + count]), *counts)
        threads = count * problem.offset_groups * c.taps * area
        launch(
            make_shifts(dtype, wide, masked), *flat_grid(threads), stream, flat(x), flat(dcolumns), flat(offset), masks, flat(doffset), dmasks,
            tab, start, np.int32(threads),
        )  # fmt: skip
    found = (dx, doffset, view(dw, tuple(w.shape)), dmask)
    return tuple(None if a is None else layout.cast(d, a.dtype.name) for a, d in zip(arrays, found, strict=True))  # type: ignore[return-value]
