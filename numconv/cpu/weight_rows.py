"""The loops of `dot_rows`: rows of the gradient times rows of the input, the sums of up to four taps in registers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from .launch import device_function, kernel
from .scalars import end_inside, first_inside
from .simd.tiles import lanes, tile_shape
from .simd.vector import fma, get, load, load_between, load_n, pointer, put, store


@lru_cache(maxsize=4)
def taps_kernel(each: int) -> Any:
    """The sums of up to four taps of one filter row over one column of vectors."""

    @device_function
    def taps(shape, y, y0, y_step, x, x0, x_step, i0, i1, i2, i3, l0, l1, l2, l3, pitch, n, count, sums, at):
        """sums[at + tap] += Σ_p y[y0 + p·y_step + lane]·x[x0 + p·x_step + i + lane], zero where l + lane is outside a row of x.

        Two rows at a time, each with sums of its own, hide the latency of a multiply-add; no mask depends on p.
        """
        width = lanes(shape)
        a0, a1, a2, a3 = load(sums, at, shape), load(sums, at, shape), load(sums, at, shape), load(sums, at, shape)
        if each > 1:
            a1 = load(sums, at + width, shape)
        if each > 2:
            a2 = load(sums, at + 2 * width, shape)
        if each > 3:
            a3 = load(sums, at + 3 * width, shape)
        zero = load_n(sums, at, 0, shape)
        b0, b1, b2, b3 = zero, zero, zero, zero
        for p in range(0, count, 2):
            v = load_n(y, y0 + p * y_step, n, shape)
            source = x0 + p * x_step
            a0 = fma(v, load_between(x, source + i0, -l0, min(n, pitch - l0), shape), a0)
            if each > 1:
                a1 = fma(v, load_between(x, source + i1, -l1, min(n, pitch - l1), shape), a1)
            if each > 2:
                a2 = fma(v, load_between(x, source + i2, -l2, min(n, pitch - l2), shape), a2)
            if each > 3:
                a3 = fma(v, load_between(x, source + i3, -l3, min(n, pitch - l3), shape), a3)
            if p + 1 < count:
                v = load_n(y, y0 + (p + 1) * y_step, n, shape)
                source += x_step
                b0 = fma(v, load_between(x, source + i0, -l0, min(n, pitch - l0), shape), b0)
                if each > 1:
                    b1 = fma(v, load_between(x, source + i1, -l1, min(n, pitch - l1), shape), b1)
                if each > 2:
                    b2 = fma(v, load_between(x, source + i2, -l2, min(n, pitch - l2), shape), b2)
                if each > 3:
                    b3 = fma(v, load_between(x, source + i3, -l3, min(n, pitch - l3), shape), b3)
        store(sums, at, a0 + b0)
        if each > 1:
            store(sums, at + width, a1 + b1)
        if each > 2:
            store(sums, at + 2 * width, a2 + b2)
        if each > 3:
            store(sums, at + 3 * width, a3 + b3)

    return taps


_one, _two, _three, _four = (taps_kernel(n) for n in (1, 2, 3, 4))


@device_function
def _filter_row(shape, y, y0, x, x0, x_step, pitch, sw, aw, dw, kw, w_out, count, sums, at):
    """All taps of one filter row, over `count` rows of y and of x."""
    width = lanes(shape)
    first = 0
    while first < kw:
        each = min(kw - first, 4)
        if kw - first == 5 or kw - first == 6:
            each = 3
        j0 = aw + first * dw
        j1, j2, j3 = j0 + min(1, each - 1) * dw, j0 + min(2, each - 1) * dw, j0 + (each - 1) * dw
        l0, l1, l2, l3 = j0 // sw, j1 // sw, j2 // sw, j3 // sw
        i0, i1, i2, i3 = j0 % sw * pitch + l0, j1 % sw * pitch + l1, j2 % sw * pitch + l2, j3 % sw * pitch + l3
        target = at + first * width
        for q in range(0, w_out, width):
            n = min(width, w_out - q)
            yq, xq = y0 + q, x0 + q
            m0, m1, m2, m3 = l0 + q, l1 + q, l2 + q, l3 + q
            if each == 1:
                _one(shape, y, yq, w_out, x, xq, x_step, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, count, sums, target)
            elif each == 2:
                _two(shape, y, yq, w_out, x, xq, x_step, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, count, sums, target)
            elif each == 3:
                _three(shape, y, yq, w_out, x, xq, x_step, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, count, sums, target)
            else:
                _four(shape, y, yq, w_out, x, xq, x_step, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, count, sums, target)
        first += each


@lru_cache(maxsize=8)
def dot_driver(tile_lanes: int) -> Any:
    """The loop of `dot_rows` for vectors of so many lanes."""

    def dot_rows(x, y, w, batch, channels, out_channels, groups, geo):
        """x: rows as stride phases, (n, c, t, h, phase, column), `pitch` columns.  Parallel over (k, c): a task owns all their taps."""
        t_in, h_in, w_in, kt, kh, kw, st, sh, sw, pt, ph, pw, dt, dh, dw, t_out, h_out, w_out = geo
        group_in, group_out = channels // groups, out_channels // groups
        taps = kt * kh * kw
        pitch = (w_in + sw - 1) // sw
        for task in prange(out_channels * group_in):
            shape = tile_shape(1, 1, tile_lanes)
            width = lanes(shape)
            k = task // group_in
            c = k // group_out * group_in + task % group_in
            sums = np.zeros(taps * width, w.dtype)
            xs, ys, total = pointer(x), pointer(y), pointer(sums)
            for n in range(batch):
                for row in range(kt * kh):
                    at, ah = row // kh * dt - pt, row % kh * dh - ph
                    p = first_inside(ah, sh)
                    count = end_inside(ah, sh, h_in, h_out) - p
                    if count <= 0:
                        continue
                    for u in range(first_inside(at, st), end_inside(at, st, t_in, t_out)):
                        y0 = (((n * out_channels + k) * t_out + u) * h_out + p) * w_out
                        x0 = (((n * channels + c) * t_in + u * st + at) * h_in + p * sh + ah) * sw * pitch
                        _filter_row(shape, ys, y0, xs, x0, sh * sw * pitch, pitch, sw, -pw, dw, kw, w_out, count, total, row * kw * width)
            for tap in range(taps):
                one = sums[tap * width]
                for lane in range(1, width):
                    one += sums[tap * width + lane]
                w[task * taps + tap] = one

    return kernel(dot_rows)


@kernel
def rows_to_phases(x, target, count, width, step, pitch):
    """target[row, f, i] = x[row, i·step + f], zero beyond, flat.  Parallel over rows."""
    for row in prange(count):
        for f in range(step):
            base = (row * step + f) * pitch
            inside = max(0, (width - f + step - 1) // step)
            for i in range(inside):
                put(target, base + i, get(x, row * width + i * step + f))
            for i in range(inside, pitch):
                put(target, base + i, x.dtype.type(0))
