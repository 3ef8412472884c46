"""Winograd F(m, 3) on one axis or two of any convolution of stride 1: fewer multiplications, on the same register tiles.

    for each task (sample, group, box of outputs, range of output channels)
        for each channel: rows transformed along W, then along the other axis: V = Bᵀ d B      one frequency of all positions is one vector
        for each superblock of channels, each frequency: gemm_tile; an axis that is not transformed adds its taps to the terms of the sum
        for each channel: Aᵀ M A, merged back into rows, bias, activation

A 3×3 kernel takes 36 multiplications for 4×4 outputs where direct convolution takes 144; three taps on one axis 6 for 12.  A dilated axis is
`dilation` interleaved plain ones, whose positions stand side by side.  A NaN or an infinity of the input spreads over its tile.
Lavin and Gray, arXiv 1509.09308; points: Barabasz et al., arXiv 1803.10986.
"""

from __future__ import annotations

from functools import lru_cache
from math import inf
from typing import Any

import numpy as np
from numba import prange

from ..kernel import Kernel, Machine, worth_its_error
from ..problem import ConvProblem
from .epilogue import store_row
from .launch import device_function, inlined, kernel, threads
from .packing import zero
from .simd.tiles import columns, gemm_tile, lanes, rows, tile_shape, transpose_block
from .simd.vector import get, pointer, put, zero_of
from .winograd_blocking import CLOCK, FUSED, HEAD, PER_AXIS, chosen, frequencies, prepared
from .winograd_transforms import analyse, fill_row, restore, restore_rows, transform_filter
from .workspace import borrow


@inlined
def _axis(g, k):
    """(extent, outputs, low, distance of a tile's samples, positions that only taps reach, m, rows in, rows out) of an axis."""
    q = HEAD + k * PER_AXIS
    m = get(g, q + 5)
    return get(g, q), get(g, q + 1), get(g, q + 2), get(g, q + 3) if m > 1 else 1, get(g, q + 4), m, get(g, q + 6), get(g, q + 7)


@inlined
def _part(g, k, index):
    """(first output, tiles or outputs, residues) of a box of an axis."""
    q = HEAD + k * PER_AXIS
    m, box, residues, count = get(g, q + 5), get(g, q + 8), get(g, q + 9), get(g, q + 11)
    d = get(g, q + 3) if m > 1 else 1
    ranges = (d + residues - 1) // residues
    first, part = index // ranges * box, index % ranges * residues
    return first * m * d + part, min(box, count - first), min(residues, d - part)


