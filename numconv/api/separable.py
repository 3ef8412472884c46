"""Convolutions in several cheaper steps: depthwise separable, spatially separable, flattened."""

from __future__ import annotations

from typing import Any

from ..arguments.compositions import depthwise_separable, flattened, spatially_separable
from ..call import call
from ..problem import SeparableProblem
from ..session import Session
from .docstrings import documented

Arrays = tuple[Any, ...]


def _depthwise_then_pointwise(run: Session, arrays: Arrays, problems: Arrays, out: Any) -> Any:
    x, depthwise, pointwise, bias, mid_bias = arrays
    first, second = problems
    return run(second, (run(first, (x, depthwise, mid_bias)), pointwise, bias), out)


@documented
def depthwise_separable_conv2d(
    x: Any, depthwise: Any, pointwise: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, mid_bias: Any = None,
    mid_activation: str | None = None, padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None,
    out: Any = None, out_dtype: Any = None, algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """One filter per channel, then a 1×1 convolution: about 1/C_out + 1/(kh·kw) of the products of `conv2d`.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    depthwise : (C_in·m, 1, kh, kw) array
        Filters of the first step, m for each channel.
    pointwise : (C_out, C_in·m) or (C_out, C_in·m, 1, 1) array
        Filters of the second.
    {bias}
    {stride}
    {padding}
    {dilation}
    mid_bias : (C_in·m,) array, optional
        Added between the steps.
    mid_activation : as activation
        Applied between the steps.
    {keywords}

    Returns
    -------
    (N, C_out, oh, ow) array
        Sizes as for `conv2d`.

    Raises
    ------
    {raises}

    Notes
    -----
    pointwise_conv2d(depthwise_conv2d(x, depthwise, mid_bias, …), pointwise, bias).  What lies between is kept in float32 for half types.

    {numerics}

    References
    ----------
    A. Howard et al.: MobileNets, arXiv 1704.04861, section 3.1.

    Examples
    --------
    >>> x, depthwise, pointwise = np.ones((3, 7, 7)), np.ones((3, 1, 3, 3)), np.ones((128, 3))
    >>> nc.depthwise_separable_conv2d(x, depthwise, pointwise).shape
    (128, 5, 5)
    """
    options = (mid_activation, stride, padding, dilation, None, padding_mode, layout, activation, out_dtype, precision)
    labels = ("x", "depthwise", "pointwise", "bias", "mid_bias")
    arrays = (x, depthwise, pointwise, bias, mid_bias)
    return call(
        "depthwise_separable_conv2d", depthwise_separable, labels, arrays, options, out, algorithm, _depthwise_then_pointwise, accuracy
    )


def _in_order(run: Session, both: SeparableProblem, x: Any, column: Any, row: Any, bias: Any) -> Arrays:
    """The arrays of one pass; the row is in the type between the steps, which the column's came from."""
    conv = both.conv
    factors = (run.reshape(a, (conv.out_channels, conv.group_in, k)) for a, k in zip((column, row), conv.kernel, strict=True))
    return x, next(factors), run.cast(next(factors), conv.dtype), bias if bias is None else run.reshape(bias, (conv.out_channels,))


def _column_then_row(run: Session, arrays: Arrays, problems: Arrays, out: Any) -> Any:
    x, column, row, bias = arrays
    first, second = problems
    groups = first.in_channels // second.group_in
    pairs = (groups, second.out_channels // groups, second.group_in)
    column = run.broadcast(column, (*pairs, first.kernel[0]))  # changes only a pair that serves every channel
    row = run.broadcast(row, (*pairs, second.kernel[1]))
    both = SeparableProblem(first, second)
    if run.fuses(both, problems):
        return run(both, _in_order(run, both, x, column, row, bias), out)
    # (group, filter, channel, tap) → as the steps' channels lie: see `arguments.compositions.spatially_separable`
    column = run.reshape(run.transpose(column, (0, 2, 1, 3)), first.weight_shape)
    row = run.reshape(run.transpose(row, (1, 0, 2, 3)), second.weight_shape)
    if bias is not None:
        bias = run.reshape(run.transpose(bias, (1, 0)), (second.out_channels,))
    return run(second, (run(first, (x, column, None)), row, bias), out)


@documented
def spatially_separable_conv2d(
    x: Any, column: Any, row: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, groups: int | None = None,
    padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """2-D convolution with filters that are outer products, as a column and then a row: kh + kw products for kh·kw.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    column : (kh,) or (C_out, C_in/groups, kh) array
    row : (kw,) or (C_out, C_in/groups, kw) array
        One pair for every channel by itself, or a pair for each filter and input channel.
    {bias}
    {stride}
    {padding}
    {dilation}
    groups : int, optional
        Follows from the shape of column where it is not given.
    {keywords}

    Returns
    -------
    (N, C_out, oh, ow) array, C_out = C_in for one pair
        Sizes as for `conv2d`.

    Raises
    ------
    {raises}

    Notes
    -----
    Equals `conv2d` with w[k, c] = column[k, c] ⊗ row[k, c] but for rounding.  With a pair for each filter the first step makes
    C_out·C_in/groups maps, so it pays where there are few channels or large kernels.  `numconv.separability` finds the factors of a filter.

    {numerics}

    Examples
    --------
    >>> nc.spatially_separable_conv2d(np.eye(3)[None], [1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])  # Sobel
    array([[[0.]]])
    """
    options = (stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    labels, arrays = ("x", "column", "row", "bias"), (x, column, row, bias)
    return call("spatially_separable_conv2d", spatially_separable, labels, arrays, options, out, algorithm, _column_then_row, accuracy)


def _three_lines(run: Session, arrays: Arrays, problems: Arrays, out: Any) -> Any:
    x, lateral, vertical, horizontal, bias = arrays
    first, second, third = problems
    both = SeparableProblem(second, third)
    fused = run.fuses(both, problems[1:])
    mixed = run(first, (x, lateral, None), algorithm="auto" if fused else "")  # a kernel named for both does not do the first
    if fused:
        return run(both, _in_order(run, both, mixed, vertical, horizontal, bias), out)
    return run(third, (run(second, (mixed, vertical, None)), horizontal, bias), out)


@documented
def flattened_conv2d(
    x: Any, lateral: Any, vertical: Any, horizontal: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, *, dilation: Any = 1,
    padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """Three 1-D filters, across channels, vertical and horizontal, in place of one 3-D filter: C + kh + kw parameters for C·kh·kw.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    lateral : (F, C_in) array
    vertical : (F, kh) array
    horizontal : (F, kw) array
    bias : (F,) array, optional
        Added at the end.
    {stride}
    {padding}
    {dilation}
    {keywords}

    Returns
    -------
    (N, F, oh, ow) array
        Sizes as for `conv2d`.

    Raises
    ------
    {raises}

    Notes
    -----
    Equals `conv2d` with w[f, c, r, s] = lateral[f, c]·vertical[f, r]·horizontal[f, s] but for rounding; filters of a higher rank are
    only approximated (`numconv.separability.flatten`).

    {numerics}

    References
    ----------
    J. Jin, A. Dundar, E. Culurciello: Flattened convolutional neural networks for feedforward acceleration, arXiv 1412.5474.

    Examples
    --------
    >>> nc.flattened_conv2d(np.ones((3, 5, 5)), np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)))[:, 0, 0]
    array([27., 27.])
    """
    options = (stride, padding, dilation, 1, padding_mode, layout, activation, out_dtype, precision)
    labels = ("x", "lateral", "vertical", "horizontal", "bias")
    arrays = (x, lateral, vertical, horizontal, bias)
    return call("flattened_conv2d", flattened, labels, arrays, options, out, algorithm, _three_lines, accuracy)
