"""Where a strip lies, by its number, and which of its reads: worked out by the kernels as they go along."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..runtime.launch import device_function, inlined
from ..simd.vector import compact, get, put

UNSEEN, CLEAR = -1, -2  # what a slot is kept for, but for strips by their first output


class Spot(NamedTuple):
    """Where a strip begins."""

    outer: Any  # what the first tap reads for its first output, on each axis, perhaps outside
    across: Any
    along: Any
    source_at: Any  # in a plane of the input
    target_at: Any  # in a plane of the target
    clear_along: Any  # whether all its reads on that axis are in the image …
    clear: Any  # … and on all three


@device_function
def place_of(plan, number):
    """Of a strip of a plane: its output on the axes outer and across, its residue and its first output on the axis along."""
    order = plan.order
    line = number // order.strips
    block = number - line * order.strips
    before = order.longer * order.blocks_of_longer
    if block < before:
        residue = block // order.blocks_of_longer
        block -= residue * order.blocks_of_longer
    else:
        others = (block - before) // order.blocks
        residue, block = order.longer + others, block - before - others * order.blocks
    outer = line // plan.across.outputs
    return outer, line - outer * plan.across.outputs, residue, residue + block * order.step


@inlined
def next_place(plan, outer, across, residue, first):
    """Of the strip after that one."""
    first += plan.order.step
    if first >= plan.along.outputs:
        residue += 1
        if residue == plan.order.residues:
            residue, across = 0, across + 1
            if across == plan.across.outputs:
                across, outer = 0, outer + 1
        first = residue
    return outer, across, residue, first


@inlined
def kind_of(plan, residue, first):
    """The record of what kind of strip begins there."""
    if first + plan.order.step < plan.along.outputs:
        return plan.kinds.whole
    return plan.kinds.last_of_longer if residue < plan.order.longer else plan.kinds.last_of_others


@inlined
def _clear(axis, first, span):
    return axis.clear_first <= first and first + span <= axis.clear_end


@inlined
def spot_of(plan, outer, across, first, span):
    o, a, p = plan.outer, plan.across, plan.along
    at_o, at_a, at_p = outer * o.stride - o.low, across * a.stride - a.low, first * p.stride - p.low
    clear_along = _clear(p, first, span)
    return Spot(
        at_o,
        at_a,
        at_p,
        at_o * o.source_pitch + at_a * a.source_pitch + at_p * p.source_pitch,
        outer * o.target_pitch + across * a.target_pitch + first * p.target_pitch,
        clear_along,
        clear_along and _clear(o, outer, 1) and _clear(a, across, 1),
    )


@inlined
def _steps(plan, distance):
    """How many reads of a group fit into it, rounded up.  The plan is asked each time: of a step in a register LLVM makes two loops."""
    up = distance + plan.chains.read_step - 1
    return up >> plan.chains.shift if plan.chains.shift >= 0 else up // plan.chains.read_step


@device_function
def see_reads(plan, chains, reads, along, vectors):
    """Of each chain a word, with a bit for each read that is in the image, of vectors that are stored."""
    c = plan.chains
    for n in range(c.all):
        first = along + get(chains, n)
        last = (vectors - 1) * c.advance + (c.taps if n < c.shared else 1)
        low, high = _steps(plan, max(0, -first)), min(last, _steps(plan, max(0, plan.along.extent - first)))
        put(reads, n, (1 << high) - (1 << low) if low < high else 0)


@device_function
def see_pieces(plan, chains, reads, along, vectors):
    """Of flat strips: of each chain a word a read, with the bits of its lanes; 0 if only vectors that are not stored want it."""
    compact()
    c, at, width, extent = plan.chains, 0, plan.chains.read_step, plan.along.extent
    for n in range(c.all):
        taps = c.taps if n < c.shared else 1
        for s in range(c.rows + taps - 1):
            first = along + get(chains, n) + s * width
            low, high = min(max(0, -first), width), min(max(0, extent - first), width)
            put(reads, at + s, ((1 << high) - (1 << low)) & c.lane_bits if low < high and s < vectors + taps - 1 else 0)
        at += c.rows + taps - 1


@inlined
def slot_of(plan, kept, first, clear):
    """Of flat strips: where what one sees is kept, and whether it is not there yet.

    Strips that see all on the axis along share the first slot, the others are told apart by how far from an end they are.
    """
    number, left = 0, plan.along.outputs - first
    if not clear and plan.chains.slots > 1:
        number = 1 + (2 * (first // plan.order.step) if first < left else 2 * (left // plan.order.step) + 1) % (plan.chains.slots - 1)
    key = CLEAR if clear else first
    new = get(kept, number) != key
    put(kept, number, key)
    return number, new
