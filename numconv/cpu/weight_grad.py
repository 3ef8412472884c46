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
from .scalars import end_inside, first_inside, scalars, three
from .simd.tiles import columns, gemm_tile, lanes, rows, tile_shape
from .simd.vector import fma, get, load, load_between, load_n, pointer, put, store
from .workspace import borrow

Array = np.ndarray[Any, Any]
TERMS = 128  # positions per pass: with 64 channels their part of the image takes 32 kB


@kernel
def channels_to_vectors(x, target, planes, group_in, t_in, h_in, w_in, pt, ph, pw, t_pad, h_pad, w_pad):
    """target[n·g, t, h, w, c] = x[n·g, c, t − pt, h − ph, w − pw], zero outside, flat.  Parallel over rows of target."""
    zero = x.dtype.type(0)
    for task in prange(planes * t_pad * h_pad):
        h, t, plane = task % h_pad - ph, (task // h_pad) % t_pad - pt, task // (h_pad * t_pad)
        base = task * w_pad * group_in
        inside = 0 <= h < h_in and 0 <= t < t_in
        begin = min(w_pad, pw) if inside else w_pad
        end = max(begin, min(w_pad, w_in + pw))
        for i in range(begin * group_in):
            put(target, base + i, zero)
        for i in range(end * group_in, w_pad * group_in):
            put(target, base + i, zero)
        for first in range(begin, end, 16):  # sixteen columns at a time: whole cache lines of each channel
            for c in range(group_in):
                source = (((plane * group_in + c) * t_in + t) * h_in + h) * w_in - pw
                for w in range(first, min(first + 16, end)):
                    put(target, base + w * group_in + c, get(x, source + w))


@kernel
def rows_to_terms(y, target, planes, group_out, blocks, tile_rows, positions):
    """target[n·g, block, p, i] = y[n·g, block·tile_rows + i, p], zero beyond the channels, flat.  Parallel over (n·g, block)."""
    for task in prange(planes * blocks):
        plane, block = task // blocks, task % blocks
        for first in range(0, positions, 16):
            for i in range(tile_rows):
                k = block * tile_rows + i
                source = (plane * group_out + k) * positions
                for p in range(first, min(first + 16, positions)):
                    if k < group_out:
                        put(target, (task * positions + p) * tile_rows + i, get(y, source + p))
                    else:
                        put(target, (task * positions + p) * tile_rows + i, y.dtype.type(0))


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
        channels_to_vectors(x, vectors_of_x, planes, c.group_in, *three(c.spatial, 1), *three(c.pad_low, 0), *layout.padded)
        rows_to_terms(y, terms_of_y, planes, c.group_out, layout.blocks, mr, positions)
        integers = (
            c.batch, c.groups, c.group_in, c.group_out, layout.blocks, positions, image, layout.panels, layout.run, layout.inner,
            c.kernel[-1], c.taps,
        )  # fmt: skip
        loop = product_driver(*layout.tile)
        (loop if workers > 1 else loop.serial)(
            terms_of_y, vectors_of_x, offsets, outer, tiles, out.reshape(-1), pitch, workers, parts, integers
        )  # fmt: skip


@lru_cache(maxsize=4)
def taps_kernel(each: int) -> Any:
    """The sums of up to four taps of one filter row over one column of vectors."""

    @device_function
    def taps(shape, y, y0, y_step, x, x0, x_step, i0, i1, i2, i3, l0, l1, l2, l3, pitch, n, count, sums, at):
        """sums[at + tap] += Σ_p y[y0 + p·y_step + lane]·x[x0 + p·x_step + i + lane], zero where l + lane is outside a row of x.

        Two rows at a time, each with sums of its own, hide the latency of a multiply-add; no mask depends on p.
        """
        width = lanes(shape)
        a0, a1, a2, a3 = load(sums, at, shape), load(sums, at, shape), load(sums, at, shape), load(sums, at, shape)
        if each > 1:
            a1 = load(sums, at + width, shape)
        if each > 2:
            a2 = load(sums, at + 2 * width, shape)
        if each > 3:
            a3 = load(sums, at + 3 * width, shape)
        zero = load_n(sums, at, 0, shape)
        b0, b1, b2, b3 = zero, zero, zero, zero
        for p in range(0, count, 2):
            v = load_n(y, y0 + p * y_step, n, shape)
            source = x0 + p * x_step
            a0 = fma(v, load_between(x, source + i0, -l0, min(n, pitch - l0), shape), a0)
            if each > 1:
                a1 = fma(v, load_between(x, source + i1, -l1, min(n, pitch - l1), shape), a1)
            if each > 2:
                a2 = fma(v, load_between(x, source + i2, -l2, min(n, pitch - l2), shape), a2)
            if each > 3:
                a3 = fma(v, load_between(x, source + i3, -l3, min(n, pitch - l3), shape), a3)
            if p + 1 < count:
                v = load_n(y, y0 + (p + 1) * y_step, n, shape)
                source += x_step
                b0 = fma(v, load_between(x, source + i0, -l0, min(n, pitch - l0), shape), b0)
                if each > 1:
                    b1 = fma(v, load_between(x, source + i1, -l1, min(n, pitch - l1), shape), b1)
                if each > 2:
                    b2 = fma(v, load_between(x, source + i2, -l2, min(n, pitch - l2), shape), b2)
                if each > 3:
                    b3 = fma(v, load_between(x, source + i3, -l3, min(n, pitch - l3), shape), b3)
        store(sums, at, a0 + b0)
        if each > 1:
            store(sums, at + width, a1 + b1)
        if each > 2:
            store(sums, at + 2 * width, a2 + b2)
        if each > 3:
            store(sums, at + 3 * width, a3 + b3)

    return taps


_one, _two, _three, _four = (taps_kernel(n) for n in (1, 2, 3, 4))


@device_function
def _filter_row(shape, y, y0, x, x0, x_step, pitch, sw, aw, dw, kw, w_out, count, sums, at):
    """All taps of one filter row, over `count` rows of y and of x."""
    width = lanes(shape)
    first = 0
    while first < kw:
        each = min(kw - first, 4)
        if kw - first == 5 or kw - first == 6:
            each = 3
        j0 = aw + first * dw
        j1, j2, j3 = j0 + min(1, each - 1) * dw, j0 + min(2, each - 1) * dw, j0 + (each - 1) * dw
        l0, l1, l2, l3 = j0 // sw, j1 // sw, j2 // sw, j3 // sw
        i0, i1, i2, i3 = j0 % sw * pitch + l0, j1 % sw * pitch + l1, j2 % sw * pitch + l2, j3 % sw * pitch + l3
        target = at + first * width
        for q in range(0, w_out, width):
            n = min(width, w_out - q)
            yq, xq = y0 + q, x0 + q
            m0, m1, m2, m3 = l0 + q, l1 + q, l2 + q, l3 + q
            if each == 1:
                _one(shape, y, yq, w_out, x, xq, x_step, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, count, sums, target)
            elif each == 2:
                _two(shape, y, yq, w_out, x, xq, x_step, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, count, sums, target)
            elif each == 3:
                _three(shape, y, yq, w_out, x, xq, x_step, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, count, sums, target)
            else:
                _four(shape, y, yq, w_out, x, xq, x_step, i0, i1, i2, i3, m0, m1, m2, m3, pitch, n, count, sums, target)
        first += each


@lru_cache(maxsize=8)
def dot_driver(tile_lanes: int) -> Any:
    """The loop of `dot_rows` for vectors of so many lanes."""

    def dot_rows(x, y, w, batch, channels, out_channels, groups, geo):
        """x: rows as stride phases, (n, c, t, h, phase, column), `pitch` columns.  Parallel over (k, c): a task owns all their taps."""
        t_in, h_in, w_in, kt, kh, kw, st, sh, sw, pt, ph, pw, dt, dh, dw, t_out, h_out, w_out = geo
        group_in, group_out = channels // groups, out_channels // groups
        taps = kt * kh * kw
        pitch = (w_in + sw - 1) // sw
        for task in prange(out_channels * group_in):
            shape = tile_shape(1, 1, tile_lanes)
            width = lanes(shape)
            k = task // group_in
            c = k // group_out * group_in + task % group_in
            sums = np.zeros(taps * width, w.dtype)
            xs, ys, total = pointer(x), pointer(y), pointer(sums)
            for n in range(batch):
                for row in range(kt * kh):
                    at, ah = row // kh * dt - pt, row % kh * dh - ph
                    p = first_inside(ah, sh)
                    count = end_inside(ah, sh, h_in, h_out) - p
                    if count <= 0:
                        continue
                    for u in range(first_inside(at, st), end_inside(at, st, t_in, t_out)):
                        y0 = (((n * out_channels + k) * t_out + u) * h_out + p) * w_out
                        x0 = (((n * channels + c) * t_in + u * st + at) * h_in + p * sh + ah) * sw * pitch
                        _filter_row(shape, ys, y0, xs, x0, sh * sw * pitch, pitch, sw, -pw, dw, kw, w_out, count, total, row * kw * width)
            for tap in range(taps):
                one = sums[tap * width]
                for lane in range(1, width):
                    one += sums[tap * width + lane]
                w[task * taps + tap] = one

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