@device_function
def _fill(line, x, base, s, scratch, g, box_o, box_a, box_i, first_w):
    """V of a box: `base` is the sample's and group's first element of x."""
    channels, pitch, v_pitch, v0, phase, plane, si, sw = (
        get(g, 0), get(g, 7), get(g, 8), s + get(g, 10), get(g, 17), get(g, 18), get(g, 19), get(g, 20)
    )  # fmt: skip
    extent_o, _, low_o, _, halo_o, _, row_o, _ = _axis(g, 0)
    extent_a, _, low_a, step_a, halo_a, m_a, row_a, _ = _axis(g, 1)
    extent_i, _, low_i, _, halo_i, _, row_i, _ = _axis(g, 2)
    width, _, low_w, step_w, _, m_w, _, _ = _axis(g, 3)
    (first_o, count_o, _), (first_a, count_a, residues), (first_i, count_i, _) = box_o, box_a, box_i
    samples = count_a * m_a + 2 if m_a > 1 else count_a + halo_a
    wf = m_w + 2 if m_w > 1 else 1
    area = extent_o * extent_a * extent_i * width
    for c in range(channels):
        for o in range(count_o + halo_o):
            target = v0 + c * pitch + o * plane
            at_o = first_o + o - low_o
            for e in range(samples):
                for r in range(residues):
                    at_a = first_a + e * step_a + r - low_a
                    for i in range(count_i + halo_i):
                        at_i = first_i + i - low_i
                        q, apart = target + (e * si + i) * sw, v_pitch
                        if m_a > 1:
                            q, apart = s + e % m_a * phase + ((e // m_a * residues + r) * si + i) * sw, m_a * phase
                        if at_o >= 0 and at_o < extent_o and at_a >= 0 and at_a < extent_a and at_i >= 0 and at_i < extent_i:
                            row = base + c * area + (at_o * row_o + at_a * row_a + at_i * row_i) * width
                            fill_row(line, x, row, first_w - low_w, width, sw, m_w, step_w, scratch, q, apart)
                        else:
                            for j in range(wf):
                                zero(line, scratch, q + j * apart, sw)
            if m_a > 1:
                for j in range(wf):
                    count = count_a * residues * si * sw
                    analyse(line, scratch, s + j * m_a * phase, phase, residues * si * sw, count, m_a, scratch, target + j * v_pitch, wf * v_pitch)


@device_function
def _deliver(line, z, positions, b, s, scratch, y, base, g, box_o, box_a, box_i, first_w):
    """One output channel, whose M is at z: Aᵀ M A, then its rows with bias and activation to the plane of y at `base`."""
    m_pitch, o0, activation, plane, si, sw = get(g, 9), s + get(g, 12), get(g, 16), get(g, 18), get(g, 19), get(g, 20)
    row_o, row_i = get(g, HEAD + 7), get(g, HEAD + 2 * PER_AXIS + 7)
    _, outputs_a, _, step_a, _, m_a, _, row_a = _axis(g, 1)
    _, outputs_w, _, step_w, _, m_w, _, _ = _axis(g, 3)
    (first_o, count_o, _), (first_a, count_a, residues), (first_i, count_i, _) = box_o, box_a, box_i
    wf = m_w + 2 if m_w > 1 else 1
    if m_a > 1:
        for j in range(wf):
            restore(line, scratch, z + j * m_pitch, wf * m_pitch, positions, m_a)
    wide = min(outputs_w - first_w, get(g, HEAD + 3 * PER_AXIS + 8) * m_w * step_w)
    for a in range(m_a):
        source = z + a * wf * m_pitch
        if m_w > 1:
            restore_rows(line, scratch, source, m_pitch, positions, m_w, step_w, scratch, o0)
            source = o0
        for o in range(count_o):
            for u in range(count_a):
                for r in range(residues):
                    at_a = first_a + (u * m_a + a) * step_a + r
                    if at_a < outputs_a:
                        for i in range(count_i):
                            row = base + ((first_o + o) * row_o + at_a * row_a + (first_i + i) * row_i) * outputs_w + first_w
                            place = source + (o * plane + ((u * residues + r) * si + i) * sw) * m_w
                            store_row(line, scratch, place, y, row, wide, 1, b, activation)


@device_function
def _filters(shape, line, w, source, row_step, valid, count, g, out, target, apart, room, z):
    """U of `count` channels of one block, from their weights at w[source]: term t of frequency f goes to out[target + f·apart + t·rows].

    `room`, from z: the channels' weights with the rows of the tile side by side.
    """
    mr, n = rows(shape), lanes(shape)
    taps, step_a, step_w, places, first = get(g, 23), get(g, 24), get(g, 25), get(g, 26), get(g, 27)
    m_a, m_w = get(g, HEAD + PER_AXIS + 5), get(g, HEAD + 3 * PER_AXIS + 5)
    k = 0
    while k + n <= count * taps:
        transpose_block(shape, w, source + k, row_step, valid, room, z + k * mr)
        k += n
    while k < count * taps:
        for r in range(mr):
            put(room, z + k * mr + r, get(w, source + k + min(r, valid - 1) * row_step))
        k += 1
    for c in range(count):
        for k in range(places):
            s, t = z + (c * taps + get(g, first + k)) * mr, target + (c * places + k) * mr
            for r in range(0, mr, n):
                transform_filter(line, room, s + r, step_a * mr, step_w * mr, m_a, m_w, out, t + r, apart, mr - r)


@device_function
def _multiply(shape, line, u, a0, fused, b0, b1, panels, s, scratch, g):
    """M of the blocks b0 … b1 of output channels, by chunks of input channels.

    `fused`: u has the weights as they were given, those of a chunk and these blocks are transformed before they are used.
    """
    channels, produced, terms, pitch, v_pitch, m_pitch, v0, m0, offsets = (
        get(g, 0), get(g, 1), get(g, 6), get(g, 7), get(g, 8), get(g, 9), s + get(g, 10), s + get(g, 11), get(g, 14)
    )  # fmt: skip
    u_pitch, f_count, chunk, taps, places, u0, c_pitch, room = (
        get(g, 21), get(g, 22), get(g, 13), get(g, 23), get(g, 26), s + get(g, 28), get(g, 29), s + get(g, 30)
    )  # fmt: skip
    mr, nr, n = rows(shape), columns(shape), lanes(shape)
    chunk = chunk if fused else channels
    for c0 in range(0, channels, chunk):
        count = min(chunk, channels - c0)
        if fused:
            for b in range(b0, b1):
                for c in range(0, count, n):
                    _filters(
                        shape, line, u, a0 + (b * mr * channels + c0 + c) * taps, channels * taps, min(mr, produced - b * mr), min(n, count - c),
                        g, scratch, u0 + ((b - b0) * chunk + c) * places * mr, c_pitch, scratch, room,
                    )  # fmt: skip
        for f in range(f_count):
            for j in range(panels):
                for b in range(b0, b1):
                    a, k = u, a0 + f * u_pitch + b * terms * mr
                    if fused:
                        a, k = scratch, u0 + f * c_pitch + (b - b0) * chunk * places * mr
                    gemm_tile(
                        shape, a, k, scratch, v0 + f * v_pitch + j * nr, g, offsets + c0 * places, scratch,
                        m0 + f * m_pitch + (b - b0) * mr * pitch + j * nr, count * places, pitch, c0 > 0,
                    )  # fmt: skip


@device_function
def _task(shape, line, task, x, u, fused, bias, y, s, scratch, g):
    channels, produced, groups, splits, split_blocks, super_blocks = get(g, 0), get(g, 1), get(g, 2), get(g, 3), get(g, 4), get(g, 5)
    plane, si, sw = get(g, 18), get(g, 19), get(g, 20)
    mr, nr = rows(shape), columns(shape)
    split, task = task % splits, task // splits
    boxes_w, boxes_i, boxes_a, boxes_o = get(g, HEAD + 46), get(g, HEAD + 34), get(g, HEAD + 22), get(g, HEAD + 10)
    (first_w, count_w, residues_w), task = _part(g, 3, task % boxes_w), task // boxes_w
    box_i, task = _part(g, 2, task % boxes_i), task // boxes_i
    box_a, task = _part(g, 1, task % boxes_a), task // boxes_a
    box_o, task = _part(g, 0, task % boxes_o), task // boxes_o
    group, sample = task % groups, task // groups
    in_size, out_size = get(g, HEAD + 36), get(g, HEAD + 37)
    for k in range(3):
        in_size *= get(g, HEAD + k * PER_AXIS)
        out_size *= get(g, HEAD + k * PER_AXIS + 1)
    _fill(line, x, (sample * groups + group) * channels * in_size, s, scratch, g, box_o, box_a, box_i, first_w)
    positions = (box_o[1] - 1) * plane + ((box_a[1] * box_a[2] - 1) * si + box_i[1] - 1) * sw + count_w * residues_w
    a0 = group * (produced * channels * get(g, 23) if fused else get(g, 22) * get(g, 21))
    last = min((produced + mr - 1) // mr, (split + 1) * split_blocks)
    for b0 in range(split * split_blocks, last, super_blocks):
        b1 = min(last, b0 + super_blocks)
        _multiply(shape, line, u, a0, fused, b0, b1, (positions + nr - 1) // nr, s, scratch, g)
        for k in range(b0 * mr, min(produced, b1 * mr)):
            channel = group * produced + k
            b = get(bias, channel) if get(g, 15) else zero_of(bias)
            base = (sample * groups * produced + channel) * out_size
            _deliver(line, s + get(g, 11) + (k - b0 * mr) * get(g, 7), positions, b, s, scratch, y, base, g, box_o, box_a, box_i, first_w)


@lru_cache(maxsize=16)
def driver(tile_rows: int, tile_vectors: int, tile_lanes: int) -> Any:
    def winograd(x, u, fused, bias, y, scratch, worker_pitch, workers, tasks, geometry):
        for worker in prange(workers):
            shape, line = tile_shape(tile_rows, tile_vectors, tile_lanes), tile_shape(1, 1, tile_lanes)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _task(
                    shape, line, task, pointer(x), pointer(u), fused, pointer(bias), pointer(y), worker * worker_pitch, pointer(scratch),
                    pointer(geometry),
                )  # fmt: skip

    return kernel(winograd)


@lru_cache(maxsize=16)
def filter_driver(tile_rows: int, tile_lanes: int) -> Any:
    """U = G g Gᵀ of weights (groups·out channels, channels, taps): (groups, frequencies, blocks, channels, taps that are terms, rows)."""

    def filters(w, u, room_size, geometry):
        channels, produced, groups, terms, u_pitch, count_f, taps = (
            geometry[0], geometry[1], geometry[2], geometry[6], geometry[21], geometry[22], geometry[23]
        )  # fmt: skip
        blocks = (produced + tile_rows - 1) // tile_rows
        for task in prange(groups * blocks):
            shape, line = tile_shape(tile_rows, 1, tile_lanes), tile_shape(1, 1, tile_lanes)
            room = np.empty(room_size, w.dtype)
            g, b = task // blocks, task % blocks
            target = g * count_f * u_pitch + b * terms * tile_rows
            for c in range(0, channels, tile_lanes):
                _filters(
                    shape, line, pointer(w), ((g * produced + b * tile_rows) * channels + c) * taps, channels * taps,
                    min(tile_rows, produced - b * tile_rows), min(tile_lanes, channels - c), pointer(geometry), pointer(u),
                    target + c * (terms // channels) * tile_rows, u_pitch, pointer(room), 0,
                )  # fmt: skip

    return kernel(filters)


def packs_itself(problem: ConvProblem, machine: Machine) -> bool:
    """Whether `run` takes the weights as given: those that are used in one box or two it transforms on the way, and never writes to memory."""
    return problem.batch * chosen(problem.with_(batch=1), machine).tasks <= FUSED * problem.groups


def pack(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    """The transformed filters, (groups, frequencies, blocks, terms, rows)."""
    b, layout, geometry = prepared(problem.with_(batch=1), machine, 1)
    u = np.empty(problem.groups * frequencies(b.box.axes) * layout.u_pitch, w.dtype)
    filter_driver(b.tile[0], b.tile[2])(w.reshape(-1), u, layout.room_size, geometry)
    return u


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, u, bias = arrays
    workers = threads()
    b, layout, geometry = prepared(problem, machine, workers)
    tasks = problem.batch * b.tasks
    workers = min(workers, tasks)
    loop = driver(*b.tile)
    with borrow(workers * layout.total, out.dtype) as scratch:
        (loop if workers > 1 else loop.serial)(
            x.reshape(-1), u.reshape(-1), u.ndim > 1, out.reshape(-1)[:1] if bias is None else bias, out.reshape(-1), scratch, layout.total,
            workers, tasks, geometry,
        )  # fmt: skip


def _refuse(problem: ConvProblem) -> str | None:
    if 3 not in problem.kernel:
        return "serves kernels of three taps along some axis"
    if set(problem.stride) != {1}:
        return "serves stride 1"
    if problem.group_in < 4:
        return "serves four input channels per group or more"
    return None


def _cost(problem: ConvProblem, machine: Machine) -> float:
    if not worth_its_error(problem.with_(batch=1)):
        return inf  # by name only
    b = chosen(problem.with_(batch=1), machine)
    return CLOCK * (b.cycles + b.pack_cycles) * 2 * machine.vector_bytes / 4 / machine.flops


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    b, layout, _ = prepared(problem, machine, machine.cores)
    filters = 0 if packs_itself(problem, machine) else problem.groups * frequencies(b.box.axes) * layout.u_pitch
    return 4 * (machine.cores * layout.total + filters)


ROWS = (
    Kernel(
        name="winograd", problem=ConvProblem, run=run, pack=pack, cost=_cost, workspace=_workspace, refuse=_refuse, packs_itself=packs_itself,
        error_factor=4.0, dtypes=frozenset({"float32"}), honours=frozenset({"groups", "activation", "precision"}),
        summary="F(4, 3) on one axis or two: half or a quarter of the multiplications, for about twice the rounding error",
    ),
)  # fmt: skip
