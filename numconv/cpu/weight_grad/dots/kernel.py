"""The loops of `dot_rows`: w[k, c, r] = Σ_p y[k, p]·x[c, p + r] with neighbouring positions in the lanes of a register.

    for each task (group, range of blocks of filters, range of tiles of rows)
        for each sample, each chunk of positions
            for each block of filters, each tile of rows (channel, tap): dot_tile over the chunk's vectors          simd.dots
        the lanes of each sum added                                                                                lane_sums

No channel fills a lane, so a depthwise filter is served as well as eight channels; which lanes see the input is in tables, one for all planes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba import prange

from ...runtime.launch import device_function, kernel
from ...simd.dots import dot_tile, lane_sums
from ...simd.tiles import columns, lanes, rows, tile_shape
from ...simd.vector import get, pointer, put


@device_function
def _sums(shape, n, group, blocks, tiles, x, y, scratch, s0, vectors, places, masks, g):
    """One sample's part of every sum of the task."""
    groups, group_in, group_out, volume, positions, count, chunk = (
        get(g, 1),
        get(g, 2),
        get(g, 3),
        get(g, 4),
        get(g, 5),
        get(g, 6),
        get(g, 7),
    )
    mr, filters, size = rows(shape), columns(shape) // lanes(shape), rows(shape) * columns(shape)
    x0 = (n * groups + group) * group_in * volume
    for first in range(0, count, chunk):
        for b in range(blocks[0], blocks[1]):
            y0 = ((n * groups + group) * group_out + min(b * filters, group_out - filters)) * positions
            for tile in range(tiles[0], tiles[1]):
                dot_tile(
                    shape, y, y0, positions, x, x0, vectors, 3 * first, places, tile * mr, masks, 1 + tile * mr, scratch,
                    s0 + ((b - blocks[0]) * (tiles[1] - tiles[0]) + tile - tiles[0]) * size, min(chunk, count - first), first > 0 or n > 0,
                )  # fmt: skip


@device_function
def _task(shape, task, x, y, w, scratch, s0, vectors, places, masks, g):
    group_out, all_tiles, split_tiles, split_blocks, length = get(g, 3), get(g, 8), get(g, 9), get(g, 10), get(g, 11)
    width, mr, filters = lanes(shape), rows(shape), columns(shape) // lanes(shape)
    all_blocks = (group_out + filters - 1) // filters
    parts, splits = (all_tiles + split_tiles - 1) // split_tiles, (all_blocks + split_blocks - 1) // split_blocks
    part, split, group = task % parts, task // parts % splits, task // (parts * splits)
    tiles = (part * split_tiles, min(all_tiles, (part + 1) * split_tiles))
    blocks = (split * split_blocks, min(all_blocks, (split + 1) * split_blocks))
    for n in range(get(g, 0)):
        _sums(shape, n, group, blocks, tiles, x, y, scratch, s0, vectors, places, masks, g)
    begin, end = tiles[0] * mr, min(length, tiles[1] * mr)
    for b in range(blocks[0], blocks[1]):
        first = min(b * filters, group_out - filters)
        for k in range(max(first, b * filters), first + filters):  # the last block overlaps the one before
            source = s0 + (b - blocks[0]) * (tiles[1] - tiles[0]) * mr * columns(shape) + (k - first) * width
            for i in range(begin, end, width):
                lane_sums(
                    shape, scratch, source + (i - begin) * columns(shape), columns(shape), min(width, end - i), w,
                    (group * group_out + k) * length + i,
                )  # fmt: skip


@lru_cache(maxsize=64)
def dot_driver(tile_rows: int, filters: int, tile_lanes: int) -> Any:
    """The loop of `dot_rows` for one tile shape."""

    def dot_rows(x, y, w, scratch, worker_pitch, workers, tasks, vectors, places, masks, geometry):
        """x: rows as stride phases, (n, c, t, h, phase, column)."""
        for worker in prange(workers):
            shape = tile_shape(tile_rows, filters, tile_lanes)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _task(
                    shape, task, pointer(x), pointer(y), pointer(w), pointer(scratch), worker * worker_pitch, pointer(vectors), pointer(places),
                    pointer(masks), pointer(geometry),
                )  # fmt: skip

    return kernel(dot_rows)


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
