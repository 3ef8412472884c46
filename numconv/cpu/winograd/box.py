"""The box of a task, in compiled code: what it owns of each axis."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..runtime.launch import inlined


class Extent(NamedTuple):
    """Of an axis.  In compiled code these are registers, not an object."""

    first: Any  # target
    tiles: Any  # of a residue
    residues: Any


class TaskBox(NamedTuple):
    o: Extent
    a: Extent
    i: Extent
    w: Extent


@inlined
def _extent(axis, m, number):
    """Of a box of an axis whose tiles have m targets."""
    ranges = (axis.residues + axis.box_residues - 1) // axis.box_residues
    tile, residue = number // ranges * axis.box, number % ranges * axis.box_residues
    first = tile * m * axis.residues + residue
    return Extent(first, min(axis.box, axis.tiles - tile), min(axis.box_residues, axis.residues - residue))


@inlined
def located(plan, m_a, m_w, number):
    """(split of the output channels, group, sample, box) of a task."""
    o, a, i, w = plan.o, plan.a, plan.i, plan.w
    split, number = number % plan.splits, number // plan.splits
    of_w, number = _extent(w, m_w, number % w.boxes), number // w.boxes
    of_i, number = _extent(i, 1, number % i.boxes), number // i.boxes
    of_a, number = _extent(a, m_a, number % a.boxes), number // a.boxes
    of_o, number = _extent(o, 1, number % o.boxes), number // o.boxes
    return split, number % plan.groups, number // plan.groups, TaskBox(of_o, of_a, of_i, of_w)


@inlined
def positions_of(plan, box):
    """From the first of a box to its last."""
    o, a, i, w = box.o.tiles - 1, box.a.tiles * box.a.residues - 1, box.i.tiles - 1, box.w.tiles * box.w.residues
    return o * plan.o.positions + a * plan.a.positions + i * plan.i.positions + w


@inlined
def behind(plan, box, together, pitch):
    """Positions of a plane of V (from, to) that are read with the last of a box, tiles of so many together, and that nothing fills.

    A plane has `pitch` of them, those in the halo too: a term reads as far on as it begins.
    """
    o, a, i, w = plan.o, plan.a, plan.i, plan.w
    positions = positions_of(plan, box)
    halo = o.halo * o.positions + a.halo * box.a.residues * a.positions + i.halo * i.positions + w.halo * w.residues
    filled = positions + halo
    return filled, min(pitch, (positions + together - 1) // together * together + halo)


@inlined
def share_of(plan, split, unit):
    """The channels (first, end) that a task transforms for all tasks of its box, in whole units."""
    units = (plan.summed + unit - 1) // unit
    return split * units // plan.splits * unit, min(plan.summed, (split + 1) * units // plan.splits * unit)
