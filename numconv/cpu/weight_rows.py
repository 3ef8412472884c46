"""The loops of `dot_rows`: rows of the gradient times rows of the input, the sums of up to four taps in registers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba import prange

from .launch import device_function, kernel
from .packing import zero
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
def _filter_row(shape, y, y0, x, x0, x_step, columns, pitch, kw, w_out, count, sums, at):
    """All taps of one filter row, over `count` rows of y and of x; `columns`: for each tap its column in a phase, and its place in a row.

    Goes down a column of vectors; a single row is gone along, where it is inside the image.
    """
    width = lanes(shape)
    first = 0
    while first < kw:
        each = min(kw - first, 4)
        if kw - first == 5 or kw - first == 6:
            each = 3
        j0, j1, j2, j3 = 2 * first, 2 * (first + min(1, each - 1)), 2 * (first + min(2, each - 1)), 2 * (first + each - 1)
        l0, l1, l2, l3 = get(columns, j0), get(columns, j1), get(columns, j2), get(columns, j3)
        i0, i1, i2, i3 = get(columns, j0 + 1), get(columns, j1 + 1), get(columns, j2 + 1), get(columns, j3 + 1)
        low, high = min(l0, l1, l2, l3), max(l0, l1, l2, l3)
        target = at + first * width
        q = 0
        while q < w_out:
            n, steps, y_next, x_next = min(width, w_out - q), count, w_out, x_step
            if count == 1 and low + q >= 0:
                steps, y_next, x_next = max(1, min(w_out, pitch - high) // width - q // width), width, width
            yq, xq = y0 + q, x0 + q
            m0, m1, m2, m3 = l0 + q, l1 + q, l2 + q, l3 + q
            if each == 1:
                _one(shape, y, yq, y_next, x, xq, x_next, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, steps, sums, target)
            elif each == 2:
                _two(shape, y, yq, y_next, x, xq, x_next, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, steps, sums, target)
            elif each == 3:
                _three(shape, y, yq, y_next, x, xq, x_next, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, steps, sums, target)
            else:
                _four(shape, y, yq, y_next, x, xq, x_next, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, steps, sums, target)
            q += steps * width if count == 1 else width
        first += each


@device_function
def _filter(shape, task, x, y, sums, s0, planes, rows, columns, g):
    """All taps of one filter, `lanes` partial sums of each."""
    batch, groups, group_in, group_out, kt, kh, kw, row_step = get(g, 0), get(g, 1), get(g, 2), get(g, 3), get(g, 4), get(g, 5), get(g, 6), get(g, 7)
    volume, plane, row, pitch, t_out, h_out, w_out, t_step = get(g, 8), get(g, 9), get(g, 10), get(g, 11), get(g, 12), get(g, 13), get(g, 14), get(g, 15)
    k = task // group_in
    c = k // group_out * group_in + task % group_in
    for n in range(batch):
        y0, x0 = (n * groups * group_out + k) * t_out * h_out * w_out, (n * groups * group_in + c) * volume
        for a in range(kt):
            for u in range(get(planes, 3 * a), get(planes, 3 * a + 1)):
                for b in range(kh):
                    p = get(rows, 3 * b)
                    count = get(rows, 3 * b + 1) - p
                    if count > 0:
                        source = x0 + (u * t_step + get(planes, 3 * a + 2)) * plane + p * row_step + get(rows, 3 * b + 2) * row
                        _filter_row(
                            shape, y, y0 + (u * h_out + p) * w_out, x, source, row_step, columns, pitch, kw, w_out, count, sums,
                            s0 + (a * kh + b) * kw * lanes(shape),
                        )  # fmt: skip


@lru_cache(maxsize=8)
def dot_driver(tile_lanes: int) -> Any:
    """The loop of `dot_rows` for vectors of so many lanes."""

    def dot_rows(x, y, w, scratch, workers, tasks, taps, planes, rows, columns, geometry):
        """x: rows as stride phases, (n, c, t, h, phase, column), `pitch` columns.  A task is a filter of one channel, with all its taps."""
        for worker in prange(workers):
            shape = tile_shape(1, 1, tile_lanes)
            width = lanes(shape)
            s0 = worker * taps * width
            sums = pointer(scratch)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                zero(shape, sums, s0, taps * width)
                _filter(
                    shape, task, pointer(x), pointer(y), sums, s0, pointer(planes), pointer(rows), pointer(columns), pointer(geometry)
                )  # fmt: skip
                for tap in range(taps):
                    one = get(sums, s0 + tap * width)
                    for lane in range(1, width):
                        one += get(sums, s0 + tap * width + lane)
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
