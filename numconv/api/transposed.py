"""Transposed convolutions: learned upsampling."""

from __future__ import annotations

from typing import Any

from ..arguments.transposed import transpose
from ..call import call
from .dense import LABELS
from .docstrings import documented


@documented
def conv_transpose1d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1, *,
    output_size: Any = None, layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """1-D transposed convolution: the adjoint of `conv1d`, for learned upsampling.

    Every input element stamps the kernel, times its value, on the output; stamps add up.

    Parameters
    ----------
    x : (N, C_in, L) array
        Images, N optional.
    w : (C_in, C_out/groups, kl) array
        Filters.
    {bias}
    stride : int or one per axis, default 1
        Steps between the stamps, in output elements.
    padding : int, one per axis, or one (low, high) pair per axis
        Elements cropped from the borders of the output.
    output_padding : int or one per axis, default 0
        Elements added at the high end, less than the stride or the dilation.  They are computed, not zero.
    {groups}
    {dilation}
    output_size : int or one per axis, optional
        Spatial size of the result, in place of output_padding; one of the `stride` sizes that `conv1d` maps to that of x.
    {tail}

    Returns
    -------
    (N, C_out, ol) array
        stride·(i − 1) + dilation·(k − 1) + 1 − low − high + output_padding elements per axis.

    Raises
    ------
    {raises}

    Notes
    -----
    y[n, c, q] = Σ_k Σ_r x[n, k, p] · w[k, c, r] over p·stride − low + r·dilation = q, + bias[c].  It restores the shape that a
    convolution had, not its values: the adjoint is not the inverse.

    {numerics}

    References
    ----------
    V. Dumoulin, F. Visin: A guide to convolution arithmetic for deep learning, arXiv 1603.07285, chapter 4.

    Examples
    --------
    >>> nc.conv_transpose1d([[[1.0, 2.0]]], [[[1.0, 1.0, 1.0]]], stride=2)
    array([[[1., 1., 3., 2., 2.]]])
    """
    options = (1, stride, padding, output_padding, groups, dilation, output_size, layout, activation, out_dtype, precision)
    return call("conv_transpose1d", transpose, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)


@documented
def conv_transpose2d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1, *,
    output_size: Any = None, layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """2-D transposed convolution: the adjoint of `conv2d`, for learned upsampling.

    Every input element stamps the kernel, times its value, on the output; stamps add up.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    w : (C_in, C_out/groups, kh, kw) array
        Filters.
    {bias}
    stride : int or one per axis, default 1
        Steps between the stamps, in output elements.
    padding : int, one per axis, or one (low, high) pair per axis
        Elements cropped from the borders of the output.
    output_padding : int or one per axis, default 0
        Elements added at the high end, less than the stride or the dilation.  They are computed, not zero.
    {groups}
    {dilation}
    output_size : int or one per axis, optional
        Spatial size of the result, in place of output_padding; one of the `stride` sizes that `conv2d` maps to that of x.
    {tail}

    Returns
    -------
    (N, C_out, oh, ow) array
        stride·(i − 1) + dilation·(k − 1) + 1 − low − high + output_padding elements per axis.

    Raises
    ------
    {raises}

    Notes
    -----
    y[n, c, q] = Σ_k Σ_r x[n, k, p] · w[k, c, r] over p·stride − low + r·dilation = q, + bias[c].  It restores the shape that a
    convolution had, not its values: the adjoint is not the inverse.

    {numerics}

    References
    ----------
    V. Dumoulin, F. Visin: A guide to convolution arithmetic for deep learning, arXiv 1603.07285, chapter 4.

    Examples
    --------
    >>> nc.conv_transpose2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)))
    array([[[[1., 2., 2., 1.],
             [2., 4., 4., 2.],
             [2., 4., 4., 2.],
             [1., 2., 2., 1.]]]])
    """
    options = (2, stride, padding, output_padding, groups, dilation, output_size, layout, activation, out_dtype, precision)
    return call("conv_transpose2d", transpose, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)


@documented
def conv_transpose3d(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1, *,
    output_size: Any = None, layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """3-D transposed convolution: the adjoint of `conv3d`, for learned upsampling.

    Every input element stamps the kernel, times its value, on the output; stamps add up.

    Parameters
    ----------
    x : (N, C_in, D, H, W) array
        Images, N optional.
    w : (C_in, C_out/groups, kd, kh, kw) array
        Filters.
    {bias}
    stride : int or one per axis, default 1
        Steps between the stamps, in output elements.
    padding : int, one per axis, or one (low, high) pair per axis
        Elements cropped from the borders of the output.
    output_padding : int or one per axis, default 0
        Elements added at the high end, less than the stride or the dilation.  They are computed, not zero.
    {groups}
    {dilation}
    output_size : int or one per axis, optional
        Spatial size of the result, in place of output_padding; one of the `stride` sizes that `conv3d` maps to that of x.
    {tail}

    Returns
    -------
    (N, C_out, od, oh, ow) array
        stride·(i − 1) + dilation·(k − 1) + 1 − low − high + output_padding elements per axis.

    Raises
    ------
    {raises}

    Notes
    -----
    y[n, c, q] = Σ_k Σ_r x[n, k, p] · w[k, c, r] over p·stride − low + r·dilation = q, + bias[c].  It restores the shape that a
    convolution had, not its values: the adjoint is not the inverse.

    {numerics}

    References
    ----------
    V. Dumoulin, F. Visin: A guide to convolution arithmetic for deep learning, arXiv 1603.07285, chapter 4.

    Examples
    --------
    >>> nc.conv_transpose3d(np.ones((1, 2, 2, 2, 2)), np.ones((2, 1, 2, 2, 2)), stride=2).shape
    (1, 1, 4, 4, 4)
    """
    options = (3, stride, padding, output_padding, groups, dilation, output_size, layout, activation, out_dtype, precision)
    return call("conv_transpose3d", transpose, LABELS, (x, w, bias), options, out, algorithm, accuracy=accuracy)
