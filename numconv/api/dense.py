"""Convolutions of any rank over all channels of a group."""

from __future__ import annotations

from typing import Any

from ..arguments import conv, pointwise
from ..dispatch import call

LABELS = ("x", "w", "bias")


def conv1d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest",
) -> Any:  # fmt: skip
    """1-D cross-correlation of each sample with each filter, channels summed."""
    options = (1, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("conv1d", conv, LABELS, (x, w, bias), options, out, algorithm)


def conv2d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest",
) -> Any:  # fmt: skip
    """2-D cross-correlation of each sample with each filter, channels summed."""
    options = (2, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("conv2d", conv, LABELS, (x, w, bias), options, out, algorithm)


def conv3d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest",
) -> Any:  # fmt: skip
    """3-D cross-correlation of each sample with each filter, channels summed."""
    options = (3, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("conv3d", conv, LABELS, (x, w, bias), options, out, algorithm)


def dilated_conv2d(
    x: Any, w: Any, bias: Any = None, dilation: Any = 2, stride: Any = 1, padding: Any = "same", *, groups: int = 1, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest",
) -> Any:  # fmt: skip
    """2-D convolution with dilation−1 gaps between the taps of the filter."""
    options = (2, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("dilated_conv2d", conv, LABELS, (x, w, bias), options, out, algorithm)


def pointwise_conv2d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, groups: int = 1, *, layout: str = "channels_first", activation: str | None = None,
    out: Any = None, out_dtype: Any = None, algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """1×1 convolution: a matrix applied to the channels of every pixel."""
    options = (2, False, stride, 0, 1, groups, "zeros", layout, activation, out_dtype, precision)
    return call("pointwise_conv2d", pointwise, LABELS, (x, w, bias), options, out, algorithm)
