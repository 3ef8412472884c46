"""The functions of `torch.nn.grad`: gradients of convolutions without a forward pass.  `vjp` of every operator is in gradients/vjp.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arguments.edge import edge
from .arguments.gradients import input_gradient, weight_gradient
from .call import call, only_step
from .gradients.vjp import vjp
from .session import Session

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight", "vjp"]


def _conjugate_first(session: Session, arrays: tuple[Any, ...], problems: tuple[Any, ...], out: Any) -> Any:
    """The steps of a gradient: the factor that is not the gradient is conjugated."""
    at = 0 if problems[0].direction == "weight_grad" else 1
    arrays = tuple(session.conjugate(a) if i == at else a for i, a in enumerate(arrays))
    return session(problems[0], arrays, out)


def steps(*arrays: Any) -> Any:
    complex_ones = any(str(getattr(a, "dtype", "")).rpartition(".")[2].startswith("complex") for a in arrays)
    return _conjugate_first if complex_ones or not all(isinstance(a, np.ndarray) for a in arrays) else only_step


def _input(rank: int, input_size: Any, weight: Any, grad_output: Any, options: tuple[Any, ...], accuracy: str) -> Any:
    name, labels, arrays = f"grad.conv{rank}d_input", ("grad_output", "weight", "bias"), (grad_output, weight, None)
    return call(name, input_gradient, labels, arrays, (rank, input_size, *options), steps=steps(*arrays[:2]), accuracy=accuracy)


def _weight(rank: int, x: Any, weight_size: Any, grad_output: Any, options: tuple[Any, ...], accuracy: str) -> Any:
    name, labels, arrays = f"grad.conv{rank}d_weight", ("input", "grad_output"), (x, grad_output)
    return call(name, weight_gradient, labels, arrays, (rank, weight_size, *options), steps=steps(*arrays), accuracy=accuracy)


@edge("grad.conv1d_input")
def conv1d_input(
    input_size: Any, weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *,
    accuracy: str = "any",
) -> Any:  # fmt: skip
    """Gradient of `conv1d` with respect to its input, as `torch.nn.grad.conv1d_input`.

    Parameters
    ----------
    input_size : (N, C_in, length), ints
        Shape of the input; N may be left out if grad_output has no batch axis.
    weight : (C_out, C_in/groups, *kernel) array
    grad_output : (N, C_out, *outputs) array
        Gradient of the convolution's result.
    stride, padding, dilation, groups, accuracy : as of `conv1d`

    Returns
    -------
    array of the shape input_size
        Σ grad_output[n, k, p] · conj(weight[k, c, r]) over p·stride − low + r·dilation = q.

    Raises
    ------
    ValueError
        For sizes that do not belong to such a convolution.

    Examples
    --------
    >>> nc.grad.conv1d_input((1, 1, 6), np.ones((1, 1, 3)), np.ones((1, 1, 4))).shape
    (1, 1, 6)
    """
    return _input(1, input_size, weight, grad_output, (stride, padding, dilation, groups), accuracy)


@edge("grad.conv1d_weight")
def conv1d_weight(
    input: Any,  # noqa: A002 - torch's name
    weight_size: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    accuracy: str = "any",
) -> Any:
    """Gradient of `conv1d` with respect to its weights, as `torch.nn.grad.conv1d_weight`.

    Parameters
    ----------
    input : (N, C_in, length) array
        N optional.
    weight_size : (C_out, C_in/groups, *kernel), ints
    grad_output : (N, C_out, *outputs) array
        Gradient of the convolution's result.
    stride, padding, dilation, groups, accuracy : as of `conv1d`

    Returns
    -------
    array of the shape weight_size
        Σ_n Σ_p grad_output[n, k, p] · conj(input[n, c, p·stride − low + r·dilation]), in a fixed order.

    Raises
    ------
    ValueError
        For sizes that do not belong to such a convolution.

    Examples
    --------
    >>> nc.grad.conv1d_weight(np.ones((1, 1, 6)), (1, 1, 3), np.ones((1, 1, 4))).shape
    (1, 1, 3)
    """
    return _weight(1, input, weight_size, grad_output, (stride, padding, dilation, groups), accuracy)


@edge("grad.conv2d_input")
def conv2d_input(
    input_size: Any, weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *,
    accuracy: str = "any",
) -> Any:  # fmt: skip
    """Gradient of `conv2d` with respect to its input, as `torch.nn.grad.conv2d_input`.

    Parameters
    ----------
    input_size : (N, C_in, height, width), ints
        Shape of the input; N may be left out if grad_output has no batch axis.
    weight : (C_out, C_in/groups, *kernel) array
    grad_output : (N, C_out, *outputs) array
        Gradient of the convolution's result.
    stride, padding, dilation, groups, accuracy : as of `conv2d`

    Returns
    -------
    array of the shape input_size
        Σ grad_output[n, k, p] · conj(weight[k, c, r]) over p·stride − low + r·dilation = q.

    Raises
    ------
    ValueError
        For sizes that do not belong to such a convolution.

    Examples
    --------
    >>> nc.grad.conv2d_input((1, 1, 6, 6), np.ones((1, 1, 3, 3)), np.ones((1, 1, 4, 4))).shape
    (1, 1, 6, 6)
    """
    return _input(2, input_size, weight, grad_output, (stride, padding, dilation, groups), accuracy)


@edge("grad.conv2d_weight")
def conv2d_weight(
    input: Any,  # noqa: A002 - torch's name
    weight_size: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    accuracy: str = "any",
) -> Any:
    """Gradient of `conv2d` with respect to its weights, as `torch.nn.grad.conv2d_weight`.

    Parameters
    ----------
    input : (N, C_in, height, width) array
        N optional.
    weight_size : (C_out, C_in/groups, *kernel), ints
    grad_output : (N, C_out, *outputs) array
        Gradient of the convolution's result.
    stride, padding, dilation, groups, accuracy : as of `conv2d`

    Returns
    -------
    array of the shape weight_size
        Σ_n Σ_p grad_output[n, k, p] · conj(input[n, c, p·stride − low + r·dilation]), in a fixed order.

    Raises
    ------
    ValueError
        For sizes that do not belong to such a convolution.

    Examples
    --------
    >>> nc.grad.conv2d_weight(np.ones((1, 1, 6, 6)), (1, 1, 3, 3), np.ones((1, 1, 4, 4))).shape
    (1, 1, 3, 3)
    """
    return _weight(2, input, weight_size, grad_output, (stride, padding, dilation, groups), accuracy)


@edge("grad.conv3d_input")
def conv3d_input(
    input_size: Any, weight: Any, grad_output: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *,
    accuracy: str = "any",
) -> Any:  # fmt: skip
    """Gradient of `conv3d` with respect to its input, as `torch.nn.grad.conv3d_input`.

    Parameters
    ----------
    input_size : (N, C_in, depth, height, width), ints
        Shape of the input; N may be left out if grad_output has no batch axis.
    weight : (C_out, C_in/groups, *kernel) array
    grad_output : (N, C_out, *outputs) array
        Gradient of the convolution's result.
    stride, padding, dilation, groups, accuracy : as of `conv3d`

    Returns
    -------
    array of the shape input_size
        Σ grad_output[n, k, p] · conj(weight[k, c, r]) over p·stride − low + r·dilation = q.

    Raises
    ------
    ValueError
        For sizes that do not belong to such a convolution.

    Examples
    --------
    >>> nc.grad.conv3d_input((1, 1, 6, 6, 6), np.ones((1, 1, 3, 3, 3)), np.ones((1, 1, 4, 4, 4))).shape
    (1, 1, 6, 6, 6)
    """
    return _input(3, input_size, weight, grad_output, (stride, padding, dilation, groups), accuracy)


@edge("grad.conv3d_weight")
def conv3d_weight(
    input: Any,  # noqa: A002 - torch's name
    weight_size: Any,
    grad_output: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    accuracy: str = "any",
) -> Any:
    """Gradient of `conv3d` with respect to its weights, as `torch.nn.grad.conv3d_weight`.

    Parameters
    ----------
    input : (N, C_in, depth, height, width) array
        N optional.
    weight_size : (C_out, C_in/groups, *kernel), ints
    grad_output : (N, C_out, *outputs) array
        Gradient of the convolution's result.
    stride, padding, dilation, groups, accuracy : as of `conv3d`

    Returns
    -------
    array of the shape weight_size
        Σ_n Σ_p grad_output[n, k, p] · conj(input[n, c, p·stride − low + r·dilation]), in a fixed order.

    Raises
    ------
    ValueError
        For sizes that do not belong to such a convolution.

    Examples
    --------
    >>> nc.grad.conv3d_weight(np.ones((1, 1, 6, 6, 6)), (1, 1, 3, 3, 3), np.ones((1, 1, 4, 4, 4))).shape
    (1, 1, 3, 3, 3)
    """
    return _weight(3, input, weight_size, grad_output, (stride, padding, dilation, groups), accuracy)
