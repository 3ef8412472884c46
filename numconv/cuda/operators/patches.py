"""unfold (im2col) and its adjoint fold (col2im), any rank, channels first.  One thread for each element of the result.

unfold: cols[n, c, r, p] = x[n, c, p·s − lo + r·d], zero outside.  fold: x[n, c, q] = Σ_r cols[n, c, r, p] over p·s − lo + r·d = q, r
ascending: a gather, so that no two threads write one element.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ...kernel import Kernel, Machine
from ...problem import ConvProblem, PatchProblem
from ..geometry.axes import three
from ..ptx import idiv, imul
from ..runtime.launch import Table, flat, flat_grid, jit, kernel_factory, launch, stream_of
from ..scalars import ALL, scalars
from . import cost as model

# table: 0-2 outputs, 3-5 image extents, 6-8 kernel, 9-11 stride, 12-14 dilation, 15-17 pad low


@kernel_factory
def make_unfold(dtype: str) -> Any:
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store

    def unfold(x, cols, tab, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            rest = idiv(i, tab[2])
            pw = int32(i - imul(rest, tab[2]))
            q = idiv(rest, tab[1])
            ph = int32(rest - imul(q, tab[1]))
            rest = idiv(q, tab[0])
            pt = int32(q - imul(rest, tab[0]))
            q = idiv(rest, tab[8])
            rw = int32(rest - imul(q, tab[8]))
            rest = idiv(q, tab[7])
            rh = int32(q - imul(rest, tab[7]))
            nc = idiv(rest, tab[6])
            rt = int32(rest - imul(nc, tab[6]))
            t = int32(pt * tab[9] + rt * tab[12] - tab[15])
            h = int32(ph * tab[10] + rh * tab[13] - tab[16])
            w = int32(pw * tab[11] + rw * tab[14] - tab[17])
            v = kind(0)
            if uint32(t) < uint32(tab[3]) and uint32(h) < uint32(tab[4]) and uint32(w) < uint32(tab[5]):
                v = load(x, int32(imul(int32(imul(int32(imul(nc, tab[3]) + t), tab[4]) + h), tab[5]) + w))
            store(cols, i, v)
            i = int32(i + step)

    return jit(unfold)


@kernel_factory
def make_fold(dtype: str) -> Any:
    number = scalars(dtype, dtype)
    kind, load, store = number.kind, number.load, number.store

    def fold(cols, x, tab, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        positions = int32(tab[0] * tab[1] * tab[2])
        while i < total:
            rest = idiv(i, tab[5])
            w = int32(i - imul(rest, tab[5]))
            q = idiv(rest, tab[4])
            h = int32(rest - imul(q, tab[4]))
            nc = idiv(q, tab[3])
            t = int32(q - imul(nc, tab[3]))
            at = imul(imul(nc, int32(tab[6] * tab[7] * tab[8])), positions)
            acc = kind(0)
            for rt in range(tab[6]):
                pt = int32(t + tab[15] - int32(rt) * tab[12])
                for rh in range(tab[7]):
                    ph = int32(h + tab[16] - int32(rh) * tab[13])
                    for rw in range(tab[8]):
                        pw = int32(w + tab[17] - int32(rw) * tab[14])
                        if pt >= int32(0) and ph >= int32(0) and pw >= int32(0):
                            jt, jh, jw = idiv(pt, tab[9]), idiv(ph, tab[10]), idiv(pw, tab[11])
                            exact = imul(jt, tab[9]) == pt and imul(jh, tab[10]) == ph and imul(jw, tab[11]) == pw
                            if exact and jt < tab[0] and jh < tab[1] and jw < tab[2]:
                                acc = kind(acc + load(cols, int32(at + imul(int32(imul(jt, tab[1]) + jh), tab[2]) + jw)))
                        at = int32(at + positions)
            store(x, i, acc)
            i = int32(i + step)

    return jit(fold)


@lru_cache(maxsize=256)
def _table(conv: ConvProblem) -> Any:
    values = (
        *three(conv.outputs, 1), *three(conv.spatial, 1), *three(conv.kernel, 1), *three(conv.stride, 1), *three(conv.dilation, 1),
        *three(conv.pad_low, 0),
    )  # fmt: skip
    return Table(np.array(values, np.int32))


def run(problem: PatchProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    total = prod(problem.result_shape)
    kernel = make_unfold(problem.dtype) if problem.direction == "unfold" else make_fold(problem.dtype)
    launch(kernel, *flat_grid(total), stream_of(out), flat(arrays[0]), flat(out), _table(problem.conv), np.int32(total))


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
