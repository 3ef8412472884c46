"""For `outer_product`: a weight gradient's three axes, and which of their taps have tiles of their own."""

from __future__ import annotations

from typing import NamedTuple

from ....memory import kept
from ....problem import ConvProblem, Ints
from ...geometry.axes import collapsed, three
from ...geometry.jobs import JobAxis, forward_taps, inside, job_of, padded


class OuterLayout(NamedTuple):
    """What does not depend on tiles, chunks and tasks."""

    group_in: int
    group_out: int
    axes: tuple[JobAxis, JobAxis, JobAxis]
    extent: Ints
    outputs: Ints
    inside: Ints  # pairs of a position and a tap that see the input, of each axis
    padded: bool  # some tap of the last axis sees the outside
    taps: int  # of a filter

    @property
    def idle_taps(self) -> bool:
        """Whether some see nothing but padding."""
        return any(x.taps < x.kernel for x in self.axes)

    @property
    def gaps(self) -> bool:
        """Whether neighbouring positions may pass over the input: of a copy some taps would see zeros alone, and give NaN."""
        return self.axes[2].step > self.axes[2].source

    def merged(self, copied: int) -> bool:
        """Whether all positions of a row see columns of the input, or of a copy, with every tap: then rows are summed as one."""
        return copied > 0 or not self.padded

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


@kept
def layout(problem: ConvProblem) -> OuterLayout:
    c = collapsed(problem)
    kernel, stride, dilation, low = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.pad_low, 0)
    extent, outputs = three(c.spatial, 1), three(c.outputs, 1)
    t, h, w = (forward_taps(*values) for values in zip(kernel, stride, dilation, low, extent, outputs, strict=True))
    pairs = tuple(inside(x, job_of(x, 0)) for x in (t, h, w))
    return OuterLayout(c.group_in, c.group_out, (t, h, w), extent, outputs, pairs, padded(w), c.taps)


class OuterTap(NamedTuple):
    """A tap that a tile is summed for by itself."""

    t: int  # of what it reads, seen from a position's first tap, in elements of the axis
    h: int
    w: int
    source_at: int  # the same in elements of what is read: the input, or a copy
