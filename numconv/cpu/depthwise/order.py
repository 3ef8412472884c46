"""Where a strip lies, by its number: the order in which the kernels go through the strips of a plane."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..runtime.launch import device_function, inlined


class Line(NamedTuple):
    """What the strips of one line have in common: those that only the axis along tells apart."""

    outer: Any  # what the first tap reads for its outputs on that axis …
    across: Any  # … and on this, perhaps outside
    source_at: Any  # in a plane of the input, of that, at the beginning of the axis along
    target_at: Any  # in a plane of the target
    clear: Any  # whether all taps are in the image on both


class Spot(NamedTuple):
    """Where a strip begins."""

    along: Any  # what the first tap reads for its first output
    source_at: Any
    target_at: Any
    clear: Any  # whether all its reads on the three axes are in the image


@device_function
def place_of(plan, number):
    """Of a strip of a plane: the outputs of its line on the axes outer and across, its residue, its first output on the axis along."""
    line = number // plan.strips_of_line
    block = number - line * plan.strips_of_line
    before = plan.longer * plan.blocks_of_longer
    if block < before:
        residue = block // plan.blocks_of_longer
        block -= residue * plan.blocks_of_longer
    else:
        others = (block - before) // plan.blocks
        residue, block = plan.longer + others, block - before - others * plan.blocks
    outer = line // plan.across.outputs
    return outer, line - outer * plan.across.outputs, residue, residue + block * plan.strip_step


@inlined
def line_of(plan, o, a):
    outer, across = plan.outer, plan.across
    read, beside = o * outer.stride - outer.low, a * across.stride - across.low
    return Line(
        read,
        beside,
        read * outer.source_pitch + beside * across.source_pitch,
        o * outer.target_pitch + a * across.target_pitch,
        outer.clear_first <= o < outer.clear_end and across.clear_first <= a < across.clear_end,
    )


@inlined
def spot_of(plan, line, first, span):
    """Of the strip of a line that begins with output `first`."""
    along = plan.along
    read = first * along.stride - along.low
    return Spot(
        read,
        line.source_at + read * along.source_pitch,
        line.target_at + first * along.target_pitch,
        line.clear and along.clear_first <= first and first + span <= along.clear_end,
    )


@inlined
def kind_of(plan, residue, first):
    """The record of what kind of strip begins there."""
    if first + plan.strip_step < plan.along.outputs:
        return plan.whole
    return plan.last_of_longer if residue < plan.longer else plan.last_of_others
