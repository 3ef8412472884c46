"""A convolution of any rank, stride, dilation and direction as sums over contiguous vectors, whatever tiles and boxes are chosen.

Every problem is seen on three axes (leading ones of extent 1).  A *box* of the source, one group's channels, is copied into a zero-padded
*polyphase* buffer (stages.fill).  Then each term k = (channel, tap) of the sum is one offset into the buffer, the same for all output
positions, and neighbouring positions are neighbours in memory.
"""

from __future__ import annotations

from math import gcd, prod
from typing import NamedTuple

import numpy as np

from ....memory import kept
from ....problem import ConvProblem, Ints
from ...geometry.axes import collapsed, three
from ...geometry.jobs import JobAxis, forward_taps, gradient_taps, origin, reach
from ...stages.fill import APART


class ReadAxis(NamedTuple):
    """One axis, and how it is copied: see `stages.fill.FillAxis`."""

    taps: JobAxis
    spread: int  # a dilated axis is that many interleaved ones: targets residue + spread·v read samples `spread` apart
    most: int  # targets of a job and residue: what boxes divide
    origin: int
    reads: int
    apart: int
    phases: int
    modulus: int

    @property
    def reach(self) -> int:
        """Samples of a piece that a target reads, but the first."""
        return (self.reads - 1) * self.apart // self.modulus

    @property
    def last(self) -> int:
        """Where the last piece begins, in the source of one of the interleaved axes."""
        if self.phases == 1:
            return 0
        if self.modulus == APART:
            return (self.reads - 1) * self.apart
        every = gcd(self.apart, self.modulus)
        if self.phases * every == self.modulus:
            return (self.modulus - every) // self.spread
        return int((np.arange(self.phases) * self.apart % self.modulus).max()) // self.spread

    @property
    def together(self) -> int:
        """Taps of a job at most."""
        return self.taps.fewest + (self.taps.longer > 0)

    @property
    def served(self) -> int:
        """Stride phases that have targets, with taps or without."""
        return min(self.taps.target_step, self.taps.target)

    @property
    def kinds(self) -> tuple[tuple[int, int], ...]:
        """(jobs, taps of each) of all stride phases that have targets, some without taps."""
        a = self.taps
        found = (a.longer, a.fewest + 1), (a.jobs - a.longer, a.fewest), (self.served - a.jobs, 0)
        return tuple(kind for kind in found if kind[0] > 0)

    def gap(self, mode: str) -> int:
        """Zeros that end every row and begin it as well, if it goes over the whole width: neighbouring rows can share them."""
        if mode != "zeros":
            return 0
        length, step = self.most + self.reach, self.taps.step
        before = -((self.origin + self.last) // step)  # samples of the last piece
        after = length - 1 - (self.taps.source - 1 - self.origin) // step  # of the first one
        # rows may share sums that are 0, too; not where `store_row` leaves what it made of them
        return max(0, min(before, after, length // 2 if self.taps.target_step <= 2 else self.reach))


class Geometry(NamedTuple):
    """What `direct` and `gather` need of a problem besides the choice of boxes and tiles."""

    axes: tuple[ReadAxis, ReadAxis, ReadAxis]
    summed: int  # channels of a group that are summed over
    produced: int  # channels of a group
    source: Ints
    target: Ints
    filter_pitch: int  # elements of w from one produced channel's weights to the next …
    channel_pitch: int  # … from one summed channel's …
    group_pitch: int  # … from one group's
    gap: int

    @property
    def jobs(self) -> int:
        """Stride phases that have targets."""
        return prod(a.served for a in self.axes)

    @property
    def taps(self) -> int:
        """Of all jobs."""
        return prod(a.taps.taps for a in self.axes)

    @property
    def together(self) -> int:
        """Taps of a job at most."""
        return prod(a.together for a in self.axes)

    def unfolded(self, number: int, mode: str) -> Geometry:
        """With the last `number` axes unfolded."""
        if number == 0:
            return self
        t, h, w = (_unfolded(a) if i >= 3 - number else a for i, a in enumerate(self.axes))
        return self._replace(axes=(t, h, w), gap=w.gap(mode))


def _forward(taps: JobAxis, spread: bool) -> ReadAxis:
    """`spread`: outer axes, whose rows may come in any order, are split by the output's residue modulo the dilation."""
    residues = taps.dilation if spread and taps.taps > 1 else 1
    return ReadAxis(
        taps=taps,
        spread=residues,
        most=-(-taps.target // residues),
        origin=taps.start,
        reads=taps.taps,
        apart=taps.dilation,
        phases=min(taps.taps, taps.step // gcd(taps.step, taps.dilation // residues)),
        modulus=taps.step * residues,
    )


def _gradient(taps: JobAxis) -> ReadAxis:
    """Taps of different jobs may read the same samples: neighbours, or as far apart as all taps of one job."""
    apart = -taps.advance if taps.period == 1 else 1
    return ReadAxis(
        taps=taps,
        spread=1,
        most=-(-taps.target // taps.target_step),
        origin=origin(taps),
        reads=reach(taps) // apart + 1,
        apart=apart,
        phases=1,
        modulus=1,
    )


def _unfolded(axis: ReadAxis) -> ReadAxis:
    """Each read a piece of its own, copied for itself: no reach, so that the rows (planes) of a box follow each other without a gap."""
    return axis._replace(phases=axis.reads, modulus=APART, most=-(-axis.taps.target // axis.taps.target_step), spread=1)


@kept
def geometry(problem: ConvProblem) -> Geometry:
    p = collapsed(problem)
    forward, mode, taps = p.direction == "forward", p.padding_mode, prod(p.kernel)
    low, extent, outputs = three(p.pad_low, 0), three(p.spatial, 1), three(p.outputs, 1)
    each = zip(three(p.kernel, 1), three(p.stride, 1), three(p.dilation, 1), low, extent, outputs, strict=True)
    if forward:
        t, h, w = (forward_taps(k, s, d, lo, n, o, mode) for k, s, d, lo, n, o in each)
        axes = _forward(t, True), _forward(h, True), _forward(w, False)
    else:
        t, h, w = (gradient_taps(*sizes) for sizes in each)
        axes = _gradient(t), _gradient(h), _gradient(w)
    return Geometry(
        axes=axes,
        summed=p.group_in if forward else p.group_out,
        produced=p.group_out if forward else p.group_in,
        source=tuple(a.taps.source for a in axes),
        target=tuple(a.taps.target for a in axes),
        filter_pitch=p.group_in * taps if forward else taps,
        channel_pitch=taps if forward else p.group_in * taps,
        group_pitch=p.group_out * p.group_in * taps,
        gap=axes[2].gap(mode),
    )
