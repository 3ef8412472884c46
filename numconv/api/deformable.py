"""Deformable convolution."""

from __future__ import annotations

from typing import Any

from ..arguments_operators import deform
from ..dispatch import call


def deform_conv2d(
    x: Any, offset: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, mask: Any = None, *,
    activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """2-D convolution whose taps are moved by offsets, position by position (torchvision's meaning)."""
    options = (stride, padding, dilation, activation, out_dtype, precision)
    labels = ("x", "offset", "w", "bias", "mask")
    return call("deform_conv2d", deform, labels, (x, offset, w, bias, mask), options, out, algorithm)
