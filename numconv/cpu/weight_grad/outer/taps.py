"""For `outer_product`: a weight gradient's three axes, and which of their taps see the input, in closed form whatever the extents."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ....problem import ConvProblem, Ints
from ...geometry.axes import collapsed, three


class AxisTaps(NamedTuple):
    """One axis, of the taps that may see the input: from the first that does to the last."""

    kernel: int  # taps in all
    first: int  # tap
    taps: int
    stride: int
    dilation: int
    start: int  # in the input, of the first tap for position 0; negative in the padding
    extent: int  # of the input
    outputs: int
    inside: int  # pairs of a position and a tap that see the input

    @property
    def reach(self) -> int:
        """In the input, from a position's first tap to its last."""
        return (self.taps - 1) * self.dilation

    @property
    def padded(self) -> bool:
        """Some tap sees the outside."""
        return self.start < 0 or (self.outputs - 1) * self.stride + self.start + self.reach >= self.extent


class OuterLayout(NamedTuple):
    """What does not depend on tiles, chunks and tasks."""

    group_in: int
    group_out: int
    axes: tuple[AxisTaps, AxisTaps, AxisTaps]
    extent: Ints
    outputs: Ints
    taps: int  # of a filter

    @property
    def idle_taps(self) -> bool:
        """Whether some see nothing but padding."""
        return any(x.taps < x.kernel for x in self.axes)

    @property
    def gaps(self) -> bool:
        """Whether neighbouring positions may pass over a row of the input: a copy would give taps between those that see it products with zeros."""
        return self.axes[2].stride > self.axes[2].extent

    def merged(self, copied: int) -> bool:
        """Whether all positions of a row see columns of the input, or of a copy, with every tap: then rows are summed as one."""
        return copied > 0 or not self.axes[2].padded

    def outer_columns(self, copied: int) -> int:
        """Taps of the last axis that have tiles of their own, as those of the others have: all, if it is read in place with padding."""
        return 1 if self.merged(copied) else self.axes[2].taps

    def inner(self, copied: int) -> int:
        """Taps of the last axis that are rows of a tile, beside the channels."""
        return self.axes[2].taps if self.merged(copied) else 1

    def outer(self, copied: int) -> int:
        """Taps that have tiles of their own."""
        t, h, _ = self.axes
        return t.taps * h.taps * self.outer_columns(copied)


def _sum_of_quotients(count: int, divisor: int, factor: int, first: int) -> int:
    """Σ (first + i·factor) // divisor over i < count, by Euclid's steps: as many as the numbers have digits."""
    total = 0
    while count > 0:
        total += count * (count - 1) // 2 * (factor // divisor) + count * (first // divisor)
        factor, first = factor % divisor, first % divisor
        count, first = divmod(first + count * factor, divisor)
        divisor, factor = factor, divisor
    return total


def _pairs_before(end: int, taps: int, dilation: int, outputs: int, stride: int) -> int:
    """Pairs of a tap and a position whose tap·dilation + position·stride lies before `end`."""
    some = min(taps, max(0, -(-end // dilation)))  # taps that do so for some position
    every = min(some, max(0, -(-(end - (outputs - 1) * stride) // dilation)))  # for every position
    return every * outputs + _sum_of_quotients(some - every, stride, dilation, end - 1 - (some - 1) * dilation + stride)


def _axis(kernel: int, stride: int, dilation: int, low: int, extent: int, outputs: int) -> AxisTaps:
    first = max(0, -(-(low - (outputs - 1) * stride) // dilation))
    end = min(kernel, -(-(extent + low) // dilation))
    if first >= end:  # none sees anything
        first, end = 0, 1
    before = [_pairs_before(limit, kernel, dilation, outputs, stride) for limit in (low, low + extent)]
    return AxisTaps(
        kernel=kernel,
        first=first,
        taps=end - first,
        stride=stride,
        dilation=dilation,
        start=first * dilation - low,
        extent=extent,
        outputs=outputs,
        inside=before[1] - before[0],
    )


@lru_cache(maxsize=512)
def layout(problem: ConvProblem) -> OuterLayout:
    c = collapsed(problem)
    extent, outputs = three(c.spatial, 1), three(c.outputs, 1)
    each = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.pad_low, 0), extent, outputs
    t, h, w = (_axis(*values) for values in zip(*each, strict=True))
    return OuterLayout(c.group_in, c.group_out, (t, h, w), extent, outputs, c.taps)


class OuterTap(NamedTuple):
    """A tap that a tile is summed for by itself."""

    t: int  # of what it reads, seen from a position's first tap, in elements of the axis
    h: int
    w: int
    source_at: int  # the same in elements of what is read: the input, or a copy
