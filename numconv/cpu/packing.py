"""Copies that make every later load contiguous: the zero-padded polyphase buffer of the input, and the weights in register-tile order."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba import prange

from .launch import inlined, kernel
from .simd.tiles import lanes, rows, tile_shape, transpose_block
from .simd.vector import filled, get, load_n, pointer, put, store, store_n


@inlined
def zero(shape, buffer, d, count):
    width = lanes(shape)
    blank = filled(load_n(buffer, d, 0, shape), 0)
    j = 0
    while j + width <= count:
        store(buffer, d + j, blank)
        j += width
    if j < count:
        store_n(buffer, d + j, blank, count - j)


@inlined
def _pack_block(shape, w, source, row_step, valid, terms, plain, count, packed, target):
    """One block of `rows` channels: packed[target + k·rows + r] = w[source + r·row_step + terms[k]]; rows beyond `valid` repeat the last."""
    mr, width = rows(shape), lanes(shape)
    k = 0
    if plain:  # terms are 0, 1, 2, …
        while k + width <= count:
            transpose_block(shape, w, source + k, row_step, valid, packed, target + k * mr)
            k += width
    while k < count:
        term = source + get(terms, k)
        for r in range(mr):
            put(packed, target + k * mr + r, get(w, term + min(r, valid - 1) * row_step))
        k += 1


@lru_cache(maxsize=64)
def weight_packer(tile_rows: int, tile_lanes: int) -> Any:
    """packed[start + ((g·blocks + b)·count + k)·rows + r] = w[g·group_pitch + (b·rows + r)·row_step + terms[k]]."""

    def pack(w, packed, terms, plain, count, group_pitch, row_step, out_channels, groups, start):
        blocks = (out_channels + tile_rows - 1) // tile_rows
        for task in prange(groups * blocks):
            shape = tile_shape(tile_rows, 1, tile_lanes)
            g, b = task // blocks, task % blocks
            valid = min(tile_rows, out_channels - b * tile_rows)
            source = g * group_pitch + b * tile_rows * row_step
            target = start + task * count * tile_rows
            _pack_block(shape, pointer(w), source, row_step, valid, pointer(terms), plain, count, pointer(packed), target)

    return kernel(pack)
