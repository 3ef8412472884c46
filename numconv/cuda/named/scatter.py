"""Transposed convolution by scatter-add without atomics: each block owns a tile of the output in shared memory.

Loop: for each tap r: tile[q] += Σ_k y[n, k, p] · w[k, c, r] for all p with q = p·s − lo + r·d in the tile, a barrier, the next tap.
Within one tap different p reach different q, so no two threads add to one element; taps ascend, so the order of summation depends on the
problem alone.  The tile starts at the bias and is stored once, after the activation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from ..geometry.axes import image_strides, shuffled, three
from ..ptx import idiv, imul
from ..runtime.launch import SIMULATED, Table, ceil_div, flat, jit, kernel_factory, launch, stream_of
from ..scalars import ALL, activation, bias_loader, scalars
from . import cost as model

# table: 0 N, 1 groups, 2 source channels per group, 3 target channels per group, 4-6 target extents, 7-9 source extents, 10-12 kernel,
# 13-15 stride, 16-18 dilation, 19-21 pad low, 22 source sample stride, 23 channel, 24-26 axes, 27 target sample stride, 28 channel,
# 29-31 axes, 32-34 tiles along the axes, 35 shuffle, 36 channel blocks
#: channels, then outputs along t, h, w of a block's tile; threads
TILE = (4, 1, 4, 8) if SIMULATED else (4, 1, 8, 64)
WIDE_TILE = (2, *TILE[1:])  # for types of 8 bytes and more, which spill with four channels
THREADS = 4 if SIMULATED else 256


@kernel_factory
def make_scatter(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, tile: tuple[int, int, int, int], threads: int) -> Any:
    """The kernel for these types and tile."""
    BC, TT, TH, TW = tile
    NT = threads
    AREA = TT * TH * TW
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)

    def scatter(y, w, bias, x, tab):
        tile_sums = cuda.shared.array((BC, AREA), kind)
        acc = cuda.local.array(BC, kind)
        tid = int32(cuda.threadIdx.x)
        rest = int32(cuda.blockIdx.x)
        b = idiv(rest, tab[34])
        w_first = int32(int32(rest - imul(b, tab[34])) * int32(TW))
        rest = idiv(b, tab[33])
        h_first = int32(int32(b - imul(rest, tab[33])) * int32(TH))
        b = idiv(rest, tab[32])
        t_first = int32(int32(rest - imul(b, tab[32])) * int32(TT))
        rest = idiv(b, tab[36])
        c_first = int32(int32(b - imul(rest, tab[36])) * int32(BC))
        n = idiv(rest, tab[1])
        g = int32(rest - imul(n, tab[1]))
        sources, targets = tab[2], tab[3]
        kt, kh, kw = tab[10], tab[11], tab[12]
        taps = int32(kt * kh * kw)
        for c in range(BC):
            channel = int32(c_first + int32(c))
            beta = kind(0)
            if channel < targets:
                beta = load_bias(bias, int32(imul(g, targets) + channel))
            e = tid
            while e < int32(AREA):
                tile_sums[uint32(c), uint32(e)] = beta
                e = int32(e + int32(NT))
        cuda.syncthreads()
        y_base = int32(n * tab[22] + imul(g, sources) * tab[23])
        w_base = int32(imul(imul(g, sources), targets) * taps)
        tap = int32(0)
        while tap < taps:
            q = idiv(tap, kw)
            rw = int32(tap - imul(q, kw))
            rt = idiv(q, kh)
            rh = int32(q - imul(rt, kh))
            # where this tap's outputs start: shift = r·d − lo; p from ⌈(first − shift)/s⌉, not below 0
            shift_t, shift_h, shift_w = (
                int32(rt * tab[16] - tab[19]),
                int32(rh * tab[17] - tab[20]),
                int32(rw * tab[18] - tab[21]),
            )
            p_t = idiv(int32(max(int32(t_first - shift_t), int32(0)) + tab[13] - int32(1)), tab[13])
            p_h = idiv(int32(max(int32(h_first - shift_h), int32(0)) + tab[14] - int32(1)), tab[14])
            p_w = idiv(int32(max(int32(w_first - shift_w), int32(0)) + tab[15] - int32(1)), tab[15])
            n_t = int32(idiv(int32(max(int32(t_first + int32(TT) - shift_t), int32(0)) + tab[13] - int32(1)), tab[13]) - p_t)
            n_h = int32(idiv(int32(max(int32(h_first + int32(TH) - shift_h), int32(0)) + tab[14] - int32(1)), tab[14]) - p_h)
            n_w = int32(idiv(int32(max(int32(w_first + int32(TW) - shift_w), int32(0)) + tab[15] - int32(1)), tab[15]) - p_w)
            count = int32(n_t * n_h * n_w)
            e = tid
            while e < count:
                q = idiv(e, n_w)
                jw = int32(p_w + int32(e - imul(q, n_w)))
                jt = idiv(q, n_h)
                jh = int32(p_h + int32(q - imul(jt, n_h)))
                jt = int32(p_t + jt)
                if jt < tab[7] and jh < tab[8] and jw < tab[9]:
                    for c in range(BC):
                        acc[c] = kind(0)
                    at = int32(y_base + jt * tab[24] + jh * tab[25] + jw * tab[26])
                    wt = int32(w_base + imul(c_first, taps) + tap)
                    for _ in range(sources):
                        v = load(y, at)
                        for c in range(BC):
                            if int32(c_first + int32(c)) < targets:
                                acc[c] = kind(acc[c] + v * load(w, int32(wt + imul(int32(c), taps))))
                        at = int32(at + tab[23])
                        wt = int32(wt + imul(targets, taps))
                    where = int32(
                        int32(int32(jt * tab[13] + shift_t - t_first) * int32(TH) + int32(jh * tab[14] + shift_h - h_first)) * int32(TW)
                        + int32(jw * tab[15] + shift_w - w_first)
                    )
                    for c in range(BC):
                        tile_sums[uint32(c), uint32(where)] += acc[c]
                e = int32(e + int32(NT))
            cuda.syncthreads()
            tap = int32(tap + int32(1))
        for c in range(BC):
            channel = int32(c_first + int32(c))
            if channel < targets:
                out = shuffled(int32(imul(g, targets) + channel), int32(tab[1] * targets), tab[35])
                e = tid
                while e < int32(AREA):
                    q = idiv(e, int32(TW))
                    jw = int32(w_first + int32(e - imul(q, int32(TW))))
                    jt = idiv(q, int32(TH))
                    jh = int32(h_first + int32(q - imul(jt, int32(TH))))
                    jt = int32(t_first + jt)
                    if jt < tab[4] and jh < tab[5] and jw < tab[6]:
                        where = int32(n * tab[27] + out * tab[28] + jt * tab[29] + jh * tab[30] + jw * tab[31])
                        store(x, where, apply(tile_sums[uint32(c), uint32(e)]))
                    e = int32(e + int32(NT))

    return jit(scatter, launch_bounds=threads)


def tile_for(dtype: str, out_dtype: str) -> tuple[int, int, int, int]:
    return TILE if scalars(dtype, out_dtype).itemsize <= 4 else WIDE_TILE


@lru_cache(maxsize=256)
def _table(problem: ConvProblem) -> tuple[Any, int]:
    tile = tile_for(problem.dtype, problem.out_dtype)
    target, source = three(problem.spatial, 1), three(problem.outputs, 1)
    sn, sc, sa = image_strides(problem.out_channels, source, problem.layout)
    xn, xc, xa = image_strides(problem.in_channels, target, problem.layout)
    tiles = [ceil_div(e, t) for e, t in zip(target, tile[1:], strict=True)]
    blocks = ceil_div(problem.group_in, tile[0])
    values = (
        problem.batch, problem.groups, problem.group_out, problem.group_in, *target, *source, *three(problem.kernel, 1),
        *three(problem.stride, 1), *three(problem.dilation, 1), *three(problem.pad_low, 0), sn, sc, *sa, xn, xc, *xa, *tiles,
        problem.shuffle, blocks,
    )  # fmt: skip
    return Table(np.array(values, np.int32)), int(np.prod(tiles)) * blocks * problem.batch * problem.groups


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    y, w, bias = arrays
    table, grid = _table(problem)
    bias_dtype = None if bias is None else bias.dtype.name
    tile = tile_for(problem.dtype, problem.out_dtype)
    kernel = make_scatter(problem.dtype, problem.out_dtype, bias_dtype, problem.activation, tile, THREADS)
    w_flat = flat(w)
    launch(kernel, grid, THREADS, stream_of(out), flat(y), w_flat, w_flat if bias is None else flat(bias), flat(out), table)


ROWS = (
    Kernel(
        name="scatter",
        problem=ConvProblem,
        run=run,
        cost=model.scatter,
        directions=frozenset({"input_grad"}),
        dtypes=ALL,
        honours=frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
        summary="Scatter-add into output tiles that one block owns in shared memory; no atomics.",
    ),
)
