"""Images as kernels walk them: three axes, extents, and how far apart neighbours lie.  One record for all families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Three(NamedTuple):
    """One number for each axis, of images of one to three axes."""

    t: int
    h: int
    w: int


class Two(NamedTuple):
    """One number for each of the last two axes."""

    h: int
    w: int


class Image(NamedTuple):
    """A C-contiguous image: extents, and pitches in elements from one neighbour to the next."""

    t: int
    h: int
    w: int
    sample_pitch: int
    channel_pitch: int
    plane_pitch: int  # along t
    row_pitch: int  # along h
    pixel_pitch: int  # along w


def three(values: Sequence[int], fill: int) -> Three:
    """Axes padded in front to T, H, W."""
    return Three(*(fill,) * (3 - len(values)), *values)


def image(channels: int, spatial: Sequence[int], layout: str) -> Image:
    """An image of so many channels; of fewer than three axes, the missing ones have extent 1."""
    extent = three(spatial, 1)
    pixel, channel = (channels, 1) if layout == "channels_last" else (1, extent.t * extent.h * extent.w)
    return Image(
        *extent,
        sample_pitch=channels * extent.t * extent.h * extent.w,
        channel_pitch=channel,
        plane_pitch=extent.h * extent.w * pixel,
        row_pitch=extent.w * pixel,
        pixel_pitch=pixel,
    )
