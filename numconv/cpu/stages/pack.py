"""Weights for tiles with filters in the rows (simd.tiles.gemm_tile): packed by blocks of a tile's rows, (term, row) in each; zeros.

The terms of a job are (channel, tap).  A *run* of taps lies side by side in a filter as given and among the terms; transposed through
registers, the filters of a block come to lie side by side.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from numba import prange

from ..geometry.jobs import JobAxis, taps_of
from ..runtime.launch import device_function, inlined, kernel
from ..runtime.record import reader
from ..simd.tiles import lanes, rows, tile_shape
from ..simd.transpose import transpose_block
from ..simd.vector import filled, get, load_n, moved, pointer, put, store, store_n

TOGETHER = 16  # channels, all of whose taps are packed in turn: w comes into the first cache once, whatever jobs its taps go to
SMALL_INTERLEAVE = 1 << 14  # weights; fewer are packed in the calling thread


class Interleaved(NamedTuple):
    """Where the filters of a group lie in the weights as given, in elements."""

    produced: int  # filters
    channels: int  # that a filter sums over
    filter_pitch: int
    channel_pitch: int
    group_pitch: int
    whole: int  # 1: the only job has all taps in their order, and all channels of a filter are one run of its terms
    t: JobAxis
    h: JobAxis
    w: JobAxis


filters_at = reader(Interleaved)


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
def _interleave_channels(shape, filters, source, valid, packed, job, channels):
    """Of a block of `valid` filters so many channels of a job from where `source` points to; `packed`: where the first of them goes.

    packed[(c·taps + k)·rows + r] = source[r·filter_pitch + c·channel_pitch + offset of tap k]
    """
    t, h, w, width, mr, pitch, channel_pitch = (
        filters.t,
        filters.h,
        filters.w,
        lanes(shape),
        rows(shape),
        filters.filter_pitch,
        filters.channel_pitch,
    )
    job_t, job_h, job_w = job
    taps_t, taps_h, taps_w, run_t, run_h, run_w = taps_of(t, job_t), taps_of(h, job_h), taps_of(w, job_w), 1, 1, 1
    if w.period == 1:  # neighbours among the terms are neighbours in the filter: of a row, of whole rows, of whole planes
        run_w = taps_w
    if run_w == w.kernel and h.period == 1:
        run_h = taps_h
    if run_w == w.kernel and run_h == h.kernel and t.period == 1:
        run_t = taps_t
    taps, run = taps_t * taps_h * taps_w, run_t * run_h * run_w
    number, count = (1, run * channels) if filters.whole else (channels, run)
    vectors, first, at_t, at_h, at_w = count - count % width, 0, 0, 0, 0
    while first < taps:
        row = ((t.first + job_t + at_t * t.period) * h.kernel + h.first + job_h + at_h * h.period) * w.kernel
        here, to = moved(source, row + w.first + job_w + at_w * w.period), moved(packed, first * mr)
        for k in range(0, vectors, width):
            for c in range(number):
                transpose_block(shape, moved(here, c * channel_pitch + k), pitch, valid, moved(to, (c * taps + k) * mr))
        for k in range(vectors, count):
            for c in range(number):
                _interleave_term(shape, moved(here, c * channel_pitch + k), pitch, valid, moved(to, (c * taps + k) * mr))
        first += run
        at_w += run_w
        if at_w == taps_w:
            at_w = 0
            at_h += run_h
        if at_h == taps_h:
            at_h = 0
            at_t += run_t


@device_function
def interleave(shape, filters, source, valid, packed, job_pitch, block, channels, jobs):
    """One block of `valid` filters, so many channels of it from where `source` points to, of the jobs (first, end) along t, h and w.

    Of each job (block, channel, tap, row), job_pitch blocks and channels of it, of which this is from channel `block` on.
    """
    (first_t, end_t), (first_h, end_h), (first_w, end_w) = jobs
    mr, together = rows(shape), channels if filters.whole else TOGETHER
    for c in range(0, channels, together):
        here, to = moved(source, c * filters.channel_pitch), packed
        for i in range(first_t, end_t):
            for j in range(first_h, end_h):
                for k in range(first_w, end_w):
                    each = taps_of(filters.t, i) * taps_of(filters.h, j) * taps_of(filters.w, k) * mr
                    _interleave_channels(shape, filters, here, valid, moved(to, (block + c) * each), (i, j, k), min(together, channels - c))
                    to = moved(to, job_pitch * each)


@lru_cache(maxsize=64)
def interleaver(tile_rows: int, tile_lanes: int) -> Any:
    """All blocks of all groups, `blocks` of each; `numbers`: a record of Interleaved."""

    def pack(w, packed, numbers, blocks, tasks):  # type: ignore[no-untyped-def]
        for task in prange(tasks):
            shape, filters = tile_shape(tile_rows, 1, tile_lanes), filters_at(pointer(numbers), 0)
            first = task % blocks * tile_rows
            source = moved(pointer(w), task // blocks * filters.group_pitch + first * filters.filter_pitch)
            valid = min(tile_rows, filters.produced - first)
            jobs, channels = ((0, filters.t.jobs), (0, filters.h.jobs), (0, filters.w.jobs)), filters.channels
            interleave(shape, filters, source, valid, pointer(packed), tasks * channels, task * channels, channels, jobs)

    return kernel(pack)
