"""Resizing, and resizing before a convolution: upsampling without checkerboards."""

from __future__ import annotations

from typing import Any

from ..arguments.compositions import resize_conv
from ..arguments.operators import resize
from ..call import call
from ..session import Session
from .dense import LABELS
from .docstrings import documented


@documented
def resize2d(
    x: Any, size: Any = None, scale: Any = None, mode: str = "nearest", align_corners: bool = False, *, layout: str = "channels_first",
    out: Any = None,
) -> Any:  # fmt: skip
    """Resize an image by nearest or bilinear sampling, as `torch.nn.functional.interpolate`.

    Parameters
    ----------
    x : (N, C, H, W) array
        Images, N optional; of real numbers for "bilinear".
    size : int or one per axis, optional
        Spatial size of the result.
    scale : number or one per axis, optional
        In place of size: the result has ⌊scale·i⌋ elements per axis, 1/scale input elements apart.
    mode : {"nearest", "bilinear"}
        "nearest" takes x[⌊p·in/out⌋]; "bilinear" weights the four neighbours.
    align_corners : bool, default False
        Bilinear only: whether the corners' centres fall together, or the corners' outer edges do.
    layout : {"channels_first", "channels_last"}
        Whether images are (N, C, H, W) or (N, H, W, C), in and out.
    out : array, optional
        Of exactly the result's shape, type and kind; must not overlap x.

    Returns
    -------
    (N, C, oh, ow) array of the type of x

    Raises
    ------
    {raises}

    Examples
    --------
    >>> nc.resize2d([[[1.0, 2.0]]], scale=(1, 2))
    array([[[1., 1., 2., 2.]]])
    >>> nc.resize2d([[[1.0, 2.0]]], size=(1, 4), mode="bilinear")
    array([[[1.  , 1.25, 1.75, 2.  ]]])
    """
    return call("resize2d", resize, ("x",), (x,), (size, scale, mode, align_corners, layout), out)


def _resize_then_convolve(run: Session, arrays: tuple[Any, ...], problems: tuple[Any, ...], out: Any) -> Any:
    x, w, bias = arrays
    resizing, conv = problems
    return run(conv, (run(resizing, (x,)), w, bias), out)


@documented
def resize_conv2d(
    x: Any, w: Any, bias: Any = None, scale: Any = 2, mode: str = "nearest", padding: Any = "same", *, align_corners: bool = False,
    stride: Any = 1, dilation: Any = 1, groups: int = 1, padding_mode: str = "zeros", layout: str = "channels_first",
    activation: str | None = None, out: Any = None, out_dtype: Any = None, algorithm: str = "auto",
    precision: str = "highest", accuracy: str = "any",
) -> Any:  # fmt: skip
    """Resize, then convolve: upsampling without checkerboards.

    Parameters
    ----------
    x : (N, C_in, H, W) array
        Images, N optional.
    w : (C_out, C_in/groups, kh, kw) array
        Filters.
    {bias}
    scale : number or one per axis, default 2
        Of the resize.
    mode : {"nearest", "bilinear"}
        Of the resize.
    padding : as for `conv2d`, default "same"
        Elements added at the borders of the resized image.
    align_corners : bool, default False
        As for `resize2d`.
    {stride}
    {dilation}
    {groups}
    {keywords}

    Returns
    -------
    (N, C_out, oh, ow) array
        Sizes as for `conv2d` of an image of ⌊scale·H⌋ × ⌊scale·W⌋.

    Raises
    ------
    {raises}

    Notes
    -----
    Every output is reached by the same taps, so there is no uneven overlap as a transposed convolution may have.

    {numerics}

    References
    ----------
    A. Odena, V. Dumoulin, C. Olah: Deconvolution and checkerboard artifacts, Distill 2016, doi 10.23915/distill.00003.

    Examples
    --------
    >>> nc.resize_conv2d(np.ones((1, 3, 4, 5)), np.ones((2, 3, 3, 3))).shape
    (1, 2, 8, 10)
    """
    options = (scale, mode, align_corners, stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    return call("resize_conv2d", resize_conv, LABELS, (x, w, bias), options, out, algorithm, _resize_then_convolve, accuracy)
