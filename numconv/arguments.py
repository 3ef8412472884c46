"""User arguments → problems: convolution and transposed convolution of any rank.

Builders are pure: they see shapes and dtypes (`Spec`), never data, and return a `Request`: the problems to run in turn
and the form in which their arrays are wanted.  Everything a user can get wrong is refused here, before any kernel runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from . import hosts
from .arguments_values import (
    LARGEST,
    LAYOUTS,
    PRECISIONS,
    Pairs,
    Spec,
    Subject,
    Types,
    check_activation,
    check_dtype,
    check_padding_mode,
    choice,
    integer,
    padding_pairs,
    per_axis,
    types,
)
from .problem import ConvProblem, Ints, Problem, effective_kernel

AXES = ("length", "height, width", "depth, height, width")  # of 1, 2, 3 spatial axes


class View(NamedTuple):
    """How a problem wants one of the user's arrays: another shape (a view) and dtype, or None for as it is."""

    shape: Ints | None = None
    dtype: str | None = None


class Request(NamedTuple):
    """What a call amounts to: problems in order, a view for each array, and the shape that the user gets."""

    problems: tuple[Problem, ...]
    views: tuple[View, ...]
    result_shape: Ints


Builder = Callable[[Subject, tuple[Spec | None, ...], tuple[Any, ...]], Request]


class Image(NamedTuple):
    """An image argument, the batch axis supplied."""

    batch: int
    channels: int
    spatial: Ints
    batched: bool

    def full(self, layout: str) -> Ints:
        if layout == "channels_last":
            return (self.batch, *self.spatial, self.channels)
        return (self.batch, self.channels, *self.spatial)


class ConvOptions(NamedTuple):
    """The keywords of a convolution, unchecked."""

    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: Any = 1  # None: one group per input channel
    padding_mode: Any = "zeros"
    layout: Any = "channels_first"
    activation: Any = None
    out_dtype: Any = None
    precision: Any = "highest"


def required(subject: Subject, label: str, spec: Spec | None) -> Spec:
    if spec is None:
        raise subject.type(f"{label} must be an array; got None")
    check_dtype(subject, label, spec)
    return spec


def optional(subject: Subject, label: str, spec: Spec | None) -> Spec | None:
    return None if spec is None else required(subject, label, spec)


def image(subject: Subject, spec: Spec, rank: int, layout: str, label: str = "x") -> Image:
    """The image's parts; an image of rank+1 axes is one sample."""
    shape = spec.shape
    if len(shape) not in (rank + 1, rank + 2):
        form = f"(N, {AXES[rank - 1]}, C)" if layout == "channels_last" else f"(N, C, {AXES[rank - 1]})"
        raise subject.value(f"{label} must have the axes {form}, N optional; got {len(shape)} axes")
    batched = len(shape) == rank + 2
    batch, rest = (shape[0], shape[1:]) if batched else (1, shape)
    channels, spatial = (rest[-1], rest[:-1]) if layout == "channels_last" else (rest[0], rest[1:])
    if channels == 0:
        raise subject.value(f"{label} has no channels")
    if 0 in spatial:
        raise subject.value(f"{label} has an empty spatial axis")
    return Image(batch, channels, spatial, batched)


def weights(subject: Subject, spec: Spec, rank: int, label: str = "w") -> Ints:
    if len(spec.shape) != rank + 2:
        raise subject.value(f"{label} must have {rank + 2} axes, two of channels and {rank} of the kernel; got {len(spec.shape)}")
    if 0 in spec.shape[2:]:
        raise subject.value(f"{label} has an empty kernel axis")
    return spec.shape


def check_bias(subject: Subject, spec: Spec | None, channels: int, label: str = "bias") -> None:
    if spec is not None and spec.shape != (channels,):
        raise subject.value(f"{label} must have the shape ({channels},), one for each output channel; got {spec.shape}")


def check_size(subject: Subject, shape: Ints, dtype: str) -> None:
    """An address space holds less than 2**63 bytes: say so rather than overflow."""
    size = prod(shape) * hosts.dtype_of(dtype).itemsize
    if size > sys.maxsize:
        raise subject.memory(f"cannot allocate {size} bytes for {dtype} of shape {shape}")


def view(spec: Spec | None, shape: Ints | None, dtype: str) -> View:
    """The view that makes `spec` of that shape and dtype; nothing where it is so already."""
    if spec is None:
        return View()
    return View(None if shape is None or shape == spec.shape else shape, None if spec.dtype == hosts.dtype_of(dtype) else dtype)


