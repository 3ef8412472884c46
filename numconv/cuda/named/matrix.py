"""Transposed convolution as Cᵀ · y, C being the convolution's matrix, by rows of Cᵀ in compressed form.

C is the same sparse pattern for every pair of channels: row q of its transposed pattern lists the (output p, tap r) pairs that reach
input q.  The pattern is built once for each geometry on the host; a thread computes one element x[n, c, q] = Σ_k Σ_{(p, r) ∈ row q}
y[n, k, p] · w[k, c, r].  An alternate path for comparison and teaching; the other rows are faster.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from ..geometry.axes import image_strides, shuffled, three
from ..ptx import idiv, imul
from ..runtime.launch import Table, flat, flat_grid, jit, kernel_factory, launch, stream_of
from ..scalars import ALL, activation, bias_loader, scalars
from . import cost as model

# table: 0 source channels per group, 1 target channels per group, 2 groups, 3 positions, 4 taps, 5 source sample stride, 6 channel stride,
# 7 shuffle, 8 where the entries (p offset, tap) start; from 10 the row starts
HEAD = 10


@kernel_factory
def make_matrix(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None) -> Any:
    """The kernel for these types; images channels first."""
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)

    def matrix(y, w, bias, x, tab, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        sources, targets, positions, taps = tab[0], tab[1], tab[3], tab[4]
        channels = imul(targets, tab[2])
        while i < total:
            rest = idiv(i, positions)
            q = int32(i - imul(rest, positions))
            n = idiv(rest, channels)
            c = int32(rest - imul(n, channels))
            g = idiv(c, targets)
            begin, end = tab[uint32(q + int32(HEAD))], tab[uint32(q + int32(HEAD + 1))]
            at = int32(n * tab[5] + imul(g, sources) * tab[6])
            wt = imul(int32(imul(imul(g, sources), targets) + int32(c - imul(g, targets))), taps)
            acc = kind(0)
            for _ in range(sources):
                e = begin
                while e < end:
                    entry = int32(tab[8] + e * int32(2))
                    v = load(y, int32(at + tab[uint32(entry)]))
                    acc = kind(acc + v * load(w, int32(wt + tab[uint32(entry + int32(1))])))
                    e = int32(e + int32(1))
                at = int32(at + tab[6])
                wt = int32(wt + imul(targets, taps))
            acc = apply(kind(acc + load_bias(bias, c)))
            store(x, int32(imul(int32(imul(n, channels) + shuffled(c, channels, tab[7])), positions) + q), acc)
            i = int32(i + step)

    return jit(matrix)


def pattern(problem: ConvProblem) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Row starts over the inputs q, and (output p, tap r) pairs, both flat indices; r ascends within a row."""
    rank = problem.rank
    grids = np.meshgrid(*(np.arange(n) for n in (*problem.kernel, *problem.outputs)), indexing="ij")
    axes = zip(grids[rank:], grids[:rank], problem.stride, problem.dilation, problem.pad_low, strict=True)
    reached = [p * s + r * d - lo for p, r, s, d, lo in axes]
    inside = np.ones(grids[0].shape, bool)
    q = np.zeros(grids[0].shape, np.int64)
    for where, extent in zip(reached, problem.spatial, strict=True):
        inside &= (where >= 0) & (where < extent)
        q = q * extent + where
    taps = np.repeat(np.arange(problem.taps), prod(problem.outputs)).reshape(inside.shape)
    outputs = np.tile(np.arange(prod(problem.outputs)), problem.taps).reshape(inside.shape)
    q, taps, outputs = q[inside], taps[inside], outputs[inside]
    order = np.argsort(q, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(q, minlength=prod(problem.spatial)))])
    return starts, np.stack([outputs[order], taps[order]], axis=1)


@lru_cache(maxsize=64)
def _table(problem: ConvProblem) -> Any:
    starts, entries = pattern(problem)
    sn, sc, _ = image_strides(problem.out_channels, three(problem.outputs, 1), "channels_first")
    head = (
        problem.group_out, problem.group_in, problem.groups, prod(problem.spatial), problem.taps, sn, sc, problem.shuffle,
        HEAD + len(starts), 0,
    )  # fmt: skip
    return Table(np.concatenate([head, starts, entries.reshape(-1)]).astype(np.int32))


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    y, w, bias = arrays
    table = _table(problem.with_(layout="channels_first"))
    kernel = make_matrix(problem.dtype, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation)
    total = prod(problem.result_shape)
    w_flat = flat(w)
    bias_flat = w_flat if bias is None else flat(bias)
    launch(kernel, *flat_grid(total), stream_of(out), flat(y), w_flat, bias_flat, flat(out), table, np.int32(total))


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The pattern: a row start for each input, a pair for each entry."""
    return 4 * (prod(problem.spatial) + 1 + 2 * prod(problem.outputs) * problem.taps)


ROWS = (
    Kernel(
        name="matrix",
        problem=ConvProblem,
        run=run,
        cost=model.matrix,
        directions=frozenset({"input_grad"}),
        dtypes=ALL,
        honours=frozenset({"groups", "activation", "shuffle", "precision"}),
        workspace=workspace,
        automatic=False,
        summary="Rows of the transposed convolution matrix in compressed form.",
    ),
)
