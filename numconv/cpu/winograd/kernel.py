"""The loops of `winograd`: see the folder.

A task is no `inlined` function: Numba has all that such a one calls first inherit that, twice the instructions here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..runtime.launch import by_type, device_function
from ..runtime.record import integers_at, reader
from ..runtime.tasks import Task, over_tasks
from ..simd.spread import spread_tile
from ..simd.tiles import columns, gemm_tile, lanes, rows, strided_shape, tile_shape
from ..simd.vector import moved
from .box import located, positions_of
from .filters import transform_filters
from .lists import write_filter_lists, write_terms
from .pixels import deliver_pixels, fill_pixels
from .plan import WinogradPlan
from .planes import deliver_planes, fill_planes
from .points import outputs

plan_at = reader(WinogradPlan)


def _tile_of_planes(shape, plan, task, u, v, offsets, m, at, terms, accumulate):  # type: ignore[no-untyped-def]
    (block, tile), nr, pitch = at, columns(shape), plan.m.plane_pitch
    sums = moved(m, block * rows(shape) * pitch + tile * nr)
    gemm_tile(shape, u, moved(v, tile * nr), offsets, sums, terms, pitch, accumulate)


def _tile_of_pixels(shape, plan, task, u, v, offsets, m, at, terms, accumulate):  # type: ignore[no-untyped-def]
    (block, tile), nr, places = at, rows(shape), moved(task.tables, plan.places_at)
    sums = moved(m, block * plan.m.plane_pitch + tile * nr * columns(shape))
    spread_tile(shape, moved(v, tile * nr * plan.v.position_pitch), offsets, u, sums, terms, accumulate, places, None, 0)


@by_type(lambda shape: _tile_of_planes if shape.step else _tile_of_pixels, inline=True)
def _tile(shape: Any, *arguments: Any) -> None:
    """One register tile of a frequency: `at`: which block of output channels, which tile of positions."""


@device_function
def _on_the_way(block, by_a, by_w, plan, task, weights, blocks, channels):
    """U of some channels (first, number) for some blocks (first, end) of a group's filters, given as they are, to the room's chunk."""
    (b0, b1), (c0, count), filters, mr, n = blocks, channels, plan.filters, rows(block), lanes(block)
    size, pitch, pieces = plan.chunk.channels, plan.chunk.pitch, filters.pieces
    chunk, turned = moved(task.room, plan.chunk.at), moved(task.room, plan.chunk.turned_at)
    for b in range(b0, b1):
        for c in range(0, count, n):
            given = moved(weights, b * mr * filters.produced_pitch + (c0 + c) * filters.summed_pitch)
            target = moved(chunk, ((b - b0) * size + c) * pieces * mr)
            some = (min(n, count - c), min(mr, plan.produced - b * mr))
            transform_filters(block, by_a, by_w, filters, task.offsets, given, some, target, pitch, turned)


@device_function
def _multiply(shape, block, by_a, by_w, plan, task, weights, blocks, panels, v):
    """M of some blocks (first, end) of output channels from V, by chunks of channels.  The rows of `block` are the channels of one.

    `weights`: the group's, transformed; or as they are given, then those of a chunk and these blocks are transformed before they are used.
    """
    (b0, b1), mr, pieces, summed, packs = blocks, rows(block), plan.filters.pieces, plan.summed, plan.packs
    chunk, chunk_at, chunk_pitch, filter_pitch = plan.chunk.channels, plan.chunk.at, plan.chunk.pitch, plan.filter_pitch
    m, v_pitch, m_pitch, terms, frequencies = moved(task.room, plan.m.at), plan.v.pitch, plan.m.pitch, plan.terms, plan.frequencies
    start, u_pitch, block_size = weights, filter_pitch, terms * mr
    if packs:
        start, u_pitch, block_size = moved(task.room, chunk_at - b0 * chunk * pieces * mr), chunk_pitch, chunk * pieces * mr
    step, terms_at = chunk if packs else summed, plan.terms_at
    for c0 in range(0, summed, step):
        count, offsets = min(step, summed - c0), moved(task.offsets, terms_at + c0 * pieces)
        if packs:
            _on_the_way(block, by_a, by_w, plan, task, weights, blocks, (c0, count))
        for f in range(frequencies):
            for tile in range(panels):
                for b in range(b0, b1):
                    u, of_v, of_m = moved(start, f * u_pitch + b * block_size), moved(v, f * v_pitch), moved(m, f * m_pitch)
                    _tile(shape, plan, task, u, of_v, offsets, of_m, (b - b0, tile), count * pieces, c0 > 0)


@by_type(lambda shape: fill_planes if shape.step else fill_pixels)
def _fill(shape: Any, *arguments: Any) -> None:
    """V of a box, or this task's share of the channels of one that several have in common."""


@by_type(lambda shape: deliver_planes if shape.step else deliver_pixels)
def _deliver(shape: Any, *arguments: Any) -> None:
    """The result of some output channels of a group."""


