"""Depthwise convolution without a copy: each plane of the input is read where it lies, under masks at its border.

    for each strip of each output plane, of each sample (a task)
        for each column of vectors: strip_tile, straight into y               simd.strip
        activation, in place

Where a strip reads, and under which masks, is the same for all planes: strips.py makes the tables once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from ..adapt.mirror import mirrored
from ..runtime.launch import device_function, kernel, threads
from ..simd.strip import strip_shape, strip_tile
from ..simd.vector import get, moved, pointer, zero_of
from ..stages.epilogue import store_row
from .cut import ANY, HEAD, axes_of, cut_for, tables

MOST = 4096  # taps; the tables grow with them, and a Fourier transform is faster long before
SMALL = 2e5  # multiply-adds that are not worth a second thread


@device_function
def _activate(line, y, y0, runs, run, pitch, activation):
    for m in range(runs):
        store_row(line, moved(y, y0 + m * pitch), moved(y, y0 + m * pitch), run, 1, zero_of(y), activation)


@device_function
def _strips(wide, narrow, x, w, bias, y, t, masks, unit, end):
    """Those numbered `unit` to `end`, of all planes in their order."""
    strips, columns, volume_in, volume_out, filter_size, channels, group_out = (
        get(t, 0), get(t, 1), get(t, 2), get(t, 3), get(t, 4), get(t, 5), get(t, 6)
    )  # fmt: skip
    activation, biased, pitch, tap_pitch, shared, single, y_pitch, drop = (
        get(t, 7), get(t, 8), get(t, 9), get(t, 10), get(t, 11), get(t, 12), get(t, 13), get(t, 14)
    )  # fmt: skip
    first = HEAD + 2 * (shared + single)
    sides = first + 5 * strips
    begins = sides + 3 * columns
    plane = unit // strips
    strip, channel, source, filter_ = unit - plane * strips, plane % channels, plane // group_out, plane % group_out
    while unit < end:
        b = get(bias, channel) if biased else zero_of(w)
        for s in range(strip, min(strips, strip + end - unit)):
            at = first + 5 * s
            x0, y0 = source * volume_in + get(t, at), plane * volume_out + get(t, at + 1)
            rows, run, last = get(t, at + 2), get(t, at + 3), get(t, at + 4)
            room = run if columns == 1 else ANY
            for j in range(columns):
                at = sides + 3 * j
                x1, y1, mask0 = x0 + get(t, at), y0 + get(t, at + 1), get(t, begins + s * columns + j)
                if get(t, at + 2):
                    strip_tile(
                        narrow, x, x1, w, channel * filter_size, y, y1, b, t, HEAD, shared, single, pitch, tap_pitch, masks, mask0,
                        y_pitch, last, rows, room, drop,
                    )  # fmt: skip
                else:
                    strip_tile(
                        wide, x, x1, w, channel * filter_size, y, y1, b, t, HEAD, shared, single, pitch, tap_pitch, masks, mask0,
                        y_pitch, last, rows, room, drop,
                    )  # fmt: skip
            if activation > 0:
                _activate(wide, y, y0, 1 if drop else rows, run, y_pitch, activation)
        unit += strips - strip
        strip, plane, channel, filter_ = 0, plane + 1, channel + 1, filter_ + 1
        if channel == channels:
            channel = 0
        if filter_ == group_out:
            filter_, source = 0, source + 1


@lru_cache(maxsize=64)
def driver(rows: int, taps: int, apart: int, step: int, apiece: int, lanes: int, half: int) -> Any:
    """The parallel loop over the strips of all planes, for one shape of strips."""

    def depthwise(x, w, bias, y, table, masks, workers, units):
        for worker in prange(workers):
            wide, narrow = strip_shape(rows, taps, apart, step, lanes, apiece), strip_shape(rows, taps, apart, step, half, apiece)
            _strips(
                wide, narrow, pointer(x), pointer(w), pointer(bias), pointer(y), pointer(table), pointer(masks),
                worker * units // workers, (worker + 1) * units // workers,
            )  # fmt: skip

    return kernel(depthwise)


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, w, bias = arrays
    t = tables(problem, machine)
    workers = min(threads(), t.units) if t.work > SMALL else 1
    loop = driver(*t.shape)
    y = out.ravel()
    (loop if workers > 1 else loop.serial)(x.ravel(), w.ravel(), y if bias is None else bias, y, t.table, t.masks, workers, t.units)


def _refuse(problem: ConvProblem) -> str | None:
    if problem.group_in != 1:
        return "serves one input channel per group"
    if problem.padding_mode != "zeros":
        return "reads nothing but zeros beside the image"
    if problem.taps > MOST:
        return f"serves at most {MOST} taps"
    return None if axes_of(problem)[2].stride <= 2 else "serves strides of 1 and 2 on the last axis of more than one pixel"


def cost(problem: ConvProblem, machine: Machine) -> float:
    """Of one sample on one core."""
    _, cycles = cut_for(problem.with_(batch=1), machine)
    return cycles * problem.out_channels * machine.cycle


ROWS = (
    mirrored(Kernel(
        name="depthwise", problem=ConvProblem, run=run, cost=cost, refuse=_refuse,
        dtypes=frozenset({"float32", "float64", "int32", "int64"}), honours=frozenset({"groups", "activation", "precision"}),
        summary="strips of a plane in registers, read where the input lies, masks at the border",
    )),
)  # fmt: skip
