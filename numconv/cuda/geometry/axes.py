"""Goes: what is imported from here has moved to `convolution`, `decode` and `image`."""

from __future__ import annotations

from .convolution import Lowered, inserted, lower
from .decode import shuffled
from .image import three

__all__ = ["Lowered", "image_strides", "inserted", "lower", "shuffled", "three"]


def image_strides(channels: int, spatial: tuple[int, int, int], layout: str) -> tuple[int, int, tuple[int, int, int]]:
    """Element strides (sample, channel, (t, h, w)) of a C-contiguous image."""
    t, h, w = spatial
    if layout == "channels_last":
        return channels * t * h * w, 1, (h * w * channels, w * channels, channels)
    return channels * t * h * w, t * h * w, (h * w, w, 1)
