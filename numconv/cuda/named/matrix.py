"""Transposed convolution as Cᵀ · y, C being the convolution's matrix, by rows of Cᵀ in compressed form.

C is the same sparse pattern for every pair of channels: row q of its transposed pattern lists the (output p, tap r) pairs that reach
input q.  The pattern is built once for each geometry on the host; a thread computes one element x[n, c, q] = Σ_k Σ_{(p, r) ∈ row q}
y[n, k, p] · w[k, c, r].  An alternate path for comparison and teaching; the other rows are faster.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numba.cuda.types import int32

from ...kernel import Kernel, Machine
from ...memory import kept
from ...problem import ConvProblem
from ..geometry.decode import shuffled, split
from ..geometry.image import Image, image
from ..ptx import imul
from ..runtime.arrays import flat, stream_of
from ..runtime.launch import Table, flat_grid, jit, kernel_factory, launch
from ..runtime.record import reader, slots, table
from ..scalars import ALL, activation, bias_loader, scalars
from . import cost as model


class MatrixPlan(NamedTuple):
    groups: int
    sources: int  # channels of a group that are summed over
    targets: int  # channels of a group that come out
    source: Image  # y, the problem's outputs, channels first
    positions: int  # of the target, one sample
    taps: int
    shuffle: int  # groups of the channel shuffle behind the convolution
    entries_at: int  # in the table


class Row(NamedTuple):
    """Of the matrix; the rows' beginnings follow the plan, and each row ends where the next begins."""

    begin: int  # entries before it
    end: int


class Entry(NamedTuple):
    source: int  # elements of y, from its channel's first
    tap: int


plan_at, row_at, entry_at = reader(MatrixPlan), reader(Row), reader(Entry)
#: where in the table the rows' beginnings lie; the elements of an entry
STARTS_AT, ENTRY_SIZE = slots(MatrixPlan), slots(Entry)


@kernel_factory
def make_matrix(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None) -> Any:
    """The kernel for these types; images channels first."""
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)

    def matrix(y, w, bias, x, tab, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        plan = plan_at(tab, 0)
        sources, targets, positions, taps = plan.sources, plan.targets, plan.positions, plan.taps
        channels = imul(targets, plan.groups)
        while i < total:
            rest, q = split(i, positions)
            n, c = split(rest, channels)
            g, o = split(c, targets)
            row = row_at(tab, int32(q + int32(STARTS_AT)))
            begin, end = row.begin, row.end
            at = int32(n * plan.source.sample_pitch + imul(g, sources) * plan.source.channel_pitch)
            wt = imul(int32(imul(imul(g, sources), targets) + o), taps)
            acc = kind(0)
            for _ in range(sources):
                e = begin
                while e < end:
                    entry = entry_at(tab, int32(plan.entries_at + e * int32(ENTRY_SIZE)))
                    v = load(y, int32(at + entry.source))
                    acc = kind(acc + v * load(w, int32(wt + entry.tap)))
                    e = int32(e + int32(1))
                at = int32(at + plan.source.channel_pitch)
                wt = int32(wt + imul(targets, taps))
            acc = apply(kind(acc + load_bias(bias, c)))
            store(x, int32(imul(int32(imul(n, channels) + shuffled(c, channels, plan.shuffle)), positions) + q), acc)
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


@kept
def _plan(problem: ConvProblem) -> Table:
    starts, entries = pattern(problem)
    plan = MatrixPlan(
        groups=problem.groups,
        sources=problem.group_out,
        targets=problem.group_in,
        source=image(problem.out_channels, problem.outputs, "channels_first"),
        positions=prod(problem.spatial),
        taps=problem.taps,
        shuffle=problem.shuffle,
        entries_at=STARTS_AT + len(starts),
    )
    return Table(table(plan, starts, entries))


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    y, w, bias = arrays
    plan = _plan(problem.with_(layout="channels_first"))
    kernel = make_matrix(problem.dtype, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation)
    total = prod(problem.result_shape)
    w_flat = flat(w)
    bias_flat = w_flat if bias is None else flat(bias)
    launch(kernel, *flat_grid(total), stream_of(out), flat(y), w_flat, bias_flat, flat(out), plan, np.int32(total))


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
