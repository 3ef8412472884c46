"""Depthwise convolution: by `halo_kernel`, from a tile of the image in shared memory; where none fits, a thread computes a strip of TH output
rows of one column, the input window of a tap column in registers.

The strips: y[n, c, i, q] = Σ_{kt, kw} Σ_{kh} x[n, c//m, …, i·sh + kh·dh − ph, q·sw + kw·dw − pw] · w[c, kt, kh, kw].  For each tap column the
(TH − 1)·sh + (KH − 1)·dh + 1 input rows are loaded once and used by all TH outputs.  Neighbouring threads take neighbouring columns
(channels first) or channels (channels last), so that loads and stores coalesce in either layout.  Taps ascend as (t, w, h): an order of
its own, the same for every image size.  Any rank: the first axis is a loop, a missing axis has extent 1.
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
from ..runtime.launch import Table, ceil_div, flat, flat_grid, jit, kernel_factory, launch, stream_of
from ..scalars import ALL, activation, bias_loader, scalars
from . import cost as model
from . import plan as halo

STRIP = 4
WINDOW = 20  # input rows in registers at most; beyond, strips of one row with the taps loaded one by one
# table: 0 N, 1 C out, 2 multiplier, 3-5 outputs, 6-8 extents, 9-10 kernel t, w, 11-13 strides, 14-16 dilation, 17-19 pads,
# 20-24 x strides (n, c, t, h, w), 25-29 y strides, 30 shuffle, 31 strips, 32 channels innermost, 33 last tap if reversed, 34 ±1
SIZE = 35


@kernel_factory
def make_strips(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, shape: tuple[int, int, int, int]) -> Any:
    """`shape`: taps, stride and dilation along h, rows of a strip."""
    KH, STRIDE, DILATION, TH = shape
    ROWS = (TH - 1) * STRIDE + (KH - 1) * DILATION + 1 if TH > 1 else KH
    ROW_STEP, TAP_STEP = (1, DILATION) if TH > 1 else (DILATION, 1)
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)

    def strips(x, w, bias, y, tab, total):
        window = cuda.local.array(ROWS, kind)
        acc = cuda.local.array(TH, kind)
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        channels, kt_count, kw_count = tab[1], tab[9], tab[10]
        ih, iw = uint32(tab[7]), uint32(tab[8])
        while i < total:
            # order of threads, fastest first: (column, strip, t, channel) or (channel, column, strip, t), then the sample
            rest = i
            c = int32(0)
            if tab[32] != int32(0):
                rest = idiv(i, channels)
                c = int32(i - imul(rest, channels))
            b = idiv(rest, tab[5])
            q = int32(rest - imul(b, tab[5]))
            rest = idiv(b, tab[31])
            strip = int32(b - imul(rest, tab[31]))
            b = idiv(rest, tab[3])
            p = int32(rest - imul(b, tab[3]))
            if tab[32] == int32(0):
                rest = idiv(b, channels)
                c = int32(b - imul(rest, channels))
                b = rest
            source = idiv(c, tab[2])
            base = int32(b * tab[20] + source * tab[21])
            h0 = int32(strip * int32(TH) * int32(STRIDE) - tab[18])
            for j in range(TH):
                acc[j] = kind(0)
            for kt in range(kt_count):
                d = int32(p * tab[11] + int32(kt) * tab[14] - tab[17])
                if uint32(d) < uint32(tab[6]):
                    for kw in range(kw_count):
                        column = int32(q * tab[13] + int32(kw) * tab[16] - tab[19])
                        if uint32(column) < iw:
                            at = int32(base + d * tab[22] + column * tab[24])
                            for r in range(ROWS):
                                row = int32(h0 + int32(r * ROW_STEP))
                                window[r] = kind(0)
                                if uint32(row) < ih:
                                    window[r] = load(x, int32(at + row * tab[23]))
                            tap = int32(int32(int32(int32(kt) * int32(KH)) * kw_count + int32(kw)) * tab[34] + tab[33])
                            tap = int32(tap + imul(c, int32(kt_count * int32(KH) * kw_count)))
                            for kh in range(KH):
                                v = load(w, int32(tap + int32(kh) * kw_count * tab[34]))
                                for j in range(TH):
                                    acc[j] = kind(acc[j] + window[j * STRIDE + kh * TAP_STEP] * v)
            beta = load_bias(bias, c)
            c = shuffled(c, channels, tab[30])
            where = int32(b * tab[25] + c * tab[26] + p * tab[27] + q * tab[29])
            for j in range(TH):
                row = int32(strip * int32(TH) + int32(j))
                if row < tab[4]:
                    store(y, int32(where + row * tab[28]), apply(kind(acc[j] + beta)))
            i = int32(i + step)

    return jit(strips)


def strip_shape(problem: ConvProblem) -> tuple[int, int, int, int]:
    kernel, stride, dilation = three(problem.kernel, 1)[1], three(problem.stride, 1)[1], three(problem.dilation, 1)[1]
    rows = three(problem.outputs, 1)[1]
    for strip in (STRIP, 2):
        if rows >= strip and (strip - 1) * stride + (kernel - 1) * dilation + 1 <= WINDOW:
            return kernel, stride, dilation, strip
    return kernel, stride, dilation, 1


@lru_cache(maxsize=256)
def _table(problem: ConvProblem, strip: int, flip: bool) -> Any:
    outputs, spatial, kernel = three(problem.outputs, 1), three(problem.spatial, 1), three(problem.kernel, 1)
    xn, xc, xa = image_strides(problem.in_channels, spatial, problem.layout)
    yn, yc, ya = image_strides(problem.out_channels, outputs, problem.layout)
    values = (
        problem.batch, problem.out_channels, problem.group_out, *outputs, *spatial, kernel[0], kernel[2], *three(problem.stride, 1),
        *three(problem.dilation, 1), *three(problem.pad_low, 0), xn, xc, *xa, yn, yc, *ya, problem.shuffle,
        ceil_div(outputs[1], strip), int(problem.layout == "channels_last"), problem.taps - 1 if flip else 0, -1 if flip else 1,
    )  # fmt: skip
    assert len(values) == SIZE
    return Table(np.array(values, np.int32))


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    compute(problem, arrays, out)


def compute(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, flip: bool = False) -> None:
    """`flip`: the taps of w in reverse, for the input gradient."""
    x, w, bias = arrays
    form = halo.form_of(problem, x, out)
    if form is None:
        strips(problem, arrays, out, flip)
    else:
        halo.compute(problem, form, x, w, None, bias, out, flip)


def strips(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, flip: bool) -> None:
    x, w, bias = arrays
    shape = strip_shape(problem)
    outputs = three(problem.outputs, 1)
    total = problem.batch * problem.out_channels * outputs[0] * ceil_div(outputs[1], shape[3]) * outputs[2]
    kernel = make_strips(problem.dtype, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation, shape)
    w_flat = flat(w)
    bias_flat = w_flat if bias is None else flat(bias)
    table = _table(problem, shape[3], flip)
    launch(kernel, *flat_grid(total), stream_of(out), flat(x), w_flat, bias_flat, flat(out), table, np.int32(total))


def refuse(problem: ConvProblem) -> str | None:
    if not problem.is_depthwise:
        return "serves one input channel per group (depthwise) only"
    kernel = three(problem.kernel, 1)[1]
    if kernel > 32 and halo.form_of(problem, None, None) is None:
        return f"holds at most 32 taps along the second last axis where the image's tile is too large for shared memory, got {kernel}"
    return None


def cost(problem: ConvProblem, machine: Machine) -> float:
    return (model.strips if halo.form_of(problem, None, None) is None else model.halo)(problem, machine)


ROWS = (
    Kernel(
        name="depthwise",
        problem=ConvProblem,
        run=run,
        cost=cost,
        dtypes=ALL,
        honours=frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
        refuse=refuse,
        summary="Input tile with its halo in shared memory, four neighbours to a thread; strips of rows where it does not fit.",
    ),
)
