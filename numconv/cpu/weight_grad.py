"""The weight gradient: w[k, c, r] = Σ_{n, p} y[n, k, p]·x[n, c, p·stride − pad + r·dilation], summed in the order of (n, p).

`outer_product` is a matrix product over positions on the micro-kernel of `direct`: the image channels last, so that the channels (and,
undilated, the taps of a row with them) are one contiguous vector at every position, whatever stride and dilation; positions are the
terms of the sum.  `dot_rows` multiplies rows of y with rows of x, for depthwise convolutions, whose channels cannot fill a vector.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from ..kernel import Kernel, Machine
from ..problem import ConvProblem, effective_kernel
from .blocking import TILES
from .launch import device_function, kernel, threads
from .scalars import scalars, three
from .simd.tiles import columns, gemm_tile, rows, tile_shape
from .simd.vector import get, put
from .weight_copies import image_driver, rows_to_phases, terms_driver
from .weight_rows import dot_driver
from .workspace import borrow

Array = np.ndarray[Any, Any]
ROW = 256  # elements that make a row worth a task
TERMS = 128  # positions per pass: with 64 channels their part of the image takes 32 kB


@device_function
def _accumulate(shape, a, x, offsets, ws, w0, batch, groups, g, block, blocks, positions, image, outer, o0, o1, panels):
    """ws[outer tap, panel, :, :] = Σ over all samples and positions, for one group and block of `rows(shape)` output channels."""
    mr, nr = rows(shape), columns(shape)
    for n in range(batch):
        plane = n * groups + g
        for p in range(0, positions, TERMS):
            count = min(TERMS, positions - p)
            a0 = ((plane * blocks + block) * positions + p) * mr
            for o in range(o0, o1):
                for panel in range(panels):
                    x0 = plane * image + get(outer, o) + panel * nr
                    tile = w0 + ((o - o0) * panels + panel) * mr * nr
                    gemm_tile(shape, a, a0, x, x0, offsets, p, ws, tile, count, nr, n + p > 0)


@device_function
def _deliver(shape, sums, source, w, target, run, group_in, taps):
    """One row of a tile's panels, (tap, c), into the weights, (c, tap)."""
    mr, nr = rows(shape), columns(shape)
    c = tap = 0
    for j in range(0, run, nr):
        end = min(nr, run - j)
        i = 0
        while i < end:
            count = min(end - i, group_in - c)
            at = target + c * taps + tap
            if taps == 1:
                for each in range(count):
                    put(w, at + each, get(sums, source + i + each))
            else:
                for each in range(count):
                    put(w, at + each * taps, get(sums, source + i + each))
            i += count
            c += count
            if c == group_in:
                c = 0
                tap += 1
        source += mr * nr


