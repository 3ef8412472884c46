"""Copies that make every later load contiguous: the zero-padded polyphase buffer of the input, and the weights in register-tile order."""

from __future__ import annotations

from numba import prange

from .launch import inlined, kernel
from .simd.tiles import lanes
from .simd.vector import deinterleave, filled, get, load, load_n, put, store, store_n


@inlined
def copy_strided(shape, x, s, step, buffer, d, count, end):
    """buffer[d + j] = x[s + j·step], j < count; `end`: size of x, for vectors that read beyond the last element they need."""
    width = lanes(shape)
    j = 0
    if step == 1:
        while j + width <= count:
            store(buffer, d + j, load(x, s + j, shape))
            j += width
        if j < count:
            store_n(buffer, d + j, load_n(x, s + j, count - j, shape), count - j)
        return
    if step == 2:
        while j < count and s + 2 * j + 2 * width <= end:
            v = deinterleave(load(x, s + 2 * j, shape), load(x, s + 2 * j + width, shape), 0)
            store_n(buffer, d + j, v, min(width, count - j))
            j += width
    while j < count:
        put(buffer, d + j, get(x, s + j * step))
        j += 1


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
def fill_row(shape, x, end, row, inner, j0, j1, table, start, step, buffer, d, count):
    """One row of one phase: buffer[d + j] = x[row + table[start + j·step]], 0 where the table says −1.

    [j0, j1), the inside, is x[row + inner + (j − j0)·step] and goes in vectors.
    """
    for j in range(j0):
        put_or_zero(x, row, get(table, start + j * step), buffer, d + j)
    copy_strided(shape, x, row + inner, step, buffer, d + j0, j1 - j0, end)
    for j in range(j1, count):
        put_or_zero(x, row, get(table, start + j * step), buffer, d + j)


@inlined
def inside(origin, start, step, extent, count):
    """[j0, j1) for which origin + start + j·step lies in [0, extent)."""
    j0 = min(count, max(0, (step - 1 - origin - start) // step))
    return j0, max(j0, min(count, (extent - 1 - origin - start) // step + 1))


@kernel
def pack_weights(w, packed, terms, count, group_pitch, row_step, out_channels, groups, tile_rows, start):
    """packed[start + ((g·blocks + b)·count + k)·rows + r] = w[g·group_pitch + (b·rows + r)·row_step + terms[k]]; zeros beyond the channels."""
    blocks = (out_channels + tile_rows - 1) // tile_rows
    for task in prange(groups * blocks):
        g, b = task // blocks, task % blocks
        filled_rows = min(tile_rows, out_channels - b * tile_rows)
        target = start + task * count * tile_rows
        source = g * group_pitch + b * tile_rows * row_step
        for k0 in range(0, count, 16):  # sixteen terms at once: whole cache lines of each weight row
            for r in range(tile_rows):
                for k in range(k0, min(count, k0 + 16)):
                    if r < filled_rows:
                        put(packed, target + k * tile_rows + r, get(w, source + r * row_step + get(terms, k)))
                    else:
                        put(packed, target + k * tile_rows + r, 0)