def forward(subject: Subject, source: Image, w: Ints, kinds: Types, bias: bool, options: ConvOptions, label: str = "w") -> ConvProblem:
    """The problem of a convolution of `source` with weights of shape `w`."""
    rank, kernel = len(source.spatial), w[2:]
    layout = choice(subject, "layout", options.layout, LAYOUTS)
    stride = per_axis(subject, "stride", options.stride, rank, 1)
    dilation = per_axis(subject, "dilation", options.dilation, rank, 1)
    groups = group_count(subject, source.channels, w, options.groups, label)
    pairs = padding_pairs(subject, options.padding, source.spatial, kernel, stride, dilation)
    mode = check_padding_mode(subject, options.padding_mode, pairs, source.spatial)
    outputs = output_sizes(subject, source.spatial, kernel, stride, dilation, pairs)
    problem = ConvProblem(
        direction="forward", batch=source.batch, in_channels=source.channels, out_channels=w[0], groups=groups,
        spatial=source.spatial, kernel=kernel, stride=stride, pad_low=tuple(low for low, _ in pairs), dilation=dilation,
        outputs=outputs, dtype=kinds.operand, out_dtype=kinds.result, padding_mode=mode, layout=layout, bias=bias,
        activation=check_activation(subject, options.activation, kinds.result),
        precision=choice(subject, "precision", options.precision, PRECISIONS),
    )  # fmt: skip
    check_size(subject, problem.result_shape, problem.out_dtype)
    if max(map(max, pairs)) > LARGEST:
        raise subject.value(f"padding must be at most {LARGEST}; got {options.padding!r}")
    return problem


def group_count(subject: Subject, channels: int, w: Ints, groups: Any, label: str = "w") -> int:
    """`groups` checked against the channels of image and weights; None is depthwise."""
    if groups is None:
        if w[1] != 1:
            raise subject.value(f"{label} must have one input channel per group, as each channel is its own; got {w[1]}")
        if w[0] % channels:
            raise subject.value(f"{label} must have a multiple of x's {channels} channels as filters; got {w[0]}")
        return channels
    count = integer(subject, "groups", groups, 1)
    if channels != w[1] * count:
        raise subject.value(f"{label} expects {w[1]} input channels per group times groups={count}, x has {channels} channels")
    if w[0] % count:
        raise subject.value(f"{label} has {w[0]} filters, which groups={count} does not divide")
    return count


def output_sizes(subject: Subject, spatial: Ints, kernel: Ints, stride: Ints, dilation: Ints, pairs: Pairs) -> Ints:
    """⌊(i + p_lo + p_hi − k_e)/s⌋ + 1 per axis, at least 1."""
    found = []
    for i, k, s, d, (low, high) in zip(spatial, kernel, stride, dilation, pairs, strict=True):
        extent = effective_kernel(k, d)
        size = (i + low + high - extent) // s + 1
        if size < 1:
            raise subject.value(f"no output: the kernel's extent {extent} exceeds the padded input's {i} + {low} + {high}")
        found.append(size)
    return tuple(found)


def unbatch(shape: Ints, source: Image) -> Ints:
    return shape if source.batched else shape[1:]


def conv(subject: Subject, specs: tuple[Spec | None, ...], options: tuple[Any, ...]) -> Request:
    """x, w, bias; options: rank, shuffle, then `ConvOptions`."""
    rank, shuffle, *rest = options
    chosen = ConvOptions(*rest)
    layout = choice(subject, "layout", chosen.layout, LAYOUTS)
    x, w, bias = required(subject, "x", specs[0]), required(subject, "w", specs[1]), optional(subject, "bias", specs[2])
    source = image(subject, x, rank, layout)
    kinds = types(subject, (x.dtype, w.dtype), bias and bias.dtype, chosen.out_dtype)
    shape = weights(subject, w, rank)
    problem = forward(subject, source, shape, kinds, bias is not None, chosen)
    check_bias(subject, bias, shape[0])
    if shuffle and 1 < problem.groups < problem.out_channels:  # otherwise the shuffle is the identity
        problem = problem.with_(shuffle=problem.groups)
    views = (view(x, source.full(layout), kinds.operand), view(w, None, kinds.operand), view(bias, None, kinds.bias))
    return Request((problem,), views, unbatch(problem.result_shape, source))


def pointwise(subject: Subject, specs: tuple[Spec | None, ...], options: tuple[Any, ...]) -> Request:
    """As `conv` of rank 2, weights (C_out, C_in/groups) with or without two unit axes."""
    w = required(subject, "w", specs[1])
    shape = w.shape
    if len(shape) not in (2, 4) or shape[2:] not in ((), (1, 1)):
        raise subject.value(f"w must have the shape (C_out, C_in/groups) or (C_out, C_in/groups, 1, 1); got {shape}")
    request = conv(subject, (specs[0], Spec((*shape[:2], 1, 1), w.dtype), specs[2]), options)
    x_view, w_view, bias_view = request.views
    return request._replace(views=(x_view, w_view._replace(shape=(*shape[:2], 1, 1) if len(shape) == 2 else None), bias_view))


