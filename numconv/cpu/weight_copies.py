"""Copies for the weight gradient: the image channels last, the gradient in tile order, rows as stride phases."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba import prange

from .launch import kernel
from .simd.tiles import lanes, rows, tile_shape, transpose_block
from .simd.transpose import transpose_square
from .simd.vector import get, pointer, put


@lru_cache(maxsize=8)
def image_driver(tile_lanes: int) -> Any:
    """The copy of the image for vectors of so many lanes."""

    def channels_to_vectors(x, target, planes, group_in, t_in, h_in, w_in, pt, ph, pw, t_pad, h_pad, w_pad):
        """target[n·g, t, h, w, c] = x[n·g, c, t − pt, h − ph, w − pw], zero outside, flat.  Parallel over rows of target."""
        zero = x.dtype.type(0)
        area = t_in * h_in * w_in
        for task in prange(planes * t_pad * h_pad):
            shape = tile_shape(1, 1, tile_lanes)
            width = lanes(shape)
            h, t, plane = task % h_pad - ph, (task // h_pad) % t_pad - pt, task // (h_pad * t_pad)
            base = task * w_pad * group_in
            inside = 0 <= h < h_in and 0 <= t < t_in
            begin = min(w_pad, pw) if inside else w_pad
            end = max(begin, min(w_pad, w_in + pw))
            for i in range(begin * group_in):
                put(target, base + i, zero)
            for i in range(end * group_in, w_pad * group_in):
                put(target, base + i, zero)
            xs, ts = pointer(x), pointer(target)
            row = ((plane * group_in * t_in + t) * h_in + h) * w_in - pw
            for first in range(begin, end, width):  # squares go through registers
                c, last = 0, min(first + width, end)
                while last - first == width and c + width <= group_in:
                    transpose_square(shape, xs, row + c * area + first, area, ts, base + first * group_in + c, group_in)
                    c += width
                while c < group_in:
                    for w in range(first, last):
                        put(ts, base + w * group_in + c, get(xs, row + c * area + w))
                    c += 1

    return kernel(channels_to_vectors)


@lru_cache(maxsize=16)
def terms_driver(tile_rows: int, tile_lanes: int) -> Any:
    """The copy of the gradient for tiles of so many rows."""

    def rows_to_terms(y, target, planes, group_out, blocks, positions):
        """target[n·g, block, p, i] = y[n·g, block·rows + i, p], something beyond the channels, flat.  Parallel over (n·g, block)."""
        for task in prange(planes * blocks):
            shape = tile_shape(tile_rows, 1, tile_lanes)
            mr, width = rows(shape), lanes(shape)
            plane, block = task // blocks, task % blocks
            valid = min(mr, group_out - block * mr)
            source, base = (plane * group_out + block * mr) * positions, task * positions * mr
            ys, ts = pointer(y), pointer(target)
            p = 0
            while p + width <= positions:
                transpose_block(shape, ys, source + p, positions, valid, ts, base + p * mr)
                p += width
            while p < positions:
                for i in range(mr):
                    put(ts, base + p * mr + i, get(ys, source + min(i, valid - 1) * positions + p))
                p += 1

    return kernel(rows_to_terms)


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
