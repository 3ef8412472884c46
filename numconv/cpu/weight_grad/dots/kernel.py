"""The loops of `dot_rows`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba import prange

from ...runtime.launch import device_function, inlined, kernel
from ...runtime.record import integers_at, reader
from ...runtime.tasks import over_tasks
from ...simd.dots import dot_tile, lane_sums
from ...simd.tiles import columns, lanes, rows, tile_shape
from ...simd.vector import get, moved, put
from .plan import DotsPlan
from .positions import POSITIONS_SIZE, begin_lists, build, lists_of

plan_at = reader(DotsPlan)


@device_function
def _sums(shape, plan, task, sample, group, blocks, tiles):
    """One sample's part of every sum of the task: blocks of filters and tiles of rows, from … to."""
    group_out, positions, vectors, chunk = plan.group_out, plan.positions, plan.vectors, plan.chunk
    mr, filters, size = rows(shape), columns(shape) // lanes(shape), rows(shape) * columns(shape)
    x = moved(task.x, (sample * plan.groups + group) * plan.group_in * plan.source_volume)
    y = moved(task.weights, (sample * plan.groups + group) * group_out * positions)
    numbers, sums_of = integers_at(task.room, 0), moved(task.room, plan.sums_at)
    lists, first = lists_of(plan, numbers), 0
    while first < vectors:
        built = build(plan, numbers, first, lanes(shape))
        for some in range(0, built, chunk):
            table, seen = moved(lists.vectors, some * POSITIONS_SIZE), min(chunk, built - some)
            for b in range(blocks[0], blocks[1]):
                gradient = moved(y, min(b * filters, group_out - filters) * positions)
                for tile in range(tiles[0], tiles[1]):
                    sums, row = moved(sums_of, ((b - blocks[0]) * (tiles[1] - tiles[0]) + tile - tiles[0]) * size), tile * mr
                    again = first + some > 0 or sample > 0
                    dot_tile(shape, gradient, positions, x, table, moved(lists.places, row), lists.masks, 1 + row, sums, seen, again)
        first += built


@device_function
def _task(shape, plan, task, number):
    """A range of blocks of filters and one of tiles, of one group."""
    group_out, split_tiles, split_blocks, length = plan.group_out, plan.split_tiles, plan.split_blocks, plan.filter_size
    width, mr, filters = lanes(shape), rows(shape), columns(shape) // lanes(shape)
    all_blocks = (group_out + filters - 1) // filters
    parts, splits = (plan.tiles + split_tiles - 1) // split_tiles, (all_blocks + split_blocks - 1) // split_blocks
    part, split, group = number % parts, number // parts % splits, number // (parts * splits)
    tiles = (part * split_tiles, min(plan.tiles, (part + 1) * split_tiles))
    blocks = (split * split_blocks, min(all_blocks, (split + 1) * split_blocks))
    for sample in range(plan.batch):
        _sums(shape, plan, task, sample, group, blocks, tiles)
    begin, end = tiles[0] * mr, min(length, tiles[1] * mr)
    for b in range(blocks[0], blocks[1]):
        first = min(b * filters, group_out - filters)
        for k in range(max(first, b * filters), first + filters):  # the last block overlaps the one before
            source = moved(task.room, plan.sums_at + (b - blocks[0]) * (tiles[1] - tiles[0]) * mr * columns(shape) + (k - first) * width)
            w = moved(task.y, (group * group_out + k) * length)
            for i in range(begin, end, width):
                lane_sums(shape, moved(source, (i - begin) * columns(shape)), columns(shape), min(width, end - i), moved(w, i))


@lru_cache(maxsize=64)
def driver(tile_rows: int, filters: int, tile_lanes: int) -> Any:
    """The loop for one tile shape.  A task's x: rows as stride phases, (sample, channel, plane, row, phase, column)."""

    @inlined
    def body(task, number):
        _task(tile_shape(tile_rows, filters, tile_lanes), plan_at(task.tables, 0), task, number)

    @inlined
    def begin(task):
        begin_lists(plan_at(task.tables, 0), integers_at(task.room, 0))
        return task

    return over_tasks("dot_rows", body, begin)


@kernel
def rows_to_phases(x, target, count, width, step, phases, pitch):
    """target[row, f, i] = x[row, i·step + f], f < phases, zero beyond, flat.  Parallel over rows."""
    for row in prange(count):
        for f in range(phases):
            base = (row * phases + f) * pitch
            inside = max(0, (width - f + step - 1) // step)
            for i in range(inside):
                put(target, base + i, get(x, row * width + i * step + f))
            for i in range(inside, pitch):
                put(target, base + i, x.dtype.type(0))
