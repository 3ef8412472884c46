"""Winograd F(4×4, 3×3): 36 multiplications where direct convolution takes 144, on the same register tiles.

    for each task (sample, group, residues of a dilated image, block of tile rows, range of output channels)
        for each channel: copy into 4×4 phases, V = Bᵀ d B            element (i, j) of all tiles is one contiguous vector
        for each superblock of channels, each of the 36 frequencies: gemm_tile
        for each channel: Aᵀ M A, interleaved back into rows, bias, activation

Interpolation points 0, ±1/2, ±3/2, ∞, whose error is about half that of the usual 0, ±1, ±2 (docs/decisions).  A NaN or an infinity of
the input spreads over its 4×4 tile.  Lavin and Gray, arXiv 1509.09308; points: Barabasz et al., arXiv 1803.10986.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import prange

from ..kernel import Kernel, Machine
from ..problem import ConvProblem
from .blocking import TILES
from .epilogue import ACTIVATIONS, store_row
from .launch import device_function, inlined, kernel, threads
from .packing import weight_packer, zero
from .simd.tiles import columns, gemm_tile, lanes, rows, tile_shape
from .simd.vector import deinterleave, fma, get, interleave, load, load_between, pointer, put, store, store_n, zero_of
from .workspace import borrow

A, B = 0.5, 1.5  # the points are 0, ±A, ±B and infinity
A2, B2 = A * A, B * B
FREQUENCIES = 36


@inlined
def input_row(x0, x1, x2, x3, x4, x5):
    """Bᵀ of six vectors."""
    even_a, odd_a = fma(x2, -B2, x4), fma(x1, -B2, x3) * A
    even_b, odd_b = fma(x2, -A2, x4), fma(x1, -A2, x3) * B
    first = fma(x0, A2 * B2, fma(x2, -(A2 + B2), x4))
    return first, even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, fma(x1, A2 * B2, fma(x3, -(A2 + B2), x5))


@inlined
def output_row(m0, m1, m2, m3, m4, m5):
    """Aᵀ of six vectors."""
    sum_a, sum_b, dif_a, dif_b = m1 + m2, m3 + m4, m1 - m2, m3 - m4
    return m0 + sum_a + sum_b, fma(dif_b, B, dif_a * A), fma(sum_b, B2, sum_a * A2), fma(dif_b, B * B2, fma(dif_a, A * A2, m5))


@inlined
def filter_row(g0, g1, g2):
    """G of three vectors: [1, p, p²] / Π(p − q) for each point p."""
    na, nb = 1.0 / (2 * A2 * (A2 - B2)), 1.0 / (2 * B2 * (B2 - A2))
    even_a, odd_a = fma(g2, A2, g0) * na, g1 * (A * na)
    even_b, odd_b = fma(g2, B2, g0) * nb, g1 * (B * nb)
    return g0 * (1.0 / (A2 * B2)), even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b, g2


@device_function
def _copy_channel(shape, x, base, height, width, top, left, apart, count_rows, pitch, buffer, b0):
    """Rows top, top + apart, … of a plane into 4×4 phases: sample (4u + i, 4v + j) at phase (i, j), (u, v); zeros outside."""
    n = lanes(shape)
    depth = count_rows // 4 + 1
    for r in range(count_rows):
        h = top + r * apart
        d = b0 + ((r % 4) * 4 * depth + r // 4) * pitch
        area = depth * pitch
        if h < 0 or h >= height:
            for j in range(4):
                zero(shape, buffer, d + j * area, pitch)
        elif apart == 1:
            for v in range(0, pitch, n):
                first = left + 4 * v
                s = base + h * width + first
                v0 = load_between(x, s, -first, width - first, shape)
                v1 = load_between(x, s + n, -first - n, width - first - n, shape)
                v2 = load_between(x, s + 2 * n, -first - 2 * n, width - first - 2 * n, shape)
                v3 = load_between(x, s + 3 * n, -first - 3 * n, width - first - 3 * n, shape)
                even0, odd0, even1, odd1 = deinterleave(v0, v1, 0), deinterleave(v0, v1, 1), deinterleave(v2, v3, 0), deinterleave(v2, v3, 1)
                store_n(buffer, d + v, deinterleave(even0, even1, 0), pitch - v)
                store_n(buffer, d + area + v, deinterleave(odd0, odd1, 0), pitch - v)
                store_n(buffer, d + 2 * area + v, deinterleave(even0, even1, 1), pitch - v)
                store_n(buffer, d + 3 * area + v, deinterleave(odd0, odd1, 1), pitch - v)
        else:
            for v in range(pitch):
                for j in range(4):
                    c = left + (4 * v + j) * apart
                    if c >= 0 and c < width:
                        put(buffer, d + j * area + v, get(x, base + h * width + c))
                    else:
                        put(buffer, d + j * area + v, 0)


@device_function
def _transform_input(shape, buffer, p, depth, pitch, out, q, apart):
    """V = Bᵀ d B of one vector of tiles; frequency (i, j) goes to q + (6·i + j)·apart."""
    area = depth * pitch
    for j in range(6):
        o = p + (j % 4) * area + j // 4
        r = input_row(
            load(buffer, o, shape), load(buffer, o + 4 * area, shape), load(buffer, o + 8 * area, shape), load(buffer, o + 12 * area, shape),
            load(buffer, o + pitch, shape), load(buffer, o + 4 * area + pitch, shape),
        )  # fmt: skip
        for i in range(6):
            store(out, q + (6 * i + j) * apart, r[i])
    for i in range(6):
        z = q + 6 * i * apart
        r = input_row(
            load(out, z, shape), load(out, z + apart, shape), load(out, z + 2 * apart, shape), load(out, z + 3 * apart, shape),
            load(out, z + 4 * apart, shape), load(out, z + 5 * apart, shape),
        )  # fmt: skip
        for j in range(6):
            store(out, z + j * apart, r[j])


@device_function
def _transform_output(shape, m, q, apart, out, o, length):
    """Y = Aᵀ M A of one vector of tiles; row i of all tiles, interleaved, goes to o + i·length."""
    n = lanes(shape)
    for j in range(6):
        z = q + j * apart
        r = output_row(
            load(m, z, shape), load(m, z + 6 * apart, shape), load(m, z + 12 * apart, shape), load(m, z + 18 * apart, shape),
            load(m, z + 24 * apart, shape), load(m, z + 30 * apart, shape),
        )  # fmt: skip
        for i in range(4):
            store(m, z + 6 * i * apart, r[i])
    for i in range(4):
        z = q + 6 * i * apart
        r = output_row(
            load(m, z, shape), load(m, z + apart, shape), load(m, z + 2 * apart, shape), load(m, z + 3 * apart, shape),
            load(m, z + 4 * apart, shape), load(m, z + 5 * apart, shape),
        )  # fmt: skip
        low02, low13, high02, high13 = interleave(r[0], r[2], 0), interleave(r[1], r[3], 0), interleave(r[0], r[2], 1), interleave(r[1], r[3], 1)
        store(out, o + i * length, interleave(low02, low13, 0))
        store(out, o + i * length + n, interleave(low02, low13, 1))
        store(out, o + i * length + 2 * n, interleave(high02, high13, 0))
        store(out, o + i * length + 3 * n, interleave(high02, high13, 1))


@device_function
def _task(shape, line, task, x, u, bias, y, s, scratch, g):
    channels, produced, groups, height, width, out_h, out_w = get(g, 0), get(g, 1), get(g, 2), get(g, 3), get(g, 4), get(g, 5), get(g, 6)
    apart, low_h, low_w, tile_rows, tile_columns, block_rows = get(g, 7), get(g, 8), get(g, 9), get(g, 10), get(g, 11), get(g, 12)
    splits, split_blocks, super_blocks, tiles = get(g, 13), get(g, 14), get(g, 15), get(g, 16)
    v_pitch, m_pitch, v0, m0, o0, offsets = get(g, 17), get(g, 18), get(g, 19), get(g, 20), get(g, 21), get(g, 22)
    has_bias, activation = get(g, 23), get(g, 24)
    mr, nr, n = rows(shape), columns(shape), lanes(shape)
    blocks_h = (tile_rows + block_rows - 1) // block_rows
    split, task = task % splits, task // splits
    block, task = task % blocks_h, task // blocks_h
    residue, task = task % (apart * apart), task // (apart * apart)
    group, sample = task % groups, task // groups
    res_h, res_w = residue // apart, residue % apart
    first = block * block_rows
    count = min(block_rows, tile_rows - first)
    pitch = tile_columns + 1
    depth = count + 1
    vectors = ((count - 1) * pitch + tile_columns + n - 1) // n
    for c in range(channels):
        plane = ((sample * groups + group) * channels + c) * height * width
        top, left = res_h + 4 * first * apart - low_h, res_w - low_w
        _copy_channel(line, x, plane, height, width, top, left, apart, 4 * count + 2, pitch, scratch, s)
        for v in range(vectors):
            _transform_input(line, scratch, s + v * n, depth, pitch, scratch, s + v0 + c * tiles + v * n, v_pitch)
    blocks = (produced + mr - 1) // mr
    last = min(blocks, (split + 1) * split_blocks)
    panels = (vectors * n + nr - 1) // nr
    for b0 in range(split * split_blocks, last, super_blocks):
        b1 = min(last, b0 + super_blocks)
        for f in range(FREQUENCIES):
            for j in range(panels):
                for b in range(b0, b1):
                    a = ((group * FREQUENCIES + f) * blocks + b) * channels * mr
                    gemm_tile(
                        shape, u, a, scratch, s + v0 + f * v_pitch + j * nr, g, offsets, scratch,
                        s + m0 + f * m_pitch + (b - b0) * mr * tiles + j * nr, channels, tiles, False,
                    )  # fmt: skip
        for k in range(b0 * mr, min(produced, b1 * mr)):
            channel = group * produced + k
            b = get(bias, channel) if has_bias else zero_of(bias)
            length = 4 * vectors * n
            for v in range(vectors):
                _transform_output(line, scratch, s + m0 + (k - b0 * mr) * tiles + v * n, m_pitch, scratch, s + o0 + 4 * v * n, length)
            for t in range(count):
                for i in range(4):
                    h = res_h + apart * (4 * (first + t) + i)
                    if h < out_h:
                        row = ((sample * groups * produced + channel) * out_h + h) * out_w + res_w
                        wide = (out_w - res_w + apart - 1) // apart
                        store_row(line, scratch, s + o0 + i * length + 4 * t * pitch, y, row, wide, apart, b, activation)


@lru_cache(maxsize=16)
def driver(tile_rows: int, tile_vectors: int, tile_lanes: int) -> Any:
    def winograd(x, u, bias, y, scratch, worker_pitch, workers, tasks, geometry):
        for worker in prange(workers):
            shape, line = tile_shape(tile_rows, tile_vectors, tile_lanes), tile_shape(1, 1, tile_lanes)
            for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                _task(
                    shape, line, task, pointer(x), pointer(u), pointer(bias), pointer(y), worker * worker_pitch, pointer(scratch), pointer(geometry)
                )  # fmt: skip

    return kernel(winograd)


@lru_cache(maxsize=16)
def filter_driver(tile_rows: int, tile_lanes: int) -> Any:
    """U = G g Gᵀ, from weights packed as for `direct`, (groups·blocks, channels, 9, rows), to (groups, 36, blocks, channels, rows)."""

    def filters(packed, u, groups, blocks, channels):
        for task in prange(groups * blocks):
            shape = tile_shape(tile_rows, 1, tile_lanes)
            g, b = task // blocks, task % blocks
            step = blocks * channels * tile_rows
            for c in range(channels):
                source = (task * channels + c) * 9 * tile_rows
                target = ((g * 36 * blocks + b) * channels + c) * tile_rows
                for r in range(0, tile_rows, tile_lanes):
                    _transform_filter(shape, pointer(packed), source + r, tile_rows, pointer(u), target + r, step, tile_rows - r)

    return kernel(filters)


@device_function
def _transform_filter(shape, w, s, pitch, u, t, step, count):
    c0 = filter_row(load(w, s, shape), load(w, s + 3 * pitch, shape), load(w, s + 6 * pitch, shape))
    c1 = filter_row(load(w, s + pitch, shape), load(w, s + 4 * pitch, shape), load(w, s + 7 * pitch, shape))
    c2 = filter_row(load(w, s + 2 * pitch, shape), load(w, s + 5 * pitch, shape), load(w, s + 8 * pitch, shape))
    for i in range(6):
        r = filter_row(c0[i], c1[i], c2[i])
        for j in range(6):
            store_n(u, t + (6 * i + j) * step, r[j], count)


@dataclass(frozen=True, eq=False)
class _Blocking:
    tile: tuple[int, int, int]
    tasks: int  # per sample
    splits: int
    geometry: np.ndarray
    worker_pitch: int
    cycles: float
    pack_cycles: float


def _tile(produced: int, machine: Machine) -> tuple[int, int]:
    tiles = [t for t in TILES[32 if machine.registers >= 32 else 16] if t[0] >= 4]
    return min(tiles, key=lambda t: (-(-produced // t[0]) * t[0] * (1 + 0.02 * (t[1] > 2)), -t[0]))


def _candidate(p: ConvProblem, machine: Machine, workers: int, block_rows: int, splits: int) -> _Blocking:
    tile = _tile(p.group_out, machine)
    mr, n = tile[0], machine.vector_bytes // 4
    nr = tile[1] * n
    d = p.dilation[0]
    tile_rows, tile_columns = -(-(-(-p.outputs[0] // d)) // 4), -(-(-(-p.outputs[1] // d)) // 4)
    pitch = tile_columns + 1
    vectors = -(-((block_rows - 1) * pitch + tile_columns) // n)
    tiles = -(-vectors * n // nr) * nr
    tiles += n if tiles * 4 % 1024 == 0 else 0
    c, k = p.group_in, p.group_out
    blocks = -(-k // mr)
    split_blocks = -(-blocks // splits)
    splits = -(-blocks // split_blocks)
    super_blocks = max(1, min(split_blocks, 64 // mr))
    buffer = 16 * (block_rows + 1) * pitch + nr + 2 * n
    v_pitch, m_pitch = c * tiles + n, super_blocks * mr * tiles + n
    v0 = -(-buffer // n) * n
    m0 = v0 + FREQUENCIES * v_pitch + nr
    o0 = m0 + FREQUENCIES * m_pitch + nr
    total = o0 + 16 * vectors * n + 2 * n
    integers = [
        c, k, p.groups, *p.spatial, *p.outputs, d, *p.pad_low, tile_rows, tile_columns, block_rows, splits, split_blocks, super_blocks, tiles,
        v_pitch, m_pitch, v0, m0, o0, 25, int(p.bias), ACTIVATIONS[p.activation], *(np.arange(c) * tiles),
    ]  # fmt: skip
    tasks = p.groups * d * d * -(-tile_rows // block_rows) * splits
    multiply = FREQUENCIES * -(-vectors * n // nr) * split_blocks * (c * (mr * tile[1] + 1.0) + 30)
    copy = 4 * (block_rows + 1) * (pitch * 4 * (3.0 if d > 1 else 12.0 / n) + 20)
    transform = c * (vectors * 330 + copy) + split_blocks * mr * (vectors * 260 + block_rows * 4 * (12 + 4 * tile_columns * (4 / n if d == 1 else 3)))
    return _Blocking(
        (*tile, n), tasks, splits, np.array(integers, np.int64), -(-total // 16) * 16 + 64, tasks * (multiply + transform + 400),
        p.groups * blocks * c * (260 + 36 * mr * 0.6),
    )  # fmt: skip


@lru_cache(maxsize=512)
def _blocking(problem: ConvProblem, machine: Machine, workers: int) -> _Blocking:
    tile_rows = -(-(-(-problem.outputs[0] // problem.dilation[0])) // 4)
    limit = 16 << 20
    found: list[tuple[float, int, _Blocking]] = []
    for rows_ in sorted({-(-tile_rows // k) for k in range(1, tile_rows + 1)}):
        for splits in {1, workers}:
            b = _candidate(problem, machine, workers, rows_, splits)
            if b.worker_pitch * 4 <= limit or not found:
                idle = -(-problem.batch * b.tasks // workers) * workers / (problem.batch * b.tasks)
                found.append((b.cycles * idle, len(found), b))
    return min(found)[2]


def pack(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    """The transformed filters, (groups, 36, blocks, channels, rows)."""
    mr, n = _tile(problem.group_out, machine)[0], machine.vector_bytes // 4
    blocks, c = -(-problem.group_out // mr), problem.group_in
    packed = np.empty(problem.groups * blocks * c * 9 * mr + n, w.dtype)
    weight_packer(mr, n)(
        w.reshape(-1), packed, _plain(9 * c), True, 9 * c, problem.group_out * 9 * c, 9 * c, problem.group_out, problem.groups, 0
    )  # fmt: skip
    u = np.empty(FREQUENCIES * problem.groups * blocks * c * mr, w.dtype)
    filter_driver(mr, n)(packed, u, problem.groups, blocks, c)
    return u


@lru_cache(maxsize=64)
def _plain(count: int) -> np.ndarray:
    return np.arange(count)


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, u, bias = arrays
    workers = threads()
    b = _blocking(problem, machine, workers)
    tasks = problem.batch * b.tasks
    workers = min(workers, tasks)
    loop = driver(*b.tile)
    with borrow(workers * b.worker_pitch, out.dtype) as scratch:
        (loop if workers > 1 else loop.serial)(
            x.reshape(-1), u, out.reshape(-1)[:1] if bias is None else bias, out.reshape(-1), scratch, b.worker_pitch, workers, tasks, b.geometry
        )  # fmt: skip


def _refuse(problem: ConvProblem) -> str | None:
    if problem.kernel != (3, 3):
        return "serves 3×3 kernels"
    if problem.stride != (1, 1):
        return "serves stride 1"
    if problem.dilation[0] != problem.dilation[1]:
        return "serves one dilation for both axes"
    if problem.group_in < 4:
        return "serves four input channels per group or more"
    return None


def _cost(problem: ConvProblem, machine: Machine) -> float:
    b = _blocking(problem.with_(batch=1), machine, 1)
    return (b.cycles + b.pack_cycles) * 2 * machine.vector_bytes / 4 / machine.flops


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    b = _blocking(problem, machine, machine.cores)
    mr = b.tile[0]
    filters = (FREQUENCIES + 9) * problem.groups * -(-problem.group_out // mr) * mr * problem.group_in
    return 4 * (machine.cores * b.worker_pitch + filters)


ROWS = (
    Kernel(
        name="winograd", problem=ConvProblem, run=run, pack=pack, cost=_cost, workspace=_workspace, refuse=_refuse, error_factor=4.0,
        dtypes=frozenset({"float32"}), ranks=frozenset({2}), honours=frozenset({"groups", "activation", "precision"}),
        summary="F(4×4, 3×3): a quarter of the multiplications, for about twice the rounding error",
    ),
)  # fmt: skip
