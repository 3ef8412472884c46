"""For `dot_rows`: the vectors of positions as its tiles read them, and which of their lanes see the input, worked out by each worker."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...geometry.walk import end_inside, first_inside
from ...runtime.launch import device_function
from ...runtime.record import masks_at, reader, size_of
from ...simd.dots import Positions
from ...simd.vector import compact, get, moved, put
from .plan import Built, Range

built_at, positions_at, range_at = reader(Built), reader(Positions), reader(Range)
POSITIONS_SIZE, RANGE_SIZE = size_of(Positions), size_of(Range)


class DotLists(NamedTuple):
    """In a worker's room."""

    places: Any  # of each row (channel, tap) in the input; again the last one of those that only fill the last tile
    vectors: Any  # records of Positions
    masks: Any  # rows of masks: the lanes that there are, then for each row (channel, tap) those that see the input.  The first row: all


@device_function
def lists_of(plan, numbers):
    masks = masks_at(numbers, plan.masks_at)
    return DotLists(moved(numbers, plan.places_at), moved(numbers, plan.vectors_at), masks)


@device_function
def _ranges(axis, numbers):
    compact()
    for a in range(axis.kernel):
        seen, shift = range_at(numbers, axis.ranges_at + a * RANGE_SIZE), a * axis.dilation - axis.low
        seen.first = first_inside(shift, axis.step) * axis.pitch
        seen.end = end_inside(shift, axis.step, axis.source, axis.target) * axis.pitch


@device_function
def begin_lists(plan, numbers):
    """What a worker works out once: no vectors yet."""
    compact()
    lists, t, h, w, row = lists_of(plan, numbers), plan.t, plan.h, plan.w, 0
    built_at(numbers, 0).first = -1
    _ranges(t, numbers)
    _ranges(h, numbers)
    _ranges(w, numbers)
    for i in range(t.kernel):
        for j in range(h.kernel):
            line = ((i * t.dilation - t.low) * h.source + j * h.dilation - h.low) * plan.row_pitch
            for k in range(w.kernel):
                column = k * w.dilation - w.low
                put(lists.places, row, line + column % w.step * plan.phase_pitch + column // w.step)
                row += 1
    for i in range(row, plan.rows):
        put(lists.places, i, get(lists.places, i - row) + plan.source_volume if i < plan.filter_size else get(lists.places, i - 1))
    for i in range(1 + plan.rows):
        put(lists.masks, i, plan.all_lanes)


@device_function
def _bits(axis, numbers, bits, at, lanes):
    """Of each tap of an axis the lanes that see the input, of positions from `at` on; the axis begins anew wherever it ends."""
    compact()
    period = axis.period
    for a in range(axis.kernel):
        seen = range_at(numbers, axis.ranges_at + a * RANGE_SIZE)
        first, end, begin, found = seen.first, seen.end, -at, 0
        while begin < lanes:
            low = min(max(begin + first, 0), lanes)
            found |= (1 << min(max(begin + end, low), lanes)) - (1 << low)
            begin += period
        put(bits, a, found)
    return moved(bits, axis.kernel)


@device_function
def _masks(plan, numbers, masks, corner, there, lanes):
    """One row of masks, of a vector whose first position is at `corner`; `there`: the bits of the lanes that there are."""
    compact()
    t, h, w, taps, length, to = plan.t, plan.h, plan.w, plan.taps, plan.filter_size, 1
    columns, row = moved(numbers, plan.bits_at), corner[1] * h.pitch + corner[2]
    lines = _bits(w, numbers, columns, corner[2], lanes)
    planes = _bits(h, numbers, lines, row, lanes)
    _bits(t, numbers, planes, corner[0] * t.pitch + row, lanes)
    put(masks, 0, there)
    for i in range(t.kernel):
        for j in range(h.kernel):
            seen = get(planes, i) & get(lines, j) & there
            for k in range(w.kernel):
                put(masks, to, get(columns, k) & seen)
                to += 1
    for i in range(taps, plan.rows):
        put(masks, 1 + i, get(masks, 1 + i - taps if i < length else i))


@device_function
def build(plan, numbers, first, lanes):
    """Vectors from `first` on, as many as there is room for; their number.  Those that are there are not built again.

    Whole ones come in runs.  Others take the masks of the vector that lies some rows before, at the same column, where all rows of both are
    inside, or else are given masks.
    """
    compact()
    t, h, w, lists, built, size, found, masks = plan.t, plan.h, plan.w, lists_of(plan, numbers), built_at(numbers, 0), 1 + plan.rows, 0, 1
    if built.first == first:
        return built.vectors
    stretch, j = first // plan.stretch_vectors, first % plan.stretch_vectors
    at, left = stretch * plan.stretch + j * lanes, plan.stretch - j * lanes
    plane, line, column = at // t.pitch, at // h.pitch % h.target, at % h.pitch
    while first + found < plan.vectors and found < plan.most_vectors:
        mask, number = 0, 1
        upright = plane >= t.first_whole and plane < t.end_whole and line >= h.first_whole
        if (
            upright
            and line < h.end_whole
            and column >= w.first_whole
            and min(column + lanes, column + left) <= w.end_whole
            and left >= lanes
        ):
            number = min((w.end_whole - column) >> plan.lane_bits, plan.most_vectors - found)
        elif (
            upright
            and found >= plan.back
            and line - plan.back_lines >= h.first_whole
            and line + plan.lines_spanned < h.end_whole
            and (left >= lanes or plan.back == plan.stretch_vectors)
        ):
            mask = positions_at(lists.vectors, (found - plan.back) * POSITIONS_SIZE).masks_at
        elif masks == plan.most_masks:
            break
        else:
            mask = masks * size
            _masks(plan, numbers, moved(lists.masks, mask), (plane, line, column), (1 << min(lanes, left)) - 1, lanes)
            masks += 1
        source = plane * t.source_pitch + line * h.source_pitch + column
        for i in range(number):
            vector = positions_at(lists.vectors, (found + i) * POSITIONS_SIZE)
            vector.gradient_at, vector.source_at, vector.masks_at = at + i * lanes, source + i * lanes, mask
        found, left, step = found + number, left - number * lanes, number * lanes
        if left <= 0:
            step, left = step + left, plan.stretch
        at, column = at + step, column + step
        while column >= w.target:
            column, line = column - w.target, line + 1
            if line == h.target:
                plane, line = plane + 1, 0
    built.first, built.vectors = first, found
    return found
