"""How `depthwise` cuts a plane (or volume) of outputs into strips: all ways, of which the plan takes one.

A *strip* is `rows` vectors of outputs below each other, side by side over the width of the image (`Cut.along` the axis before the last);
or, where few filter rows share their reads, pieces of one long row (the last).  Its reads are the same for all channels, up to lanes beside
the image.  Channels last are an axis of their own, the last, on which nothing is summed: "below each other" is then side by side.

All is counted by arithmetic: a cut costs the same to look at whatever the image, the filter, stride and dilation.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd, prod
from typing import NamedTuple

import numpy as np

from ...kernel import Machine
from ...memory import kept
from ...problem import ConvProblem
from ..geometry.axes import collapsed, three
from ..geometry.jobs import seen

#: vectors per strip, by number of SIMD registers: their sums, the weights of a group of taps and one input must fit
ROWS = {32: (4, 7, 8, 14), 16: (4, 7, 8)}
GROUPS = (7, 5, 3, 1)  # taps that share their reads
MOST = 4096  # taps; a worker has a word for each, and a Fourier transform is faster long before
PIECES = MOST * max(max(rows) for rows in ROWS.values())  # words on a worker's stack, for what flat strips see …
KEPT_STRIPS = 8  # … of so many kinds of strip, if there is room
SPARE = 2  # registers beside sums and weights: one input, one mask or what LLVM needs …
ROOMY = 4  # … of few registers, so many for a mask to be a group's, held over its reads


class ImageAxis(NamedTuple):
    """One axis of the image; channels last, the channels are the last."""

    spatial: int
    kernel: int
    stride: int
    low: int  # padding
    dilation: int
    outputs: int
    weights: int  # elements of w from one tap to the next
    live: range  # taps that see the image, and any between them


def _live(*axis: int) -> range:
    first, number = seen(*axis)
    return range(first, first + number) or range(1)


@kept
def axes_of(problem: ConvProblem) -> tuple[ImageAxis, ImageAxis, ImageAxis]:
    """Three, those of extent 1 first: so a column of pixels is a row."""
    p = collapsed(problem)
    spatial, kernel, stride = three(p.spatial, 1), three(p.kernel, 1), three(p.stride, 1)
    low, dilation, outputs = three(p.pad_low, 0), three(p.dilation, 1), three(p.outputs, 1)
    weights = (kernel[1] * kernel[2], kernel[2], 1)
    axes = [
        ImageAxis(n, k, s, lo, d, o, w, _live(k, s, d, lo, n, o))
        for n, k, s, lo, d, o, w in zip(spatial, kernel, stride, low, dilation, outputs, weights, strict=True)
    ]
    return tuple(sorted(axes, key=lambda a: a.spatial > 1 or a.outputs > 1))  # type: ignore[return-value]


class Columns(NamedTuple):
    """The vectors side by side over a row of outputs: whole ones from its beginning on, and a last one."""

    number: int
    last: int  # its first output
    last_lanes: int


class Cut(NamedTuple):
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
    shared: int  # groups
    single: int  # taps left over
    strips: int  # of a plane
    columns: Columns
    crowded: bool  # a register for a group's mask would be one that sums lack

    @property
    def flat(self) -> bool:
        """Whether the vectors of a strip are pieces of one row."""
        return self.along == len(self.axes) - 1


class StripDivision(NamedTuple):
    """Of the outputs of an axis into strips: interleaved residues whose strips do not mix, each divided into blocks."""

    residues: int
    longer: int  # of them, the first, that have an output more than the others
    blocks_of_longer: int  # strips of one of those …
    blocks: int  # … and of one of the others

    @property
    def strips(self) -> int:
        return self.longer * self.blocks_of_longer + (self.residues - self.longer) * self.blocks


def divided(outputs: int, interval: int, rows: int, flat: bool) -> StripDivision:
    if flat:
        return StripDivision(1, 0, 0, -(-outputs // (rows * interval)))
    each, longer = divmod(outputs, interval)
    return StripDivision(min(interval, outputs), longer, each // rows + 1, -(-each // rows))


def shared_of(taps: int, step: int, group: int) -> int:
    """How many groups of taps, each `step` from the next, taps in a row make: of every residue as many as it has room for."""
    each, longer = divmod(taps, step)
    return longer * ((each + 1) // group) + (step - longer) * (each // group)


def groups_of(cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """The first taps of the groups on the axis along, and the taps in none."""
    live, step = cut.axes[cut.along].live, max(1, cut.tap_step)
    taps = np.arange(live.start, live.stop)
    if cut.taps == 1:
        return taps[:0], taps
    number = (taps - live.start) // step % cut.taps  # in a group, if that is whole
    whole = taps + (cut.taps - 1 - number) * step < live.stop
    return taps[whole & (number == 0)], taps[~whole]


def _columns(flat: bool, outputs: int, lanes: int, narrow: int) -> Columns:
    """The last vector of a row overlaps the one before; a narrow one where that is enough.

    `narrow` 0: of all whole ones the first, and the rest.
    """
    rest = outputs % lanes
    if not narrow:
        return Columns(2 if rest else 1, outputs - rest if rest else 0, lanes)
    if outputs <= lanes or flat:
        return Columns(1, 0, narrow if outputs <= narrow else lanes)
    last = narrow if 0 < rest <= narrow else lanes
    return Columns(-(-outputs // lanes), outputs - last, last)


def _cuts_along(axes: tuple[ImageAxis, ...], along: int, rows: tuple[int, ...], lanes: int, narrow: int, machine: Machine) -> Iterator[Cut]:
    axis, flat, few = axes[along], along == len(axes) - 1, machine.registers < 32  # AVX-512's masks are in registers of their own
    columns = _columns(flat, axes[-1].outputs, lanes, narrow)
    live, others = len(axis.live), prod(len(a.live) for a in axes) // len(axis.live)
    lines = prod(a.outputs for a in axes[:along])
    if flat:
        interval, read_step, advance = columns.last_lanes, columns.last_lanes * axis.stride, 1
        tap_step = read_step // axis.dilation if read_step % axis.dilation == 0 else 0
    else:
        common = gcd(axis.stride, axis.dilation)
        interval, read_step, advance, tap_step = axis.dilation // common, axis.dilation, axis.stride // common, 1
    for taps in GROUPS:
        if taps == 1 and not flat:
            interval, read_step, advance = 1, axis.stride, 1
        shared = shared_of(live, tap_step, taps) if tap_step and taps > 1 else 0
        if taps > 1 and (not shared or advance > 2):  # there are no such groups
            continue
        for r in rows:
            if r + taps + SPARE <= machine.registers:
                yield Cut(
                    axes=axes,
                    along=along,
                    rows=r,
                    taps=taps,
                    advance=advance,
                    lanes=lanes,
                    narrow_lanes=narrow,
                    interval=interval,
                    read_step=read_step,
                    tap_step=tap_step,
                    shared=shared * others,
                    single=(live - shared * taps) * others,
                    strips=lines * divided(axis.outputs, interval, r, flat).strips,
                    columns=columns,
                    crowded=few and r + taps > machine.registers - ROOMY,
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
        axes = (*(a._replace(weights=a.weights * pitch) for a in axes), ImageAxis(channels, 1, 1, 0, 1, channels, 0, range(1)))
    rows = ROWS[32 if machine.registers >= 32 else 16]
    rows = rows if problem.dtype == "float32" else rows[1:2]  # each is seconds of compilation
    for along in (2,) if last else (1, 2):
        yield from _cuts_along(axes, along, rows, lanes, narrow, machine)
