"""Transposed convolution by scatter-add, by zero insertion, and as Cᵀ.  (By stride phases: `direct`.)"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import prange

from ...activations import ACTIVATIONS
from ...kernel import Kernel, Machine
from ...plan import make_plan
from ...problem import ConvProblem, effective_kernel
from ..geometry.scalars import activated, end_inside, first_inside, scalars, three
from ..runtime.launch import device_function, kernel
from ..simd.tiles import lanes, tile_shape
from ..simd.vector import fma, get, load, load_n, put, store, store_n
from ..stages.finish import finish
from .matrix import convolution_matrix, entries

INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
FLOATS = frozenset({"float32", "float64"})
_HERE = frozenset({"input_grad"})
TILE = 16 << 10  # bytes of a private tile: half of the smallest L1 cache
CHANNELS = 4  # of the result per tile: each vector of y that is read serves four


@device_function
def _put_row(shape, tile, i, v, n):
    """The first n lanes: beyond them is another row, into which zero times an infinite weight would write NaN."""
    if n == lanes(shape):
        store(tile, i, v)
    else:
        store_n(tile, i, v, n)


@device_function
def _stamp_channel(shape, tile, i, v0, v1, v2, v3, w, first, step, n):
    s = fma(v0, get(w, first), load(tile, i, shape))
    s = fma(v1, get(w, first + step), s)
    s = fma(v2, get(w, first + 2 * step), s)
    _put_row(shape, tile, i, fma(v3, get(w, first + 3 * step), s), n)


@device_function
def _stamp_four(shape, tile, target, area, each, y, source, plane, w, first, step, taps, count):
    """Four rows of y, `plane` apart, times 4 × `each` weights, onto one row of `each` ≤ 4 channels of the tile."""
    width = lanes(shape)
    q = 0
    while q < count:
        n = min(width, count - q)
        v0, v1 = load_n(y, source + q, n, shape), load_n(y, source + plane + q, n, shape)
        v2, v3 = load_n(y, source + 2 * plane + q, n, shape), load_n(y, source + 3 * plane + q, n, shape)
        i = target + q
        if each == CHANNELS:  # written out: the weights stay in registers
            _stamp_channel(shape, tile, i, v0, v1, v2, v3, w, first, step, n)
            _stamp_channel(shape, tile, i + area, v0, v1, v2, v3, w, first + taps, step, n)
            _stamp_channel(shape, tile, i + 2 * area, v0, v1, v2, v3, w, first + 2 * taps, step, n)
            _stamp_channel(shape, tile, i + 3 * area, v0, v1, v2, v3, w, first + 3 * taps, step, n)
        else:
            for channel in range(each):
                _stamp_channel(shape, tile, i + channel * area, v0, v1, v2, v3, w, first + channel * taps, step, n)
        q += width


@device_function
def _stamp_one(shape, tile, target, area, each, y, source, w, first, taps, count):
    """One row of y times `each` weights, onto one row of `each` ≤ 4 channels of the tile."""
    width = lanes(shape)
    q = 0
    while q < count:
        n = min(width, count - q)
        v = load_n(y, source + q, n, shape)
        for channel in range(each):
            i = target + q + channel * area
            _put_row(shape, tile, i, fma(v, get(w, first + channel * taps), load(tile, i, shape)), n)
        q += width


@device_function
def _add_stamps(shape, tile, area, y, w, geo, n, out_channels, k0, k1, group_in, c0, each, t, top, height, pitch):
    """All of one tile: rows top … top + height of plane t, channels c0 … c0 + 3 of a group; k0 … k1: the group's channels of y."""
    t_in, h_in, w_in, kt, kh, kw, st, sh, sw, pt, ph, pw, dt, dh, dw, t_out, h_out, w_out = geo
    taps, plane = kt * kh * kw, t_out * h_out * w_out
    k = k0
    while k < k1:
        four = k + 4 <= k1
        for tap in range(taps):
            source_t = t + pt - (tap // (kh * kw)) * dt
            if source_t < 0 or source_t % st or source_t // st >= t_out:
                continue
            ah, aw = ((tap // kw) % kh) * dh - ph, (tap % kw) * dw - pw
            begin, count = first_inside(aw, sw), end_inside(aw, sw, w_in, w_out) - first_inside(aw, sw)
            lane = (aw % sw) * pitch + aw // sw + begin
            first = (k * group_in + c0) * taps + tap
            for p in range(first_inside(ah - top, sh), end_inside(ah - top, sh, height, h_out)):
                source = (((n * out_channels + k) * t_out + source_t // st) * h_out + p) * w_out + begin
                target = (p * sh + ah - top) * sw * pitch + lane
                if four:
                    _stamp_four(shape, tile, target, area, each, y, source, plane, w, first, group_in * taps, taps, count)
                else:
                    _stamp_one(shape, tile, target, area, each, y, source, w, first, taps, count)
        k += 4 if four else 1


@lru_cache(maxsize=8)
def scatter_driver(tile_lanes: int) -> Any:
    """The loop over tiles for vectors of so many lanes."""

    def scatter_add(y, w, bias, x, geo, batch, channels, out_channels, groups, rows, biased, code):
        """x[n, c, p·stride − pad + r·dilation] += y[n, k, p]·w[k, c, r], all flat; every element of x is set here.

        Parallel over tiles (n, four channels c, t, `rows` rows of x), each accumulated in an array of the task's own, so that no two
        tasks write one element: no atomics, and each sum has one order (fours of k, then taps), whatever the number of threads.
        Inside a tile a row is kept as `sw` stride phases, element i of phase f being column i·sw + f: a row of y then lands on
        consecutive elements.
        """
        _, h_in, w_in, _, _, _, _, _, sw = geo[:9]
        t_in = geo[0]
        group_in, group_out = channels // groups, out_channels // groups
        quads = (group_in + CHANNELS - 1) // CHANNELS
        bands = (h_in + rows - 1) // rows
        pitch = (w_in + sw - 1) // sw
        for task in prange(batch * groups * quads * t_in * bands):
            shape = tile_shape(1, 1, tile_lanes)
            band = task % bands
            t = (task // bands) % t_in
            quad = (task // (bands * t_in)) % quads
            g = (task // (bands * t_in * quads)) % groups
            n = task // (bands * t_in * quads * groups)
            top, height = band * rows, min(rows, h_in - band * rows)
            c0 = quad * CHANNELS
            each = min(CHANNELS, group_in - c0)
            area = rows * sw * pitch + tile_lanes  # the last vector of a row is read whole
            tile = np.zeros(min(CHANNELS, group_in) * area, x.dtype)
            k0 = g * group_out
            _add_stamps(shape, tile, area, y, w, geo, n, out_channels, k0, k0 + group_out, group_in, c0, each, t, top, height, pitch)
            for i in range(each):
                channel = g * group_in + c0 + i
                for h in range(height):
                    target = (((n * channels + channel) * t_in + t) * h_in + top + h) * w_in
                    for f in range(min(sw, w_in)):
                        source = i * area + (h * sw + f) * pitch
                        for q in range((w_in - f + sw - 1) // sw):
                            v = get(tile, source + q)
                            if biased:
                                v += bias[channel]
                            if code:
                                put(x, target + q * sw + f, activated(v, code))
                            else:
                                put(x, target + q * sw + f, v)

    return kernel(scatter_add)


def _tile_rows(c: ConvProblem) -> int:
    """Rows of a tile, from the problem alone."""
    (_, height, width), (_, _, stride) = three(c.spatial, 1), three(c.stride, 1)
    row = CHANNELS * np.dtype(c.out_dtype).itemsize * (width + stride - 1)
    return int(max(1, min(height, TILE // row)))


def _as_result(out: Any, *arrays: Any) -> list[Any]:
    """Flat arrays in the result's type: integers are summed in it, and wrap as NumPy's do."""
    return [np.zeros(1, out.dtype) if a is None else a.reshape(-1).astype(out.dtype, copy=False) for a in arrays]


def _run_scatter(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    if out.size:
        y, w, bias = _as_result(out, *arrays)
        geo, biased, code = scalars(c), arrays[2] is not None, ACTIVATIONS[c.activation]
        target = out.reshape(-1)
        scatter_add = scatter_driver(machine.vector_bytes // out.dtype.itemsize)
        scatter_add(y, w, bias, target, geo, c.batch, c.in_channels, c.out_channels, c.groups, _tile_rows(c), biased, code)


def _scatter_cost(c: ConvProblem, machine: Machine) -> float:
    """Four tenths of the peak; less on rows shorter than a vector; and the copy out of the tiles.  Measured on AVX-512, 2026-11."""
    lanes_ = machine.vector_bytes // np.dtype(c.out_dtype).itemsize
    short = max(1.0, 1.5 * lanes_ / max(c.outputs[-1], 1))
    one = c.multiplications / max(c.batch, 1)
    return machine.launch + (5 * short * one / machine.flops + 1e-9 * c.in_channels * prod(c.spatial)) / machine.cores


def _scatter_workspace(c: ConvProblem, machine: Machine) -> int:
    size = np.dtype(c.out_dtype).itemsize
    converted = 0 if c.dtype == c.out_dtype else size * (c.batch * c.out_channels * prod(c.outputs) + prod(c.weight_shape))
    stride = three(c.stride, 1)[2]
    return converted + machine.cores * CHANNELS * size * _tile_rows(c) * (c.spatial[-1] + stride - 1)


def _stretched(c: ConvProblem) -> tuple[list[int], list[int]]:
    """Per axis: the forward problem's pad_low (negative: that much of y is cut off), and the extent with zeros inserted."""
    low = [effective_kernel(k, d) - 1 - p for k, d, p in zip(c.kernel, c.dilation, c.pad_low, strict=True)]
    return low, [(o - 1) * s + 1 for o, s in zip(c.outputs, c.stride, strict=True)]


def _run_zero_insertion(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    """Stretch y by stride − 1 zeros, flip the filters, swap their channels: an ordinary forward convolution, by whatever serves it.

    The device is imported here and not above because its table holds this row.
    """
    from .. import device

    y, w, bias = arrays
    if not out.size:
        return
    low, extents = _stretched(c)
    cut = [max(0, -p) for p in low]
    spatial = tuple(max(1, e - k) for e, k in zip(extents, cut, strict=True))  # cut beyond y: one zero stands for nothing
    stretched = np.zeros((c.batch, c.out_channels, *spatial), y.dtype)
    first = [-(-k // s) for k, s in zip(cut, c.stride, strict=True)]  # of y that is not cut off
    inside: list[Any] = [slice(f * s - k, None, s) for f, s, k in zip(first, c.stride, cut, strict=True)]
    kept = y[(..., *(slice(f, None) for f in first))]
    if kept.size:
        stretched[(..., *inside)] = kept
    grouped = w.reshape(c.groups, c.group_out, c.group_in, *c.kernel)
    flipped = np.flip(grouped.swapaxes(1, 2), axis=tuple(range(3, 3 + c.rank)))
    problem = c.with_(
        direction="forward", in_channels=c.out_channels, out_channels=c.in_channels, spatial=spatial, stride=(1,) * c.rank,
        pad_low=tuple(max(0, p) for p in low), outputs=c.spatial,
    )  # fmt: skip
    weights = np.ascontiguousarray(flipped).reshape(problem.weight_shape)
    plan = make_plan(problem, machine, tuple(row for row in device.table() if row.error_factor <= 1))  # as exact as this row says it is
    device.execute(plan, (stretched, weights, bias), out)


def _zero_insertion_cost(c: ConvProblem, machine: Machine) -> float:
    """The stride's worth of multiplications with zeros, at half of the peak, and the copy."""
    dense = c.in_channels * c.group_out * c.taps * prod(c.spatial)
    size = np.dtype(c.out_dtype).itemsize
    return 2 * machine.launch + 4 * dense / machine.flops / machine.cores + 2 * size * c.out_channels * prod(c.spatial) / machine.bandwidth


def _zero_insertion_workspace(c: ConvProblem, machine: Machine) -> int:
    return np.dtype(c.dtype).itemsize * (c.batch * c.out_channels * prod(_stretched(c)[1]) + prod(c.weight_shape))


def _run_matrix(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    y, w, bias = arrays
    if not out.size:
        return
    y, w = (a.astype(out.dtype, copy=False) for a in (y, w))
    transposed = convolution_matrix(c, w).T
    result = (transposed @ y.reshape(c.batch, -1).T).T.reshape(out.shape)
    out[...] = result
    finish(c, out, bias)


def _refuse_matrix(c: ConvProblem) -> str | None:
    stored = entries(c)
    return f"would store a matrix of {stored:,} entries, more than {LARGEST_MATRIX:,}" if stored > LARGEST_MATRIX else None


LARGEST_MATRIX = 50_000_000


def _matrix_cost(c: ConvProblem, machine: Machine) -> float:
    return 1e-4 + 3e-8 * entries(c)


def _matrix_workspace(c: ConvProblem, machine: Machine) -> int:
    size = np.dtype(c.out_dtype).itemsize
    images = c.batch * (c.in_channels * prod(c.spatial) + c.out_channels * prod(c.outputs))
    return entries(c) * (size + 17) + images * size  # values, columns, and the mask and indices they come from


def _row(name: str, run: Any, cost: Any, workspace: Any, summary: str, **more: Any) -> Kernel:
    return Kernel(
        name=name, problem=ConvProblem, run=run, cost=cost, directions=_HERE, dtypes=FLOATS | INTEGERS,
        honours=frozenset({"groups", "activation", "precision"}), workspace=workspace, summary=summary, **more,
    )  # fmt: skip


ROWS: tuple[Kernel, ...] = (
    _row("scatter", _run_scatter, _scatter_cost, _scatter_workspace, "adds each input's stamp into private tiles of the output", automatic=False),  # gather wins on every named layer
    _row(
        "zero_insertion", _run_zero_insertion, _zero_insertion_cost, _zero_insertion_workspace,
        "zeros between the inputs, then a forward convolution with the flipped filters", automatic=False,
    ),
    _row(
        "matrix", _run_matrix, _matrix_cost, _matrix_workspace,
        "multiplies by the transposed sparse matrix of the convolution", refuse=_refuse_matrix, automatic=False,
    ),
)  # fmt: skip
