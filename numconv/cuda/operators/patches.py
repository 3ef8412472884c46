"""unfold (im2col) and its adjoint fold (col2im), any rank, channels first.  One thread for each element of the result.

unfold: cols[n, c, r, p] = x[n, c, p·s − lo + r·d], zero outside.  fold: x[n, c, q] = Σ_r cols[n, c, r, p] over p·s − lo + r·d = q, r
ascending: a gather, so that no two threads write one element.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from numba import cuda
from numba.cuda.types import int32, uint32

from ...kernel import Kernel, Machine
from ...memory import kept
from ...problem import ConvProblem, PatchProblem
from ..geometry.decode import split
from ..geometry.image import Three, three
from ..ptx import imul
from ..runtime.arrays import flat, stream_of
from ..runtime.launch import Table, flat_grid, jit, kernel_factory, launch
from ..runtime.record import reader, table
from ..scalars import ALL, scalars
from . import cost as model


class PatchPlan(NamedTuple):
    positions: Three  # of the window: the outputs
    source: Three  # extents of the image
    taps: Three
    stride: Three
    dilation: Three
    pad_low: Three


plan_at = reader(PatchPlan)


@kernel_factory
def make_unfold(dtype: str) -> Any:
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store

    def unfold(x, cols, tab, total):
        plan = plan_at(tab, 0)
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            rest, pw = split(i, plan.positions.w)
            rest, ph = split(rest, plan.positions.h)
            rest, pt = split(rest, plan.positions.t)
            rest, rw = split(rest, plan.taps.w)
            rest, rh = split(rest, plan.taps.h)
            plane, rt = split(rest, plan.taps.t)
            t = int32(pt * plan.stride.t + rt * plan.dilation.t - plan.pad_low.t)
            h = int32(ph * plan.stride.h + rh * plan.dilation.h - plan.pad_low.h)
            w = int32(pw * plan.stride.w + rw * plan.dilation.w - plan.pad_low.w)
            v = kind(0)
            if uint32(t) < uint32(plan.source.t) and uint32(h) < uint32(plan.source.h) and uint32(w) < uint32(plan.source.w):
                row = int32(imul(int32(imul(plane, plan.source.t) + t), plan.source.h) + h)
                v = load(x, int32(imul(row, plan.source.w) + w))
            store(cols, i, v)
            i = int32(i + step)

    return jit(unfold)


@kernel_factory
def make_fold(dtype: str) -> Any:
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store

    def fold(cols, x, tab, total):
        plan = plan_at(tab, 0)
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        positions = int32(plan.positions.t * plan.positions.h * plan.positions.w)
        while i < total:
            rest, w = split(i, plan.source.w)
            rest, h = split(rest, plan.source.h)
            plane, t = split(rest, plan.source.t)
            at = imul(imul(plane, int32(plan.taps.t * plan.taps.h * plan.taps.w)), positions)
            acc = kind(0)
            for rt in range(plan.taps.t):
                pt = int32(t + plan.pad_low.t - int32(rt) * plan.dilation.t)
                for rh in range(plan.taps.h):
                    ph = int32(h + plan.pad_low.h - int32(rh) * plan.dilation.h)
                    for rw in range(plan.taps.w):
                        pw = int32(w + plan.pad_low.w - int32(rw) * plan.dilation.w)
                        if pt >= int32(0) and ph >= int32(0) and pw >= int32(0):
                            jt, left_t = split(pt, plan.stride.t)
                            jh, left_h = split(ph, plan.stride.h)
                            jw, left_w = split(pw, plan.stride.w)
                            exact = left_t == int32(0) and left_h == int32(0) and left_w == int32(0)
                            if exact and jt < plan.positions.t and jh < plan.positions.h and jw < plan.positions.w:
                                row = int32(imul(jt, plan.positions.h) + jh)
                                acc = kind(acc + load(cols, int32(at + imul(row, plan.positions.w) + jw)))
                        at = int32(at + positions)
            store(x, i, acc)
            i = int32(i + step)

    return jit(fold)


@kept
def _plan(conv: ConvProblem) -> Table:
    plan = PatchPlan(
        positions=three(conv.outputs, 1),
        source=three(conv.spatial, 1),
        taps=three(conv.kernel, 1),
        stride=three(conv.stride, 1),
        dilation=three(conv.dilation, 1),
        pad_low=three(conv.pad_low, 0),
    )
    return Table(table(plan))


def run(problem: PatchProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    total = prod(problem.result_shape)
    kernel = make_unfold(problem.dtype) if problem.direction == "unfold" else make_fold(problem.dtype)
    launch(kernel, *flat_grid(total), stream_of(out), flat(arrays[0]), flat(out), _plan(problem.conv), total)


ROWS = (
    Kernel(
        name="patches",
        problem=PatchProblem,
        run=run,
        cost=model.bytes_only,
        directions=frozenset({"unfold", "fold"}),
        dtypes=ALL,
        summary="One thread for each element of the result; fold gathers.",
    ),
)
