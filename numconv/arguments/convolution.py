"""Convolution of any rank, and pointwise convolution with weights that may lack their unit axes."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..problem import ConvProblem, Ints, effective_kernel
from .request import Image, Request, check_bias, check_size, image, optional, required, unbatch, view, weights
from .types import Types, check_activation, types
from .values import (
    LARGEST,
    LAYOUTS,
    PRECISIONS,
    Pairs,
    Spec,
    Subject,
    check_padding_mode,
    choice,
    integer,
    padding_pairs,
    per_axis,
    shown,
)


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
        raise subject.value(f"padding must be at most {LARGEST}; got {shown(options.padding)}")
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
