"""Weights for tiles with filters in the rows (simd.tiles.gemm_tile): packed by blocks of a tile's rows, (term, row) in each; zeros.

The terms of a job are (channel, tap).  A *stretch* of taps lies side by side in a filter as given and among the terms; transposed through
registers, the filters of a block come to lie side by side.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from ..runtime.launch import device_function, inlined, kernel
from ..runtime.record import reader, size_of
from ..simd.tiles import lanes, rows, tile_shape
from ..simd.transpose import transpose_block
from ..simd.vector import filled, get, load_n, moved, pointer, put, store, store_n

TOGETHER = 16  # channels, all of whose stretches are packed in turn: w comes into the first cache once, whatever jobs its taps go to
SMALL_INTERLEAVE = 1 << 14  # weights; fewer are packed in the calling thread


class Interleaved(NamedTuple):
    """Where the filters of a group lie in the weights as given, in elements."""

    produced: int  # filters
    channels: int  # that a filter sums over
    filter_pitch: int
    channel_pitch: int
    group_pitch: int
    whole: int  # 1: the only job has all taps in their order, and all channels of a filter are one run of its terms
    stretches: int  # of all jobs


class Stretch(NamedTuple):
    """Taps of a job that are neighbours in a filter as well; lengths in elements."""

    offset: int  # of the first, in the channel's weights
    taps: int
    place: int  # in the packed weights: of the first, in the job's first block
    channel_pitch: int  # there


filters_at, stretch_at = reader(Interleaved), reader(Stretch)
STRETCH_SIZE = size_of(Stretch)


def stretches_of(offsets: np.ndarray, place: int, rows: int) -> list[Stretch]:
    """Of a job with taps at these offsets in a channel's weights, whose first block of `rows` filters is at `place`."""
    parts = np.split(np.arange(len(offsets)), np.flatnonzero(np.diff(offsets) != 1) + 1)
    return [Stretch(int(offsets[k[0]]), k.size, place + int(k[0]) * rows, len(offsets) * rows) for k in parts if k.size]


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


@inlined
def _interleave_term(shape, source, filter_pitch, valid, packed):
    """packed[r] = source[r·filter_pitch]; rows beyond `valid` repeat the last."""
    if valid == rows(shape):  # a loop of constant length
        for r in range(rows(shape)):
            put(packed, r, get(source, r * filter_pitch))
    else:
        for r in range(rows(shape)):
            put(packed, r, get(source, min(r, valid - 1) * filter_pitch))


@device_function
def interleave(shape, filters, source, valid, packed, block, stretches, number, channels):
    """One block of `valid` filters, so many channels of it from where `source` points to; `block` blocks after a job's first.

    packed[place + (block·channels + c)·channel_pitch + k·rows + r] = source[r·filter_pitch + c·filters.channel_pitch + offset + k]
    for each of the `number` stretches from where that pointer points to.
    """
    width, mr, whole, pitch = lanes(shape), rows(shape), filters.whole, filters.filter_pitch
    for first in range(0, 1 if whole else channels, TOGETHER):
        last = min(1 if whole else channels, first + TOGETHER)
        for i in range(number):
            stretch = stretch_at(stretches, i * STRETCH_SIZE)
            offset, packed_pitch = stretch.offset, stretch.channel_pitch
            count = stretch.taps * channels if whole else stretch.taps
            place = stretch.place + block * channels * packed_pitch
            vectors = count - count % width
            for k in range(0, vectors, width):
                for c in range(first, last):
                    here = moved(source, offset + c * filters.channel_pitch + k)
                    transpose_block(shape, here, pitch, valid, moved(packed, place + c * packed_pitch + k * mr))
            for k in range(vectors, count):
                for c in range(first, last):
                    here = moved(source, offset + c * filters.channel_pitch + k)
                    _interleave_term(shape, here, pitch, valid, moved(packed, place + c * packed_pitch + k * mr))


@lru_cache(maxsize=64)
def interleaver(tile_rows: int, tile_lanes: int) -> Any:
    """All blocks of all groups; `numbers`: a record of Interleaved; `stretches`: those of all jobs."""

    def pack(w, packed, numbers, stretches, blocks, tasks):  # type: ignore[no-untyped-def]
        for task in prange(tasks):
            shape, filters = tile_shape(tile_rows, 1, tile_lanes), filters_at(pointer(numbers), 0)
            first = task % blocks * tile_rows
            source = moved(pointer(w), task // blocks * filters.group_pitch + first * filters.filter_pitch)
            valid = min(tile_rows, filters.produced - first)
            interleave(shape, filters, source, valid, pointer(packed), task, pointer(stretches), filters.stretches, filters.channels)

    return kernel(pack)
