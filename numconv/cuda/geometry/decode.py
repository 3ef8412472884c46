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
