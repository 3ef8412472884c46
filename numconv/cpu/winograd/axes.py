"""The axes of `winograd`: which are transformed, and how the taps of an axis are cut into pieces.

Tap t of an axis reads t·dilation after the first.  Taps whose distance is a multiple of the stride read the same *phase* of the input,
every `stride`-th sample: on that they are a filter of stride 1.  It is cut into *pieces* of at most r taps, each a filter F(m, r) of its
own, whose products are summed before the transform back: to the sum a piece is a further term, as each tap of an untransformed axis is
(F(1, 1)).

Piece j begins r·j samples after the first.  Where two begin a multiple of m samples apart, one reads what the other does some tiles
further on: they share a *plane*, the transformed input, at a *shift*.  All taps of a phase of an untransformed axis share one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import gcd, prod
from typing import NamedTuple

from ...kernel import wide_margins
from ...problem import ConvProblem
from ..geometry.axes import three

#: by its number of frequencies: outputs and taps of each transform, F(m, r)
KINDS = {1: (1, 1), 4: (2, 3), 5: (4, 2), 6: (4, 3), 7: (4, 4), 8: (4, 5)}
#: kinds of (A, W) that are tried; two of more frequencies would round too coarsely
PAIRS = ((6, 6), (4, 4), (5, 5), *((1, f) for f in (4, 5, 6, 7, 8)), *((f, 1) for f in (4, 5, 6, 7, 8)))

PAYS = 0.85  # of the multiplications of an axis, at most, that its transform may leave
MOST_CHOICES, CLOSE_CHOICE = 3, 1.8  # choices of axes that are tried; times the multiplications of the first, at most

MOST_PARTS = 256  # into which an axis is cut
LEAST_ROW = 64  # positions of a row that is cut

#: least number of channels by the larger number of frequencies; a quarter and a half of `error_factor` there (decision 0024)
MARGINS = {4: 16, 6: 256}


class Piece(NamedTuple):
    plane: int
    shift: int  # in tiles
    tap: int  # its first; the others follow at `tap_pitch`
    live: int  # taps, of r


@dataclass(frozen=True)
class CutAxis:
    """An axis of a convolution; where it is transformed (m > 1), counted in tiles of m outputs for each residue of the dilation."""

    extent: int  # of the source
    outputs: int
    low: int  # padding before the source
    stride: int
    dilation: int
    taps: int
    frequencies: int
    filter_pitch: int  # weights from one tap of a filter to the next
    source_rows: int  # rows of the source from one sample to the next; 0: unused
    target_rows: int  # likewise of the target

    @property
    def m(self) -> int:
        return KINDS[self.frequencies][0]

    @property
    def tap_pitch(self) -> int:
        """Taps from one of a phase to the next."""
        return self.stride // gcd(self.stride, self.dilation)

    @cached_property
    def residues(self) -> int:
        """How far apart in its phase the samples of a tile are."""
        return self.dilation // gcd(self.stride, self.dilation) if self.m > 1 else 1

    @cached_property
    def tiles(self) -> int:
        """Of a residue."""
        return -(-(-(-self.outputs // self.residues)) // self.m)

    @cached_property
    def _cut(self) -> tuple[tuple[tuple[int, tuple[int, ...]], ...], tuple[Piece, ...]]:
        m, r = KINDS[self.frequencies]
        phases, pieces, planes = [], [], 0
        for first in range(min(self.tap_pitch, self.taps)):
            taps = range(first, self.taps, self.tap_pitch)
            begins: list[int] = []  # of the planes of this phase
            for j in range(0, len(taps), r):
                begin = j if m > 1 else j * (self.dilation // gcd(self.stride, self.dilation))
                known = [k for k in begins if (begin - k) % m == 0]
                begins += [] if known else [begin]
                at = known[0] if known else begin
                pieces.append(Piece(planes + begins.index(at), (begin - at) // m, taps[j], min(r, len(taps) - j)))
            phases.append((first * self.dilation, tuple(begins)))
            planes += len(begins)
        return tuple(phases), tuple(pieces)

    @property
    def phases(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """Of each, the first tap's place in the input, and where its planes begin, in samples of a tile."""
        return self._cut[0]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return self._cut[1]

    @property
    def dense(self) -> bool:
        """Neighbouring outputs of a row read neighbouring samples, tile after tile."""
        return self.residues == self.stride == 1

    @cached_property
    def planes(self) -> tuple[int, ...]:
        """Where each begins in the input."""
        return tuple(start + k * self.residues * self.stride for start, begins in self.phases for k in begins)

    @cached_property
    def halo(self) -> int:
        """Tiles that only shifted pieces read."""
        return max(piece.shift for piece in self.pieces)

    def samples(self, tiles: int, phase: tuple[int, tuple[int, ...]]) -> int:
        """Of one residue, that the planes of a phase read."""
        return (tiles + self.halo) * self.m + self.frequencies - self.m + max(phase[1])


class Axes(NamedTuple):
    """The axes of a convolution in the order of V: A and W may be transformed."""

    o: CutAxis  # outside of A
    a: CutAxis
    i: CutAxis  # inside of A
    w: CutAxis


#: an axis that a convolution does not have
UNIT = CutAxis(extent=1, outputs=1, low=0, stride=1, dilation=1, taps=1, frequencies=1, filter_pitch=0, source_rows=0, target_rows=0)


def multiplications(x: Axes) -> float:
    """Per output and channel."""
    return prod(len(a.pieces) * a.frequencies / a.m for a in x)


def frequencies(x: Axes) -> int:
    return x.a.frequencies * x.w.frequencies


