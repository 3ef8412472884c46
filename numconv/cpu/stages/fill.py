"""The zero-padded polyphase copy of a box of the input, which makes every later load contiguous.

Rows go in increasing order of memory and in whole vectors: what a vector writes beyond its row is written again by the next row, or is
the end of a channel that nothing reads.  A plain store is several times as fast as one under a mask, and later loads need not wait for it.
"""

from __future__ import annotations

from typing import NamedTuple

from ..geometry.taps import PhasedAxis
from ..runtime.launch import device_function, inlined
from ..runtime.record import reader, size_of
from ..simd.strided import load_every, stepping
from ..simd.tiles import lanes
from ..simd.vector import get, moved, prefetch, put, store, zero_of


class FillAxis(NamedTuple):
    """One of the axes t, h, w.  Sample j of a phase is at padded coordinate spread·(phase + j·step), from where the box begins."""

    source: int  # extent
    copied: int  # samples of each phase in the copy
    phases: int  # of the source modulo the step that some tap reads; each is a piece of the copy
    step: int
    spread: int  # a dilated axis is that many interleaved ones, one of which a box reads
    sources_at: int  # in the table: the source index of each padded coordinate, −1 for a zero; of w in other padding modes only
    phases_at: int  # in the table: of t and h a Phase each; of w an Inside for each phase of each box along w


class Fill(NamedTuple):
    """How a box is copied.  Pitches in elements of the copy."""

    t: FillAxis
    h: FillAxis
    w: FillAxis
    row_pitch: int  # less than what a row takes by `gap`
    plane_pitch: int
    phase_pitch: int
    channel_pitch: int
    gap: int  # zeros that end a row and are the beginning of the next one
    origin: int  # source column of padded column 0
    edges: int  # 1: in a padding mode that is not zeros, samples outside are those that `sources_at` names
    ahead: int  # elements on from a row to the one that is asked for while it is copied; 0: none is


class Phase(NamedTuple):
    """Of an outer axis."""

    offset: int  # padded coordinate of its sample 0
    first: int  # samples [first, end) are read by some tap
    end: int


class Inside(NamedTuple):
    """Which samples j of a row that is copied at a step lie in the source; elements of the row."""

    start: int  # may be negative
    first: int  # those inside are [first, end)
    end: int
    whole: int  # of them [whole, whole_end) in whole vectors
    whole_end: int


phase_at, inside_at = reader(Phase), reader(Inside)
PHASE_SIZE, INSIDE_SIZE = size_of(Phase), size_of(Inside)


def phases_of(axis: PhasedAxis, box: int) -> list[Phase]:
    """For boxes of so many targets."""
    reads = [(slot, shift) for targets in axis.jobs for _, slot, shift in targets.taps]
    shifts = [[shift for at, shift in reads if at == slot] or [0] for slot in range(len(axis.phases))]
    return [Phase(offset, min(of), max(of) + box) for offset, of in zip(axis.phases, shifts, strict=True)]


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
def _fill_phase(shape, fill, tables, source, target, corner, phase_t, phase_h, inside, ahead):
    """One phase of one channel of the box.  The rows `ahead` elements on are asked for; 0: none."""
    t, h, w, row_pitch, gap = fill.t, fill.h, fill.w, fill.row_pitch, fill.gap
    step, width, spread_t, step_t, sources_t = w.step, lanes(shape), t.spread, t.step, t.sources_at + corner[0]
    source_h, source_w, plane_pitch = h.source, w.source, fill.plane_pitch
    start, begin, end, whole, whole_end = inside.start, inside.first, inside.end, inside.whole, inside.whole_end
    for j in range(phase_t.first, phase_t.end):
        plane = get(tables, sources_t + spread_t * (phase_t.offset + j * step_t))
        first, last, pitch = phase_h.first, phase_h.end, h.spread * h.step
        to = j * plane_pitch + first * row_pitch
        at = h.sources_at + corner[1] + h.spread * phase_h.offset + first * pitch
        for _ in range(first, last):
            row = get(tables, at)
            place = (plane * source_h + row) * source_w + start
            live = -(plane >= 0) & -(row >= 0)
            within = Inside(start, begin & live, end & live, whole & live, whole_end & live)
            for i in range(0, row_pitch * step if ahead else 0, width):
                prefetch(source, place + ahead + i)
            copy_row(shape, moved(source, place & live), step, moved(target, to), within, row_pitch)
            to += row_pitch
            at += pitch
        copy_row(shape, source, step, moved(target, to), Inside(0, 0, 0, 0, 0), gap)


