"""Transposed convolutions: learned upsampling."""

from __future__ import annotations

from typing import Any

from ..arguments import transpose
from ..dispatch import call
from .dense import LABELS


def conv_transpose1d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1, *,
    output_size: Any = None, layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """1-D transposed convolution: the adjoint of `conv1d` in its image."""
    options = (1, stride, padding, output_padding, groups, dilation, output_size, layout, activation, out_dtype, precision)
    return call("conv_transpose1d", transpose, LABELS, (x, w, bias), options, out, algorithm)


def conv_transpose2d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1, *,
    output_size: Any = None, layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """2-D transposed convolution: the adjoint of `conv2d` in its image."""
    options = (2, stride, padding, output_padding, groups, dilation, output_size, layout, activation, out_dtype, precision)
    return call("conv_transpose2d", transpose, LABELS, (x, w, bias), options, out, algorithm)


def conv_transpose3d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1, *,
    output_size: Any = None, layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """3-D transposed convolution: the adjoint of `conv3d` in its image."""
    options = (3, stride, padding, output_padding, groups, dilation, output_size, layout, activation, out_dtype, precision)
    return call("conv_transpose3d", transpose, LABELS, (x, w, bias), options, out, algorithm)
