"""Weight gradient of a depthwise convolution: dw[c, r] = Σ_{n, p} dy[n, c, p] · x[n, c//m, p·s − lo + r·d].

A GEMM would waste all but one row of its tile here.  A block takes one output channel, one group of up to TAPS taps and one part of the
positions; each thread strides over positions, dy is read once for all its taps; then a tree of fixed shape in shared memory adds the
threads.  Parts of fixed length are added in ascending order by `weight_grad.make_sum_parts`.  The order depends on the problem alone.
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
from ...environment import SIMULATED
from ...geometry.axes import image_strides, three
from ...ptx import idiv, imul
from ...runtime.arrays import allocate, flat, stream_of
from ...runtime.launch import Table, ceil_div, flat_grid, jit, kernel_factory, launch
from ...scalars import ALL, scalars
from .. import cost as model
from ..cuda_cores.kernel import make_sum_parts

THREADS = 4 if SIMULATED else 256
TAPS = 9
PART = 32 if SIMULATED else 1 << 14  # positions of one block
# table: 0 positions in all, 1 part length, 2 per sample, 3 channels, 4 multiplier, 5 taps, 6 tap groups, 7-8 P axes h, w, 9 dy sample
# stride, 10 dy channel stride, 11-13 dy axes, 14 x sample stride, 15 x channel stride, 16-18 x axes · step, 19-21 steps, 22-24 extents;
# from 26 for each tap: offset into x, and its place along t, h, w
HEAD = 28


@kernel_factory
def make_depthwise_grad(dtype: str, out_dtype: str, taps: int, threads: int) -> Any:
    """The kernel for these types; it stores partial sums in the accumulator's type."""
    NT, TC = threads, taps
    number = scalars(dtype, out_dtype)
    kind, load = number.kind, number.load

    def depthwise_grad(x, dy, parts, tab):
        sums = cuda.shared.array(NT, kind)
        acc = cuda.local.array(TC, kind)
        tid = int32(cuda.threadIdx.x)
        rest = int32(cuda.blockIdx.x)
        q = idiv(rest, tab[6])
        r_first = int32(int32(rest - imul(q, tab[6])) * int32(TC))
        part = idiv(q, tab[3])
        c = int32(q - imul(part, tab[3]))
        k = int32(imul(part, tab[1]) + tid)
        end = min(int32(imul(part, tab[1]) + tab[1]), tab[0])
        dy_base, x_base = imul(c, tab[10]), imul(idiv(c, tab[4]), tab[15])
        for r in range(TC):
            acc[r] = kind(0)
        while k < end:
            n = idiv(k, tab[2])
            p = int32(k - imul(n, tab[2]))
            q = idiv(p, tab[8])
            jw = int32(p - imul(q, tab[8]))
            jt = idiv(q, tab[7])
            jh = int32(q - imul(jt, tab[7]))
            g = load(dy, int32(dy_base + n * tab[9] + jt * tab[11] + jh * tab[12] + jw * tab[13]))
            at = int32(x_base + n * tab[14] + jt * tab[16] + jh * tab[17] + jw * tab[18])
            t0, h0, w0 = int32(jt * tab[19]), int32(jh * tab[20]), int32(jw * tab[21])
            for r in range(TC):
                if int32(r_first + int32(r)) < tab[5]:
                    e = int32(int32(HEAD) + int32(r_first + int32(r)) * int32(4))
                    inside = uint32(int32(t0 + tab[uint32(e + int32(1))])) < uint32(tab[22])
                    inside = inside and uint32(int32(h0 + tab[uint32(e + int32(2))])) < uint32(tab[23])
                    inside = inside and uint32(int32(w0 + tab[uint32(e + int32(3))])) < uint32(tab[24])
                    if inside:
                        acc[r] = kind(acc[r] + g * load(x, int32(at + tab[uint32(e)])))
            k = int32(k + int32(NT))
        for r in range(TC):
            sums[uint32(tid)] = acc[r]
            cuda.syncthreads()
            half = int32(NT // 2)
            while half > int32(0):
                if tid < half:
                    sums[uint32(tid)] = kind(sums[uint32(tid)] + sums[uint32(int32(tid + half))])
                cuda.syncthreads()
                half = int32(half >> int32(1))
            if tid == int32(0) and int32(r_first + int32(r)) < tab[5]:
                parts[uint32(int32(imul(int32(imul(part, tab[3]) + c), tab[5]) + r_first + int32(r)))] = sums[uint32(0)]
            cuda.syncthreads()

    return jit(depthwise_grad, launch_bounds=threads)


@lru_cache(maxsize=256)
def _table(problem: ConvProblem) -> Any:
    spatial, outputs, kernel = three(problem.spatial, 1), three(problem.outputs, 1), three(problem.kernel, 1)
    xn, xc, xa = image_strides(problem.in_channels, spatial, problem.layout)
    yn, yc, ya = image_strides(problem.out_channels, outputs, problem.layout)
    step, dilation, low = three(problem.stride, 1), three(problem.dilation, 1), three(problem.pad_low, 0)
    offsets = np.array([[r * d - lo for r, d, lo in zip(tap, dilation, low, strict=True)] for tap in np.ndindex(*kernel)], np.int64)
    entries = np.concatenate([offsets @ np.array(xa, np.int64)[:, None], offsets], axis=1)
    head = np.zeros(HEAD, np.int64)
    head[:25] = (
        problem.batch * prod(outputs), PART, prod(outputs), problem.out_channels, problem.group_out, problem.taps,
        ceil_div(problem.taps, TAPS), outputs[1], outputs[2], yn, yc, *ya, xn, xc, *(a * s for a, s in zip(xa, step, strict=True)), *step,
        *spatial,
    )  # fmt: skip
    return Table(np.concatenate([head, entries.reshape(-1)]).astype(np.int32))


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, dy = arrays
    count = max(1, ceil_div(problem.batch * prod(problem.outputs), PART))
    acc = scalars(problem.dtype, problem.out_dtype).name
    size = problem.out_channels * problem.taps
    direct = count == 1 and acc == problem.out_dtype
    parts = out if direct else allocate((count, size), acc, out)
    grid = ceil_div(problem.taps, TAPS) * problem.out_channels * count
    kernel = make_depthwise_grad(problem.dtype, problem.out_dtype, TAPS, THREADS)
    launch(kernel, grid, THREADS, stream_of(out), flat(x), flat(dy), flat(parts), _table(problem))
    if not direct:
        second = make_sum_parts(acc, problem.out_dtype)
        launch(second, *flat_grid(size), stream_of(out), flat(parts), flat(out), np.int32(count), np.int32(size))


def refuse(problem: ConvProblem) -> str | None:
    return None if problem.is_depthwise else "serves one input channel per group (depthwise) only"


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The parts of the positions."""
    count = ceil_div(problem.batch * prod(problem.outputs), PART)
    return count * problem.out_channels * problem.taps * scalars(problem.dtype, problem.out_dtype).itemsize if count > 1 else 0


ROWS = (
    Kernel(
        name="depthwise",
        problem=ConvProblem,
        run=run,
        cost=model.depthwise,
        directions=frozenset({"weight_grad"}),
        dtypes=ALL,
        honours=frozenset({"groups", "layout", "precision"}),
        refuse=refuse,
        workspace=workspace,
        summary="A block for each channel and group of taps; threads added by a tree of fixed shape.",
    ),
)