class TransposeOptions(NamedTuple):
    """The keywords of a transposed convolution, unchecked."""

    stride: Any = 1
    padding: Any = 0
    output_padding: Any = 0
    groups: Any = 1
    dilation: Any = 1
    output_size: Any = None
    layout: Any = "channels_first"
    activation: Any = None
    out_dtype: Any = None
    precision: Any = "highest"


def transpose(subject: Subject, specs: tuple[Spec | None, ...], options: tuple[Any, ...]) -> Request:
    """x, w (C_in, C_out/groups, *kernel), bias; options: rank, then `TransposeOptions`.  The input-gradient map of a convolution."""
    rank, *rest = options
    chosen = TransposeOptions(*rest)
    layout = choice(subject, "layout", chosen.layout, LAYOUTS)
    x, w, bias = required(subject, "x", specs[0]), required(subject, "w", specs[1]), optional(subject, "bias", specs[2])
    source = image(subject, x, rank, layout)
    kinds = types(subject, (x.dtype, w.dtype), bias and bias.dtype, chosen.out_dtype)
    shape = weights(subject, w, rank)
    groups = integer(subject, "groups", chosen.groups, 1)
    if shape[0] != source.channels:
        raise subject.value(f"w expects {shape[0]} input channels, x has {source.channels} channels")
    if source.channels % groups:
        raise subject.value(f"x has {source.channels} channels, which groups={groups} does not divide")
    stride = per_axis(subject, "stride", chosen.stride, rank, 1)
    dilation = per_axis(subject, "dilation", chosen.dilation, rank, 1)
    pairs = padding_pairs(subject, chosen.padding, source.spatial, shape[2:], stride, dilation, words=False)
    if max(map(max, pairs)) > LARGEST:
        raise subject.value(f"padding must be at most {LARGEST}; got {chosen.padding!r}")
    sizes = transposed_sizes(subject, source.spatial, shape[2:], stride, dilation, pairs, chosen)
    problem = ConvProblem(
        direction="input_grad", batch=source.batch, in_channels=shape[1] * groups, out_channels=source.channels, groups=groups,
        spatial=sizes, kernel=shape[2:], stride=stride, pad_low=tuple(low for low, _ in pairs), dilation=dilation,
        outputs=source.spatial, dtype=kinds.operand, out_dtype=kinds.result, layout=layout, bias=bias is not None,
        activation=check_activation(subject, chosen.activation, kinds.result),
        precision=choice(subject, "precision", chosen.precision, PRECISIONS),
    )  # fmt: skip
    check_size(subject, problem.result_shape, problem.out_dtype)
    check_bias(subject, bias, problem.in_channels)
    views = (view(x, source.full(layout), kinds.operand), view(w, None, kinds.operand), view(bias, None, kinds.bias))
    return Request((problem,), views, unbatch(problem.result_shape, source))


def transposed_sizes(
    subject: Subject, spatial: Ints, kernel: Ints, stride: Ints, dilation: Ints, pairs: Pairs, options: TransposeOptions
) -> Ints:
    """s·(i − 1) + k_e − p_lo − p_hi + output_padding per axis; `output_size` picks among the s sizes that map to one input."""
    rank = len(spatial)
    base = tuple(
        s * (i - 1) + effective_kernel(k, d) - low - high
        for i, k, s, d, (low, high) in zip(spatial, kernel, stride, dilation, pairs, strict=True)
    )
    extra = per_axis(subject, "output_padding", options.output_padding, rank, 0)
    if options.output_size is not None:
        if any(extra):
            raise subject.value(f"output_size and output_padding exclude each other; got {options.output_size!r} and {extra}")
        wanted = per_axis(subject, "output_size", options.output_size, rank, 1)
        if any(not b <= size < b + s for size, b, s in zip(wanted, base, stride, strict=True)):
            possible = " × ".join(_sizes(b, s) for b, s in zip(base, stride, strict=True))
            raise subject.value(f"output_size {wanted} is impossible; possible sizes: {possible}")
        return wanted
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        given = f"got {extra} with stride {stride}, dilation {dilation}"
        raise subject.value(f"output_padding must be less than the stride or the dilation; {given}")
    sizes = tuple(b + e for b, e in zip(base, extra, strict=True))
    if min(sizes) < 1:
        raise subject.value(f"no output: its size would be {sizes}; padding {pairs} crops all of it")
    return sizes


def _sizes(base: int, stride: int) -> str:
    low, high = max(base, 1), base + stride - 1
    if high < low:
        return "(none)"
    if high - low < 8:
        return "(" + ", ".join(map(str, range(low, high + 1))) + ("," if low == high else "") + ")"
    return f"({low}, …, {high})"
