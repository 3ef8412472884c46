"""The zero-padded polyphase copy of a box of the input, which makes every later load contiguous.

Rows go in increasing order of memory and in whole vectors: what a vector writes beyond its row is written again by the next row, or is
the end of a channel that nothing reads.  A plain store is several times as fast as one under a mask, and later loads need not wait for it.
"""

from __future__ import annotations

from typing import NamedTuple

from ...problem import Ints
from ..geometry.jobs import part, source_of
from ..runtime.launch import anywhere, device_function, inlined, rarely
from ..runtime.record import reader, size_of
from ..simd.strided import load_every, stepping
from ..simd.tiles import lanes
from ..simd.vector import compact, get, moved, prefetch, put, store

APART = 1 << 62  # a modulus, for each read to be a piece of its own


class FillAxis(NamedTuple):
    """One of the axes t, h, w.

    Read x of the first target is the sample origin + apart·x of the source.  In the copy it is in piece x % phases, which has every
    `step`-th sample of the source from origin + apart·x % modulus on: there it is sample apart·x // modulus, and other targets' follow.
    """

    source: int  # extent
    origin: int  # in the source, where the copy of the first box begins
    reads: int  # of the first target, by some tap
    apart: int
    phases: int
    modulus: int
    step: int  # in the source, from a sample of a piece to its next one
    targets: int  # of a box
    copied: int  # samples of each piece
    pitch: int  # in the copy, from a sample to the next: planes, rows, elements
    piece_pitch: int  # in the copy, from a piece to the next one


class Fill(NamedTuple):
    """How a box is copied, in elements of the copy."""

    t: FillAxis
    h: FillAxis
    w: FillAxis  # its `copied`: what a row takes, less `gap`
    phase_pitch: int  # from a piece to the next, of all axes
    channel_pitch: int
    gap: int  # zeros that end a row and are the beginning of the next one
    mode: int  # the padding mode, of MODES
    ahead: int  # elements on from a row to the one that is asked for while it is copied; 0: none is


class Phase(NamedTuple):
    """A piece of an outer axis."""

    offset: int  # in the source, of its sample 0, from where the box begins
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


@rarely
def place_of(axis, x):  # type: ignore[no-untyped-def]
    """Of read x, in the copy."""
    return (x - part(x, axis.phases) * axis.phases) * axis.piece_pitch + part(x * axis.apart, axis.modulus) * axis.pitch


