"""Gradients of the deformable convolution: columns are sampled anew, gradients of columns are spread back.

Samples are taken one after another, so that the columns take no more room than those of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ....plan import make_plan
from ....problem import ConvProblem, DeformProblem
from ...geometry.walk import walk_at, walk_of
from ...runtime.launch import device_function, kernel
from ...runtime.record import table
from ...simd.vector import get, moved, pointer, put
from .forward import corners, inside, position, sample

Array = np.ndarray[Any, Any]


@kernel
def columns_of(x, offset, mask, columns, walks, offset_groups, masked):
    """columns[c, tap, p] = mask·x[c] at the tap's position, one sample, flat.  Parallel over (c, tap)."""
    first = walk_at(pointer(walks), 0)
    channels, taps = first.groups * first.group_in, first.h.taps * first.w.taps
    for task in prange(channels * taps):
        walk, share = walk_at(pointer(walks), 0), channels // offset_groups
        height, width, plane = walk.h.extent, walk.w.extent, walk.h.outputs * walk.w.outputs
        c = task // taps
        tap = task - c * taps
        row = c // share * taps + tap
        image, shift = moved(pointer(x), c * height * width), moved(pointer(offset), row * 2 * plane)
        for p in range(plane):
            h, w = position(walk, shift, tap, p)
            scale = get(mask, row * plane + p) if masked else x.dtype.type(1)
            put(columns, task * plane + p, sample(image, height, width, h, w, scale))


@device_function
def _spread(dx, height, width, h, w, value):
    """Adds `value`, by the weights of the four pixels around the real position (h, w), to those inside the plane."""
    kind = type(value)
    top, left = int(np.floor(h)), int(np.floor(w))
    down, right, one, at = h - kind(top), w - kind(left), kind(1), top * width + left
    if top >= 0 and left >= 0:
        put(dx, at, get(dx, at) + value * ((one - down) * (one - right)))
    if top >= 0 and left < width - 1:
        put(dx, at + 1, get(dx, at + 1) + value * ((one - down) * right))
    if top < height - 1 and left >= 0:
        put(dx, at + width, get(dx, at + width) + value * (down * (one - right)))
    if top < height - 1 and left < width - 1:
        put(dx, at + width + 1, get(dx, at + width + 1) + value * (down * right))


@kernel
def spread_columns(g, offset, mask, dx, walks, offset_groups, masked):
    """dx[c] += g[c, tap, p]·mask·(weights of the four corners), one sample, flat.  Parallel over c, whose planes are disjoint."""
    first = walk_at(pointer(walks), 0)
    channels = first.groups * first.group_in
    for c in prange(channels):
        walk, share = walk_at(pointer(walks), 0), channels // offset_groups
        height, width, plane = walk.h.extent, walk.w.extent, walk.h.outputs * walk.w.outputs
        taps, image = walk.h.taps * walk.w.taps, moved(pointer(dx), c * height * width)
        for i in range(height * width):
            put(image, i, dx.dtype.type(0))
        for tap in range(taps):
            row = c // share * taps + tap
            shift = moved(pointer(offset), row * 2 * plane)
            for p in range(plane):
                h, w = position(walk, shift, tap, p)
                value = get(g, (c * taps + tap) * plane + p)
                if masked:
                    value *= get(mask, row * plane + p)
                if inside(h, w, height, width):
                    _spread(image, height, width, h, w, value)


@device_function
def _slopes(x, height, width, h, w):
    """The bilinear image at a real position: its slopes along h and w (at a whole position towards the larger index), and its value."""
    kind = type(h)
    top, left = int(np.floor(h)), int(np.floor(w))
    down, right, one = h - kind(top), w - kind(left), kind(1)
    a, b, d, e = corners(x, height, width, top, left)
    above, below = (one - right) * a + right * b, (one - right) * d + right * e
    return below - above, (one - down) * (b - a) + down * (e - d), (one - down) * above + down * below


