"""Convolutions whose channels are worked on in groups or one by one."""

from __future__ import annotations

from typing import Any

from ..arguments.convolution import conv, pointwise
from ..call import call
from .dense import LABELS
from .docstrings import documented


@documented
def grouped_conv2d(
    x: Any, w: Any, bias: Any = None, groups: int = 2, stride: Any = 1, padding: Any = 0, *, dilation: Any = 1, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """2-D convolution in independent groups of channels: 1/groups of the parameters and products.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    w : (C_out, C_in/groups, kh, kw) array
        Filters.
    {bias}
    groups : int, default 2
        Groups of channels; must divide both C_in and C_out.
    {stride}
    {padding}
    {dilation}
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
    Lowers to the same problem as `conv2d`; as a matrix over the channels it is block-diagonal.

    {numerics}

    References
    ----------
    A. Krizhevsky, I. Sutskever, G. Hinton: ImageNet classification with deep convolutional neural networks, NIPS 2012, section 3.2.

    Examples
    --------
    >>> nc.grouped_conv2d(np.ones((1, 4, 5, 5)), np.ones((6, 2, 3, 3)), groups=2).shape
    (1, 6, 3, 3)
    """
    options = (2, False, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("grouped_conv2d", conv, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)


@documented
def pointwise_grouped_conv2d(
    x: Any, w: Any, bias: Any = None, groups: int = 2, *, stride: Any = 1, layout: str = "channels_first", activation: str | None = None,
    out: Any = None, out_dtype: Any = None, algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """1×1 convolution in independent groups of channels.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    w : (C_out, C_in/groups) or (C_out, C_in/groups, 1, 1) array
        Filters.
    {bias}
    groups : int, default 2
        Groups of channels; must divide both C_in and C_out.
    {stride}
    {tail}

    Returns
    -------
    (N, C_out, ⌈H/stride⌉, ⌈W/stride⌉) array

    Raises
    ------
    {raises}

    Notes
    -----
    `pointwise_conv2d` with its groups in front.

    {numerics}

    References
    ----------
    X. Zhang et al.: ShuffleNet, CVPR 2018, arXiv 1707.01083, section 3.

    Examples
    --------
    >>> nc.pointwise_grouped_conv2d(np.ones((1, 4, 5, 5)), np.ones((6, 2)))[0, :, 0, 0]
    array([2., 2., 2., 2., 2., 2.])
    """
    options = (2, False, stride, 0, 1, groups, "zeros", layout, activation, out_dtype, precision)
    return call("pointwise_grouped_conv2d", pointwise, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)


@documented
def depthwise_conv2d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """2-D convolution of each channel by itself, with m filters for each.

    Parameters
    ----------
    x : (N, C, H, W) array
        Images, N optional.
    w : (C·m, 1, kh, kw) array
        Filters, m for each channel in turn.
    {bias}
    {stride}
    {padding}
    {dilation}
    {keywords}

    Returns
    -------
    (N, C·m, oh, ow) array
        Sizes as for `conv2d`.

    Raises
    ------
    {raises}

    Notes
    -----
    y[n, c·m + j, p] = Σ_r x[n, c, p·stride − low + r·dilation] · w[c·m + j, 0, r] + bias[c·m + j].

    {numerics}

    References
    ----------
    A. Howard et al.: MobileNets, arXiv 1704.04861, section 3.1.

    Examples
    --------
    >>> nc.depthwise_conv2d(np.ones((1, 3, 5, 5)), np.ones((3, 1, 3, 3)), padding=1)[0, 2, 0]
    array([4., 6., 6., 6., 4.])
    """
    options = (2, False, stride, padding, dilation, None, padding_mode, layout, activation, out_dtype, precision)
    return call("depthwise_conv2d", conv, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)


@documented
def shuffled_grouped_conv2d(
    x: Any, w: Any, bias: Any = None, groups: int = 2, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, padding_mode: str = "zeros",
    layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """Grouped 2-D convolution, then a shuffle of the channels between the groups, in one kernel.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    w : (C_out, C_in/groups, kh, kw) array
        Filters.
    {bias}
    groups : int, default 2
        Groups of channels; must divide both C_in and C_out.
    {stride}
    {padding}
    {dilation}
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
    Equals channel_shuffle(grouped_conv2d(…), groups): the kernel stores each channel where the shuffle would put it.

    {numerics}

    References
    ----------
    X. Zhang et al.: ShuffleNet, CVPR 2018, arXiv 1707.01083, section 3.1.

    Examples
    --------
    >>> w = np.arange(1.0, 5.0).reshape(4, 1, 1, 1)
    >>> nc.shuffled_grouped_conv2d(np.ones((1, 2, 1, 1)), w).ravel()
    array([1., 3., 2., 4.])
    """
    options = (2, True, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("shuffled_grouped_conv2d", conv, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)
