"""Resizing, and resizing before a convolution: upsampling without checkerboards."""

from __future__ import annotations

from typing import Any

from ..arguments_composites import resize_conv
from ..arguments_operators import resize
from ..dispatch import Session, call
from .dense import LABELS


def resize2d(
    x: Any, size: Any = None, scale: Any = None, mode: str = "nearest", align_corners: bool = False, *, layout: str = "channels_first",
    out: Any = None,
) -> Any:  # fmt: skip
    """Resize an image by nearest or bilinear sampling."""
    return call("resize2d", resize, ("x",), (x,), (size, scale, mode, align_corners, layout), out)


def _resize_then_convolve(run: Session, arrays: tuple[Any, ...], problems: tuple[Any, ...], out: Any) -> Any:
    x, w, bias = arrays
    resizing, conv = problems
    return run(conv, (run(resizing, (x,)), w, bias), out)


def resize_conv2d(
    x: Any, w: Any, bias: Any = None, scale: Any = 2, mode: str = "nearest", padding: Any = "same", *, align_corners: bool = False,
    stride: Any = 1, dilation: Any = 1, groups: int = 1, padding_mode: str = "zeros", layout: str = "channels_first",
    activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """Resize, then convolve."""
    options = (scale, mode, align_corners, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("resize_conv2d", resize_conv, LABELS, (x, w, bias), options, out, algorithm, _resize_then_convolve)