@kernel
def shift_gradients(x, g, offset, mask, doffset, dmask, walks, offset_groups, masked):
    """Derivatives by (Δy, Δx) and by the mask, summed over a group's channels, ascending; zero outside.  Parallel over (group, tap)."""
    first = walk_at(pointer(walks), 0)
    for row in prange(offset_groups * first.h.taps * first.w.taps):
        walk, one = walk_at(pointer(walks), 0), x.dtype.type(1)
        height, width, plane = walk.h.extent, walk.w.extent, walk.h.outputs * walk.w.outputs
        taps, share = walk.h.taps * walk.w.taps, walk.groups * walk.group_in // offset_groups
        group = row // taps
        tap = row - group * taps
        shift = moved(pointer(offset), row * 2 * plane)
        for p in range(plane):
            h, w = position(walk, shift, tap, p)
            by_h, by_w, by_mask = x.dtype.type(0), x.dtype.type(0), x.dtype.type(0)
            for c in range(group * share, (group + 1) * share if inside(h, w, height, width) else 0):
                value = get(g, (c * taps + tap) * plane + p)
                slope_h, slope_w, level = _slopes(moved(pointer(x), c * height * width), height, width, h, w)
                by_h += value * slope_h
                by_w += value * slope_w
                by_mask += value * level
            scale = get(mask, row * plane + p) if masked else one
            put(doffset, row * 2 * plane + p, scale * by_h)
            put(doffset, (row * 2 + 1) * plane + p, scale * by_w)
            if masked:
                put(dmask, row * plane + p, by_mask)


def _pointwise(c: ConvProblem, direction: str, plane: int, dtype: np.dtype[Any], arrays: tuple[Any, ...], out: Array) -> None:
    """A product of matrices per group as a 1×1 convolution: BLAS gives other bits with other threads and alignments."""
    from ... import device

    problem = ConvProblem(
        direction=direction,
        batch=1,
        in_channels=c.groups * c.group_in * c.taps,
        out_channels=c.out_channels,
        groups=c.groups,
        spatial=(plane,),
        kernel=(1,),
        stride=(1,),
        pad_low=(0,),
        dilation=(1,),
        outputs=(plane,),
        dtype=dtype.name,
        out_dtype=dtype.name,
    )
    device.execute(make_plan(problem, device.machine(), device.table()), arrays, out)


def gradients(problem: DeformProblem, x: Array, offset: Array, w: Array, mask: Array | None, g: Array) -> tuple[Any, ...]:
    """Of x, offset, w and mask (None without one), each in its own type; half types by way of float32."""
    c, count = problem.conv, problem.offset_groups
    wide = np.dtype(np.float32) if problem.dtype in ("float16", "bfloat16") else np.dtype(problem.dtype)
    given = (x, offset, w, mask)
    x, offset, w, g = (np.require(a, wide, ["C", "A"]) for a in (x, offset, w, g))
    mask = None if mask is None else np.require(mask, wide, ["C", "A"])
    plane = c.outputs[0] * c.outputs[1]
    terms = c.group_in * c.taps
    columns, dcolumns = np.empty((c.groups, terms, plane), wide), np.empty((c.groups, terms, plane), wide)
    rows, dw = w.reshape(c.groups, c.group_out, terms), np.zeros((c.groups, c.group_out, terms), wide)
    dx, doffset = np.empty(x.shape, wide), np.empty(offset.shape, wide)
    nothing, part = np.zeros(1, wide), np.empty((c.out_channels, terms, 1), wide)
    dmask = None if mask is None else np.empty(mask.shape, wide)
    fixed = (table(walk_of(c)), count, mask is not None)
    for n in range(c.batch):
        shift, factor = offset[n].reshape(-1), nothing if mask is None else mask[n].reshape(-1)
        image, dfactor = x[n].reshape(-1), nothing if dmask is None else dmask[n].reshape(-1)
        upper = g[n].reshape(c.groups, c.group_out, plane)
        columns_of(image, shift, factor, columns.reshape(-1), *fixed)
        dy = upper.reshape(1, -1, plane)
        _pointwise(c, "weight_grad", plane, wide, (columns.reshape(1, -1, plane), dy), part)
        dw += part.reshape(dw.shape)
        _pointwise(c, "input_grad", plane, wide, (dy, rows.reshape(-1, terms, 1), None), dcolumns.reshape(1, -1, plane))
        flat = dcolumns.reshape(-1)
        spread_columns(flat, shift, factor, dx[n].reshape(-1), *fixed)
        shift_gradients(image, flat, shift, factor, doffset[n].reshape(-1), dfactor, *fixed)
    found: tuple[Any, ...] = (dx, doffset, dw.reshape(w.shape), dmask)
    return tuple(None if a is None else d.astype(a.dtype, copy=False) for a, d in zip(given, found, strict=True))
