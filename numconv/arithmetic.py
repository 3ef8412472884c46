"""Sizes: of outputs, of the inputs behind them, of paddings, and of what an output sees.

Everywhere k_e = d·(k−1) + 1 and, for paddings (lo, hi)::

    convolution    o  = ⌊(i + lo + hi − k_e) / s⌋ + 1
    transposed     o' = (i' − 1)·s + k_e − lo − hi + a        a: the output padding, 0 ≤ a < max(s, d)

Integers in give integers out; as soon as one of the sizes is a sequence, tuples come out.

References
----------
Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285.
Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, doi 10.23915/distill.00021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from .arguments.edge import public
from .arguments.transposed import possible_sizes
from .arguments.values import Pairs, Subject, flag, padding_pairs, per_axis, same_pair, sequence, shown
from .problem import effective_kernel
from .receptive import ReceptiveField, receptive_field
from .relationships import Relationship, relationships

__all__ = [
    "ReceptiveField",
    "Relationship",
    "conv_output_shape",
    "conv_transpose_output_shape",
    "input_sizes",
    "output_padding_for",
    "receptive_field",
    "relationships",
    "same_padding",
]

MOST = 10**6  # sizes in one answer
Size = int | Sequence[int]
Padding = int | str | Sequence[Any]


@dataclass(frozen=True)
class Axis:
    """One axis of the arithmetic; `size` is whatever the function is given per axis (an input's or an output's extent)."""

    size: int
    kernel: int
    stride: int
    dilation: int
    extra: int = 0

    @property
    def extent(self) -> int:
        return effective_kernel(self.kernel, self.dilation)

    def smallest_source(self, low: int, high: int) -> int:
        """(size − 1)·s + k_e − lo − hi: the least input whose convolution has this size."""
        return (self.size - 1) * self.stride + self.extent - low - high


def is_sequence(value: Any) -> bool:
    return sequence(value) is not None


def read_axes(
    subject: Subject, first: str, size: Any, kernel: Any, stride: Any, dilation: Any, extra: Any = 0, least: int = 1
) -> tuple[list[Axis], bool]:
    """One `Axis` each, and whether the answer is a tuple."""
    given = {first: size, "kernel": kernel, "stride": stride, "dilation": dilation, "output_padding": extra}
    lengths = {len(v) for v in given.values() if is_sequence(v)}
    if len(lengths) > 1 or 0 in lengths:
        found = ", ".join(f"{k} {shown(v)}" for k, v in given.items() if is_sequence(v))
        raise subject.value(f"sequences must have one entry per axis each; got {found}")
    rank = max(lengths, default=1)
    smallest = {first: least, "kernel": 1, "stride": 1, "dilation": 1, "output_padding": 0}
    columns = [per_axis(subject, name, value, rank, smallest[name]) for name, value in given.items()]
    return [Axis(*row) for row in zip(*columns, strict=True)], bool(lengths)


def paddings(subject: Subject, axes: list[Axis], padding: Any, many: bool, words: bool = True) -> Pairs:
    """(low, high) per axis.  Where all sizes are plain integers, two integers are one pair."""
    if not many and is_sequence(padding) and len(padding) == 2 and not any(map(is_sequence, padding)):
        padding = [tuple(padding)]
    sizes, kernels, strides, dilations = zip(*((a.size, a.kernel, a.stride, a.dilation) for a in axes), strict=True)
    return padding_pairs(subject, padding, sizes, kernels, strides, dilations, words)


@public
def conv_output_shape(spatial: Size, kernel: Size, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> Any:
    """Output size of a convolution, ⌊(i + lo + hi − k_e)/s⌋ + 1 per axis.

    Parameters
    ----------
    spatial, kernel, stride, dilation : int or one int per axis
    padding : int, one int per axis, one (low, high) pair per axis, "valid", "same" or "same_lower"

    Returns
    -------
    int or tuple of int

    Raises
    ------
    ValueError
        Where the dilated kernel is larger than the padded input.

    Examples
    --------
    >>> conv_output_shape(7, 3)
    5
    >>> conv_output_shape((224, 224), 7, 2, 3)
    (112, 112)
    """
    subject = Subject("conv_output_shape")
    axes, many = read_axes(subject, "spatial", spatial, kernel, stride, dilation)
    sizes = []
    for axis, (lo, hi) in zip(axes, paddings(subject, axes, padding, many), strict=True):
        room = axis.size + lo + hi - axis.extent
        if room < 0:
            raise subject.value(f"no output: the kernel's extent {axis.extent} exceeds the padded input's {axis.size} + {lo} + {hi}")
        sizes.append(room // axis.stride + 1)
    return tuple(sizes) if many else sizes[0]


@public
def conv_transpose_output_shape(
    spatial: Size, kernel: Size, stride: Size = 1, padding: Padding = 0, output_padding: Size = 0, dilation: Size = 1
) -> Any:
    """Output size of a transposed convolution, (i − 1)·s + k_e − lo − hi + output_padding per axis.

    Examples
    --------
    >>> conv_transpose_output_shape(2, 3, padding=0)
    4
    >>> conv_transpose_output_shape((7, 7), 3, 2, 1, 1)
    (14, 14)
    """
    subject = Subject("conv_transpose_output_shape")
    axes, many = read_axes(subject, "spatial", spatial, kernel, stride, dilation, output_padding)
    sizes = []
    for axis, (lo, hi) in zip(axes, paddings(subject, axes, padding, many, words=False), strict=True):
        if axis.extra >= max(axis.stride, axis.dilation):
            raise subject.value(
                f"output_padding must be less than the stride or the dilation; got {axis.extra} with stride {axis.stride}, "
                f"dilation {axis.dilation}"
            )
        size = axis.smallest_source(lo, hi) + axis.extra
        if size < 1:
            raise subject.value(f"no output: its size would be {size}; padding {(lo, hi)} crops all of it")
        sizes.append(size)
    return tuple(sizes) if many else sizes[0]


@public
def input_sizes(output: Size, kernel: Size, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> tuple[Any, ...]:
    """All input sizes that a convolution maps to `output`, ascending: up to s of them per axis.

    i = (o − 1)·s + k_e − lo − hi + a for a = 0 … s−1, as far as i ≥ 1; with "same", i = (o − 1)·s + 1 … o·s.

    Returns
    -------
    tuple of int, or of shapes (every combination) where sequences are given; empty if no input has that output

    Examples
    --------
    >>> input_sizes(3, 3, stride=2)
    (7, 8)
    >>> input_sizes((2, 3), 3, stride=(1, 2))
    ((4, 7), (4, 8))
    """
    subject = Subject("input_sizes")
    axes, many = read_axes(subject, "output", output, kernel, stride, dilation)
    same = isinstance(padding, str) and padding in ("same", "same_lower")
    pads = paddings(subject, axes, padding, many)
    each = []
    for axis, (lo, hi) in zip(axes, pads, strict=True):
        least = (axis.size - 1) * axis.stride + 1 if same else axis.smallest_source(lo, hi)
        each.append(range(max(1, least), max(1, least + axis.stride)))
    count = prod(sizes.stop - sizes.start for sizes in each)
    if count > MOST:
        raise subject.value(f"{shown(count)} {'shapes' if many else 'sizes'} are too many to list")
    return tuple(product(*each)) if many else tuple(each[0])


@public
def output_padding_for(output_size: Size, spatial: Size, kernel: Size, stride: Size = 1, padding: Padding = 0, dilation: Size = 1) -> Any:
    """The output padding with which a transposed convolution of an input of size `spatial` has size `output_size`.

    a = output_size − ((i − 1)·s + k_e − lo − hi), which must be 0 … s−1: the sizes that the convolution maps back to `spatial`.

    Examples
    --------
    >>> output_padding_for(14, 7, 3, stride=2, padding=1)
    1
    """
    subject = Subject("output_padding_for")
    wanted_axes = sequence(output_size)
    if wanted_axes is not None and not is_sequence(spatial):
        spatial = [spatial] * len(wanted_axes)  # type: ignore[list-item]
    axes, many = read_axes(subject, "spatial", spatial, kernel, stride, dilation)
    wanted = per_axis(subject, "output_size", output_size, len(axes), 1)
    pads = paddings(subject, axes, padding, many, words=False)
    least = [axis.smallest_source(lo, hi) for axis, (lo, hi) in zip(axes, pads, strict=True)]
    extra = tuple(w - m for w, m in zip(wanted, least, strict=True))
    if any(not 0 <= e < a.stride for e, a in zip(extra, axes, strict=True)):
        possible = " × ".join(possible_sizes(m, a.stride) for m, a in zip(least, axes, strict=True))
        raise subject.value(f"output_size {shown(output_size)} is impossible; possible sizes: {possible}")
    return extra if many else extra[0]


@public
def same_padding(spatial: Size, kernel: Size, stride: Size = 1, dilation: Size = 1, lower: bool = False) -> Any:
    """The (low, high) padding for which o = ⌈i/s⌉: total max((o−1)·s + k_e − i, 0), the odd one at the high end (`lower`: the low end).

    TensorFlow's and JAX's SAME; at stride 1 also torch's.

    Examples
    --------
    >>> same_padding(8, 3, stride=2)
    (0, 1)
    >>> same_padding((5, 5), (3, 4))
    ((1, 1), (1, 2))
    """
    subject = Subject("same_padding")
    axes, many = read_axes(subject, "spatial", spatial, kernel, stride, dilation)
    low = flag(subject, "lower", lower)
    pairs = tuple(same_pair(a.size, a.kernel, a.stride, a.dilation, low) for a in axes)
    return pairs if many else pairs[0]
