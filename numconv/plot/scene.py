"""What happens at each step of a convolution: which cells of the source are read, which of the target are written.  Draws nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import NamedTuple

from ..problem import ConvProblem, Ints, effective_kernel

Cell = tuple[int, Ints]  # channel, position


class Moment(NamedTuple):
    """One step."""

    read: dict[Cell, Ints]  # cells of the source, and the tap that each is multiplied with
    written: list[Cell]


class Scene:
    """A problem at work.

    `inserted`: a transposed convolution as a convolution over its input with zeros inserted, output by output; else input by input,
    each of which stamps the kernel onto the output.
    """

    def __init__(self, problem: ConvProblem, inserted: bool = False) -> None:
        self.problem = problem
        self.transposed = problem.direction == "input_grad"
        self.inserted = inserted and self.transposed
        self.source_channels, self.source = problem.source
        self.target_channels, self.target = problem.target
        self.apart = problem.stride if self.inserted else (1,) * problem.rank  # from one element of the source to the next
        self.stamps = self.transposed and not self.inserted

    @property
    def spread(self) -> Ints:
        """Extents of the source with what is inserted."""
        return tuple((n - 1) * a + 1 for n, a in zip(self.source, self.apart, strict=True))

    @property
    def margins(self) -> tuple[tuple[int, int], ...]:
        """What is read beyond the source at either end of each axis; of stamps, what they crop of the target."""
        p = self.problem
        pads = list(zip(p.pad_low, p.pad_high, strict=True))
        if self.inserted:
            reach = [effective_kernel(k, d) - 1 for k, d in zip(p.kernel, p.dilation, strict=True)]
            pads = [
                (r - low, size - 1 + low - (n - 1))
                for r, (low, _), size, n in zip(reach, pads, self.target, self.spread, strict=True)
            ]  # fmt: skip
        return tuple((max(low, 0), max(high, 0)) for low, high in pads)

    @property
    def steps(self) -> int:
        channels, extents = (self.source_channels, self.source) if self.stamps else (self.target_channels, self.target)
        return channels * prod(extents)

    def group_of_source(self, channel: int) -> int:
        return channel // (self.source_channels // self.problem.groups)

    def group_of_target(self, channel: int) -> int:
        """Of a channel where it lies in the result, after the shuffle."""
        return self.unshuffled(channel) // (self.target_channels // self.problem.groups)

    def unshuffled(self, channel: int) -> int:
        """out[j·g + i] = y[i·n + j]."""
        g = self.problem.shuffle
        return channel % g * (self.target_channels // g) + channel // g

    def moment(self, step: int) -> Moment:
        """Channel after channel, position after position."""
        extents = self.source if self.stamps else self.target
        channel, number = divmod(step % self.steps, prod(extents))
        position = _place(number, extents)
        group = self.group_of_source(channel) if self.stamps else self.group_of_target(channel)
        others = (self.target_channels if self.stamps else self.source_channels) // self.problem.groups
        range_of = range(group * others, (group + 1) * others)
        taps = list(self._taps(position))
        if self.stamps:
            zero = (0,) * self.problem.rank
            return Moment({(channel, position): zero}, [(c, place) for c in range_of for _, place in taps])
        return Moment({(c, place): tap for c in range_of for tap, place in taps}, [(channel, position)])

    def _taps(self, position: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Each tap, and where it reads (a stamp: where it writes)."""
        p = self.problem
        for tap in product(*map(range, p.kernel)):
            if self.inserted:
                yield tap, tuple(q + low - r * d for q, low, r, d in zip(position, p.pad_low, tap, p.dilation, strict=True))
            else:
                corner = (q * s - low for q, s, low in zip(position, p.stride, p.pad_low, strict=True))
                yield tap, tuple(c + r * d for c, r, d in zip(corner, tap, p.dilation, strict=True))

    def element(self, position: Ints) -> Ints | None:
        """The element of the source at a cell: None for an inserted zero, and outside."""
        found = tuple(q // a for q, a in zip(position, self.apart, strict=True))
        between = any(q % a for q, a in zip(position, self.apart, strict=True))
        return None if between or not all(0 <= i < n for i, n in zip(found, self.source, strict=True)) else found


def _place(number: int, extents: Ints) -> Ints:
    found = []
    for n in reversed(extents):
        number, i = divmod(number, n)
        found.append(i)
    return tuple(reversed(found))
