"""Convolutions in several cheaper steps: depthwise separable, spatially separable, flattened."""

from __future__ import annotations

from typing import Any

from ..arguments_composites import depthwise_separable, flattened, spatially_separable
from ..dispatch import Session, call

Arrays = tuple[Any, ...]


def _depthwise_then_pointwise(run: Session, arrays: Arrays, problems: Arrays, out: Any) -> Any:
    x, depthwise, pointwise, bias, mid_bias = arrays
    first, second = problems
    return run(second, (run(first, (x, depthwise, mid_bias)), pointwise, bias), out)


def depthwise_separable_conv2d(
    x: Any, depthwise: Any, pointwise: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, mid_bias: Any = None,
    mid_activation: str | None = None, padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None,
    out: Any = None, out_dtype: Any = None, algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """One filter per channel, then a 1×1 convolution."""
    options = (mid_activation, stride, padding, dilation, None, padding_mode, layout, activation, out_dtype, precision)
    labels = ("x", "depthwise", "pointwise", "bias", "mid_bias")
    arrays = (x, depthwise, pointwise, bias, mid_bias)
    return call("depthwise_separable_conv2d", depthwise_separable, labels, arrays, options, out, algorithm, _depthwise_then_pointwise)


def _column_then_row(run: Session, arrays: Arrays, problems: Arrays, out: Any) -> Any:
    x, column, row, bias = arrays
    first, second = problems
    groups = first.in_channels // second.group_in
    pairs = (groups, second.out_channels // groups, second.group_in)
    column = run.broadcast(column, (*pairs, first.kernel[0]))  # changes only a pair that serves every channel
    row = run.broadcast(row, (*pairs, second.kernel[1]))
    # (group, filter, channel, tap) → as the steps' channels lie: see `arguments_composites.spatially_separable`
    column = run.reshape(run.transpose(column, (0, 2, 1, 3)), first.weight_shape)
    row = run.reshape(run.transpose(row, (1, 0, 2, 3)), second.weight_shape)
    if bias is not None:
        bias = run.reshape(run.transpose(bias, (1, 0)), (second.out_channels,))
    return run(second, (run(first, (x, column, None)), row, bias), out)


def spatially_separable_conv2d(
    x: Any, column: Any, row: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, groups: int | None = None,
    padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """A filter that is an outer product, as a column then a row."""
    options = (stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    labels = ("x", "column", "row", "bias")
    return call("spatially_separable_conv2d", spatially_separable, labels, (x, column, row, bias), options, out, algorithm, _column_then_row)


def _three_lines(run: Session, arrays: Arrays, problems: Arrays, out: Any) -> Any:
    x, lateral, vertical, horizontal, bias = arrays
    first, second, third = problems
    mixed = run(second, (run(first, (x, lateral, None)), vertical, None))
    return run(third, (mixed, horizontal, bias), out)


def flattened_conv2d(
    x: Any, lateral: Any, vertical: Any, horizontal: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, *, dilation: Any = 1,
    padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """Three 1-D filters, across channels, vertical and horizontal, in place of one 3-D filter."""
    options = (stride, padding, dilation, 1, padding_mode, layout, activation, out_dtype, precision)
    labels = ("x", "lateral", "vertical", "horizontal", "bias")
    arrays = (x, lateral, vertical, horizontal, bias)
    return call("flattened_conv2d", flattened, labels, arrays, options, out, algorithm, _three_lines)
