"""The axes of `winograd`: which are transformed, and how the taps of an axis are cut into pieces.

Tap t of an axis reads t·dilation after the first.  Taps whose distance is a multiple of the stride read the same *phase* of the input,
every `stride`-th sample: on that they are a filter of stride 1.  It is cut into *pieces* of at most r taps, each a filter F(m, r) of its
own, whose products are summed before the transform back: to the sum a piece is a further term, as each tap of an untransformed axis is
(F(1, 1)).

Piece j begins r·j samples after the first.  Where two begin a multiple of m samples apart, one reads what the other does some tiles
further on: they share a *plane*, the transformed input, at a *shift*.  All taps of a phase of an untransformed axis share one.
"""

from __future__ import annotations

from math import gcd, prod
from operator import itemgetter
from typing import NamedTuple

from ...kernel import wide_margins
from ...memory import kept
from ...problem import ConvProblem
from ..geometry.axes import three
from .taps import TapCut, pieces_of

#: by its number of frequencies: outputs and taps of each transform, F(m, r)
KINDS = {1: (1, 1), 4: (2, 3), 5: (4, 2), 6: (4, 3), 7: (4, 4), 8: (4, 5)}
#: kinds of (A, W) that are tried; two of more frequencies would round too coarsely
PAIRS = ((6, 6), (4, 4), (5, 5), *((1, f) for f in (4, 5, 6, 7, 8)), *((f, 1) for f in (4, 5, 6, 7, 8)))

PAYS = 0.85  # of the multiplications of an axis, at most, that its transform may leave
MOST_CHOICES, CLOSE_CHOICE = 3, 1.8  # choices of axes that are tried; times the multiplications of the first, at most

MOST_RESIDUES = 8  # of a dilation, times the outputs of its axis: beyond, V would hold hardly anything else

#: least number of channels by the larger number of frequencies; a quarter and a half of `error_factor` there (decision 0024)
MARGINS = {4: 16, 6: 256}


Kinds = tuple[int, int, int]  # frequencies of t, h, w


class CutAxis(NamedTuple):
    """An axis of a convolution; where it is transformed (m > 1), counted in tiles of m outputs for each residue of the dilation."""

    extent: int  # of the source
    outputs: int
    low: int  # padding before the source
    stride: int
    dilation: int
    filter_pitch: int  # weights from one tap of a filter to the next
    source_rows: int  # rows of the source from one sample to the next; 0: unused
    target_rows: int  # likewise of the target
    frequencies: int
    m: int  # outputs of a tile
    cut: TapCut
    residues: int  # how far apart in its phase the samples of a tile are
    tiles: int  # of a residue
    pieces: int
    planes: int
    halo: int  # tiles that only shifted pieces read

    @property
    def dense(self) -> bool:
        """Neighbouring outputs of a row read neighbouring samples, tile after tile."""
        return self.residues == self.stride == 1

    @property
    def taps(self) -> int:
        return self.cut.longer * self.cut.taps + (self.cut.phases - self.cut.longer) * (self.cut.taps - 1)

    @property
    def reach(self) -> int:
        """Samples of a tile from the beginning of a phase to that of its last plane, at most."""
        return (min(self.cut.repeat, self.cut.most) - 1) * self.cut.piece

    @property
    def reaches(self) -> int:
        """The same, summed over the phases."""
        c = self.cut
        return c.longer * self.reach + (c.phases - c.longer) * (min(c.repeat, c.fewer) - 1) * c.piece


