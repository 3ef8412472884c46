"""The photograph of the pages, and what is done to it on several of them.

It is matplotlib's sample picture of Grace Hopper (US Navy, public domain), which its wheel carries.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import numconv as nc

SIDE = 256  # pixels of the photograph's cut
Array = np.ndarray[Any, Any]


def photograph() -> Array:
    """(3, H, W) float32 in 0 … 1."""
    import matplotlib.cbook
    import matplotlib.image

    pixels = np.asarray(matplotlib.image.imread(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return np.moveaxis(pixels[20 : 20 + SIDE, 120 : 120 + SIDE].astype("f4") / 255, -1, 0).copy()


def grey() -> Array:
    return photograph().mean(0)


def same(image: Array, kernel: Any) -> Array:
    """One plane by one filter; the border repeats."""
    w = np.asarray(kernel, "f4")
    return nc.conv2d(image[None], w[None, None], padding="same", padding_mode="replicate")[0]


def blur(sigma: float) -> Array:
    """A Gaussian's taps, of sum 1."""
    reach = int(3 * sigma)
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    return (taps / taps.sum()).astype("f4")
