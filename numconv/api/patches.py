"""Patches of an image as columns of a matrix, and back."""

from __future__ import annotations

from typing import Any

from .. import arguments_operators as arguments
from ..dispatch import call


def unfold(x: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, out: Any = None) -> Any:
    """The window under every position of a kernel as a column (im2col)."""
    return call("unfold", arguments.unfold, ("x",), (x,), (kernel, stride, padding, dilation), out)


def fold(cols: Any, output_size: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, out: Any = None) -> Any:
    """The adjoint of `unfold`: columns put back where they came from and summed (col2im)."""
    return call("fold", arguments.fold, ("cols",), (cols,), (output_size, kernel, stride, padding, dilation), out)
