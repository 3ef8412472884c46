"""U = G g Gᵀ of filters: of all of them ahead of all tasks, or of a chunk of channels on the way.

U lies as (frequency, block of output channels, term, channel of the block): terms of the same taps of BESIDE input channels are
neighbours, so that their rows fill vectors.
"""

from __future__ import annotations

from typing import NamedTuple

from ..runtime.launch import device_function, inlined
from ..simd.spread import transpose_to
from ..simd.strided import stepping
from ..simd.tiles import lanes, rows, upright
from ..simd.vector import moved, prefetch
from ..stages.pack import zero
from .taps import TAP_PIECE, piece_at
from .transforms import transform_filter

BESIDE = 4  # channels whose transformed filters lie side by side
LINE_ELEMENTS = 16  # elements of a line of the caches


class FilterTransform(NamedTuple):
    """How the filters of a group lie as they are given, and how they are cut.

    Pitches in weights; negative where filters are read backwards.
    """

    produced: int  # output channels of a group
    taps: int  # of a filter
    produced_pitch: int  # from one output channel's filters to the next
    summed_pitch: int  # from one input channel's filter to the next
    tap_pitch_a: int  # from one tap of a piece to the next, along A …
    tap_pitch_w: int  # … and along W
    pieces: int  # of a filter
    first_tap: int  # weight of a filter that is its first tap
    blank_at: int  # in the room: zeros, for the taps that a short piece lacks
    lists_at: int  # in the room of who transforms all filters ahead
    places_at: int  # in the lists: where the weights of a vector of channels go in the room, in rows of a block


@inlined
def _turned(shape, filters, lists, weights, size, room):
    """The weights of size[0] channels: tap after tap, the rows of a block of each channel side by side."""
    vector, mr, n, taps = upright(shape), rows(shape), lanes(shape), filters.taps
    summed, valid = size
    produced_pitch, summed_pitch, all_places = filters.produced_pitch, filters.summed_pitch, moved(lists, filters.places_at)
    runs, run = summed, taps
    if summed_pitch == taps:  # the channels' weights are one run
        runs, run = 1, summed * taps
    for i in range(runs):
        if runs > 1:  # short pieces far apart: no prefetcher of the machine's gets from one to another
            for k in range(0, valid * taps, LINE_ELEMENTS):
                prefetch(weights, (i + n) * summed_pitch + k)
        for k in range(0, run, n):
            source, places = moved(weights, i * summed_pitch + k), moved(all_places, i * run + k)
            transpose_to(vector, source, produced_pitch, valid, min(n, run - k), room, mr, places)


@device_function
def transform_filters(shape, by_a, by_w, filters, lists, weights, size, target, frequency_pitch, room):
    """U of size[0] input channels, at most a vector, for a block of size[1] output channels, whose first weight `weights` points to.

    The rows of `shape` are the channels of a block.
    """
    mr, n, summed = rows(shape), lanes(shape), size[0]
    tap_pitch, pieces, blank = (n + BESIDE) * mr, filters.pieces, moved(room, filters.blank_at)
    pitches = (filters.tap_pitch_a * tap_pitch, filters.tap_pitch_w * tap_pitch)
    _turned(shape, filters, lists, weights, size, room)
    zero(stepping(by_w, 1), blank, n)
    for i in range(0, summed, BESIDE):
        count = min(BESIDE, summed - i) * mr
        for k in range(pieces):
            piece = piece_at(lists, k * TAP_PIECE)
            live, source, to = (piece.live_a, piece.live_w), piece.tap * tap_pitch + i * mr, i * pieces * mr + k * count
            for r in range(0, count, n):
                taps, u = moved(room, source + r), moved(target, to + r)
                transform_filter(by_a, by_w, taps, pitches, live, blank, u, frequency_pitch, count - r)
