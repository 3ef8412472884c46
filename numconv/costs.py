"""What an operator costs, without running it: products, sums, parameters, bytes.

The call is made within `watching.trace`, so every public operator is counted by the problems that it really lowers to::

    convolution                 N·C_out·(C_in/g)·Π k·Π o        products (o the output's extents)
    transposed convolution      N·C_in·(C_out/g)·Π k·Π i        (i the input's extents)

A sum of n products takes n − 1 additions, a bias one more.  `border="skip"` leaves out the products with zeros of the
padding, and those that a transposed convolution's padding crops: the number of pairs (p, r) with 0 ≤ p·s − lo + r·d < i is
counted axis by axis, and the axes' numbers multiply.  Activations, and the exponentials of a softmax, are not counted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import hosts
from .arguments.edge import edge
from .arguments.types import parse_dtype
from .arguments.values import Subject, choice, host_array, shown
from .problem import AttentionProblem, ConvProblem, DeformProblem, FilterProblem, MixProblem, PatchProblem, ResizeProblem, SeparableProblem
from .watching import Step, is_operator, trace, workspace

__all__ = ["Cost", "cost"]

Array = np.ndarray[Any, Any]
DATA = frozenset({"x", "dy", "cols", "offset", "mask", "attention", "in1"})
PARAMETERS = frozenset(
    {
        "w",
        "bias",
        "mid_bias",
        "depthwise",
        "pointwise",
        "column",
        "row",
        "lateral",
        "vertical",
        "horizontal",
        "kernels",
        "fc1",
        "fc2",
        "bias1",
        "bias2",
        "in2",
    }
)


@dataclass(frozen=True)
class Cost:
    """Counts of one call.

    `multiplications`, `additions`: of real or complex numbers, as the operands are; `parameters`: elements of weights and
    biases; `bytes`: inputs and result moved once each, the least; `steps`: what was launched.
    """

    multiplications: int
    additions: int
    parameters: int
    bytes: int
    steps: tuple[Step, ...] = field(default=(), repr=False)

    @property
    def intensity(self) -> float:
        """Arithmetic intensity, 2·multiplications/bytes, in flop per byte."""
        return 2 * self.multiplications / self.bytes if self.bytes else 0.0

    @cached_property
    def workspace(self) -> int:
        """Bytes beyond inputs and result: what lies between the steps, and the most that a chosen kernel takes."""
        return workspace(self.steps, [step.plan() for step in self.steps])


class Count(NamedTuple):
    multiplications: int
    additions: int


@edge("cost", operators=True)
def cost(function: Callable[..., Any], *arguments: Any, border: str = "count", dtype: str = "float32", **options: Any) -> Cost:
    """Count what ``function(*arguments, **options)`` would do.

    Parameters
    ----------
    function : a public operator, e.g. ``nc.conv2d``
    *arguments
        As the function takes them; in place of an array a tuple is its shape.
    border : "count" or "skip"
        Whether products with the padding's zeros count.  Other padding modes repeat real data, which always counts.
    dtype : str
        Of the arrays given as shapes.
    **options
        The function's keywords.

    Returns
    -------
    Cost

    Raises
    ------
    ValueError, TypeError
        As the function itself.

    Examples
    --------
    >>> import numconv as nc
    >>> nc.cost(nc.conv2d, (3, 7, 7), (128, 3, 3, 3)).multiplications
    86400
    >>> nc.cost(nc.depthwise_separable_conv2d, (3, 7, 7), (3, 1, 3, 3), (128, 3)).multiplications
    10275
    """
    subject = Subject("cost")
    skip = choice(subject, "border", border, ("count", "skip")) == "skip"
    if not is_operator(function):
        raise subject.type(f"function must be one of numconv's operators; got {shown(function)}")
    element = hosts.dtype_of(parse_dtype(subject, dtype, "dtype"))
    bound = with_shapes(function, arguments, options, element)
    arrays = {
        n: v if hasattr(v, "shape") else host_array(subject, n, v)
        for n, v in bound.arguments.items()
        if n in DATA | PARAMETERS and v is not None
    }
    with trace() as steps:
        result = function(*bound.args, **bound.kwargs)
    counts = [count_step(step, skip) for step in steps]
    moved = sum(prod(a.shape) * itemsize(a) for a in (*arrays.values(), result))
    return Cost(
        sum(c.multiplications for c in counts),
        sum(c.additions for c in counts),
        sum(prod(a.shape) for n, a in arrays.items() if n in PARAMETERS),
        moved,
        tuple(steps),
    )


def with_shapes(function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], element: Any) -> inspect.BoundArguments:
    """The arguments by name, zeros of no memory in place of tuples that are shapes."""
    bound = inspect.signature(function).bind(*arguments, **options)
    for name, value in bound.arguments.items():
        if name in DATA | PARAMETERS and isinstance(value, (tuple, list)) and all(isinstance(v, (int, np.integer)) for v in value):
            bound.arguments[name] = np.broadcast_to(np.zeros((), element), tuple(value))
    return bound


def itemsize(array: Any) -> int:
    size = getattr(array, "itemsize", None)
    if isinstance(size, int):
        return size
    return int(array.element_size()) if hasattr(array, "element_size") else int(np.dtype(array.dtype).itemsize)


def count_step(step: Step, skip: bool) -> Count:
    """Products and sums of one problem."""
    problem = step.problem
    if isinstance(problem, ConvProblem):
        return count_conv(problem, skip)
    if isinstance(problem, DeformProblem):  # where the samples fall is not known: each is four products, and one with the mask
        products = count_conv(problem.conv, False)
        c = problem.conv
        samples = c.batch * c.in_channels * c.taps * prod(c.outputs)
        return Count(products.multiplications + samples * (5 if problem.masked else 4), products.additions + 3 * samples)
    if isinstance(problem, SeparableProblem):
        return Count(*(a + b for a, b in zip(count_conv(problem.column, skip), count_conv(problem.row, skip), strict=True)))
    if isinstance(problem, ResizeProblem):
        corners = 2 ** len(problem.size) if problem.mode == "bilinear" else 1
        outputs = prod(problem.result_shape)
        return Count(outputs * corners if corners > 1 else 0, outputs * (corners - 1))
    if isinstance(problem, AttentionProblem):
        return count_attention(problem, step)
    if isinstance(problem, FilterProblem):
        outputs = prod(problem.result_shape)
        return Count(outputs * problem.terms, outputs * (problem.terms - len(problem.orders)))
    if isinstance(problem, MixProblem):
        outputs = problem.batch * problem.length
        return Count(outputs * problem.kernels, outputs * (problem.kernels - 1))
    if isinstance(problem, PatchProblem) and problem.direction == "fold":
        # one sum for each element of the columns that is not the first at its pixel
        c = problem.conv
        return Count(0, c.batch * c.in_channels * (prod(a.pairs for a in axes_of(c)) - prod(a.inputs for a in axes_of(c))))
    return Count(0, 0)


def count_attention(problem: AttentionProblem, step: Step) -> Count:
    """The mean (a sum and one product per channel), two matrices, their biases, the temperature."""
    channels, hidden, kernels = problem.channels, problem.hidden, problem.kernels
    biases = sum(prod(s) for s in step.shapes[3:] if s is not None)
    products = channels + channels * hidden + hidden * kernels + (kernels if problem.temperature != 1 else 0)
    sums = channels * (prod(problem.spatial) - 1) + (channels - 1) * hidden + (hidden - 1) * kernels + biases
    return Count(problem.batch * products, problem.batch * sums)


class Reach(NamedTuple):
    """One axis: for each tap the outputs first … last (none if first > last) whose windows have it inside the input."""

    first: Array
    last: Array
    shift: Array  # r·d − lo
    stride: int

    @property
    def pairs(self) -> int:
        """Of an output and a tap."""
        return int(np.maximum(self.last - self.first + 1, 0).sum())

    @property
    def taps(self) -> int:
        """Taps that reach the input at all."""
        return int((self.first <= self.last).sum())

    @property
    def outputs(self) -> int:
        """Outputs that see any of the input."""
        return covered(self.first, self.last)

    @property
    def inputs(self) -> int:
        """Inputs that any window sees: for each phase the taps of that phase cover ranges."""
        phase, base = self.shift % self.stride, self.shift // self.stride
        return sum(covered((base + self.first)[phase == r], (base + self.last)[phase == r]) for r in np.unique(phase))


def covered(first: Array, last: Array) -> int:
    """How many integers lie in any of the ranges first … last."""
    total, end = 0, None
    for a, b in sorted((int(a), int(b)) for a, b in zip(first, last, strict=True) if a <= b):
        total += b - a + 1 if end is None or a > end else max(b - end, 0)
        end = b if end is None else max(end, b)
    return total


def axes_of(problem: ConvProblem, everything: bool = False) -> list[Reach]:
    found = []
    for i, o, k, s, d, lo in zip(
        problem.spatial, problem.outputs, problem.kernel, problem.stride, problem.dilation, problem.pad_low, strict=True
    ):
        shift = np.arange(k) * d - lo
        first, last = np.zeros_like(shift), np.full_like(shift, o - 1)
        if not everything:  # 0 ≤ p·s + shift < i
            first, last = np.maximum(first, -(shift // s)), np.minimum(last, (i - 1 - shift) // s)
        found.append(Reach(first, last, shift, s))
    return found


def count_conv(problem: ConvProblem, skip: bool) -> Count:
    """Of a convolution, of its transpose or of its weights' gradient: the products are the same, the sums differ."""
    axes = axes_of(problem, everything=not skip or problem.padding_mode != "zeros")
    products = problem.batch * problem.out_channels * problem.group_in * prod(a.pairs for a in axes)
    if problem.direction == "weight_grad":
        sums = problem.out_channels * problem.group_in * prod(a.taps for a in axes)
    elif problem.direction == "input_grad":
        sums = problem.batch * problem.in_channels * prod(a.inputs for a in axes)
    else:
        sums = problem.batch * problem.out_channels * prod(a.outputs for a in axes)
    biased = problem.batch * problem.target[0] * prod(problem.target[1]) if problem.bias else 0
    return Count(products, products - sums + biased)
