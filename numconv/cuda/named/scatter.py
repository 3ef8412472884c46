"""Transposed convolution by scatter-add without atomics: each block owns a tile of the output in shared memory.

Loop: for each tap r: tile[q] += Σ_k y[n, k, p] · w[k, c, r] for all p with q = p·s − lo + r·d in the tile, a barrier, the next tap.
Within one tap different p reach different q, so no two threads add to one element; taps ascend, so the order of summation depends on the
problem alone.  The tile starts at the bias and is stored once, after the activation.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from numba import cuda
from numba.cuda.types import int32, uint32

from ...kernel import Kernel, Machine
from ...memory import kept
from ...problem import ConvProblem
from ..environment import SIMULATED
from ..geometry.decode import element, position, shuffled, split
from ..geometry.image import Image, Three, image, three
from ..ptx import idiv, imul
from ..runtime.arrays import flat, stream_of
from ..runtime.launch import Table, ceil_div, inlined, jit, kernel_factory, launch
from ..runtime.record import reader, table
from ..scalars import ALL, activation, bias_loader, scalars
from . import cost as model

#: threads of a block
THREADS = 4 if SIMULATED else 256


class ScatterTile(NamedTuple):
    """The results of a block."""

    channels: int
    t: int
    h: int
    w: int


TILE = ScatterTile(channels=4, t=1, h=4, w=8) if SIMULATED else ScatterTile(channels=4, t=1, h=8, w=64)
#: for types of 8 bytes and more, which spill with four channels
WIDE_TILE = TILE._replace(channels=2)


class ScatterPlan(NamedTuple):
    groups: int
    sources: int  # channels of a group that are summed over
    targets: int  # channels of a group that come out
    source: Image  # y, the problem's outputs
    target: Image  # x, the problem's inputs
    taps: Three  # of the kernel
    stride: Three
    dilation: Three
    pad_low: Three
    tiles: Three  # of the target along each axis
    channel_tiles: int  # of a group
    shuffle: int  # groups of the channel shuffle behind the convolution


plan_at = reader(ScatterPlan)


@inlined
def first_source(first, stride):
    """⌈first / stride⌉, not below 0: the first source position whose target is at `first` or behind it."""
    return idiv(int32(max(int32(first), int32(0)) + stride - int32(1)), stride)


@kernel_factory
def make_scatter(dtype: str, out_dtype: str, bias_dtype: str | None, act: str | None, tile: ScatterTile, threads: int) -> Any:
    """The kernel for these types and tile."""
    BC, TT, TH, TW = tile  # channels, and targets along t, h, w
    NT = threads
    AREA = TT * TH * TW
    number = scalars(dtype, out_dtype)
    kind, load, store = number.kind, number.load, number.store
    load_bias, apply = bias_loader(bias_dtype, number.name), activation(act, number.name)

    def scatter(y, w, bias, x, tab):
        plan = plan_at(tab, 0)
        tile_sums = cuda.shared.array((BC, AREA), kind)
        sums = cuda.local.array(BC, kind)
        tid = int32(cuda.threadIdx.x)
        rest, tile_w = split(int32(cuda.blockIdx.x), plan.tiles.w)
        w_first = int32(tile_w * int32(TW))
        rest, tile_h = split(rest, plan.tiles.h)
        h_first = int32(tile_h * int32(TH))
        rest, tile_t = split(rest, plan.tiles.t)
        t_first = int32(tile_t * int32(TT))
        rest, tile_c = split(rest, plan.channel_tiles)
        c_first = int32(tile_c * int32(BC))
        n, g = split(rest, plan.groups)
        sources, targets = plan.sources, plan.targets
        kh, kw = plan.taps.h, plan.taps.w
        taps = int32(plan.taps.t * kh * kw)
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
        y_base = int32(n * plan.source.sample_pitch + imul(g, sources) * plan.source.channel_pitch)
        w_base = int32(imul(imul(g, sources), targets) * taps)
        tap = int32(0)
        while tap < taps:
            rt, rh, rw = position(tap, kh, kw)
            # source p reaches target p·stride + shift; this tap's sources are those whose targets lie in the tile
            shift_t = int32(rt * plan.dilation.t - plan.pad_low.t)
            shift_h = int32(rh * plan.dilation.h - plan.pad_low.h)
            shift_w = int32(rw * plan.dilation.w - plan.pad_low.w)
            p_t = first_source(int32(t_first - shift_t), plan.stride.t)
            p_h = first_source(int32(h_first - shift_h), plan.stride.h)
            p_w = first_source(int32(w_first - shift_w), plan.stride.w)
            n_t = int32(first_source(int32(t_first + int32(TT) - shift_t), plan.stride.t) - p_t)
            n_h = int32(first_source(int32(h_first + int32(TH) - shift_h), plan.stride.h) - p_h)
            n_w = int32(first_source(int32(w_first + int32(TW) - shift_w), plan.stride.w) - p_w)
            count = int32(n_t * n_h * n_w)
            e = tid
            while e < count:
                jt, jh, jw = position(e, n_h, n_w)
                jt, jh, jw = int32(p_t + jt), int32(p_h + jh), int32(p_w + jw)
                if jt < plan.source.t and jh < plan.source.h and jw < plan.source.w:
                    for c in range(BC):
                        sums[c] = kind(0)
                    at = int32(y_base + jt * plan.source.plane_pitch + jh * plan.source.row_pitch + jw * plan.source.pixel_pitch)
                    wt = int32(w_base + imul(c_first, taps) + tap)
                    for _ in range(sources):
                        v = load(y, at)
                        for c in range(BC):
                            if int32(c_first + int32(c)) < targets:
                                sums[c] = kind(sums[c] + v * load(w, int32(wt + imul(int32(c), taps))))
                        at = int32(at + plan.source.channel_pitch)
                        wt = int32(wt + imul(targets, taps))
                    in_t = int32(jt * plan.stride.t + shift_t - t_first)
                    in_h = int32(jh * plan.stride.h + shift_h - h_first)
                    in_w = int32(jw * plan.stride.w + shift_w - w_first)
                    where = int32(int32(in_t * int32(TH) + in_h) * int32(TW) + in_w)
                    for c in range(BC):
                        tile_sums[uint32(c), uint32(where)] += sums[c]
                e = int32(e + int32(NT))
            cuda.syncthreads()
            tap = int32(tap + int32(1))
        for c in range(BC):
            channel = int32(c_first + int32(c))
            if channel < targets:
                out = shuffled(int32(imul(g, targets) + channel), int32(plan.groups * targets), plan.shuffle)
                e = tid
                while e < int32(AREA):
                    jt, jh, jw = position(e, int32(TH), int32(TW))
                    jt, jh, jw = int32(t_first + jt), int32(h_first + jh), int32(w_first + jw)
                    if jt < plan.target.t and jh < plan.target.h and jw < plan.target.w:
                        store(x, element(plan.target, n, out, jt, jh, jw), apply(tile_sums[uint32(c), uint32(e)]))
                    e = int32(e + int32(NT))

    return jit(scatter, launch_bounds=threads)


def tile_for(dtype: str, out_dtype: str) -> ScatterTile:
    return TILE if scalars(dtype, out_dtype).itemsize <= 4 else WIDE_TILE


@kept
def _plan(problem: ConvProblem) -> tuple[Table, int]:
    """The plan as the kernel reads it, and the blocks."""
    tile = tile_for(problem.dtype, problem.out_dtype)
    target = image(problem.in_channels, problem.spatial, problem.layout)
    plan = ScatterPlan(
        groups=problem.groups,
        sources=problem.group_out,
        targets=problem.group_in,
        source=image(problem.out_channels, problem.outputs, problem.layout),
        target=target,
        taps=three(problem.kernel, 1),
        stride=three(problem.stride, 1),
        dilation=three(problem.dilation, 1),
        pad_low=three(problem.pad_low, 0),
        tiles=Three(ceil_div(target.t, tile.t), ceil_div(target.h, tile.h), ceil_div(target.w, tile.w)),
        channel_tiles=ceil_div(problem.group_in, tile.channels),
        shuffle=problem.shuffle,
    )
    return Table(table(plan)), prod(plan.tiles) * plan.channel_tiles * problem.batch * problem.groups


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    y, w, bias = arrays
    plan, blocks = _plan(problem)
    bias_dtype = None if bias is None else bias.dtype.name
    tile = tile_for(problem.dtype, problem.out_dtype)
    kernel = make_scatter(problem.dtype, problem.out_dtype, bias_dtype, problem.activation, tile, THREADS)
    w_flat = flat(w)
    launch(kernel, blocks, THREADS, stream_of(out), flat(y), w_flat, w_flat if bias is None else flat(bias), flat(out), plan)


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
