"""The zero-padded polyphase copy of a box of the input, which makes every later load contiguous.

Rows go in increasing order of memory and in whole vectors: what a vector writes beyond its row is written again by the next row, or is
the end of a channel that nothing reads.  A plain store is several times as fast as one under a mask, and later loads need not wait for it.
"""

from __future__ import annotations

from typing import NamedTuple

from ..geometry.axes import Axis
from ..runtime.launch import device_function, inlined
from ..simd.strided import load_every, stepping
from ..simd.tiles import lanes
from ..simd.vector import get, moved, prefetch, put, store, zero_of

HEAD = 23  # integers before the lists of phases in the geometry
SPAN, LINE = 3, 5  # integers of `spans` for each phase, and of `Inside`


class Inside(NamedTuple):
    """Which samples j of a row that is copied at a step lie in the source, the first at element `start` of its row."""

    start: int  # may be negative
    first: int  # those inside are [first, end)
    end: int
    whole: int  # of them [whole, whole_end) in whole vectors
    whole_end: int


def spans(axis: Axis, box: int) -> list[int]:
    """Of an outer axis, for each phase that is copied: the phase, [first, last) of its samples that some tap reads."""
    reads = [(slot, shift) for _, _, taps in axis.jobs for _, slot, shift in taps]
    shifts = [[m for at, m in reads if at == slot] or [0] for slot in range(len(axis.phases))]
    return [value for f, of in zip(axis.phases, shifts, strict=True) for value in (f, min(of), max(of) + box)]