def steady(p: ConvProblem, x: Axes) -> bool:
    """Whether outputs that few taps see, which carry the error of their whole tile, keep their own bound with so many channels."""
    return p.group_in >= MARGINS.get(max(a.frequencies for a in x), p.group_in + 1)


@lru_cache(maxsize=1024)
def choices(p: ConvProblem) -> tuple[Axes, ...]:
    """(outer, A, inner, W): transformed may be W and one other axis A, H or else T; the planes outside of A and the rows inside are not.

    An axis must fill a piece, or all but the last of three taps, and lose a sixth of its multiplications, a choice a third.  At most three,
    by multiplications; at wide margins such as err little there, if any.
    """
    kernel, spatial, outputs = three(p.kernel, 1), three(p.spatial, 1), three(p.outputs, 1)
    low, dilation, stride = three(p.pad_low, 0), three(p.dilation, 1), three(p.stride, 1)
    (_, rows_in, _), (_, rows_out, _), (_, filter_rows, filter_row) = spatial, outputs, kernel
    source_rows, target_rows, filter_pitches = (rows_in, 1, 0), (rows_out, 1, 0), (filter_rows * filter_row, filter_row, 1)

    def made(k: int, frequencies: int) -> CutAxis | None:
        axis = CutAxis(
            extent=spatial[k],
            outputs=outputs[k],
            low=low[k],
            stride=stride[k],
            dilation=dilation[k],
            taps=kernel[k],
            frequencies=frequencies,
            filter_pitch=filter_pitches[k],
            source_rows=source_rows[k],
            target_rows=target_rows[k],
        )
        m, r = KINDS[frequencies]
        pays = len(axis.pieces) * frequencies < PAYS * kernel[k] * m and axis.pieces[0].live >= r - (r == 3)
        return axis if frequencies == 1 or pays else None

    other = 1 if made(1, 6) or made(1, 5) or made(1, 8) else 0
    found: list[Axes] = []
    for of_a, of_w in PAIRS:
        t, h, w = made(0, of_a if other == 0 else 1), made(1, of_a if other == 1 else 1), made(2, of_w)
        if t and h and w:
            found.append(Axes(t, h, UNIT, w) if other == 1 else Axes(UNIT, t, h, w))
    found = sorted((x for x in found if multiplications(x) <= prod(kernel) * 2 / 3), key=multiplications)
    if wide_margins(p):
        found = [x for x in found if steady(p, x)] or found
    return tuple(x for x in found[:MOST_CHOICES] if multiplications(x) < CLOSE_CHOICE * multiplications(found[0]))


@dataclass(frozen=True)
class TileBox:
    """How much of each axis a task takes: outputs, or tiles of `residues` residues."""

    axes: Axes
    counts: tuple[int, int, int, int]
    residues: int  # of A

    @property
    def slots(self) -> tuple[int, int, int, int]:
        """Positions of a box along each axis, those included that only taps reach."""
        o, a, i, w = (c + x.halo for c, x in zip(self.counts, self.axes, strict=True))
        return o, a * self.residues, i, w * self.axes.w.residues

    @property
    def planes(self) -> int:
        """Of a channel."""
        return prod(len(x.planes) for x in self.axes)

    def shift(self, pieces: tuple[Piece, ...]) -> int:
        """Of a term, in positions."""
        _, a, i, w = self.slots
        by_o, by_a, by_i, by_w = (piece.shift for piece in pieces)
        return ((by_o * a + by_a * self.residues) * i + by_i) * w + by_w * self.axes.w.residues

    @property
    def reach(self) -> int:
        """The furthest shift of a term, in positions."""
        return self.shift(tuple(max(x.pieces, key=lambda piece: piece.shift) for x in self.axes))

    @property
    def boxes(self) -> tuple[int, int, int, int]:
        """Those of A times those of its residues."""
        o, a, i, w = (-(-x.tiles // c) for c, x in zip(self.counts, self.axes, strict=True))
        return o, a * -(-self.axes.a.residues // self.residues), i, w

    @property
    def positions(self) -> int:
        """From the first output of a box to its last, in one row of V."""
        _, a, i, w = self.slots
        o1, a1, i1, w1 = self.counts
        return (((o1 - 1) * a + a1 * self.residues - 1) * i + i1 - 1) * w + w1 * self.axes.w.residues


def _even(count: int) -> list[int]:
    return sorted({-(-count // k) for k in range(1, min(count, MOST_PARTS) + 1)}, reverse=True)


def boxes_of(x: Axes) -> list[TileBox]:
    """Whole images, then parts of the outermost axis that is not one position yet, the residues of a dilated axis before its tiles."""
    o, a, i, w = x
    found = [TileBox(x, (c, a.tiles, i.tiles, w.tiles), a.residues) for c in _even(o.tiles)]
    found += [TileBox(x, (1, a.tiles, i.tiles, w.tiles), r) for r in _even(a.residues)]
    found += [TileBox(x, (1, c, i.tiles, w.tiles), 1) for c in _even(a.tiles)]
    found += [TileBox(x, (1, 1, c, w.tiles), 1) for c in _even(i.tiles)]
    if a.m > 1 and a.tiles > 1 and i.tiles > 1:
        found += [TileBox(x, (1, a.tiles, c, w.tiles), 1) for c in _even(i.tiles)]
    found += [TileBox(x, (1, 1, 1, c), 1) for c in _even(w.tiles) if c * w.residues >= LEAST_ROW]
    return list(dict.fromkeys(found))


def terms(p: ConvProblem, x: Axes) -> int:
    return p.group_in * prod(len(a.pieces) for a in x)
