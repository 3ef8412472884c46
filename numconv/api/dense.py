"""Convolutions of any rank over all channels of a group."""

from __future__ import annotations

from typing import Any

from ..arguments.convolution import conv, pointwise
from ..call import call
from .docstrings import documented

LABELS = ("x", "w", "bias")


@documented
def conv1d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """1-D cross-correlation, which deep learning calls convolution.

    Parameters
    ----------
    x : (N, C_in, L) array
        Images, N optional.
    w : (C_out, C_in/groups, kl) array
        Filters.
    {bias}
    {stride}
    {padding}
    {dilation}
    {groups}
    {keywords}

    Returns
    -------
    (N, C_out, ol) array
        ⌊(i + low + high − dilation·(k − 1) − 1)/stride⌋ + 1 elements per axis.

    Raises
    ------
    {raises}

    Notes
    -----
    y[n, k, p] = Σ_c Σ_r x[n, c, p·stride − low + r·dilation] · w[k, c, r] + bias[k].

    {numerics}

    References
    ----------
    V. Dumoulin, F. Visin: A guide to convolution arithmetic for deep learning, arXiv 1603.07285.

    Examples
    --------
    >>> nc.conv1d([[[1.0, 2.0, 3.0, 4.0]]], [[[1.0, 0.0, -1.0]]])
    array([[[-2., -2.]]])
    """
    options = (1, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("conv1d", conv, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)


@documented
def conv2d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """2-D cross-correlation, which deep learning calls convolution.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    w : (C_out, C_in/groups, kh, kw) array
        Filters.
    {bias}
    {stride}
    {padding}
    {dilation}
    {groups}
    {keywords}

    Returns
    -------
    (N, C_out, oh, ow) array
        ⌊(i + low + high − dilation·(k − 1) − 1)/stride⌋ + 1 elements per axis.

    Raises
    ------
    {raises}

    Notes
    -----
    y[n, k, p] = Σ_c Σ_r x[n, c, p·stride − low + r·dilation] · w[k, c, r] + bias[k].

    {numerics}

    References
    ----------
    V. Dumoulin, F. Visin: A guide to convolution arithmetic for deep learning, arXiv 1603.07285.

    Examples
    --------
    >>> nc.conv2d(np.ones((7, 7, 3)), np.ones((128, 3, 3, 3)), layout="channels_last").shape
    (5, 5, 128)
    >>> nc.conv2d(np.arange(16.0).reshape(1, 4, 4), [[[[0, 1], [1, 0]]]], stride=2)
    array([[[ 5.,  9.],
            [21., 25.]]])
    """
    options = (2, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("conv2d", conv, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)


@documented
def conv3d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """3-D cross-correlation, which deep learning calls convolution.

    Parameters
    ----------
    x : (N, C_in, D, H, W) array
        Images, N optional.
    w : (C_out, C_in/groups, kd, kh, kw) array
        Filters.
    {bias}
    {stride}
    {padding}
    {dilation}
    {groups}
    {keywords}

    Returns
    -------
    (N, C_out, od, oh, ow) array
        ⌊(i + low + high − dilation·(k − 1) − 1)/stride⌋ + 1 elements per axis.

    Raises
    ------
    {raises}

    Notes
    -----
    y[n, k, p] = Σ_c Σ_r x[n, c, p·stride − low + r·dilation] · w[k, c, r] + bias[k].

    {numerics}

    References
    ----------
    V. Dumoulin, F. Visin: A guide to convolution arithmetic for deep learning, arXiv 1603.07285.

    Examples
    --------
    >>> nc.conv3d(np.ones((1, 1, 4, 4, 4)), np.ones((2, 1, 2, 3, 3)), padding="same").shape
    (1, 2, 4, 4, 4)
    """
    options = (3, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("conv3d", conv, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)


@documented
def dilated_conv2d(
    x: Any, w: Any, bias: Any = None, dilation: Any = 2, stride: Any = 1, padding: Any = "same", *, groups: int = 1,
    padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """2-D convolution with dilation − 1 gaps between the taps: a wide field at no more parameters.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    w : (C_out, C_in/groups, kh, kw) array
        Filters.
    {bias}
    dilation : int or one per axis, default 2
        Distance between the taps of the kernel, in input elements.
    {stride}
    padding : as for `conv2d`, default "same"
        Elements added at the borders.
    {groups}
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
    Lowers to the same problem as `conv2d`.  3×3 filters with dilation 1, 2, 4 in a row see 3×3, 7×7, 15×15 elements.

    {numerics}

    References
    ----------
    F. Yu, V. Koltun: Multi-scale context aggregation by dilated convolutions, ICLR 2016, arXiv 1511.07122.

    Examples
    --------
    >>> nc.dilated_conv2d(np.ones((1, 9, 9)), np.ones((1, 1, 3, 3)), dilation=4)[0, 4]
    array([6., 6., 6., 6., 9., 6., 6., 6., 6.])
    """
    options = (2, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("dilated_conv2d", conv, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)


@documented
def pointwise_conv2d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, groups: int = 1, *, layout: str = "channels_first", activation: str | None = None,
    out: Any = None, out_dtype: Any = None, algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """1×1 convolution: a matrix applied to the channels of every pixel.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    w : (C_out, C_in/groups) or (C_out, C_in/groups, 1, 1) array
        Filters.
    {bias}
    {stride}
    {groups}
    {tail}

    Returns
    -------
    (N, C_out, ⌈H/stride⌉, ⌈W/stride⌉) array

    Raises
    ------
    {raises}

    Notes
    -----
    y[n, k, p] = Σ_c x[n, c, p·stride] · w[k, c] + bias[k].

    {numerics}

    References
    ----------
    M. Lin, Q. Chen, S. Yan: Network in network, ICLR 2014, arXiv 1312.4400.

    Examples
    --------
    >>> nc.pointwise_conv2d(np.ones((200, 8, 8)), np.ones((1, 200)), activation="relu").shape
    (1, 8, 8)
    """
    options = (2, False, stride, 0, 1, groups, "zeros", layout, activation, out_dtype, precision)
    return call("pointwise_conv2d", pointwise, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)