def inside(start: int, step: int, extent: int, count: int, lanes: int) -> Inside:
    """Of a row of `extent` elements whose sample j < count is element start + j·step."""
    first = min(count, max(0, -(start // step)))
    end = max(first, min(count, (extent - 1 - start) // step + 1))
    whole = -(-first // lanes) * lanes
    # of step·lanes elements loaded for a vector, the last step − 1 are not used
    return Inside(start, first, end, whole, whole + max(0, end - (step > 1) - whole) // lanes * lanes)


@inlined
def copy_row(shape, source, step, target, inside, count):
    """target[j] = source[j·step] for the j that are inside, 0 for the other j < count; `source` points to where sample 0 would lie."""
    width = lanes(shape)
    j = 0
    while j < inside.whole:
        store(target, j, load_every(shape, source, j * step, step, inside.first - j, inside.end - j))
        j += width
    while j < inside.whole_end:
        store(target, j, load_every(shape, source, j * step, step, None, None))
        j += width
    while j < count:
        store(target, j, load_every(shape, source, j * step, step, inside.first - j, inside.end - j))
        j += width


@inlined
def fill_phase(shape, x, plane, buffer, slot, table_t, table_h, corner, g, span_t, span_h, at_line, ahead):
    """One phase of one channel of the box, into the buffer from `slot`.  The rows `ahead` elements on are asked for; 0: none."""
    source_h, source_w, extent_h, extent_w, step, gap = get(g, 1), get(g, 2), get(g, 4), get(g, 5), get(g, 11), get(g, 19)
    start, j0, j1, a, b = get(g, at_line), get(g, at_line + 1), get(g, at_line + 2), get(g, at_line + 3), get(g, at_line + 4)
    width = lanes(shape)
    for t in range(get(g, span_t + 1), get(g, span_t + 2)):
        at = get(table_t, corner[0] + get(g, 20) * (get(g, span_t) + t * get(g, 9)))
        first, last, apart = get(g, span_h + 1), get(g, span_h + 2), get(g, 21) * get(g, 10)
        d = slot + (t * extent_h + first) * extent_w
        p = corner[1] + get(g, 21) * get(g, span_h) + first * apart
        for _ in range(first, last):
            ah = get(table_h, p)
            source = plane + (at * source_h + ah) * source_w + start
            live = -(at >= 0) & -(ah >= 0)
            within = Inside(start, j0 & live, j1 & live, a & live, b & live)
            for j in range(0, extent_w * step if ahead else 0, width):
                prefetch(x, source + ahead + j)
            copy_row(shape, moved(x, source & live), step, moved(buffer, d), within, extent_w)
            d += extent_w
            p += apart
        copy_row(shape, moved(x, plane), step, moved(buffer, d), Inside(0, 0, 0, 0, 0), gap)


@device_function
def fill_channels(shape, x, base, channels, buffer, b0, tables, corner, g):
    """`fill_box` for the step in the shape."""
    phases_t, phases_h, phases_w, phase_pitch = get(g, 6), get(g, 7), get(g, 8), get(g, 15)
    volume = get(g, 0) * get(g, 1) * get(g, 2)
    spans_h = HEAD + phases_t * SPAN
    lines = spans_h + phases_h * SPAN + corner[2] * phases_w * LINE
    for c in range(channels):
        slot = b0 + c * get(g, 16)
        for span_t in range(HEAD, spans_h, SPAN):
            for span_h in range(spans_h, spans_h + phases_h * SPAN, SPAN):
                for at_line in range(lines, lines + phases_w * LINE, LINE):
                    ahead = get(g, 22) if at_line == lines else 0  # the other phases lie in the same lines
                    fill_phase(shape, x, base + c * volume, buffer, slot, tables[0], tables[1], corner, g, span_t, span_h, at_line, ahead)
                    slot += phase_pitch


@device_function
def fill_edges(x, base, channels, buffer, b0, tables, corner, g):
    """In a padding mode other than zeros: what `fill_channels` left 0 in the rows that it copied, by table and element by element."""
    source_t, source_h, source_w, extent_t, extent_h, extent_w = get(g, 0), get(g, 1), get(g, 2), get(g, 3), get(g, 4), get(g, 5)
    phases_t, phases_h, phases_w = get(g, 6), get(g, 7), get(g, 8)
    table_t, table_h, table_w = tables
    for row in range(channels * phases_t * phases_h * phases_w * extent_t * extent_h):
        h, rest = row % extent_h, row // extent_h
        t, rest = rest % extent_t, rest // extent_t
        fw, slot = rest % phases_w, rest // phases_w
        fh, ft, c = slot % phases_h, slot // phases_h % phases_t, slot // phases_h // phases_t
        at = get(table_t, corner[0] + get(g, 20) * (get(g, HEAD + ft * SPAN) + t * get(g, 9)))
        ah = get(table_h, corner[1] + get(g, 21) * (get(g, HEAD + (phases_t + fh) * SPAN) + h * get(g, 10)))
        k = HEAD + (phases_t + phases_h) * SPAN + (corner[2] * phases_w + fw) * LINE
        start, j0, j1 = get(g, k) - get(g, 17), get(g, k + 1), get(g, k + 2)
        source = ((c * source_t + at) * source_h + ah) * source_w + base
        d = b0 + c * get(g, 16) + rest % (phases_t * phases_h * phases_w) * get(g, 15) + (t * extent_h + h) * extent_w
        for j in range(extent_w if at >= 0 and ah >= 0 else 0):
            if j < j0 or j >= j1:
                place = get(table_w, start + j * get(g, 11))
                put(buffer, d + j, get(x, source + place) if place >= 0 else zero_of(x))


@device_function
def fill_box(line, x, base, channels, buffer, b0, tables, corner, g):
    """The box whose first samples are at the padded coordinates `corner`, `channels` channels from element `base` of x, into the buffer."""
    step = get(g, 11)
    if step == 1:
        fill_channels(stepping(line, 1), x, base, channels, buffer, b0, tables, corner, g)
    elif step == 2:
        fill_channels(stepping(line, 2), x, base, channels, buffer, b0, tables, corner, g)
    elif step == 4:
        fill_channels(stepping(line, 4), x, base, channels, buffer, b0, tables, corner, g)
    else:
        fill_channels(stepping(line, 0), x, base, channels, buffer, b0, tables, corner, g)
    if get(g, 18) == 0:
        fill_edges(x, base, channels, buffer, b0, tables, corner, g)
