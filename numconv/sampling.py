"""Which samples of an axis stand where: on a padded one, on a resized one.  Host tables, for devices and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: padding modes as NumPy names them
PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric"}


def padded(size: int, low: int, high: int, mode: str) -> Array:
    """Of each element of an axis padded by `mode` (not zeros), the sample that it repeats."""
    return np.pad(np.arange(size), (low, high), PAD_MODES[mode])  # type: ignore[call-overload, no-any-return]


def nearest(count: int, size: int, scale: float | None) -> Array:
    """Of each of `size` outputs, the sample; exact in integers unless a scale was given."""
    p = np.arange(size, dtype=np.int64)
    index = p * count // max(size, 1) if scale is None else np.floor(p * (1 / scale)).astype(np.int64)
    return np.minimum(index, count - 1)


def linear(count: int, size: int, scale: float | None, align_corners: bool, dtype: str) -> tuple[Array, Array]:
    """Of each of `size` outputs, its two samples (2, size) and their weights."""
    p = np.arange(size, dtype=np.float64)
    if align_corners:
        at = p * ((count - 1) / (size - 1) if size > 1 else 0.0)
    else:
        at = np.maximum((p + 0.5) * (count / max(size, 1) if scale is None else 1 / scale) - 0.5, 0.0)
    low = np.minimum(at.astype(np.int64), count - 1)
    weight = np.minimum(at - low, 1.0)
    return np.stack([low, np.minimum(low + 1, count - 1)]), np.stack([1 - weight, weight]).astype(dtype)
