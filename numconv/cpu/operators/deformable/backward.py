"""Gradients of the deformable convolution: columns are sampled anew, gradients of columns are spread back.

Samples are taken one after another, so that the columns take no more room than those of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ....plan import make_plan
from ....problem import ConvProblem, DeformProblem
from ...geometry.scalars import scalars
from ...runtime.launch import device_function, kernel
from .forward import sample

Array = np.ndarray[Any, Any]


@device_function
def position(offset, at, plane, tap, p, oh, ow, geo):
    """The real position (h, w) that a tap reads for output p."""
    _, _, _, _, _, kw, _, sh, sw, _, ph, pw, _, dh, dw, _, _, _ = geo
    i = p // ow
    j = p - i * ow
    kind = offset.dtype.type
    return kind(i * sh - ph + (tap // kw) * dh) + offset[at + p], kind(j * sw - pw + (tap % kw) * dw) + offset[at + plane + p]


@kernel
def columns_of(x, offset, mask, columns, geo, channels, offset_groups, masked):
    """columns[c, tap, p] = mask·x[c] at the tap's position, one sample, flat.  Parallel over (c, tap)."""
    _, height, width, _, kh, kw, _, _, _, _, _, _, _, _, _, _, oh, ow = geo
    taps, plane, share = kh * kw, oh * ow, channels // offset_groups
    for task in prange(channels * taps):
        c = task // taps
        tap = task - c * taps
        row = c // share * taps + tap
        for p in range(plane):
            h, w = position(offset, row * 2 * plane, plane, tap, p, oh, ow, geo)
            scale = mask[row * plane + p] if masked else x.dtype.type(1)
            columns[task * plane + p] = sample(x, c * height * width, height, width, h, w, scale)


@kernel
def spread_columns(g, offset, mask, dx, geo, channels, offset_groups, masked):
    """dx[c] += g[c, tap, p]·mask·(weights of the four corners), one sample, flat.  Parallel over c, whose planes are disjoint."""
    _, height, width, _, kh, kw, _, _, _, _, _, _, _, _, _, _, oh, ow = geo
    taps, plane, share = kh * kw, oh * ow, channels // offset_groups
    one = dx.dtype.type(1)
    for c in prange(channels):
        base = c * height * width
        for i in range(height * width):
            dx[base + i] = 0
        for tap in range(taps):
            row = c // share * taps + tap
            for p in range(plane):
                h, w = position(offset, row * 2 * plane, plane, tap, p, oh, ow, geo)
                if not (h > -1 and w > -1 and h < height and w < width):
                    continue
                top, left = int(np.floor(h)), int(np.floor(w))
                down, right = h - dx.dtype.type(top), w - dx.dtype.type(left)
                value = g[(c * taps + tap) * plane + p]
                if masked:
                    value *= mask[row * plane + p]
                at = base + top * width + left
                if top >= 0 and left >= 0:
                    dx[at] += value * ((one - down) * (one - right))
                if top >= 0 and left < width - 1:
                    dx[at + 1] += value * ((one - down) * right)
                if top < height - 1 and left >= 0:
                    dx[at + width] += value * (down * (one - right))
                if top < height - 1 and left < width - 1:
                    dx[at + width + 1] += value * (down * right)


@kernel
def shift_gradients(x, g, offset, mask, doffset, dmask, geo, channels, offset_groups, masked):
    """Derivatives by (Δy, Δx) and by the mask, summed over a group's channels, ascending.  Parallel over (group, tap).

    Of the piecewise bilinear image: at a whole position the slope is that towards the larger index, outside it is zero.
    """
    _, height, width, _, kh, kw, _, _, _, _, _, _, _, _, _, _, oh, ow = geo
    taps, plane, share = kh * kw, oh * ow, channels // offset_groups
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for row in prange(offset_groups * taps):
        group = row // taps
        tap = row - group * taps
        for p in range(plane):
            h, w = position(offset, row * 2 * plane, plane, tap, p, oh, ow, geo)
            by_h, by_w, by_mask = zero, zero, zero
            if h > -1 and w > -1 and h < height and w < width:
                top, left = int(np.floor(h)), int(np.floor(w))
                down, right = h - x.dtype.type(top), w - x.dtype.type(left)
                for c in range(group * share, (group + 1) * share):
                    at = (c * height + top) * width + left
                    a = x[at] if top >= 0 and left >= 0 else zero
                    b = x[at + 1] if top >= 0 and left < width - 1 else zero
                    d = x[at + width] if top < height - 1 and left >= 0 else zero
                    e = x[at + width + 1] if top < height - 1 and left < width - 1 else zero
                    value = g[(c * taps + tap) * plane + p]
                    above, below = (one - right) * a + right * b, (one - right) * d + right * e
                    by_h += value * (below - above)
                    by_w += value * ((one - down) * (b - a) + down * (e - d))
                    by_mask += value * ((one - down) * above + down * below)
            scale = mask[row * plane + p] if masked else one
            doffset[row * 2 * plane + p] = scale * by_h
            doffset[(row * 2 + 1) * plane + p] = scale * by_w
            if masked:
                dmask[row * plane + p] = by_mask


def _pointwise(c: ConvProblem, direction: str, plane: int, dtype: np.dtype[Any], arrays: tuple[Any, ...], out: Array) -> None:
    """A product of matrices per group as a 1×1 convolution: BLAS gives other bits with other threads and alignments."""
    from ... import device

    problem = ConvProblem(
        direction, 1, c.groups * c.group_in * c.taps, c.out_channels, c.groups, (plane,), (1,), (1,), (0,), (1,), (plane,), dtype.name, dtype.name
    )  # fmt: skip
    device.execute(make_plan(problem, device.machine(), device.table()), arrays, out)


def gradients(problem: DeformProblem, x: Array, offset: Array, w: Array, mask: Array | None, g: Array) -> tuple[Any, Any, Any, Any]:
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
    fixed = (scalars(c), c.in_channels, count, mask is not None)
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
    found = (dx, doffset, dw.reshape(w.shape), dmask)
    return tuple(None if a is None else d.astype(a.dtype, copy=False) for a, d in zip(given, found, strict=True))  # type: ignore[return-value, union-attr]
