"""The three transforms of `winograd`: of the image, of the filters, and of the products back to outputs; a thread for each tile.

F(m, 3) makes m outputs of a 3-tap filter from m + 2 samples by m + 2 multiplications, its *frequencies*.  m = 4 has the interpolation
points 0, ±1/2, ±3/2, ∞ (docs/decisions/0004), m = 2 has 0, ±1, ∞; the same as on the CPU.  A dilated axis is `dilation` interleaved ones
without: tile (u, r) of an axis has the outputs (u·m + i)·dilation + r.  Neighbouring threads take neighbouring tiles, so that frequencies
are written and read in rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from numba import cuda
from numba.cuda.types import float32, int32, uint32

from ...winograd import PAIRS
from ..geometry.decode import shuffled, split
from ..ptx import imul
from ..runtime.launch import inlined, jit, kernel_factory
from ..runtime.record import reader
from ..scalars import activation, bias_loader, quad_storer, storer
from .plan import TransformPlan

A, B = PAIRS[6]  # the points of m = 4 are 0, ±A, ±B and infinity


class Transforms(NamedTuple):
    """In place, along one line d[s], d[s + step], … of a tile."""

    samples: Callable[..., Any]  # Bᵀ, of m + 2 samples
    filters: Callable[..., Any]  # G, of 3 taps to m + 2
    outputs: Callable[..., Any]  # Aᵀ, of m + 2 frequencies to m


plan_at = reader(TransformPlan)


@lru_cache(maxsize=4)
def transforms(m: int) -> Transforms:
    if m == 2:
        half = float32(0.5)

        @inlined
        def short_samples(d, s, step):
            x0, x1, x2, x3 = d[s], d[s + step], d[s + 2 * step], d[s + 3 * step]
            d[s], d[s + step], d[s + 2 * step], d[s + 3 * step] = x0 - x2, x1 + x2, x2 - x1, x1 - x3

        @inlined
        def short_filter(d, s, step):
            g0, g1, g2 = d[s], d[s + step], d[s + 2 * step]
            even, odd = (g0 + g2) * half, g1 * half
            d[s + step], d[s + 2 * step], d[s + 3 * step] = even + odd, even - odd, g2

        @inlined
        def short_outputs(d, s, step):
            m0, m1, m2, m3 = d[s], d[s + step], d[s + 2 * step], d[s + 3 * step]
            d[s], d[s + step] = m0 + m1 + m2, m1 - m2 - m3

        return Transforms(short_samples, short_filter, short_outputs)

    a, b, a2, b2, both, ends = (float32(v) for v in (A, B, A * A, B * B, A * A + B * B, A * A * B * B))
    na, nb, first = (float32(v) for v in (0.5 / (A * A * (A * A - B * B)), 0.5 / (B * B * (B * B - A * A)), 1 / (A * A * B * B)))
    naa, nbb, a3, b3 = (float32(v) for v in (0.5 / (A * (A * A - B * B)), 0.5 / (B * (B * B - A * A)), A**3, B**3))

    @inlined
    def samples(d, s, step):
        x0, x1, x2, x3, x4, x5 = d[s], d[s + step], d[s + 2 * step], d[s + 3 * step], d[s + 4 * step], d[s + 5 * step]
        even_a, odd_a = x4 - b2 * x2, (x3 - b2 * x1) * a
        even_b, odd_b = x4 - a2 * x2, (x3 - a2 * x1) * b
        d[s], d[s + 5 * step] = ends * x0 + (x4 - both * x2), ends * x1 + (x5 - both * x3)
        d[s + step], d[s + 2 * step], d[s + 3 * step], d[s + 4 * step] = even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b

    @inlined
    def filters(d, s, step):
        g0, g1, g2 = d[s], d[s + step], d[s + 2 * step]
        even_a, odd_a = (g0 + a2 * g2) * na, g1 * naa
        even_b, odd_b = (g0 + b2 * g2) * nb, g1 * nbb
        d[s], d[s + 5 * step] = g0 * first, g2
        d[s + step], d[s + 2 * step], d[s + 3 * step], d[s + 4 * step] = even_a + odd_a, even_a - odd_a, even_b + odd_b, even_b - odd_b

    @inlined
    def outputs(d, s, step):
        m0, m1, m2, m3, m4, m5 = d[s], d[s + step], d[s + 2 * step], d[s + 3 * step], d[s + 4 * step], d[s + 5 * step]
        sum_a, sum_b, dif_a, dif_b = m1 + m2, m3 + m4, m1 - m2, m3 - m4
        d[s], d[s + step] = m0 + sum_a + sum_b, a * dif_a + b * dif_b
        d[s + 2 * step], d[s + 3 * step] = a2 * sum_a + b2 * sum_b, a3 * dif_a + (b3 * dif_b + m5)

    return Transforms(samples, filters, outputs)


@inlined
def corner(plan, m, p):
    """The first output (row, column) of tile p."""
    h, w = split(p, plan.tiles_w)
    u, rest_h = split(h, plan.dilation.h)
    v, rest_w = split(w, plan.dilation.w)
    row = int32(imul(imul(u, int32(m)), plan.dilation.h) + rest_h)
    return row, int32(imul(imul(v, int32(m)), plan.dilation.w) + rest_w)


@kernel_factory
def make_image(m: int) -> Any:
    """V[n, (i, j), c, p] = (Bᵀ d B)(i, j) of tile p of channel c."""
    T = m + 2
    ALL = T * T
    transform = transforms(m).samples

    def image(x, v, tab, total):
        d = cuda.local.array(ALL, float32)
        index = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        plan = plan_at(tab, 0)
        ih, iw = uint32(plan.image.h), uint32(plan.image.w)
        while index < total:
            nc, p = split(index, plan.tiles)
            row, column = corner(plan, m, p)
            row, column = int32(row - plan.pad_low.h), int32(column - plan.pad_low.w)
            base = imul(imul(nc, plan.image.h), plan.image.w)
            for i in range(T):
                at_h = int32(row + imul(int32(i), plan.dilation.h))
                for j in range(T):
                    at_w = int32(column + imul(int32(j), plan.dilation.w))
                    d[i * T + j] = float32(0)
                    if uint32(at_h) < ih and uint32(at_w) < iw:
                        d[i * T + j] = x[uint32(int32(base + imul(at_h, plan.image.w) + at_w))]
            for i in range(T):
                transform(d, i * T, 1)
            for j in range(T):
                transform(d, j, T)
            n, c = split(nc, plan.channels_in)
            frequency_pitch = imul(plan.channels_in, plan.channel_pitch)
            where = int32(imul(imul(n, int32(ALL)), frequency_pitch) + imul(c, plan.channel_pitch) + p)
            for f in range(ALL):
                v[uint32(where)] = d[f]
                where = int32(where + frequency_pitch)
            index = int32(index + step)

    return jit(image)


@kernel_factory
def make_filters(m: int) -> Any:
    """U[(i, j), k, c] = (G g Gᵀ)(i, j) of the filter of channels k and c; `total` of them."""
    T = m + 2
    ALL = T * T
    transform = transforms(m).filters

    def filters(w, u, total):
        d = cuda.local.array(ALL, float32)
        index = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while index < total:
            for i in range(3):
                for j in range(3):
                    d[i * T + j] = w[uint32(int32(index * int32(9) + int32(3 * i + j)))]
            for i in range(3):
                transform(d, i * T, 1)
            for j in range(T):
                transform(d, j, T)
            where = index
            for f in range(ALL):
                u[uint32(where)] = d[f]
                where = int32(where + total)
            index = int32(index + step)

    return jit(filters)


@kernel_factory
def make_outputs(m: int, out_dtype: str, bias_dtype: str | None, act: str | None, quads: bool) -> Any:
    """y of tile p of channel k: Aᵀ M A, bias, activation; `quads`: four columns by one store."""
    T = m + 2
    ALL = T * T
    transform = transforms(m).outputs
    store, put = storer(out_dtype, "float32"), quad_storer("float32", quads, out_dtype)
    load_bias, apply = bias_loader(bias_dtype, "float32"), activation(act, "float32")

    def outputs(z, bias, y, tab, total):
        d = cuda.local.array(ALL, float32)
        index = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        plan = plan_at(tab, 0)
        while index < total:
            nk, p = split(index, plan.tiles)
            n, k = split(nk, plan.channels_out)
            frequency_pitch = imul(plan.channels_out, plan.channel_pitch)
            where = int32(imul(imul(n, int32(ALL)), frequency_pitch) + imul(k, plan.channel_pitch) + p)
            for f in range(ALL):
                d[f] = z[uint32(where)]
                where = int32(where + frequency_pitch)
            for i in range(T):
                transform(d, i * T, 1)
            for j in range(m):
                transform(d, j, T)
            beta = load_bias(bias, k)
            k = shuffled(k, plan.channels_out, plan.shuffle)
            row, column = corner(plan, m, p)
            base = imul(imul(int32(imul(n, plan.channels_out) + k), plan.outputs.h), plan.outputs.w)
            for i in range(m):
                at_h = int32(row + imul(int32(i), plan.dilation.h))
                if at_h < plan.outputs.h:
                    at = int32(base + imul(at_h, plan.outputs.w))
                    if quads:
                        put(
                            y,
                            int32(at + column),
                            apply(float32(d[i * T] + beta)),
                            apply(float32(d[i * T + 1] + beta)),
                            apply(float32(d[i * T + 2] + beta)),
                            apply(float32(d[i * T + 3] + beta)),
                        )
                    else:
                        for j in range(m):
                            at_w = int32(column + imul(int32(j), plan.dilation.w))
                            if at_w < plan.outputs.w:
                                store(y, int32(at + at_w), apply(float32(d[i * T + j] + beta)))
            index = int32(index + step)

    return jit(outputs)
