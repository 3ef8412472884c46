"""The part of the input that a box reads, copied between zeros, each row or pixel as it lies in memory (`fill` cuts rows into phases)."""

from __future__ import annotations

from typing import NamedTuple

from ..runtime.launch import device_function, inlined
from ..simd.tiles import lanes
from ..simd.vector import load_between, load_n, prefetch, store


class Copy(NamedTuple):
    """How a box is copied; lengths in elements.  Channels last, a row is one run of pixels, or each pixel is copied by itself."""

    channels: int  # planes: of one group; channels last 1, or the channels of a pixel that is copied by itself
    height: int  # rows of a plane of the source
    width: int  # of a row of the source; pixels of it where each is copied by itself
    volume: int  # from a channel of the source to the next
    row_pitch: int  # in the copy
    plane_pitch: int  # in the copy
    channel_pitch: int  # in the copy
    pixels: int  # of a row, where each is copied by itself; else 0
    pixel_pitch: int  # in the copy
    source_pixel_pitch: int


@inlined
def clipped(first, count, step, reach, extent):
    """The samples [first, end) of an axis that targets reach, inside the source."""
    start = max(0, first)
    return start, max(start, min(extent, first + (count - 1) * step + reach + 1))


@device_function
def copy_rows(vector, x, room, channels, start, size, column, copy):
    """size[0] × size[1] rows of each of some channels, from (plane, row) `start` and from `column` on, zeros where it lies outside.

    `x` points to the first channel, `room` to the copy.
    """
    n, width, plane = lanes(vector), copy.width, copy.height * copy.width
    for c in range(channels):
        for t in range(size[0]):
            s = c * copy.volume + ((start[0] + t) * copy.height + start[1]) * width + column
            d = c * copy.channel_pitch + t * copy.plane_pitch
            later = (t + 2) // size[
                0
            ]  # the piece after the next, two planes or channels on: no prefetcher of the machine's gets from one to another
            ahead = later * copy.volume + (t + 2 - later * size[0] - t) * plane
            for _ in range(size[1]):
                for j in range(0, copy.row_pitch, n):  # what overruns the row is written again with the next one
                    prefetch(x, s + j + ahead)
                    store(room, d + j, load_between(x, s + j, -column - j, width - column - j, vector))
                s += width
                d += copy.row_pitch


@device_function
def copy_pixels(vector, x, room, start, size, column, copy):
    """The same of pixels of one group, `copy.pixels` of each row."""
    n = lanes(vector)
    for t in range(size[0]):
        s = (((start[0] + t) * copy.height + start[1]) * copy.width + column) * copy.source_pixel_pitch
        d = t * copy.plane_pitch
        for _ in range(size[1]):
            for i in range(column, column + copy.pixels):
                count = copy.channels if i >= 0 and i < copy.width else 0
                for j in range(0, copy.channels, n):  # what overruns the pixel is written again with the next one
                    store(room, d + j, load_n(x, s + j, min(n, count - j), vector))
                s += copy.source_pixel_pitch
                d += copy.pixel_pitch
            s += (copy.width - copy.pixels) * copy.source_pixel_pitch


@device_function
def copy_box(vector, x, room, start, size, column, copy):
    """Rows or pixels, as the plan says; `column`: in targets' terms, the first that is read of each row."""
    if copy.pixels:
        copy_pixels(vector, x, room, start, size, column, copy)
    else:
        copy_rows(vector, x, room, copy.channels, start, size, column * copy.source_pixel_pitch, copy)
