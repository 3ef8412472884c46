"""Deformable convolution: bilinear columns for a block of output positions, then a small matrix product while they are in the cache."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import prange

from ....activations import ACTIVATIONS
from ....kernel import Kernel, Machine
from ....problem import DeformProblem
from ...geometry.scalars import activated, scalars
from ...runtime.launch import device_function, kernel
from ...simd.vector import get, put

BLOCK = 64  # output positions per task: with 64 channels and 3×3 taps the columns take 147 kB of the L2 cache


@device_function
def sample(x, base, height, width, h, w, scale):
    """x (flat, one plane from `base`) at the real position (h, w), zero outside, times `scale`; NaN at a position that is NaN.

    Both are decided before the conversion to integers, which would be undefined far outside.
    """
    zero = x.dtype.type(0)
    if np.isnan(h) or np.isnan(w):
        return h + w
    if not (h > -1 and w > -1 and h < height and w < width):
        return zero
    top, left = int(np.floor(h)), int(np.floor(w))
    down, right = h - x.dtype.type(top), w - x.dtype.type(left)
    up, back = x.dtype.type(1) - down, x.dtype.type(1) - right
    at = base + top * width + left
    a = get(x, at) if top >= 0 and left >= 0 else zero
    b = get(x, at + 1) if top >= 0 and left < width - 1 else zero
    c = get(x, at + width) if top < height - 1 and left >= 0 else zero
    d = get(x, at + width + 1) if top < height - 1 and left < width - 1 else zero
    return scale * (up * (back * a + right * b) + down * (back * c + right * d))


@device_function
def multiply(w, columns, y, terms, rows, first, target, plane, count):
    """y[target + k·plane + j] = Σ_t w[(first + k)·terms + t]·columns[t·BLOCK + j], t ascending, j < count; four k at a time."""
    sums = np.empty(4 * BLOCK, y.dtype)
    for k in range(0, rows, 4):
        for j in range(4 * BLOCK):
            put(sums, j, y.dtype.type(0))
        each = min(4, rows - k)
        # a missing row repeats the last one, and is not stored
        w0 = (first + k) * terms
        w1, w2, w3 = w0 + min(1, each - 1) * terms, w0 + min(2, each - 1) * terms, w0 + (each - 1) * terms
        for t in range(terms):
            a, b, c, d = get(w, w0 + t), get(w, w1 + t), get(w, w2 + t), get(w, w3 + t)
            for j in range(BLOCK):
                v = get(columns, t * BLOCK + j)
                put(sums, j, get(sums, j) + a * v)
                put(sums, BLOCK + j, get(sums, BLOCK + j) + b * v)
                put(sums, 2 * BLOCK + j, get(sums, 2 * BLOCK + j) + c * v)
                put(sums, 3 * BLOCK + j, get(sums, 3 * BLOCK + j) + d * v)
        for i in range(each):
            for j in range(count):
                put(y, target + (k + i) * plane + j, get(sums, i * BLOCK + j))


@kernel
def convolve_deformed(x, offset, w, bias, mask, y, geo, batch, channels, out_channels, groups, offset_groups, masked, biased, code):
    """y[n, k, p] = Σ_{c, r} w[k, c, r]·mask[n, r, p]·x[n, c, p·stride − pad + r·dilation + offset[n, r, p]], all flat.

    Parallel over (n, block of positions), whose writes are disjoint; the columns belong to the task.
    """
    _, height, width, _, kh, kw, _, sh, sw, _, ph, pw, _, dh, dw, _, oh, ow = geo
    group_in, group_out = channels // groups, out_channels // groups
    share = channels // offset_groups
    taps, plane = kh * kw, oh * ow
    blocks = (plane + BLOCK - 1) // BLOCK
    for task in prange(batch * blocks):
        n = task // blocks
        start = (task - n * blocks) * BLOCK
        count = min(BLOCK, plane - start)
        columns = np.zeros(channels * taps * BLOCK, x.dtype)
        for group in range(offset_groups):
            for tap in range(taps):
                shift = ((n * offset_groups + group) * taps + tap) * 2 * plane + start
                weight = ((n * offset_groups + group) * taps + tap) * plane + start
                for j in range(count):
                    p = (start + j) // ow
                    q = start + j - p * ow
                    h = x.dtype.type(p * sh - ph + (tap // kw) * dh) + offset[shift + j]
                    v = x.dtype.type(q * sw - pw + (tap % kw) * dw) + offset[shift + plane + j]
                    scale = mask[weight + j] if masked else x.dtype.type(1)
                    for c in range(group * share, (group + 1) * share):
                        value = sample(x, (n * channels + c) * height * width, height, width, h, v, scale)
                        put(columns, (c * taps + tap) * BLOCK + j, value)
        for g in range(groups):
            part = columns[g * group_in * taps * BLOCK : (g + 1) * group_in * taps * BLOCK]
            target = (n * out_channels + g * group_out) * plane + start
            multiply(w, part, y, group_in * taps, group_out, g * group_out, target, plane, count)
        if biased or code:
            for k in range(out_channels):
                target = (n * out_channels + k) * plane + start
                for j in range(count):
                    v = y[target + j]
                    if biased:
                        v += bias[k]
                    if code:
                        v = x.dtype.type(activated(v, code))
                    y[target + j] = v


def _run(problem: DeformProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, offset, w, bias, mask = arrays
    c = problem.conv
    if not out.size:
        return
    nothing = np.zeros(1, out.dtype)
    flat = [nothing if a is None else a.reshape(-1) for a in (x, offset, w, bias, mask)]
    convolve_deformed(
        *flat, out.reshape(-1), scalars(c), c.batch, c.in_channels, c.out_channels, c.groups, problem.offset_groups,
        mask is not None, bias is not None, ACTIVATIONS[c.activation],
    )  # fmt: skip


def _refuse(problem: DeformProblem) -> str | None:
    c = problem.conv
    if c.rank != 2:
        return f"does not serve {c.rank} spatial dimensions"
    if c.layout != "channels_first" or c.padding_mode != "zeros" or c.shuffle != 1:
        return "serves channels first and zero padding only"
    return None


def _cost(problem: DeformProblem, machine: Machine) -> float:
    """Four gathers for each column entry, then the product at a quarter of the peak."""
    c = problem.conv
    columns = c.in_channels * c.taps * prod(c.outputs)
    return machine.launch + (5e-9 * columns + 8 * c.multiplications / max(c.batch, 1) / machine.flops) / machine.cores


def _workspace(problem: DeformProblem, machine: Machine) -> int:
    c = problem.conv
    return machine.cores * np.dtype(problem.dtype).itemsize * BLOCK * (c.in_channels * c.taps + 4)


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="columns",
        problem=DeformProblem,
        run=_run,
        cost=_cost,
        refuse=_refuse,
        workspace=_workspace,
        error_factor=4.0,
        summary="bilinear columns of 64 output positions, multiplied while in the cache",
    ),
)
