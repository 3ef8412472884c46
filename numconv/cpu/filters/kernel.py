"""The loops of `filters`: see the folder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from ..runtime.launch import device_function
from ..runtime.record import reader
from ..runtime.tasks import over_tasks
from ..simd.neighbours import as_type_of, columns_of, rows_of, sums_shape, sums_tile
from ..simd.vector import compact, get, moved, pointed_to, put, zero_of
from .plan import FilterPlan, up

plan_at = reader(FilterPlan)


@device_function
def _copy_run(x, first, row, count):
    for j in range(count):
        put(row, j, get(x, first + j))


@device_function
def _fill(row, low, high, value):
    for j in range(low, high):
        put(row, j, value)


@device_function
def _copy_edge(x, first, row, places, low, high, beyond):
    """What stands in [low, high) of a row, beyond the source's own."""
    for j in range(low, high):
        place = get(places, j)
        if place < 0:
            put(row, j, beyond)
        else:
            put(row, j, get(x, first + place))


class BlockOfTargets(NamedTuple):
    """A block's targets, of one plane."""

    plane: Any
    first: Any  # row …
    rows: Any
    column: Any  # … and column
    columns: Any


@device_function
def _copy_box(plan, task, x, part, rows, whole):
    """What a block reads, whatever stands beyond the edges with it, in the type of the sums: into the worker's room.

    `rows`, `whole`: of what tiles read of it, in whole registers; what is no one's neighbour is 0, since denormals would be slow.
    """
    d, h, w, tables, beyond = plan.d, plan.h, plan.w, task.tables, pointed_to(task.weights)
    width, column = part.columns + w.reach, part.column
    planes_at, rows_at, places = moved(tables, d.map_at), moved(tables, h.map_at), moved(tables, w.map_at + column)
    source_rows, source_columns, depth, row_pitch, plane_pitch = h.source, w.source, d.reach + 1, plan.box.row, plan.box.plane
    low = max(0, min(width, w.low - column))
    high = max(low, min(width, source_columns + w.low - column))
    start = column - w.low + low
    for t in range(depth):
        z = get(planes_at, part.plane + t)
        for s in range(rows):
            r, row = get(rows_at, part.first + s), moved(task.room, t * plane_pitch + s * row_pitch)
            _fill(row, width, whole, zero_of(task.room))
            if z < 0 or r < 0:
                _fill(row, 0, width, beyond)
                continue
            line = (z * source_rows + r) * source_columns
            _copy_run(x, line + start, moved(row, low), high - low)
            _copy_edge(x, line, row, places, 0, low, beyond)
            _copy_edge(x, line, row, places, high, width, beyond)


@device_function
def _sweep(shape, x, weights, places, stage, pitch, y, y_pitch, rows, columns):
    """Tiles of a block, a row of them after the other."""
    count, taps = stage.columns, stage.taps
    for r in range(0, rows, rows_of(shape)):
        for c in range(0, columns, columns_of(shape)):
            source, target = moved(x, r * pitch + c), moved(y, r * y_pitch + c)
            sums_tile(shape, source, weights, places, count, taps, pitch, target, y_pitch, rows - r, columns - c)


@device_function
def _beyond_columns(plan, middle, part, width, beyond):
    """Where no sample stands none of the first sums does."""
    compact()
    low, high = plan.w.low - part.column, plan.w.source + plan.w.low - part.column
    for r in range(part.rows):
        for j in range(width):
            if j < low or j >= high:
                put(middle, r * plan.middle_pitch + j, beyond)


@device_function
def _source_of(shape, plan, task, x, part, whole):
    """Where the first stage reads: the source itself where that holds all of it, else a copy; its pitch, and where the places are."""
    d, h = plan.d, plan.h
    inside = plan.direct and part.column >= plan.inside_first and part.column + part.columns <= plan.inside_end
    read = up(part.rows, rows_of(shape)) + h.reach
    top, front = part.first - h.low, part.plane - d.low
    inside = inside and top >= 0 and top + read <= h.source and front >= 0 and front + d.reach < d.source
    if inside:
        at = front * plan.source.plane + top * plan.source.row + part.column - plan.w.low
        return moved(as_type_of(x, task.room), at), plan.source.row, plan.first.direct_places_at
    _copy_box(plan, task, x, part, read, whole)
    return task.room, plan.box.row, plan.first.box_places_at


@device_function
def _block(one, other, two, plan, task, x, y, part):
    reach, width = plan.w.reach, plan.w.target
    whole = up(part.columns + reach, columns_of(one)) if two else up(part.columns, columns_of(one)) + reach
    source, pitch, places_at = _source_of(one, plan, task, x, part, whole)
    weights, places = moved(task.weights, plan.first.weights_at), moved(task.tables, places_at)
    if two:
        middle, read = moved(task.room, plan.middle_at), up(part.columns, columns_of(other)) + reach
        _sweep(one, source, weights, places, plan.first, pitch, middle, plan.middle_pitch, part.rows, whole)
        for r in range(part.rows):
            _fill(moved(middle, r * plan.middle_pitch), whole, read, zero_of(task.room))
        if plan.turned_columns:
            _beyond_columns(plan, middle, part, part.columns + reach, pointed_to(task.weights))
        weights, places = moved(task.weights, plan.second.weights_at), moved(task.tables, plan.second.box_places_at)
        _sweep(other, middle, weights, places, plan.second, plan.middle_pitch, y, width, part.rows, part.columns)
    else:
        _sweep(one, source, weights, places, plan.first, pitch, y, width, part.rows, part.columns)


@device_function
def _task(one, other, two, plan, task, number):
    """A band of rows, or a chunk of one."""
    per_plane, d, h, w = plan.bands * plan.chunks, plan.d, plan.h, plan.w
    volume = number // per_plane
    rest = number - volume * per_plane
    band = rest // plan.chunks
    batch = volume // d.target
    plane, first, column = volume - batch * d.target, band * plan.band, (rest - band * plan.chunks) * plan.chunk
    rows, last = min(plan.band, h.target - first), min(column + plan.chunk, w.target)
    x = moved(task.x, batch * d.source * h.source * w.source)
    y = moved(task.y, (volume * h.target + first) * w.target)
    while column < last:
        end = min(last, column + plan.block)
        if plan.direct and column < plan.inside_first:
            end = min(end, plan.inside_first)
        elif plan.direct and column < plan.inside_end:
            end = min(end, plan.inside_end)
        _block(one, other, two, plan, task, x, moved(y, column), BlockOfTargets(plane, first, rows, column, end - column))
        column = end


@lru_cache(maxsize=128)
def driver(tiles: tuple[tuple[int, ...], ...]) -> Any:
    """The loop over the tasks, for such tiles of one stage or two."""
    rows, vectors, lanes, order, rounded, narrow, divided = tiles[0]
    rows2, vectors2, lanes2, order2, rounded2, narrow2, divided2 = tiles[-1]
    two = len(tiles) > 1

    @device_function
    def body(task, number):  # type: ignore[no-untyped-def]
        one = sums_shape(rows, vectors, lanes, order, rounded, narrow, divided)
        other = sums_shape(rows2, vectors2, lanes2, order2, rounded2, narrow2, divided2)
        _task(one, other, two, plan_at(task.tables, 0), task, number)

    return over_tasks("filters", body)
