"""Numbers taken apart: of a block into what it owns, of a position into t, h, w; and put together into the place of an element."""

from __future__ import annotations

from numba.cuda.types import int32

from ..ptx import idiv, imul
from ..runtime.launch import inlined


@inlined
def split(number, extent):
    """(quotient, remainder): which of the outer things, and where within it, by one division."""
    quotient = idiv(number, extent)
    return quotient, int32(number - imul(quotient, extent))


@inlined
def position(number, height, width):
    """(t, h, w) of a position counted along w, then h, then t."""
    row, w = split(number, width)
    t, h = split(row, height)
    return t, h, w


@inlined
def element(image, sample, channel, t, h, w):
    """Where an element lies in an `Image`."""
    return int32(
        sample * image.sample_pitch + channel * image.channel_pitch + t * image.plane_pitch + h * image.row_pitch + w * image.pixel_pitch
    )


@inlined
def shuffled(c, channels, groups):
    """Where a channel shuffle stores channel c of so many: i·n + j at j·groups + i, n = channels/groups."""
    size = idiv(channels, groups)
    i = idiv(c, size)
    return int32(imul(int32(c - imul(i, size)), groups) + i)


@inlined
def first_read(source, sample, group, t, h, w):
    """Where the terms of a position count from in a convolution's `Source`."""
    return int32(
        sample * source.sample_pitch + group * source.group_pitch + t * source.plane_pitch + h * source.row_pitch + w * source.pixel_pitch
    )
