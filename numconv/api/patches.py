"""Patches of an image as columns of a matrix, and back."""

from __future__ import annotations

from typing import Any

from ..arguments.operators import fold as fold_arguments
from ..arguments.operators import unfold as unfold_arguments
from ..call import call
from .docstrings import documented


@documented
def unfold(x: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, out: Any = None) -> Any:
    """The window under every position of a kernel as a column (im2col), as `torch.nn.functional.unfold`.

    Parameters
    ----------
    x : (N, C, *spatial) array
        Images of 1 to 3 spatial axes; N optional where kernel is a tuple.
    kernel : int or one per axis
    {stride}
    {padding}
    {dilation}
    out : array, optional
        Of exactly the result's shape, type and kind; must not overlap x.

    Returns
    -------
    (N, C·prod(kernel), L) array of the type of x
        L positions, the product of the sizes of a convolution.

    Raises
    ------
    {raises}

    Examples
    --------
    >>> nc.unfold(np.arange(4).reshape(1, 1, 4), (2,))
    array([[[0, 1, 2],
            [1, 2, 3]]])
    """
    return call("unfold", unfold_arguments, ("x",), (x,), (kernel, stride, padding, dilation), out)


@documented
def fold(cols: Any, output_size: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, out: Any = None) -> Any:
    """The adjoint of `unfold`: columns put back where they came from and summed (col2im), as `torch.nn.functional.fold`.

    Parameters
    ----------
    cols : (N, C·prod(kernel), L) array
        N optional.
    output_size : int or one per axis
        Spatial size of the result.
    kernel : int or one per axis
        Two spatial axes if both this and output_size are plain ints.
    {stride}
    {padding}
    {dilation}
    out : array, optional
        Of exactly the result's shape, type and kind; must not overlap cols.

    Returns
    -------
    (N, C, *output_size) array of the type of cols; of int32 for integers of up to 16 bits, of int64 for wider ones

    Raises
    ------
    {raises}

    Examples
    --------
    >>> nc.fold(np.ones((1, 2, 3), int), (4,), (2,))
    array([[[1, 2, 2, 1]]])
    """
    return call("fold", fold_arguments, ("cols",), (cols,), (output_size, kernel, stride, padding, dilation), out)