class AxisTaps(NamedTuple):
    """The taps of an axis; those whose distance is a multiple of `tap_pitch` are of one phase."""

    taps: int
    stride: int
    dilation: int

    @property
    def tap_pitch(self) -> int:
        return self.stride // gcd(self.stride, self.dilation)

    @property
    def residues(self) -> int:
        """Where the axis is transformed."""
        return self.dilation // gcd(self.stride, self.dilation)

    def cut(self, frequencies: int) -> TapCut:
        """For transforms of so many; one: for none."""
        m, r = KINDS[frequencies]
        longest = -(-self.taps // self.tap_pitch)
        repeat = m // gcd(r, m)
        return TapCut(
            phases=min(self.tap_pitch, self.taps),
            longer=self.taps - (longest - 1) * self.tap_pitch,
            taps=longest,
            most=-(-longest // r),
            fewer=-(-(longest - 1) // r),
            repeat=repeat,
            shift=repeat * r // m if m > 1 else self.residues,
            piece=r,
            tap_pitch=self.tap_pitch,
        )


class AxisExtents(NamedTuple):
    """What else the problem says of an axis."""

    extent: int
    outputs: int
    low: int
    filter_pitch: int
    source_rows: int
    target_rows: int


def cut_axis(taps: AxisTaps, x: AxisExtents, frequencies: int) -> CutAxis:
    """Transformed so; one frequency: not at all."""
    (m, _), cut = KINDS[frequencies], taps.cut(frequencies)
    residues, others = taps.residues if m > 1 else 1, cut.phases - cut.longer
    return CutAxis(
        extent=x.extent,
        outputs=x.outputs,
        low=x.low,
        stride=taps.stride,
        dilation=taps.dilation,
        filter_pitch=x.filter_pitch,
        source_rows=x.source_rows,
        target_rows=x.target_rows,
        frequencies=frequencies,
        m=m,
        cut=cut,
        residues=residues,
        tiles=-(-(-(-x.outputs // residues)) // m),
        pieces=pieces_of(cut),
        planes=cut.longer * min(cut.repeat, cut.most) + others * min(cut.repeat, cut.fewer),
        halo=(cut.most - 1) // cut.repeat * cut.shift,
    )


class Axes(NamedTuple):
    """The axes of a convolution in the order of V: A and W may be transformed."""

    o: CutAxis  # outside of A
    a: CutAxis
    i: CutAxis  # inside of A
    w: CutAxis


#: an axis that a convolution does not have
UNIT = cut_axis(AxisTaps(1, 1, 1), AxisExtents(extent=1, outputs=1, low=0, filter_pitch=0, source_rows=0, target_rows=0), 1)


def frequencies(x: Axes) -> int:
    return x.a.frequencies * x.w.frequencies


def steady(p: ConvProblem, x: Axes) -> bool:
    """Whether outputs that few taps see, which carry the error of their whole tile, keep their own bound with so many channels."""
    return _steady(p, max(a.frequencies for a in x))


def _steady(p: ConvProblem, most: int) -> bool:
    return p.group_in >= MARGINS.get(most, p.group_in + 1)


def _pays(x: AxisTaps, cut: TapCut, frequencies: int) -> bool:
    m, r = KINDS[frequencies]
    return frequencies == 1 or (pieces_of(cut) * frequencies < PAYS * x.taps * m and min(r, cut.taps) >= r - (r == 3))


@kept
def _kinds(t: AxisTaps, h: AxisTaps, w: AxisTaps) -> tuple[bool, tuple[tuple[float, Kinds], ...]]:
    """Whether A is H; which transforms save a third of the multiplications, what they leave of an output and a channel; the best first."""
    cuts = [{f: x.cut(f) for f in KINDS} for x in (t, h, w)]
    pays = [{f: _pays(x, cut, f) for f, cut in by.items()} for x, by in zip((t, h, w), cuts, strict=True)]
    is_h = any(pays[1][f] for f in (6, 5, 8))
    found: list[tuple[float, Kinds]] = []
    for of_a, of_w in PAIRS:
        kinds = (1, of_a, of_w) if is_h else (of_a, 1, of_w)
        if all(by[f] for by, f in zip(pays, kinds, strict=True)):
            found.append((prod(pieces_of(by[f]) * f / KINDS[f][0] for by, f in zip(cuts, kinds, strict=True)), kinds))
    return is_h, tuple(sorted((x for x in found if x[0] <= t.taps * h.taps * w.taps * 2 / 3), key=itemgetter(0)))


@kept
def choices(p: ConvProblem) -> tuple[Axes, ...]:
    """(outer, A, inner, W): transformed may be W and one other axis A, H or else T; the planes outside of A and the rows inside are not.

    An axis must fill a piece, or all but the last of three taps, and lose a sixth of its multiplications, a choice a third.  At most three,
    by multiplications; at wide margins such as err little there, if any.
    """
    kernel, spatial, outputs = three(p.kernel, 1), three(p.spatial, 1), three(p.outputs, 1)
    taps = [AxisTaps(*of) for of in zip(kernel, three(p.stride, 1), three(p.dilation, 1), strict=True)]
    is_h, all_kinds = _kinds(*taps)
    far = [t.residues > MOST_RESIDUES * n for t, n in zip(taps, outputs, strict=True)]
    found = [x for x in all_kinds if not any(f > 1 and beyond for f, beyond in zip(x[1], far, strict=True))]
    if wide_margins(p):
        found = [x for x in found if _steady(p, max(x[1]))] or found
    rows = (kernel.h * kernel.w, kernel.w, 1), (spatial.h, 1, 0), (outputs.h, 1, 0)
    extents = [AxisExtents(*of) for of in zip(spatial, outputs, three(p.pad_low, 0), *rows, strict=True)]
    close = [kinds for times, kinds in found[:MOST_CHOICES] if times < CLOSE_CHOICE * found[0][0]]
    cuts = [[cut_axis(*of) for of in zip(taps, extents, kinds, strict=True)] for kinds in close]
    return tuple(Axes(t, h, UNIT, w) if is_h else Axes(UNIT, t, h, w) for t, h, w in cuts)


class Counts(NamedTuple):
    """Of a box: outputs of an axis, or tiles."""

    o: int
    a: int
    i: int
    w: int


class TileBox(NamedTuple):
    """How much of each axis a task takes: outputs, or tiles of `residues` residues."""

    axes: Axes
    counts: Counts
    residues: int  # of A

    @property
    def slots(self) -> Counts:
        """Positions of a box along each axis, those included that only taps reach."""
        o, a, i, w = (c + x.halo for c, x in zip(self.counts, self.axes, strict=True))
        return Counts(o, a * self.residues, i, w * self.axes.w.residues)

    @property
    def planes(self) -> int:
        """Of a channel."""
        return prod(x.planes for x in self.axes)

    @property
    def reach(self) -> int:
        """The furthest shift of a term, in positions."""
        (_, a, i, w), (by_o, by_a, by_i, by_w) = self.slots, (x.halo for x in self.axes)
        return ((by_o * a + by_a * self.residues) * i + by_i) * w + by_w * self.axes.w.residues

    @property
    def boxes(self) -> Counts:
        """Those of A times those of its residues."""
        o, a, i, w = (-(-x.tiles // c) for c, x in zip(self.counts, self.axes, strict=True))
        return Counts(o, a * -(-self.axes.a.residues // self.residues), i, w)

    @property
    def positions(self) -> int:
        """From the first output of a box to its last, in one row of V."""
        _, a, i, w = self.slots
        o1, a1, i1, w1 = self.counts
        return (((o1 - 1) * a + a1 * self.residues - 1) * i + i1 - 1) * w + w1 * self.axes.w.residues


def terms(p: ConvProblem, x: Axes) -> int:
    return p.group_in * prod(a.pieces for a in x)
