"""For `outer_product`: the taps and where they see the input, and the tables of where tiles read and weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from ....problem import ConvProblem, Ints, effective_kernel
from ...geometry.axes import collapsed, three
from ...geometry.taps import live_taps


@dataclass(frozen=True)
class AxisTaps:
    """One axis."""

    kernel: int
    live: Ints  # taps that see the input
    stride: int
    dilation: int
    low: int  # padding
    extent: int  # of the input
    outputs: int

    @property
    def reach(self) -> int:
        """In the input, from a position's first tap to its last."""
        return effective_kernel(self.kernel, self.dilation) - 1

    @cached_property
    def inside(self) -> int:
        """Pairs of a position and a live tap that see the input."""
        shifts = [a * self.dilation - self.low for a in self.live]
        return sum(min(self.outputs, (self.extent - 1 - m) // self.stride + 1) - max(0, -(m // self.stride)) for m in shifts)

    @cached_property
    def padded(self) -> bool:
        """Some live tap sees the outside."""
        shifts = [a * self.dilation - self.low for a in self.live]
        return min(shifts) < 0 or (self.outputs - 1) * self.stride + max(shifts) >= self.extent


@dataclass(frozen=True)
class OuterLayout:
    """What does not depend on tiles, chunks and tasks."""

    group_in: int
    group_out: int
    axes: tuple[AxisTaps, AxisTaps, AxisTaps]

    @property
    def extent(self) -> tuple[int, ...]:
        return tuple(x.extent for x in self.axes)

    @property
    def outputs(self) -> tuple[int, ...]:
        return tuple(x.outputs for x in self.axes)

    def merged(self, copied: int) -> bool:
        """Whether all positions of a row see columns of the input, or of a copy, with every tap: then rows are summed as one."""
        return copied > 0 or not self.axes[2].padded

    def taps(self, copied: int) -> tuple[list[Ints], Ints]:
        """The outer ones, and those of the last axis that are rows of a tile beside the channels: none, if read in place with padding."""
        t, h, w = (x.live for x in self.axes)
        merged = self.merged(copied)
        return list(product(t, h, (0,) if merged else w)), w if merged else (0,)


@lru_cache(maxsize=512)
def layout(problem: ConvProblem) -> OuterLayout:
    c = collapsed(problem)
    kernel, stride, dilation, low = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.pad_low, 0)
    extent, outputs = three(c.spatial, 1), three(c.outputs, 1)
    axes = [
        AxisTaps(k, live_taps(k, s, d, lo, o, e), s, d, lo, e, o)
        for k, s, d, lo, e, o in zip(kernel, stride, dilation, low, extent, outputs, strict=True)
    ]
    return OuterLayout(c.group_in, c.group_out, tuple(axes))  # type: ignore[arg-type]


class OuterTap(NamedTuple):
    """A tap that a tile is summed for by itself."""

    t: int  # of what it reads, seen from a position's first tap, in elements of the axis
    h: int
    w: int
    source_at: int  # the same in elements of what is read: the input, or a copy


def outer_taps(a: OuterLayout, copied: int, plane_pitch: int, row_pitch: int) -> list[OuterTap]:
    found, (t, h, w) = [], a.axes
    for i, j, k in a.taps(copied)[0]:
        at = i * t.dilation, j * h.dilation, k * w.dilation
        column = at[2] + (w.low if a.merged(copied) else 0)
        found.append(OuterTap(at[0], at[1], column, at[0] * plane_pitch + at[1] * row_pitch + at[2]))
    return found


def places_of(a: OuterLayout, copied: int, channels: int, rows: int, channel_pitch: int) -> np.ndarray:
    """Of each row (channel, inner tap) of so many channels' tiles in what is read; the last one for those that only fill the last tile."""
    inner = a.taps(copied)[1]
    row = np.minimum(np.arange(rows), channels * len(inner) - 1)
    return row // len(inner) * channel_pitch + np.array(inner)[row % len(inner)] * a.axes[2].dilation


def sources_of(a: OuterLayout, copied: int, channels: int, rows: int) -> np.ndarray:
    """Of each weight of so many channels of a filter, its row of the sums; `rows` for an outer tap, and one at the end that stays zero."""
    outer, inner = a.taps(copied)
    sources = np.full((channels, *(x.kernel for x in a.axes)), len(outer) * rows, np.int64)
    for i, (t, h, w) in enumerate(outer):
        for j, column in enumerate(inner):
            sources[:, t, h, w + column] = i * rows + np.arange(channels) * len(inner) + j
    return sources
