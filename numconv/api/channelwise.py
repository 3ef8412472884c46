"""Convolutions whose channels are worked on in groups or one by one."""

from __future__ import annotations

from typing import Any

from ..arguments import conv, pointwise
from ..dispatch import call
from .dense import LABELS


def grouped_conv2d(
    x: Any, w: Any, bias: Any = None, groups: int = 2, stride: Any = 1, padding: Any = 0, *, dilation: Any = 1, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest",
) -> Any:  # fmt: skip
    """2-D convolution in independent groups of channels."""
    options = (2, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("grouped_conv2d", conv, LABELS, (x, w, bias), options, out, algorithm)


def pointwise_grouped_conv2d(
    x: Any, w: Any, bias: Any = None, groups: int = 2, *, stride: Any = 1, layout: str = "channels_first", activation: str | None = None,
    out: Any = None, out_dtype: Any = None, algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """1×1 convolution in independent groups of channels."""
    options = (2, False, stride, 0, 1, groups, "zeros", layout, activation, out_dtype, precision)
    return call("pointwise_grouped_conv2d", pointwise, LABELS, (x, w, bias), options, out, algorithm)


def depthwise_conv2d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest",
) -> Any:  # fmt: skip
    """2-D convolution of each channel by itself, with one or several filters."""
    options = (2, False, stride, padding, dilation, None, padding_mode, layout, activation, out_dtype, precision)
    return call("depthwise_conv2d", conv, LABELS, (x, w, bias), options, out, algorithm)


def shuffled_grouped_conv2d(
    x: Any, w: Any, bias: Any = None, groups: int = 2, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest",
) -> Any:  # fmt: skip
    """Grouped 2-D convolution whose output channels are mixed between the groups as they are stored."""
    options = (2, True, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("shuffled_grouped_conv2d", conv, LABELS, (x, w, bias), options, out, algorithm)
