"""Weight gradient as a GEMM over positions, split along them, the parts added in a fixed order.

dw[g, o, j] = Σ_{n, p} dy[n, g·Og + o, p] · x[n, base(p) + xoff[j]], j over (channel of the group, tap).  A block computes BM channels ×
BN columns over one part of the positions; parts go to a workspace (parts, weights) and a second kernel adds them in ascending order, so
the order of summation depends on the problem alone.  No atomics; each partial sum has one thread.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ... import costs
from ...environment import SIMULATED
from ...geometry.axes import image_strides, three
from ...ptx import idiv, imod, imul, load4
from ...runtime.arrays import allocate, flat, stream_of
from ...runtime.launch import Table, ceil_div, flat_grid, jit, kernel_factory, launch
from ...scalars import ALL, loader, scalars, storer
from ...stages.cost import cuda_core_block
from .. import cost as model

HEAD = 32
# head: 0 positions in all, 1 part length, 2 positions per sample, 3 columns, 4 Og, 5 groups, 6 dy sample stride, 7 dy channel stride,
# 8-10 dy axis strides, 11 x sample stride, 12 x group stride, 13-15 x axis strides · step, 16-18 steps, 19-21 extents, 22-23 P axes h, w,
# 24 weights, 25 where the third axis' offsets start
#: positions of a part at least
LEAST = 256
Tile = tuple[int, int, int, int, int]
TILES: tuple[Tile, ...] = ((64, 64, 16, 4, 4), (32, 128, 16, 4, 4), (16, 64, 16, 4, 4), (128, 128, 8, 8, 8))
SIMULATED_TILES: tuple[Tile, ...] = ((8, 8, 4, 4, 4),)


@kernel_factory
def make_weight_grad(dtype: str, out_dtype: str, outer: bool, tile: Tile) -> Any:
    """The product kernel; it stores partial sums in the accumulator's type."""
    BM, BN, BK, TM, TN = tile
    number = scalars(dtype, out_dtype)
    kind, load = number.kind, number.load
    ROWS_T = BM // TM
    NT = ROWS_T * (BN // TN)
    STEP = NT // BK
    A_STEPS, B_STEPS = BM // STEP, BN // STEP
    LDA, LDB = BM + 4, BN + 4
    A_STAGE, B_STAGE = BK * LDA, BK * LDB
    A_ALL, B_ALL = 2 * A_STAGE, 2 * B_STAGE
    four = number.four
    assert NT % BK == 0 and BM % STEP == 0 and BN % STEP == 0 and TM % 4 == 0 and TN % 4 == 0

    def weight_grad(x, dy, parts, tab, tiles_m, tiles_n):
        As = cuda.shared.array(A_ALL, kind, alignment=16)
        Bs = cuda.shared.array(B_ALL, kind, alignment=16)
        acc = cuda.local.array((TM, TN), kind)
        a_next = cuda.local.array(A_STEPS, kind)
        b_next = cuda.local.array(B_STEPS, kind)
        fa = cuda.local.array(TM, kind)
        fb = cuda.local.array(TN, kind)
        tid = int32(cuda.threadIdx.x)
        rest = int32(cuda.blockIdx.x)
        q = idiv(rest, tiles_n)
        j_first = int32(int32(rest - imul(q, tiles_n)) * int32(BN))
        rest = q
        q = idiv(rest, tiles_m)
        o_first = int32(int32(rest - imul(q, tiles_m)) * int32(BM))
        part = idiv(q, tab[5])
        g = int32(q - imul(part, tab[5]))
        targets, columns, per_sample = tab[4], tab[3], tab[2]
        nh, nw = tab[22], tab[23]
        begin = imul(part, tab[1])
        end = int32(begin + tab[1])
        if end > tab[0]:
            end = tab[0]
        lane, row = imod(tid, int32(BK)), idiv(tid, int32(BK))
        m_thread, j_thread = int32(imod(tid, int32(ROWS_T)) * int32(4)), int32(idiv(tid, int32(ROWS_T)) * int32(4))
        for i in range(TM):
            for j in range(TN):
                acc[i, j] = kind(0)
        steps = idiv(int32(end - begin + int32(BK - 1)), int32(BK))
        t = int32(0)
        while t <= steps:
            if t < steps:
                k = int32(begin + t * int32(BK) + lane)
                for i in range(A_STEPS):
                    a_next[i] = kind(0)
                for i in range(B_STEPS):
                    b_next[i] = kind(0)
                if k < end:
                    n = idiv(k, per_sample)
                    p = int32(k - imul(n, per_sample))
                    q = idiv(p, nw)
                    jw = int32(p - imul(q, nw))
                    jt = idiv(q, nh)
                    jh = int32(q - imul(jt, nh))
                    y_at = int32(n * tab[6] + imul(g, targets) * tab[7] + jt * tab[8] + jh * tab[9] + jw * tab[10])
                    x_at = int32(n * tab[11] + g * tab[12] + jt * tab[13] + jh * tab[14] + jw * tab[15])
                    t0, h0, w0 = int32(jt * tab[16]), int32(jh * tab[17]), int32(jw * tab[18])
                    for i in range(A_STEPS):
                        o = int32(o_first + row + int32(i * STEP))
                        if o < targets:
                            a_next[i] = load(dy, int32(y_at + imul(o, tab[7])))
                    for i in range(B_STEPS):
                        j = int32(j_first + row + int32(i * STEP))
                        if j < columns:
                            e = load4(tab, int32(int32(HEAD) + j * int32(4)))
                            ok = uint32(int32(h0 + e[2])) < uint32(tab[20]) and uint32(int32(w0 + e[3])) < uint32(tab[21])
                            if outer:
                                ok = ok and uint32(int32(t0 + tab[uint32(int32(tab[25] + j))])) < uint32(tab[19])
                            if ok:
                                b_next[i] = load(x, int32(x_at + e[0]))
            if t > int32(0):
                s = int32(int32(t - int32(1)) & int32(1))
                for kk in range(BK):
                    for i in range(TM // 4):
                        four(As, int32(s * int32(A_STAGE) + int32(kk * LDA + i * 4 * ROWS_T) + m_thread), fa, i * 4)
                    for j in range(TN // 4):
                        four(Bs, int32(s * int32(B_STAGE) + int32(kk * LDB + j * 4 * (BN // TN)) + j_thread), fb, j * 4)
                    for i in range(TM):
                        for j in range(TN):
                            acc[i, j] += kind(fa[i] * fb[j])
            if t < steps:
                s = int32(t & int32(1))
                at = int32(s * int32(A_STAGE) + lane * int32(LDA) + row)
                for i in range(A_STEPS):
                    As[uint32(at + int32(i * STEP))] = a_next[i]
                at = int32(s * int32(B_STAGE) + lane * int32(LDB) + row)
                for i in range(B_STEPS):
                    Bs[uint32(at + int32(i * STEP))] = b_next[i]
            cuda.syncthreads()
            t = int32(t + int32(1))
        for i in range(TM):
            o = int32(o_first + m_thread + int32((i // 4) * 4 * ROWS_T + i % 4))
            where = int32(part * tab[24] + imul(int32(imul(g, targets) + o), columns))
            if o < targets:
                for j in range(TN):
                    c = int32(j_first + j_thread + int32((j // 4) * (4 * (BN // TN)) + j % 4))
                    if c < columns:
                        parts[uint32(int32(where + c))] = acc[i, j]

    return jit(weight_grad, launch_bounds=NT)


@kernel_factory
def make_sum_parts(acc: str, out_dtype: str) -> Any:
    """out[i] = Σ_part parts[part, i], ascending."""
    kind, store = scalars(acc, acc).kind, storer(out_dtype, acc)
    load = loader(acc, acc)

    def sum_parts(parts, out, count, size):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < size:
            total = kind(0)
            at = i
            for _ in range(count):
                total = kind(total + load(parts, at))
                at = int32(at + size)
            store(out, i, total)
            i = int32(i + step)

    return jit(sum_parts)


def part_length(problem: ConvProblem, tile: Tile, least: int = 8 if SIMULATED else LEAST) -> int:
    """Positions of one part: so many parts that two waves of blocks run on an H100, of 256 positions at least."""
    total = problem.batch * prod(problem.outputs)
    columns = problem.group_in * problem.taps
    blocks = ceil_div(problem.group_out, tile[0]) * ceil_div(columns, tile[1]) * problem.groups
    wanted = max(1, costs.FULL // blocks)
    return max(least, ceil_div(ceil_div(total, wanted), tile[2]) * tile[2])


@lru_cache(maxsize=256)
def _table(problem: ConvProblem, part: int) -> Any:
    spatial, outputs = three(problem.spatial, 1), three(problem.outputs, 1)
    xn, xc, xa = image_strides(problem.in_channels, spatial, problem.layout)
    yn, yc, ya = image_strides(problem.out_channels, outputs, problem.layout)
    step, dilation, low, kernel = three(problem.stride, 1), three(problem.dilation, 1), three(problem.pad_low, 0), three(problem.kernel, 1)
    offsets = np.array([[r * d - lo for r, d, lo in zip(tap, dilation, low, strict=True)] for tap in np.ndindex(*kernel)], np.int64)
    flat_offsets = offsets @ np.array(xa, np.int64)
    entries = np.zeros((problem.group_in, len(offsets), 4), np.int64)
    entries[..., 0] = np.arange(problem.group_in)[:, None] * xc + flat_offsets
    entries[..., 2:] = offsets[:, 1:]
    columns = problem.group_in * problem.taps
    per_sample = prod(outputs)
    head = np.zeros(HEAD, np.int64)
    head[:8] = (problem.batch * per_sample, part, per_sample, columns, problem.group_out, problem.groups, yn, yc)
    head[8:13] = (*ya, xn, problem.group_in * xc)
    head[13:16] = [a * s for a, s in zip(xa, step, strict=True)]
    head[16:26] = (*step, *spatial, outputs[1], outputs[2], prod(problem.weight_shape), HEAD + 4 * columns)
    outer = np.tile(offsets[:, 0], problem.group_in)
    return Table(np.concatenate([head, entries.reshape(-1), outer]).astype(np.int32))


def choose_tile(problem: ConvProblem) -> Tile:
    return SIMULATED_TILES[0] if SIMULATED else tile_for(problem)


def tile_for(problem: ConvProblem) -> Tile:
    if problem.group_out <= 16:
        return TILES[2]
    if problem.group_out <= 32:
        return TILES[1]
    return TILES[0]


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, dy = arrays
    tile = choose_tile(problem)
    part = part_length(problem, tile)
    count = max(1, ceil_div(problem.batch * prod(problem.outputs), part))
    acc = scalars(problem.dtype, problem.out_dtype).name
    size = prod(problem.weight_shape)
    direct = count == 1 and acc == problem.out_dtype
    parts = out if direct else allocate((count, size), acc, out)
    columns = problem.group_in * problem.taps
    tiles_m, tiles_n = ceil_div(problem.group_out, tile[0]), ceil_div(columns, tile[1])
    grid = tiles_m * tiles_n * problem.groups * count
    kernel = make_weight_grad(problem.dtype, problem.out_dtype, problem.rank == 3, tile)
    threads = (tile[0] // tile[3]) * (tile[1] // tile[4])
    sizes = np.int32(tiles_m), np.int32(tiles_n)
    launch(kernel, grid, threads, stream_of(out), flat(x), flat(dy), flat(parts), _table(problem, part), *sizes)
    if not direct:
        add_parts(parts, out, count)


def add_parts(parts: Any, out: Any, count: int) -> None:
    """The second pass: `parts` (count, *weights) of the accumulator's type."""
    second = make_sum_parts(parts.dtype.name, out.dtype.name)
    launch(second, *flat_grid(out.size), stream_of(out), flat(parts), flat(out), np.int32(count), np.int32(out.size))


def workspace(problem: ConvProblem, machine: Machine) -> int:
    tile = choose_tile(problem)
    count = max(1, ceil_div(problem.batch * prod(problem.outputs), part_length(problem, tile)))
    size = count * prod(problem.weight_shape) * scalars(problem.dtype, problem.out_dtype).itemsize
    return size if count > 1 else 0


def estimate(problem: ConvProblem, machine: Machine) -> costs.Estimate:
    tile, total = tile_for(problem), max(1, problem.batch * prod(problem.outputs))
    block = cuda_core_block(tile, tile[0], tile[1], tile[2], (tile[0] // tile[3]) * (tile[1] // tile[4]))
    return model.cuda_cores(problem, machine, block, ceil_div(total, part_length(problem, tile, LEAST)))


def cost(problem: ConvProblem, machine: Machine) -> float:
    return estimate(problem.with_(batch=1), machine).seconds


ROWS = (
    Kernel(
        name="implicit_gemm",
        problem=ConvProblem,
        run=run,
        cost=cost,
        directions=frozenset({"weight_grad"}),
        dtypes=ALL,
        honours=frozenset({"groups", "layout", "precision"}),
        workspace=workspace,
        summary="GEMM over positions in parts of fixed length, added in a fixed order.",
    ),
)