@by_type(lambda shape: (lambda shape: columns(shape)) if shape.step else (lambda shape: rows(shape)), inline=True)
def _positions(shape: Any) -> Any:
    """Of a register tile."""


@device_function
def _task(shape, block, by_a, by_w, plan, task, number):
    """One box of one sample and group, a range of its blocks of output channels."""
    split, group, sample, box = located(plan, outputs(rows(by_a)), outputs(rows(by_w)), number)
    own = plan.splits == 1
    v = moved(task.room, plan.v.at) if own else moved(task.shared, number // plan.splits * plan.v_size)
    if plan.fills:
        _fill(shape, by_a, by_w, plan, task, split, group, sample, box, v)
    if not plan.multiplies:
        return
    positions, mr, nr, produced = positions_of(plan, box), rows(block), _positions(shape), plan.produced
    weights = moved(task.weights, group * (plan.given_pitch if plan.packs else plan.transformed_pitch))
    last = min((produced + mr - 1) // mr, (split + 1) * plan.split_blocks)
    for b0 in range(split * plan.split_blocks, last, plan.super_blocks):
        b1 = min(last, b0 + plan.super_blocks)
        _multiply(shape, block, by_a, by_w, plan, task, weights, (b0, b1), (positions + nr - 1) // nr, v)
        _deliver(shape, by_a, by_w, plan, task, (b0 * mr, min(produced, b1 * mr)), positions, box, sample, group)


@device_function
def _begun(plan, task, n, lists_at):
    """A worker's task: what it lists in its room takes the place of the offsets."""
    lists = integers_at(task.room, lists_at)
    write_filter_lists(plan, n, task.tables, lists)
    return Task(task.x, task.weights, task.bias, task.y, task.room, lists, task.tables, task.shared)


@lru_cache(maxsize=8)
def _begin(tile_lanes: int) -> Any:
    @device_function
    def begin(task):
        plan = plan_at(task.tables, 0)
        begun = _begun(plan, task, tile_lanes, plan.lists_at)
        write_terms(plan, begun.offsets)
        return begun

    return begin


@lru_cache(maxsize=64)
def driver(tile_rows: int, vectors: int, tile_lanes: int, frequencies_a: int, frequencies_w: int, way: int) -> Any:
    """The loop for one register tile and two transforms, channels first; `way`: 2 where W is strided or dilated, else 1."""

    @device_function
    def body(task, number):
        shape = tile_shape(tile_rows, vectors, tile_lanes)
        by_a, by_w = tile_shape(frequencies_a, 1, tile_lanes), tile_shape(frequencies_w, way, tile_lanes)
        _task(shape, shape, by_a, by_w, plan_at(task.tables, 0), task, number)

    return over_tasks("winograd", body, _begin(tile_lanes))


@lru_cache(maxsize=64)
def pixel_driver(positions: int, vectors: int, tile_lanes: int, frequencies_a: int, frequencies_w: int) -> Any:
    """The same for channels last."""
    block_channels = vectors * tile_lanes

    @device_function
    def body(task, number):
        shape, block = strided_shape(positions, vectors, tile_lanes, 0, 0), tile_shape(block_channels, 1, tile_lanes)
        by_a, by_w = tile_shape(frequencies_a, 1, tile_lanes), tile_shape(frequencies_w, 1, tile_lanes)
        _task(shape, block, by_a, by_w, plan_at(task.tables, 0), task, number)

    return over_tasks("winograd_pixels", body, _begin(tile_lanes))


@device_function
def _pack_block(shape, by_a, by_w, plan, task, number):
    """U of one block of a group's filters."""
    filters, channels, produced, mr, n = plan.filters, plan.summed, plan.produced, rows(shape), lanes(shape)
    blocks = (produced + mr - 1) // mr
    group, block = number // blocks, number % blocks
    weights = moved(task.weights, group * plan.given_pitch + block * mr * filters.produced_pitch)
    target = moved(task.y, group * plan.transformed_pitch + block * plan.terms * mr)
    for c in range(0, channels, n):
        given, u = moved(weights, c * filters.summed_pitch), moved(target, c * filters.pieces * mr)
        size = (min(n, channels - c), min(mr, produced - block * mr))
        transform_filters(shape, by_a, by_w, filters, task.offsets, given, size, u, plan.filter_pitch, task.room)


@lru_cache(maxsize=64)
def packer(block_channels: int, tile_lanes: int, frequencies_a: int, frequencies_w: int) -> Any:
    """U of all filters, ahead of all tasks: a task a block of a group.  There `weights` are as given, and `y` is U."""

    @device_function
    def body(task, number):
        shape, plan = tile_shape(block_channels, 1, tile_lanes), plan_at(task.tables, 0)
        by_a, by_w = tile_shape(frequencies_a, 1, tile_lanes), tile_shape(frequencies_w, 1, tile_lanes)
        _pack_block(shape, by_a, by_w, plan, task, number)

    @device_function
    def begin(task):
        plan = plan_at(task.tables, 0)
        return _begun(plan, task, tile_lanes, plan.filters.lists_at)

    return over_tasks("winograd_filters", body, begin)
