"""A convolution as tables: what the dense kernels read in place of a formula.

Forward, input gradient (by stride phases) and zero insertion are one loop::

    y[n, o, origin + j·step] = Σ_k x[n, base(j) + xoff[k]] · w[o, woff[k]]     where tap k falls inside the source

k runs over (source channel, tap) of one phase; axes are three (T, H, W), the missing ones of extent 1.  Any rank, stride, dilation,
padding, group count and layout is in the tables, so that one kernel serves all.  Tables are cached by problem and uploaded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numba.cuda.types import int32

from ...problem import ConvProblem
from ..ptx import idiv, imul
from ..runtime.launch import Table, inlined
from .image import three

__all__ = ["Lowered", "image_strides", "inserted", "lower", "shuffled", "three"]

# positions in the table's head
BATCH, GROUPS, TARGETS, PHASES, POSITIONS, SHUFFLE = 0, 1, 2, 3, 4, 5
XN, XG, XT, XH, XW, IT, IH, IW = 6, 7, 8, 9, 10, 11, 12, 13  # strides of x (axis strides times the source step), extents
ST, SH, SW = 14, 15, 16  # source steps
WG, WO, YN, YC, YT, YH, YW = 17, 18, 19, 20, 21, 22, 23  # strides of w and y (axis strides times the target step)
FIRST_PHASE, FIRST_TAP, FIRST_OUTER, CHANNELS, TAPS, WEIGHTS = 24, 25, 26, 27, 28, 29
HEAD = 32
PHASE = 8  # kstart, kcount, positions along t, h, w, offset of the first output, positions in all, 0


@dataclass(frozen=True, eq=False)
class Lowered:
    """The table on the host, its upload, and what the host needs to choose tiles and grids."""

    host: np.ndarray[Any, Any]
    device: Any
    axes: int
    phases: int
    positions: int  # of the largest phase, one sample
    depth: int  # products of the deepest phase
    sources: int  # channels per group that are summed over
    targets: int  # channels per group that come out
    taps: tuple[int, ...]  # taps in the order of the phases


@inlined
def shuffled(c, channels, groups):
    """Where a channel shuffle stores channel c of so many: i·n + j at j·groups + i, n = channels/groups."""
    size = idiv(channels, groups)
    i = idiv(c, size)
    return int32(imul(int32(c - imul(i, size)), groups) + i)


def image_strides(channels: int, spatial: tuple[int, int, int], layout: str) -> tuple[int, int, tuple[int, int, int]]:
    """Element strides (sample, channel, (t, h, w)) of a C-contiguous image."""
    t, h, w = spatial
    if layout == "channels_last":
        return channels * t * h * w, 1, (h * w * channels, w * channels, channels)
    return channels * t * h * w, t * h * w, (h * w, w, 1)


def _axis_phases(problem: ConvProblem, axis: int, zero_inserted: bool) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """(first output, outputs, [(tap, source offset)]) for each stride phase of one axis (0..2 of T, H, W)."""
    s, d, lo = three(problem.stride, 1)[axis], three(problem.dilation, 1)[axis], three(problem.pad_low, 0)[axis]
    k = three(problem.kernel, 1)[axis]
    if problem.direction == "forward":
        return [(0, three(problem.outputs, 1)[axis], [(r, r * d - lo) for r in range(k)])]
    extent = three(problem.spatial, 1)[axis]
    if zero_inserted:
        return [(0, extent, [(r, lo - r * d) for r in range(k)])]
    return [
        (first, len(range(first, extent, s)), [(r, (first + lo - r * d) // s) for r in range(k) if (first + lo - r * d) % s == 0])
        for first in range(min(s, extent))
    ]


def _steps(problem: ConvProblem, zero_inserted: bool) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """(source step, target step) of neighbouring positions of a phase."""
    stride = three(problem.stride, 1)
    if problem.direction == "forward":
        return stride, (1, 1, 1)
    return (1, 1, 1), ((1, 1, 1) if zero_inserted else stride)


def inserted(problem: ConvProblem) -> tuple[int, ...]:
    """Extents of the source of an input gradient once stride − 1 zeros stand between its elements."""
    return tuple((o - 1) * s + 1 if o else 0 for o, s in zip(problem.outputs, problem.stride, strict=True))


@lru_cache(maxsize=512)
def lower(problem: ConvProblem, zero_inserted: bool = False, chunk: int = 0, tap_major: bool = False) -> Lowered:
    """The tables of a forward or input_grad problem; k runs over (channel, tap), or `tap_major` over (tap, channel).

    With `chunk`, of a source that is channels last and whose groups are padded to whole chunks of that many channels: offsets count
    chunks, k runs over (tap, chunk), the offsets into w are those of a chunk's first channel, and `taps` lists the taps in that order.
    """
    channels, spatial = problem.source
    spatial = three(inserted(problem) if zero_inserted else spatial, 1)
    target_channels, target = problem.target
    sources, targets = channels // problem.groups, target_channels // problem.groups
    if chunk:
        sources = -(-sources // chunk)
    xn, xc, xa = image_strides(sources * problem.groups, spatial, "channels_last" if chunk else problem.layout)
    yn, yc, ya = image_strides(target_channels, three(target, 1), problem.layout)
    source_step, target_step = _steps(problem, zero_inserted)
    taps, group_in = problem.taps, problem.group_in
    forward = problem.direction == "forward"
    w_source, w_target = (taps, group_in * taps) if forward else (group_in * taps, taps)
    w_source *= max(1, chunk)
    kernel = three(problem.kernel, 1)

    phases, rows, order, depth, positions = [], [], [], 0, 0
    source_index = np.arange(sources, dtype=np.int64)[:, None]
    for combination in product(*(_axis_phases(problem, axis, zero_inserted) for axis in range(3))):
        firsts, extents, axis_taps = zip(*combination, strict=True)
        if 0 in extents:
            continue
        found = np.array(
            [
                ((rt * kernel[1] + rh) * kernel[2] + rw, ot * xa[0] + oh * xa[1] + ow * xa[2], ot, oh, ow)
                for (rt, ot), (rh, oh), (rw, ow) in product(*axis_taps)
            ],
            np.int64,
        ).reshape(-1, 5)
        block = np.empty((sources, len(found), 5), np.int64)
        block[..., 0] = source_index * xc + found[:, 1]
        block[..., 1] = source_index * w_source + found[:, 0]
        block[..., 2:] = found[:, 2:]
        start = sum(len(r) for r in rows)
        order.extend(found[:, 0].tolist())
        rows.append((block.transpose(1, 0, 2) if chunk or tap_major else block).reshape(-1, 5))
        count = prod(extents)
        phases.append((start, len(rows[-1]), *extents, sum(f * a for f, a in zip(firsts, ya, strict=True)), count, 0))
        depth, positions = max(depth, len(rows[-1])), max(positions, count)

    entries = np.concatenate(rows) if rows else np.zeros((0, 5), np.int64)
    first_tap = HEAD + PHASE * len(phases)
    head = np.zeros(HEAD, np.int64)
    head[[BATCH, GROUPS, TARGETS, PHASES, POSITIONS, SHUFFLE]] = (
        problem.batch, problem.groups, targets, len(phases), positions, problem.shuffle,
    )  # fmt: skip
    head[[XN, XG, WG, WO, YN, YC, CHANNELS, TAPS, WEIGHTS]] = (
        xn, sources * xc, (sources * targets) * taps, w_target, yn, yc, target_channels, taps, prod(problem.weight_shape),
    )  # fmt: skip
    head[[XT, XH, XW]] = [a * s for a, s in zip(xa, source_step, strict=True)]
    head[[YT, YH, YW]] = [a * s for a, s in zip(ya, target_step, strict=True)]
    head[[IT, IH, IW]], head[[ST, SH, SW]] = spatial, source_step
    head[[FIRST_PHASE, FIRST_TAP, FIRST_OUTER]] = HEAD, first_tap, first_tap + 4 * len(entries)
    table = np.concatenate([head, np.array(phases, np.int64).reshape(-1), entries[:, [0, 1, 3, 4]].reshape(-1), entries[:, 2]])
    if table.size and np.abs(table).max() >= 2**31:
        raise ValueError("an image of 2³¹ elements or more is beyond the GPU kernels' 32-bit indices")
    host = table.astype(np.int32)
    return Lowered(host, Table(host), max(1, problem.rank), len(phases), positions, depth, sources, targets, tuple(order))
