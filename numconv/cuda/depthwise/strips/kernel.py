"""Depthwise without shared memory: a thread computes a strip of TH output rows of one column, the rows a tap column reads in registers.

y[n, c, i, q] = Σ_{kt, kw} Σ_{kh} x[n, c/m, …, i·sh + kh·dh − ph, q·sw + kw·dw − pw] · w[c, kt, kh, kw].  For each tap column the
(TH − 1)·sh + (KH − 1)·dh + 1 input rows are loaded once and used by all TH outputs.  Neighbouring threads take neighbouring columns
(channels first) or channels (channels last), so that loads and stores coalesce in either layout.  Taps ascend as (t, w, h): an order of
its own, the same for every image size.  Any rank: the first axis is a loop, a missing axis has extent 1.
"""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.types import int32, uint32

from ...geometry.decode import shuffled, split
from ...ptx import idiv, imul
from ...runtime.launch import jit, kernel_factory
from ...runtime.record import reader
from ...scalars import activation, bias_loader, scalars
from .plan import StripForm, StripPlan

plan_at = reader(StripPlan)


@kernel_factory
def make_strips(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, form: StripForm) -> Any:
    """The kernel for these types and form; `total` strips."""
    KH, STRIDE, DILATION, TH = form
    ROWS = (TH - 1) * STRIDE + (KH - 1) * DILATION + 1 if TH > 1 else KH
    ROW_STEP, TAP_STEP = (1, DILATION) if TH > 1 else (DILATION, 1)
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)

    def strips(x, w, bias, y, tab, total):
        window = cuda.local.array(ROWS, kind)
        acc = cuda.local.array(TH, kind)
        plan = plan_at(tab, 0)
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        channels, kt_count, kw_count = plan.channels, plan.taps_t, plan.taps_w
        ih, iw = uint32(plan.x.h), uint32(plan.x.w)
        while i < total:
            # order of threads, fastest first: (column, strip, t, channel) or (channel, column, strip, t), then the sample
            rest = i
            c = int32(0)
            if plan.channels_last != int32(0):
                rest, c = split(i, channels)
            rest, q = split(rest, plan.y.w)
            rest, strip = split(rest, plan.strips)
            n, p = split(rest, plan.y.t)
            if plan.channels_last == int32(0):
                n, c = split(n, channels)
            source = idiv(c, plan.multiplier)
            base = int32(n * plan.x.sample_pitch + source * plan.x.channel_pitch)
            h0 = int32(strip * int32(TH) * int32(STRIDE) - plan.pad_low.h)
            for j in range(TH):
                acc[j] = kind(0)
            for kt in range(kt_count):
                d = int32(p * plan.stride.t + int32(kt) * plan.dilation.t - plan.pad_low.t)
                if uint32(d) < uint32(plan.x.t):
                    for kw in range(kw_count):
                        column = int32(q * plan.stride.w + int32(kw) * plan.dilation.w - plan.pad_low.w)
                        if uint32(column) < iw:
                            at = int32(base + d * plan.x.plane_pitch + column * plan.x.pixel_pitch)
                            for r in range(ROWS):
                                row = int32(h0 + int32(r * ROW_STEP))
                                window[r] = kind(0)
                                if uint32(row) < ih:
                                    window[r] = load(x, int32(at + row * plan.x.row_pitch))
                            tap = int32(int32(int32(kt) * int32(KH)) * kw_count + int32(kw))
                            tap = int32(tap * plan.tap_pitch + plan.first_tap)
                            tap = int32(tap + imul(c, int32(kt_count * int32(KH) * kw_count)))
                            for kh in range(KH):
                                v = load(w, int32(tap + int32(kh) * kw_count * plan.tap_pitch))
                                for j in range(TH):
                                    acc[j] = kind(acc[j] + window[j * STRIDE + kh * TAP_STEP] * v)
            beta = load_bias(bias, c)
            c = shuffled(c, channels, plan.shuffle)
            where = int32(n * plan.y.sample_pitch + c * plan.y.channel_pitch + p * plan.y.plane_pitch + q * plan.y.pixel_pitch)
            for j in range(TH):
                row = int32(strip * int32(TH) + int32(j))
                if row < plan.y.h:
                    store(y, int32(where + row * plan.y.row_pitch), apply(kind(acc[j] + beta)))
            i = int32(i + step)

    return jit(strips)
