"""How `depthwise` cuts a plane (or volume) of outputs into strips: all ways, of which the plan takes one.

A *strip* is `rows` vectors of outputs below each other, side by side over the width of the image (`Cut.along` the axis before the last);
or, where few filter rows share their reads, pieces of one long row (the last).  Its reads are the same for all channels, up to masks at the
border.  Channels last are an axis of their own, the last, on which nothing is summed: "below each other" is then side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import gcd, prod
from typing import NamedTuple

import numpy as np

from ...kernel import Machine
from ...problem import ConvProblem, Ints
from ..geometry.axes import collapsed, three
from ..geometry.taps import live_taps

#: vectors per strip, by number of SIMD registers: their sums, the weights of a group of taps and one input must fit
ROWS = {32: (4, 7, 8, 14), 16: (4, 7, 8)}
GROUPS = (7, 5, 3, 1)  # taps that share their reads
SPARE = 2  # registers beside sums and weights: one input, one mask or what LLVM needs …
ROOMY = 4  # … of few registers, so many for masks to be a group's, held over its reads


class ImageAxis(NamedTuple):
    """One axis of the image; channels last, the channels are the last."""

    spatial: int
    kernel: int
    stride: int
    low: int  # padding
    dilation: int
    outputs: int
    weights: int  # elements of w from one tap to the next
    live: Ints  # taps that see the image


@lru_cache(maxsize=256)
def axes_of(problem: ConvProblem) -> tuple[ImageAxis, ImageAxis, ImageAxis]:
    """Three, those of extent 1 first: so a column of pixels is a row."""
    p = collapsed(problem)
    spatial, kernel, stride = three(p.spatial, 1), three(p.kernel, 1), three(p.stride, 1)
    low, dilation, outputs = three(p.pad_low, 0), three(p.dilation, 1), three(p.outputs, 1)
    weights = (kernel[1] * kernel[2], kernel[2], 1)
    axes = [
        ImageAxis(n, k, s, lo, d, o, w, live_taps(k, s, d, lo, o, n))
        for n, k, s, lo, d, o, w in zip(spatial, kernel, stride, low, dilation, outputs, weights, strict=True)
    ]
    return tuple(sorted(axes, key=lambda a: a.spatial > 1 or a.outputs > 1))  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Cut:
    """One way to cut the outputs."""

    axes: tuple[ImageAxis, ...]
    along: int  # the axis on which the vectors of a strip follow one another
    rows: int  # vectors of a strip
    taps: int  # of a group
    advance: int  # reads from one vector to the next
    lanes: int  # of a vector
    narrow_lanes: int  # of the narrow vectors; 0 if there are none
    interval: int  # outputs from one vector to the next, on that axis
    read_step: int  # input positions from one read to the next
    tap_step: int  # taps from one to the next in a group
    shared: tuple[Ints, ...]  # first tap of each group
    single: tuple[Ints, ...]  # the taps left over
    columns: tuple[tuple[int, int], ...]  # first output and lanes of the vectors side by side
    apiece: bool  # each read has a mask of its own: where they differ, or a register for that of a group would be one that sums lack

    @property
    def flat(self) -> bool:
        """Whether the vectors of a strip are pieces of one row."""
        return self.along == len(self.axes) - 1

    @property
    def strips(self) -> int:
        """Of a plane."""
        *lead, h, w = (a.outputs for a in self.axes)
        if self.flat:
            return prod(lead) * h * -(-w // (self.rows * self.interval))
        return prod(lead) * sum(-(-len(range(r, h, self.interval)) // self.rows) for r in range(min(self.interval, h)))


def _chains(live: Ints, step: int, taps: int) -> tuple[list[int], list[int]]:
    """(first taps of chains of `taps` taps, each `step` from the next; the taps in none)."""
    left, first = list(live), []
    for a in live if taps > 1 else ():
        chain = [a + j * step for j in range(taps)]
        if all(b in left for b in chain):
            first.append(a)
            left = [b for b in left if b not in chain]
    return first, left


def _columns(flat: bool, outputs: int, lanes: int, narrow: int) -> tuple[tuple[int, int], ...]:
    """The last vector of a row overlaps the one before; a narrow one where that is enough.

    `narrow` 0: of all whole ones the first, and the rest.
    """
    if not narrow:
        return ((0, lanes), *(((outputs - outputs % lanes, lanes),) if outputs % lanes else ()))
    if outputs <= lanes or flat:
        return ((0, narrow if outputs <= narrow else lanes),)
    last = narrow if 0 < outputs % lanes <= narrow else lanes
    return (*((c, lanes) for c in range(0, outputs - lanes + 1, lanes)), *(((outputs - last, last),) if outputs % lanes else ()))


def _cut(axes: tuple[ImageAxis, ...], along: int, rows: int, taps: int, lanes: int, narrow: int, crowded: bool) -> Cut | None:
    """None where there are no such groups of taps; `crowded`: few registers are left."""
    axis, flat = axes[along], along == len(axes) - 1
    columns = _columns(flat, axes[-1].outputs, lanes, narrow)
    if flat:
        interval, read_step, advance = columns[0][1], columns[0][1] * axis.stride, 1
        tap_step = read_step // axis.dilation if read_step % axis.dilation == 0 else 0
    else:
        common = gcd(axis.stride, axis.dilation)
        interval, read_step, advance, tap_step = axis.dilation // common, axis.dilation, axis.stride // common, 1
    if taps == 1:
        interval, read_step, advance = (interval, read_step, 1) if flat else (1, axis.stride, 1)
    shared, single = _chains(axis.live, tap_step, taps) if tap_step or taps == 1 else ([], list(axis.live))
    if taps > 1 and (not shared or advance > 2):
        return None
    others = [a.live for i, a in enumerate(axes) if i != along]

    def with_others(own: list[int]) -> tuple[Ints, ...]:
        return tuple(product(*others[:along], tuple(own), *others[along:]))

    return Cut(
        axes=axes,
        along=along,
        rows=rows,
        taps=taps,
        advance=advance,
        lanes=lanes,
        narrow_lanes=narrow,
        interval=interval,
        read_step=read_step,
        tap_step=tap_step,
        shared=with_others(shared),
        single=with_others(single),
        columns=columns,
        apiece=flat or crowded,
    )


def tap_pitch(channels: int, lanes: int) -> int:
    """Channels last, elements from one tap to the next of the packed weights: an odd number of registers, for all sets of the cache."""
    return (-(-channels // lanes) | 1) * lanes


def cuts(problem: ConvProblem, machine: Machine) -> Iterator[Cut]:
    """All ways."""
    axes: tuple[ImageAxis, ...] = axes_of(problem)
    lanes = machine.vector_bytes // np.dtype(problem.dtype).itemsize
    narrow = lanes // 2 if machine.vector_bytes == 64 else lanes  # narrower vectors than that are no faster
    channels, last = problem.in_channels, problem.layout == "channels_last"
    if last:
        narrow, pitch = 0, tap_pitch(channels, lanes)
        axes = (*(a._replace(weights=a.weights * pitch) for a in axes), ImageAxis(channels, 1, 1, 0, 1, channels, 0, (0,)))
    rows = ROWS[32 if machine.registers >= 32 else 16]
    rows = rows if problem.dtype == "float32" else rows[1:2]  # each is seconds of compilation
    few = machine.registers < 32  # AVX-512's masks are in registers of their own
    for along in (2,) if last else (1, 2):
        for r, taps in product(rows, GROUPS):
            crowded = few and r + taps > machine.registers - ROOMY
            cut = _cut(axes, along, r, taps, lanes, narrow, crowded) if r + taps + SPARE <= machine.registers else None
            if cut is not None:
                yield cut
