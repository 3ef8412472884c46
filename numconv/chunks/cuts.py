"""One axis of a convolution, cut: which samples of its source an interval of targets needs, and the same convolution of those alone.

Of an axis  p·stride − low + r·dilation = q  joins position p of the outputs, tap r and position q of the image (`ConvProblem`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..problem import ConvProblem
from ..sampling import padded

Interval = tuple[int, int]  # from, to


@dataclass(frozen=True)
class Axis:
    """Numbers of one spatial axis of a problem."""

    image: int
    outputs: int
    kernel: int
    stride: int
    dilation: int
    low: int

    @property
    def reach(self) -> int:
        return (self.kernel - 1) * self.dilation


@dataclass(frozen=True)
class Cut:
    """A part of an axis: targets first … end, from these samples of the source."""

    target: Interval
    source: tuple[Interval, ...]  # intervals of the source, joined …
    take: tuple[int, ...] | None  # … and of these the samples at these places, if not all in turn
    axis: Axis  # of the part


def axes_of(p: ConvProblem) -> tuple[Axis, ...]:
    return tuple(map(Axis, p.spatial, p.outputs, p.kernel, p.stride, p.dilation, p.pad_low))


def forward(a: Axis, first: int, end: int, mode: str) -> Cut:
    """Outputs first … end."""
    begin, stop = first * a.stride - a.low, (end - 1) * a.stride - a.low + a.reach + 1
    if mode == "zeros" or (begin >= 0 and stop <= a.image):
        low, high = min(max(0, begin), a.image - 1), max(min(a.image, stop), min(max(0, begin), a.image - 1) + 1)
        return Cut((first, end), ((low, high),), None, replace(a, image=high - low, outputs=end - first, low=low - begin))
    high = max(0, (a.outputs - 1) * a.stride - a.low + a.reach + 1 - a.image)
    samples = padded(a.image, a.low, high, mode)[begin + a.low : stop + a.low]
    found, places = np.unique(samples, return_inverse=True)
    gaps = np.flatnonzero(np.diff(found) != 1) + 1
    runs = tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(found, gaps))
    return Cut((first, end), runs, tuple(places.tolist()), replace(a, image=stop - begin, outputs=end - first, low=0))


def backward(a: Axis, first: int, end: int) -> Cut:
    """Positions first … end of the image, from outputs: of an input gradient, a transposed convolution."""
    low = min(max(0, -(-(first + a.low - a.reach) // a.stride)), a.outputs - 1)
    high = max(low + 1, min(a.outputs, (end - 1 + a.low) // a.stride + 1))
    return Cut((first, end), ((low, high),), None, replace(a, image=end - first, outputs=high - low, low=a.low - low * a.stride + first))


def bounds(a: Axis, chunks: tuple[int, ...], back: bool) -> list[Interval]:
    """The targets, cut where the middles of their kernels pass from one chunk of the source into the next."""
    ends, target = list(accumulate(chunks)), a.image if back else a.outputs
    middle = a.reach // 2
    if back:
        found = [e * a.stride - a.low + middle for e in ends]
    else:
        found = [-(-(e + a.low - middle) // a.stride) for e in ends]
    cut = [0]
    for e in found[:-1]:
        if cut[-1] < e < target and (back or e * a.stride - a.low < a.image):  # a part begins on the image
            cut.append(e)
    cut.append(target)
    return list(pairwise(cut))


def part(p: ConvProblem, cuts: tuple[Cut, ...], **changes: Any) -> ConvProblem:
    """The problem of those parts of its axes."""
    axes = [c.axis for c in cuts]
    return p.with_(
        spatial=tuple(a.image for a in axes),
        outputs=tuple(a.outputs for a in axes),
        pad_low=tuple(a.low for a in axes),
        padding_mode="zeros" if p.direction != "input_grad" else p.padding_mode,
        **changes,
    )
