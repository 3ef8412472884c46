"""Copies that make every later load contiguous: the zero-padded polyphase buffer of the input, and the weights in register-tile order."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba import prange

from .launch import inlined, kernel
from .simd.tiles import lanes, rows, tile_shape, transpose_block
from .simd.vector import deinterleave, filled, get, load_between, load_n, pointer, put, store, store_n


@inlined
def copy_row(shape, x, s, step, buffer, d, j0, j1, count):
    """buffer[d + j] = x[s + (j − j0)·step] for j0 ≤ j < j1, 0 for the other j < count; step 1 or 2."""
    width = lanes(shape)
    j = 0
    while j < count:
        place = s + (j - j0) * step
        if step == 1:
            v = load_between(x, place, j0 - j, j1 - j, shape)
        else:
            low, high = 2 * (j0 - j), 2 * (j1 - j) - 1
            first = load_between(x, place, low, high, shape)
            v = deinterleave(first, load_between(x, place + width, low - width, high - width, shape), 0)
        store_n(buffer, d + j, v, count - j)
        j += width


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
def put_or_zero(x, base, source, buffer, d):
    if source >= 0:
        put(buffer, d, get(x, base + source))
    else:
        put(buffer, d, 0)


@inlined
def fill_row(shape, x, zeros, row, inner, j0, j1, table, start, step, buffer, d, count):
    """One row of one phase: buffer[d + j] = x[row + table[start + j·step]], 0 where the table says −1.

    [j0, j1), the inside, is x[row + inner + (j − j0)·step] and goes in vectors.
    """
    if zeros and step <= 2:
        copy_row(shape, x, row + inner, step, buffer, d, j0, j1, count)
        return
    for j in range(j0):
        put_or_zero(x, row, get(table, start + j * step), buffer, d + j)
    if step <= 2:
        copy_row(shape, x, row + inner, step, buffer, d + j0, 0, j1 - j0, j1 - j0)
    else:
        for j in range(j0, j1):
            put(buffer, d + j, get(x, row + inner + (j - j0) * step))
    for j in range(j1, count):
        put_or_zero(x, row, get(table, start + j * step), buffer, d + j)


@inlined
def inside(origin, start, step, extent, count):
    """[j0, j1) for which origin + start + j·step lies in [0, extent)."""
    j0 = min(count, max(0, (step - 1 - origin - start) // step))
    return j0, max(j0, min(count, (extent - 1 - origin - start) // step + 1))


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
