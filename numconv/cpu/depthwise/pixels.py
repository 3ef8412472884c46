"""Depthwise convolution of channels last: channels in the lanes, each with its own weights, read where the input lies.

    for each strip of pixels side by side, of each sample (a task)
        for each register of channels: strip_tile, straight into y               simd.strip
        activation, in place

Strips, reads and masks are those of `depthwise`, with the channels as one axis more, on which nothing is summed.
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
from ..runtime.record import table
from ..simd.strip import strip_shape, strip_tile
from ..simd.tiles import lanes
from ..simd.vector import get, load_n, moved, pointer, zero_of
from ..stages.epilogue import store_row
from ..stages.filters import Filters, packer
from .cut import HEAD, cut_for, tables, tap_pitch
from .planes import MOST, SMALL


@device_function
def _strips(shape, line, x, w, bias, y, t, masks, unit, end, shift):
    """Those numbered `unit` to `end`, of all samples in their order.  Registers of channels begin at 0, at `shift`, and so on; the last overlaps the one before."""
    strips, columns, volume_in, volume_out, channels = get(t, 0), get(t, 1), get(t, 2), get(t, 3), get(t, 5)
    activation, biased, pitch, tap_pitch, shared, single, y_pitch = (
        get(t, 7), get(t, 8), get(t, 9), get(t, 10), get(t, 11), get(t, 12), get(t, 13)
    )  # fmt: skip
    n, first = lanes(line), HEAD + 2 * (shared + single)
    begins = first + 5 * strips + 3 * columns
    for number in range(unit, end):
        sample = number // strips
        s = number - sample * strips
        at = first + 5 * s
        x0, y0, count = sample * volume_in + get(t, at), sample * volume_out + get(t, at + 1), get(t, at + 2)
        for k in range(shift - n if shift > 0 else 0, channels, n):
            c, m = max(0, min(k, channels - n)), min(n, channels)
            mask0, last = get(t, begins + s * columns), (1 << n) - 1
            if m < n:
                mask0, last = get(t, begins + (s + 1) * columns - 1), 0
            strip_tile(
                shape, x, x0 + c, w, c, y, y0 + c, load_n(bias, c, m * biased, line), t, HEAD, shared, single, pitch, tap_pitch, masks,
                mask0, y_pitch, last, count, m, 0,
            )  # fmt: skip
        if activation > 0:
            for i in range(count):
                store_row(line, moved(y, y0 + i * y_pitch), moved(y, y0 + i * y_pitch), channels, 1, zero_of(y), activation)


@lru_cache(maxsize=64)
def driver(rows: int, taps: int, apart: int, step: int, apiece: int, tile_lanes: int) -> Any:
    """The parallel loop over the strips of all samples, for one shape of strips."""

    def depthwise_last(x, w, bias, y, table, masks, workers, units, shift):
        for worker in prange(workers):
            shape = strip_shape(rows, taps, apart, step, tile_lanes, apiece)
            _strips(
                shape, shape, pointer(x), pointer(w), pointer(bias), pointer(y), pointer(table), pointer(masks),
                worker * units // workers, (worker + 1) * units // workers, shift,
            )  # fmt: skip

    return kernel(depthwise_last)


def pack(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    """(Tap, channel)."""
    n = machine.vector_bytes // w.itemsize
    channels, taps = problem.in_channels, problem.taps
    blocks, pitch = -(-channels // n), tap_pitch(channels, n)
    packed = np.empty(taps * pitch, w.dtype)
    filters = Filters(
        produced=channels, stretches=1, length=taps, stretch_pitch=0, filter_pitch=taps, group_pitch=0, blocks=blocks, block_size=n
    )
    packer(1, n).serial(w.reshape(-1), packed, table(filters), np.arange(taps) * (pitch // n), 1, blocks)
    return packed


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, w, bias = arrays
    t = tables(problem, machine)
    workers = min(threads(), t.units) if t.work > SMALL else 1
    loop = driver(*t.shape[:6])
    y, size = out.reshape(-1), x.itemsize
    # pixels that share few sets of the first cache: a register across two lines would fetch both, and both again for the next one
    shift = -x.ctypes.data % machine.vector_bytes // size if problem.in_channels * size % 1024 == 0 else 0
    (loop if workers > 1 else loop.serial)(x.reshape(-1), w, y[:1] if bias is None else bias, y, t.table, t.masks, workers, t.units, shift)


def _refuse(problem: ConvProblem) -> str | None:
    if problem.layout != "channels_last":
        return "serves channels last"
    if problem.group_in != 1 or problem.group_out != 1:
        return "serves one input and one output channel per group"
    if problem.padding_mode != "zeros":
        return "reads nothing but zeros beside the image"
    return None if problem.taps <= MOST else f"serves at most {MOST} taps"


def _registers(problem: ConvProblem, machine: Machine) -> int:
    return -(-problem.in_channels * np.dtype(problem.dtype).itemsize // machine.vector_bytes)


def cost(problem: ConvProblem, machine: Machine) -> float:
    """Of one sample on one core."""
    cut, cycles = cut_for(problem.with_(batch=1), machine)
    return cycles / len(cut.columns) * _registers(problem, machine) * machine.cycle


ROWS = (
    mirrored(Kernel(
        name="depthwise_last", problem=ConvProblem, run=run, pack=pack, cost=cost, refuse=_refuse,
        dtypes=frozenset({"float32", "float64", "int32", "int64"}), honours=frozenset({"groups", "layout", "activation", "precision"}),
        workspace=lambda problem, machine: (_registers(problem, machine) | 1) * machine.vector_bytes * problem.taps,
        summary="channels last: a register of channels at a time, pixels read where the input lies",
    )),
)  # fmt: skip
