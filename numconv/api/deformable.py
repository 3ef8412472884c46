"""Deformable convolution."""

from __future__ import annotations

from typing import Any

from ..arguments.operators import deform
from ..call import call
from .docstrings import documented


@documented
def deform_conv2d(
    x: Any, offset: Any, w: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, mask: Any = None, *,
    activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """2-D convolution whose taps are moved by offsets, position by position (torchvision's meaning).

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    offset : (N, 2·G·kh·kw, oh, ow) array
        (Δy, Δx) of each tap in turn, in input elements, for each of G groups of input channels.
    w : (C_out, C_in/groups, kh, kw) array
        Filters.
    {bias}
    {stride}
    {padding}
    {dilation}
    mask : (N, G·kh·kw, oh, ow) array, optional
        Factors of the taps (version 2 of the paper).
    activation, out, out_dtype, algorithm, precision, accuracy
        As for `conv2d`.

    Returns
    -------
    (N, C_out, oh, ow) array
        Sizes as for `conv2d`.

    Raises
    ------
    {raises}

    Notes
    -----
    y[n, k, p] = Σ_c Σ_r w[k, c, r] · mask[n, r, p] · x[n, c, p·stride − low + r·dilation + offset[n, r, p]] + bias[k], x read
    bilinearly, zero outside.  The groups of the convolution follow from w.

    {numerics}

    References
    ----------
    J. Dai et al.: Deformable convolutional networks, ICCV 2017, arXiv 1703.06211.
    X. Zhu et al.: Deformable ConvNets v2, CVPR 2019, arXiv 1811.11168.

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> nc.deform_conv2d(x, np.full((1, 2, 3, 3), 0.5), np.ones((1, 1, 1, 1)))[0, 0, 0]
    array([2.  , 3.  , 1.75])
    """
    options = (stride, padding, dilation, activation, out_dtype, precision)
    labels = ("x", "offset", "w", "bias", "mask")
    return call("deform_conv2d", deform, labels, (x, offset, w, bias, mask), options, out, algorithm, accuracy=accuracy)