@lru_cache(maxsize=32)
def product_driver(tile_rows: int, tile_vectors: int, tile_lanes: int) -> Any:
    """The parallel loop for one tile shape."""

    def outer_product(a, x, offsets, outer, scratch, w, worker_pitch, workers, parts, geometry):
        batch, groups, group_in, group_out, blocks, positions, image, panels, run, inner, kw, taps = geometry
        tasks = groups * blocks * parts
        for worker in prange(workers):
            shape = tile_shape(tile_rows, tile_vectors, tile_lanes)
            mr, nr = rows(shape), columns(shape)
            w0 = worker * worker_pitch
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                part, block, g = task % parts, (task // parts) % blocks, task // (parts * blocks)
                o0, o1 = part * len(outer) // parts, (part + 1) * len(outer) // parts
                _accumulate(shape, a, x, offsets, scratch, w0, batch, groups, g, block, blocks, positions, image, outer, o0, o1, panels)
                for i in range(min(mr, group_out - block * mr)):
                    target = (g * group_out + block * mr + i) * group_in * taps
                    for o in range(o0, o1):
                        _deliver(shape, scratch, w0 + ((o - o0) * panels * mr + i) * nr, w, target + o * inner, run, group_in, taps)

    return kernel(outer_product)


class Layout(NamedTuple):
    """How `outer_product` sees a problem."""

    tile: tuple[int, int, int]
    blocks: int  # of output channels in a group
    panels: int  # of columns in a run
    run: int  # contiguous elements under one outer tap
    inner: int  # taps in a run
    padded: tuple[int, int, int]


def layout_of(c: ConvProblem, machine: Machine) -> Layout:
    """The tile with the least work, padding included."""
    kernel_, stride, dilation, outputs = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.outputs, 1)
    inner = kernel_[2] if dilation[2] == 1 else 1
    run = inner * c.group_in
    width = machine.vector_bytes // np.dtype(c.out_dtype).itemsize

    def cycles(tile: tuple[int, int]) -> float:
        tiles = -(-c.group_out // tile[0]) * -(-run // (tile[1] * width))
        return tiles * (max(tile[0] * tile[1], tile[1] + tile[0] / 2) + 1.0)

    mr, vectors = min(TILES[32 if machine.registers >= 32 else 16], key=cycles)
    padded = tuple((o - 1) * s + effective_kernel(k, d) for o, s, k, d in zip(outputs, stride, kernel_, dilation, strict=True))
    return Layout((mr, vectors, width), -(-c.group_out // mr), -(-run // (vectors * width)), run, inner, padded)  # type: ignore[arg-type]


def _tables(c: ConvProblem, layout: Layout) -> tuple[Array, Array]:
    """Offset of each position, and of each outer tap, in one group's padded image."""
    kernel_, stride, dilation, outputs = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.outputs, 1)
    pitch = (layout.padded[1] * layout.padded[2] * c.group_in, layout.padded[2] * c.group_in, c.group_in)
    kernel_ = (*kernel_[:2], kernel_[2] // layout.inner)

    def grid(counts: tuple[int, ...], steps: tuple[int, ...]) -> Array:
        t, h, w = (np.arange(n, dtype=np.int64) * s * p for n, s, p in zip(counts, steps, pitch, strict=True))
        return (t[:, None, None] + h[:, None] + w).reshape(-1)

    return grid(outputs, stride), grid(kernel_, dilation)


def _run_product(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, y = (a.astype(out.dtype, copy=False).reshape(-1) for a in arrays)
    positions, planes = prod(c.outputs), c.batch * c.groups
    if not out.size or not planes or not positions:
        out[...] = 0
        return
    layout = layout_of(c, machine)
    mr, vectors, width = layout.tile
    offsets, outer = _tables(c, layout)
    image = prod(layout.padded) * c.group_in
    workers = threads() if c.multiplications > 200_000 else 1
    parts = min(len(outer), max(1, -(-4 * workers // (c.groups * layout.blocks)))) if workers > 1 else 1
    pitch = -(-len(outer) // parts) * layout.panels * mr * vectors * width
    beyond = layout.panels * vectors * width  # the last vectors of the last run are read whole
    sizes = (planes * image + beyond, planes * layout.blocks * positions * mr, workers * pitch)
    with borrow(sum(sizes), out.dtype) as scratch:
        vectors_of_x, terms_of_y, tiles = np.split(scratch, np.cumsum(sizes)[:2])
        vectors_of_x[planes * image :] = 0
        extents, low, padded = three(c.spatial, 1), three(c.pad_low, 0), layout.padded
        if extents == padded and not any(low):  # nothing is added or left out: several rows are one
            count = extents[0] * extents[1]
            together = next((f for f in range(1, count) if count % f == 0 and f * extents[2] >= ROW), count)
            extents = padded = (1, count // together, together * extents[2])
        image_driver(width)(x, vectors_of_x, planes, c.group_in, *extents, *low, *padded)
        terms_driver(mr, width)(y, terms_of_y, planes, c.group_out, layout.blocks, positions)
        integers = (
            c.batch, c.groups, c.group_in, c.group_out, layout.blocks, positions, image, layout.panels, layout.run, layout.inner,
            c.kernel[-1], c.taps,
        )  # fmt: skip
        loop = product_driver(*layout.tile)
        (loop if workers > 1 else loop.serial)(
            terms_of_y, vectors_of_x, offsets, outer, tiles, out.reshape(-1), pitch, workers, parts, integers
        )  # fmt: skip


def _phases(c: ConvProblem, x: Array) -> Array:
    """Rows split into stride phases, so that the columns under a tap are contiguous."""
    step, width = c.stride[-1], c.spatial[-1]
    if step == 1:
        return x.reshape(-1)
    pitch, count = -(-width // step), prod(x.shape[:-1])
    split = np.empty(count * pitch * step, x.dtype)
    rows_to_phases(x.reshape(-1), split, count, width, step, pitch)
    return split


def _run_dot(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    if not out.size:
        return
    x, y = (a.astype(out.dtype, copy=False) for a in arrays)
    loop = dot_driver(machine.vector_bytes // out.dtype.itemsize)
    (loop if c.multiplications > 100_000 else loop.serial)(
        _phases(c, x), y.reshape(-1), out.reshape(-1), c.batch, c.in_channels, c.out_channels, c.groups, scalars(c)
    )  # fmt: skip


def _product_cost(c: ConvProblem, machine: Machine) -> float:
    layout = layout_of(c, machine)
    mr, vectors, width = layout.tile
    flops = 2 * layout.blocks * layout.panels * mr * vectors * width * c.taps / layout.inner * prod(c.outputs) * c.groups
    copied = c.in_channels * prod(layout.padded) + c.groups * layout.blocks * mr * prod(c.outputs)
    return 3 * machine.launch + (flops / (0.7 * machine.flops) + 1e-9 * copied) / machine.cores


def _product_workspace(c: ConvProblem, machine: Machine) -> int:
    layout = layout_of(c, machine)
    mr, vectors, width = layout.tile
    planes = c.batch * c.groups
    tiles = machine.cores * c.taps // layout.inner * layout.panels * mr * vectors * width
    elements = planes * (prod(layout.padded) * c.group_in + layout.blocks * prod(c.outputs) * mr) + tiles + layout.panels * vectors * width
    return elements * np.dtype(c.out_dtype).itemsize


def _dot_cost(c: ConvProblem, machine: Machine) -> float:
    """Cycles of two multiply-adds: 1.6 for each vector and tap, some for each filter row, and the sums of the lanes.  AVX-512, 2026-11."""
    width = machine.vector_bytes // np.dtype(c.out_dtype).itemsize
    (t_out, h_out, w_out), (kt, kh, kw) = three(c.outputs, 1), three(c.kernel, 1)
    vectors, chunks = -(-w_out // width), -(-kw // 4)
    cycles = t_out * vectors * (1.6 * c.taps * h_out + 60 * kt * kh * chunks) + 20 * c.taps + 200
    copied = c.in_channels * prod(c.spatial) if c.stride[-1] > 1 else 0
    return machine.launch + (c.out_channels * c.group_in * cycles * 4 * width / machine.flops + 1e-9 * copied) / machine.cores


def _dot_workspace(c: ConvProblem, machine: Machine) -> int:
    size = np.dtype(c.out_dtype).itemsize
    phases = 2 * c.batch * c.in_channels * prod(c.spatial) if c.stride[-1] > 1 else 0
    return size * (phases + machine.cores * c.taps * machine.vector_bytes // size)


_SHARED: dict[str, Any] = {
    "problem": ConvProblem,
    "directions": frozenset({"weight_grad"}),
    "dtypes": frozenset({"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}),
    "honours": frozenset({"groups", "activation", "precision"}),
}

ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="outer_product", run=_run_product, cost=_product_cost, workspace=_product_workspace,
        summary="matrix product over positions, on register tiles of output channels by input channels", **_SHARED,
    ),
    Kernel(
        name="dot_rows", run=_run_dot, cost=_dot_cost, workspace=_dot_workspace,
        summary="rows of the gradient times rows of the input; for depthwise and few channels", **_SHARED,
    ),
)  # fmt: skip
