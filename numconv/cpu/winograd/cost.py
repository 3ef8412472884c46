"""What a task of `winograd` costs, in cycles of one worker."""

from __future__ import annotations

from ...problem import ConvProblem
from .axes import Axes, Axis, Box, frequencies, terms

#: cycles by number of frequencies: of a vector of positions, of `analyse`, of a row's transform, of `restore`, of a row's transform back; of a weight
ANALYSE = {4: 12, 5: 18, 6: 20, 7: 26, 8: 30}
ROW = {4: 25, 5: 42, 6: 45, 7: 55, 8: 62}
RESTORE = {4: 9, 5: 13, 6: 15, 7: 18, 8: 20}
MOVE = 1.5  # per register loaded or stored by the transforms of channels last
BACK = {4: 14, 5: 22, 6: 24, 7: 27, 8: 30}


def fill_cycles(box: Box, n: int) -> float:
    """Of one channel: its rows, then the other axis."""
    o, a, _, w = box.axes
    so, sa, si, sw = box.slots
    rows = so * si * sum(a.samples(box.counts[1], phase) for phase in a.phases) * box.residues
    tiles = box.counts[3] + w.halo
    row = 12.0 + 3 * -(-sw // n) if w.m == 1 else 25.0 + ROW[w.frequencies] * _vectors(w, tiles, n)
    if w.stride > 1:
        row += 12.0 + (4 if w.stride == 2 else 20) * -(-samples(w, tiles) // n)
    outer = so * -(-sa * si * sw // n) * w.frequencies * len(a.planes) * ANALYSE[a.frequencies] if a.m > 1 else 0
    return len(o.planes) * len(box.axes[2].planes) * len(w.planes) * (rows * row + outer)


def deliver_cycles(box: Box, n: int) -> float:
    """Of one output channel."""
    o, a, _, w = box.axes
    vectors = -(-box.positions // n)
    rows = box.counts[0] * box.counts[2] * box.counts[1] * box.residues * a.m
    back = float(vectors * RESTORE[a.frequencies] * w.frequencies) if a.m > 1 else 0.0
    if w.m > 1:
        waste = _vectors(w, box.counts[3], n) * n / (box.counts[3] * w.residues) if w.residues > 8 else 1.0
        back += vectors * a.m * BACK[w.frequencies] * waste
    return back + rows * (16 + 3 * -(-box.counts[3] * w.m * w.residues // n))


def _vectors(w: Axis, tiles: int, n: int) -> int:
    """Of the positions of a row: neighbouring residues share one, but tiles only under the dilations that shuffles serve."""
    return -(-tiles * w.residues // n) if w.residues in (1, 2, 4, 8) else tiles * -(-w.residues // n)


def samples(w: Axis, tiles: int) -> int:
    """Of a row of a plane."""
    return (tiles * w.m + w.frequencies - w.m) * w.residues


def filter_cycles(p: ConvProblem, x: Axes, mr: int, n: int) -> float:
    """Of transforming the weights of one block."""
    return mr / n * (terms(p, x) * (4.2 * frequencies(x) + 10) + 6.0 * p.group_in * p.taps)


def fill_pixels_cycles(box: Box) -> float:
    """Of one register of channels: columns along A, then rows along W."""
    o, a, i, w = box.axes
    so, _, si, _ = box.slots
    tiles = box.counts[3] + w.halo
    columns = (tiles * w.m + w.frequencies - w.m) * (10 + MOVE * 2 * a.frequencies)
    rows = tiles * (10 + MOVE * 2 * frequencies(box.axes))
    return box.planes * so * si * (box.counts[1] + a.halo) * box.residues * w.residues * (30 + columns + rows)


def deliver_pixels_cycles(box: Box) -> float:
    """Of one register of output channels."""
    _, a, _, w = box.axes
    return (
        box.counts[0]
        * box.counts[1]
        * box.residues
        * box.counts[2]
        * box.counts[3]
        * w.residues
        * (30 + MOVE * (2 * frequencies(box.axes) + 4 * a.m * w.m))
    )