@device_function
def _fill_channels(shape, fill, tables, source, target, channels, corner):
    """`fill_box` for the step in the shape."""
    t, h, w, volume = fill.t, fill.h, fill.w, fill.t.source * fill.h.source * fill.w.source
    phases_t, phases_h, insides = t.phases_at, h.phases_at, w.phases_at + corner[2] * w.phases * INSIDE_SIZE
    end_t, end_h, end_w = phases_t + t.phases * PHASE_SIZE, phases_h + h.phases * PHASE_SIZE, insides + w.phases * INSIDE_SIZE
    for c in range(channels):
        channel, slot = moved(source, c * volume), c * fill.channel_pitch
        for at_t in range(phases_t, end_t, PHASE_SIZE):
            for at_h in range(phases_h, end_h, PHASE_SIZE):
                for at_w in range(insides, end_w, INSIDE_SIZE):
                    phase_t, phase_h, inside = phase_at(tables, at_t), phase_at(tables, at_h), inside_at(tables, at_w)
                    ahead = fill.ahead if at_w == insides else 0  # the other phases lie in the same lines
                    _fill_phase(shape, fill, tables, channel, moved(target, slot), corner, phase_t, phase_h, inside, ahead)
                    slot += fill.phase_pitch


@device_function
def _fill_edges(fill, tables, source, target, channels, corner):
    """What `_fill_channels` left 0 in the rows that it copied, by table and element by element."""
    t, h, w = fill.t, fill.h, fill.w
    for row in range(channels * t.phases * h.phases * w.phases * t.copied * h.copied):
        y, rest = row % h.copied, row // h.copied
        x, slot = rest % t.copied, rest // t.copied
        by_w, rest = slot % w.phases, slot // w.phases
        by_h, by_t, c = rest % h.phases, rest // h.phases % t.phases, rest // h.phases // t.phases
        offset_t = phase_at(tables, t.phases_at + by_t * PHASE_SIZE).offset
        offset_h = phase_at(tables, h.phases_at + by_h * PHASE_SIZE).offset
        at_t = get(tables, t.sources_at + corner[0] + t.spread * (offset_t + x * t.step))
        at_h = get(tables, h.sources_at + corner[1] + h.spread * (offset_h + y * h.step))
        inside = inside_at(tables, w.phases_at + (corner[2] * w.phases + by_w) * INSIDE_SIZE)
        start, first, end = inside.start - fill.origin, inside.first, inside.end
        line = ((c * t.source + at_t) * h.source + at_h) * w.source
        to = c * fill.channel_pitch + slot % (t.phases * h.phases * w.phases) * fill.phase_pitch + x * fill.plane_pitch + y * fill.row_pitch
        for j in range(fill.row_pitch if at_t >= 0 and at_h >= 0 else 0):
            if j < first or j >= end:
                place = get(tables, w.sources_at + start + j * w.step)
                put(target, to + j, get(source, line + place) if place >= 0 else zero_of(source))


@device_function
def fill_box(shape, fill, tables, source, target, channels, corner):
    """The box whose first samples are at `corner`: padded coordinates along t and h, number of the box along w.

    `source` points to its first channel, `tables` to the plan's table.
    """
    step = fill.w.step
    if step == 1:
        _fill_channels(stepping(shape, 1), fill, tables, source, target, channels, corner)
    elif step == 2:
        _fill_channels(stepping(shape, 2), fill, tables, source, target, channels, corner)
    elif step == 4:
        _fill_channels(stepping(shape, 4), fill, tables, source, target, channels, corner)
    else:
        _fill_channels(stepping(shape, 0), fill, tables, source, target, channels, corner)
    if fill.edges:
        _fill_edges(fill, tables, source, target, channels, corner)