@rarely
def phase_of(axis, i):  # type: ignore[no-untyped-def]
    """Piece i: its reads are i, i + phases, …"""
    first, last = i * axis.apart // axis.modulus, axis.reads - 1 - (axis.reads - 1 - i) % axis.phases
    return Phase(i * axis.apart - first * axis.modulus, first, last * axis.apart // axis.modulus + axis.targets)


@anywhere
def inside(start, step, extent, count, lanes):  # type: ignore[no-untyped-def]
    """Of a row of `extent` elements whose sample j < count is element start + j·step."""
    first = min(count, max(0, -part(start, step)))
    end = max(first, min(count, part(extent - 1 - start, step) + 1))
    whole = -(-first // lanes) * lanes
    # of step·lanes elements loaded for a vector, the last step − 1 are not used
    return Inside(start, first, end, whole, whole + max(0, end - (1 if step > 1 else 0) - whole) // lanes * lanes)


def notes_size(phases: Ints, copied: Ints) -> int:
    """Integers that a worker notes down, of so many pieces and samples of each along t, h and w."""
    t, h, w = phases
    return (t + h) * PHASE_SIZE + w * INSIDE_SIZE + sum(p * c for p, c in zip(phases, copied, strict=True))


@inlined
def _notes(fill):
    """Where the pieces of h begin among the notes, the insides of w, and the sources of planes, rows and columns: a −1 is a zero."""
    h = fill.t.phases * PHASE_SIZE
    w = h + fill.h.phases * PHASE_SIZE
    planes = w + fill.w.phases * INSIDE_SIZE
    rows = planes + fill.t.phases * fill.t.copied
    return h, w, planes, rows, rows + fill.h.phases * fill.h.copied


@device_function
def _note_sources(axis, mode, begin, sources):
    """Of the samples of a piece that begins there."""
    compact()
    for j in range(axis.copied):
        put(sources, j, source_of(mode, begin + j * axis.step, axis.source))


@device_function
def _note_axis(axis, mode, corner, phases, sources):
    """The pieces of an outer axis, and the sources of their samples."""
    compact()
    for i in range(axis.phases):
        phase = phase_of(axis, i)
        put(phases, 0, phase.offset)
        put(phases, 1, phase.first)
        put(phases, 2, phase.end)
        _note_sources(axis, mode, corner + phase.offset, sources)
        phases, sources = moved(phases, PHASE_SIZE), moved(sources, axis.copied)


@device_function
def _note(shape, fill, notes, corner):
    """What is the same for all channels of a box; columns in padding modes alone, that have some beside the source."""
    compact()
    (at_h, at_w, planes_at, rows_at, columns_at), w = _notes(fill), fill.w
    _note_axis(fill.t, fill.mode, corner[0], notes, moved(notes, planes_at))
    _note_axis(fill.h, fill.mode, corner[1], moved(notes, at_h), moved(notes, rows_at))
    insides, columns = moved(notes, at_w), moved(notes, columns_at)
    for i in range(w.phases):
        begin = corner[2] + phase_of(w, i).offset
        row = inside(begin, w.step, w.source, w.copied, lanes(shape))
        put(insides, 0, row.start)
        put(insides, 1, row.first)
        put(insides, 2, row.end)
        put(insides, 3, row.whole)
        put(insides, 4, row.whole_end)
        if fill.mode:
            _note_sources(w, fill.mode, begin, columns)
        insides, columns = moved(insides, INSIDE_SIZE), moved(columns, w.copied)


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
def _fill_phase(shape, fill, source, target, phase_t, phase_h, planes, rows, inside, ahead):
    """One phase of one channel of the box; `planes`, `rows`: their sources.  The rows `ahead` elements on are asked for; 0: none."""
    w, gap, plane_pitch, row_pitch = fill.w, fill.gap, fill.t.pitch, fill.h.pitch
    step, width, source_h, source_w = w.step, lanes(shape), fill.h.source, w.source
    start, begin, end, whole, whole_end = inside.start, inside.first, inside.end, inside.whole, inside.whole_end
    for j in range(phase_t.first, phase_t.end):
        plane = get(planes, j)
        first, last = phase_h.first, phase_h.end
        to = j * plane_pitch + first * row_pitch
        for i in range(first, last):
            row = get(rows, i)
            place = (plane * source_h + row) * source_w + start
            live = -(plane >= 0) & -(row >= 0)
            within = Inside(start, begin & live, end & live, whole & live, whole_end & live)
            for k in range(0, row_pitch * step if ahead else 0, width):
                prefetch(source, place + ahead + k)
            copy_row(shape, moved(source, place & live), step, moved(target, to), within, row_pitch)
            to += row_pitch
        copy_row(shape, source, step, moved(target, to), Inside(0, 0, 0, 0, 0), gap)


@device_function
def _fill_channels(shape, fill, notes, source, target, channels):
    """`fill_box` for the step in the shape."""
    t, h, volume = fill.t, fill.h, fill.t.source * fill.h.source * fill.w.source
    at_h, at_w, planes_at, rows_at, _ = _notes(fill)
    for c in range(channels):
        channel, slot, planes = moved(source, c * volume), c * fill.channel_pitch, moved(notes, planes_at)
        for at_t in range(0, at_h, PHASE_SIZE):
            rows = moved(notes, rows_at)
            for at in range(at_h, at_w, PHASE_SIZE):
                for of_w in range(at_w, planes_at, INSIDE_SIZE):
                    phase_t, phase_h, inside = phase_at(notes, at_t), phase_at(notes, at), inside_at(notes, of_w)
                    ahead = fill.ahead if of_w == at_w else 0  # the other phases lie in the same lines
                    _fill_phase(shape, fill, channel, moved(target, slot), phase_t, phase_h, planes, rows, inside, ahead)
                    slot += fill.phase_pitch
                rows = moved(rows, h.copied)
            planes = moved(planes, t.copied)


@device_function
def _fill_edges(fill, notes, source, target, channels):
    """What `_fill_channels` left 0 in the rows that it copied, element by element."""
    t, h, w = fill.t, fill.h, fill.w
    _, at_w, planes_at, rows_at, columns_at = _notes(fill)
    for row in range(channels * t.phases * h.phases * w.phases * t.copied * h.copied):
        y, rest = row % h.copied, row // h.copied
        x, slot = rest % t.copied, rest // t.copied
        by_w, rest = slot % w.phases, slot // w.phases
        by_h, by_t, c = rest % h.phases, rest // h.phases % t.phases, rest // h.phases // t.phases
        at_t, at_h = get(notes, planes_at + by_t * t.copied + x), get(notes, rows_at + by_h * h.copied + y)
        inside, columns = inside_at(notes, at_w + by_w * INSIDE_SIZE), moved(notes, columns_at + by_w * w.copied)
        first, end, line = inside.first, inside.end, moved(source, ((c * t.source + at_t) * h.source + at_h) * w.source)
        piece = c * fill.channel_pitch + slot % (t.phases * h.phases * w.phases) * fill.phase_pitch
        to = moved(target, piece + x * t.pitch + y * h.pitch)
        j = 0 if first > 0 else end
        while j < h.pitch:
            put(to, j, get(line, get(columns, j)))
            j += 1
            if j == first:
                j = end


@device_function
def fill_box(shape, fill, notes, source, target, channels, corner):
    """The box whose copy begins at `corner`, in the source.  `source` points to its first channel, `notes` to room for `notes_size`."""
    step = fill.w.step
    _note(shape, fill, notes, corner)
    if step == 1:
        _fill_channels(stepping(shape, 1), fill, notes, source, target, channels)
    elif step == 2:
        _fill_channels(stepping(shape, 2), fill, notes, source, target, channels)
    elif step == 4:
        _fill_channels(stepping(shape, 4), fill, notes, source, target, channels)
    else:
        _fill_channels(stepping(shape, 0), fill, notes, source, target, channels)
    if fill.mode:
        _fill_edges(fill, notes, source, target, channels)
