"""Copies that make every later load contiguous: the zero-padded polyphase buffer of the input, and the weights in register-tile order."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from ..runtime.launch import device_function, inlined, kernel
from ..simd.tiles import lanes, rows, tile_shape
from ..simd.transpose import transpose_block
from ..simd.vector import filled, get, load_n, moved, pointer, put, store, store_n


@inlined
def zero(shape, target, count):
    width = lanes(shape)
    blank = filled(load_n(target, 0, 0, shape), 0)
    j = 0
    while j + width <= count:
        store(target, j, blank)
        j += width
    if j < count:
        store_n(target, j, blank, count - j)


TOGETHER = 16  # channels


def runs(offsets: np.ndarray, place: int, rows: int) -> list[tuple[int, int, int, int]]:
    """Terms k of one channel, at offsets[k] of its weights: (offset, terms, place, pitch) of each run of neighbours."""
    parts = np.split(np.arange(len(offsets)), np.flatnonzero(np.diff(offsets) != 1) + 1)
    return [(int(offsets[k[0]]), k.size, place + int(k[0]) * rows, len(offsets) * rows) for k in parts if k.size]


@inlined
def _pack_term(shape, w, source, row_step, valid, packed, target):
    """packed[target + r] = w[source + r·row_step]; rows beyond `valid` repeat the last."""
    if valid == rows(shape):  # a loop of constant length
        for r in range(rows(shape)):
            put(packed, target + r, get(w, source + r * row_step))
    else:
        for r in range(rows(shape)):
            put(packed, target + r, get(w, source + min(r, valid - 1) * row_step))


@device_function
def pack_block(shape, w, source, row_step, valid, packed, target, before, t, begin, end, channels, channel_step, run):
    """One block of `weight_packer`, `before` blocks after the first, by the stretches [begin, end) of its table; `run`: the terms of the only one, or 0."""
    width, mr = lanes(shape), rows(shape)
    for first in range(0, channels, TOGETHER):
        last = min(channels, first + TOGETHER)
        for i in range(begin, end, 4):
            at, count, pitch = source + get(t, i), run if run else get(t, i + 1), get(t, i + 3)
            place = target + get(t, i + 2) + before * channels * pitch
            whole = count - count % width
            for k in range(0, whole, width):
                for c in range(first, last):
                    transpose_block(shape, moved(w, at + c * channel_step + k), row_step, valid, moved(packed, place + c * pitch + k * mr))
            for k in range(whole, count):
                for c in range(first, last):
                    _pack_term(shape, w, at + c * channel_step + k, row_step, valid, packed, place + c * pitch + k * mr)


@lru_cache(maxsize=64)
def weight_packer(tile_rows: int, tile_lanes: int) -> Any:
    """packed[place + (((g·blocks + b)·channels + c)·pitch + k·rows + r] = w[g·group_pitch + (b·rows + r)·row_step + c·channel_step + offset + k].

    The table has a run of neighbouring terms after the other: (offset, terms, place, pitch).  A few channels at a time, all runs in turn, so that
    w comes into L1 once, whatever jobs its taps go to.
    """

    def pack(w, packed, table, channels, channel_step, group_pitch, row_step, out_channels, groups):
        blocks = (out_channels + tile_rows - 1) // tile_rows
        for task in prange(groups * blocks):
            shape, t = tile_shape(tile_rows, 1, tile_lanes), pointer(table)
            g, b = task // blocks, task % blocks
            valid = min(tile_rows, out_channels - b * tile_rows)
            pack_block(
                shape, pointer(w), g * group_pitch + b * tile_rows * row_step, row_step, valid, pointer(packed), 0, task, t, 0, table.size, channels,
                channel_step, 0,
            )  # fmt: skip

    return kernel(pack)
