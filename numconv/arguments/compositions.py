"""User arguments → problems in turn: separable, flattened, resized and dynamic convolutions.

All steps are checked here before the first one runs.  What lies between two steps is kept in the type in which the sums
are made (float32 for half types), so that a composition rounds once, at its end.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ..problem import ConvProblem, Ints, MixProblem, ShuffleProblem
from .convolution import ConvOptions, forward
from .operators import Specs, resized
from .request import Image, Request, check_bias, check_size, image, optional, required, unbatch, view, weights
from .types import INTEGERS, Types, accumulator, check_activation, types
from .values import LAYOUTS, Pairs, Spec, Subject, choice, integer, padding_pairs, per_axis


def _between(kinds: Types) -> str:
    return kinds.result if kinds.operand in INTEGERS else accumulator(kinds.operand)


def _first(kinds: Types) -> Types:
    mid = _between(kinds)
    return Types(kinds.operand, mid, mid if kinds.operand in INTEGERS else kinds.operand)


def _middle(kinds: Types) -> Types:
    return Types(*[_between(kinds)] * 3)


def _last(kinds: Types) -> Types:
    mid = _between(kinds)
    return Types(mid, kinds.result, mid)


def _after(problem: ConvProblem) -> Image:
    return Image(problem.batch, problem.out_channels, problem.outputs, True)


def depthwise_separable(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x, depthwise (C·m, 1, kh, kw), pointwise (C_out, C·m), bias, mid_bias; options: mid_activation, then `ConvOptions`."""
    mid_activation, *rest = options
    chosen = ConvOptions(*rest)
    layout = choice(subject, "layout", chosen.layout, LAYOUTS)
    x, depthwise, pointwise = (required(subject, label, s) for label, s in zip(("x", "depthwise", "pointwise"), specs, strict=False))
    bias, mid_bias = optional(subject, "bias", specs[3]), optional(subject, "mid_bias", specs[4])
    operands = (x.dtype, depthwise.dtype, pointwise.dtype, *(() if mid_bias is None else (mid_bias.dtype,)))
    kinds = types(subject, operands, bias and bias.dtype, chosen.out_dtype)
    source = image(subject, x, 2, layout)
    shape = weights(subject, depthwise, 2, "depthwise")
    if shape[0] == 0:
        raise subject.value("depthwise has no filters: nothing to sum over")
    first_options = chosen._replace(groups=None, activation=mid_activation)
    first = forward(subject, source, shape, _first(kinds), mid_bias is not None, first_options, "depthwise")
    check_bias(subject, mid_bias, shape[0], "mid_bias")
    if len(pointwise.shape) not in (2, 4) or pointwise.shape[2:] not in ((), (1, 1)) or pointwise.shape[1] != shape[0]:
        forms = f"(C_out, {shape[0]}) or (C_out, {shape[0]}, 1, 1)"
        raise subject.value(f"pointwise must have the shape {forms}, as depthwise gives {shape[0]} channels")
    second_options = ConvOptions(layout=layout, activation=chosen.activation, precision=chosen.precision)
    second_shape = (*pointwise.shape[:2], 1, 1)
    second = forward(subject, _after(first), second_shape, _last(kinds), bias is not None, second_options, "pointwise")
    check_bias(subject, bias, second_shape[0])
    views = (
        view(x, source.full(layout), first.dtype),
        view(depthwise, None, first.dtype),
        view(pointwise, second_shape, second.dtype),
        view(bias, None, _last(kinds).bias),
        view(mid_bias, None, _first(kinds).bias),
    )
    return Request((first, second), views, unbatch(second.result_shape, source))


def _matrix(subject: Subject, label: str, spec: Spec, rows: int | None) -> Ints:
    if len(spec.shape) != 2 or spec.shape[1] == 0 or (rows is not None and spec.shape[0] != rows):
        each = "each filter" if rows is None else f"each filter of the {rows}"
        raise subject.value(f"{label} must have 2 axes, one row for {each}; got {spec.shape}")
    return spec.shape


def _by_axis(subject: Subject, source: Image, kernel: Ints, chosen: ConvOptions) -> tuple[ConvOptions, ConvOptions]:
    """The keywords of a vertical and of a horizontal step that make up one convolution."""
    stride = per_axis(subject, "stride", chosen.stride, 2, 1)
    dilation = per_axis(subject, "dilation", chosen.dilation, 2, 1)
    pairs: Pairs = padding_pairs(subject, chosen.padding, source.spatial, kernel, stride, dilation)
    none = (0, 0)
    down = chosen._replace(stride=(stride[0], 1), dilation=(dilation[0], 1), padding=(pairs[0], none), activation=None)
    across = chosen._replace(stride=(1, stride[1]), dilation=(1, dilation[1]), padding=(none, pairs[1]))
    return down, across


def flattened(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x, lateral (F, C), vertical (F, kh), horizontal (F, kw), bias; options: `ConvOptions`."""
    chosen = ConvOptions(*options)
    layout = choice(subject, "layout", chosen.layout, LAYOUTS)
    labels = ("x", "lateral", "vertical", "horizontal")
    x, lateral, vertical, horizontal = (required(subject, label, s) for label, s in zip(labels, specs, strict=False))
    bias = optional(subject, "bias", specs[4])
    kinds = types(subject, (x.dtype, lateral.dtype, vertical.dtype, horizontal.dtype), bias and bias.dtype, chosen.out_dtype)
    source = image(subject, x, 2, layout)
    filters, channels = _matrix(subject, "lateral", lateral, None)
    height, width = _matrix(subject, "vertical", vertical, filters)[1], _matrix(subject, "horizontal", horizontal, filters)[1]
    shapes = ((filters, channels, 1, 1), (filters, 1, height, 1), (filters, 1, 1, width))
    down, across = _by_axis(subject, source, (height, width), chosen)
    mixing = ConvOptions(layout=layout, precision=chosen.precision)
    first = forward(subject, source, shapes[0], _first(kinds), False, mixing, "lateral")
    groups = max(filters, 1)  # no filters at all are legal, and give an empty result
    second = forward(
        subject, _after(first)._replace(channels=groups), shapes[1], _middle(kinds), False, down._replace(groups=groups), "vertical"
    )
    third = forward(
        subject,
        _after(second)._replace(channels=groups),
        shapes[2],
        _last(kinds),
        bias is not None,
        across._replace(groups=groups),
        "horizontal",
    )
    check_bias(subject, bias, filters)
    views = (
        view(x, source.full(layout), first.dtype),
        view(lateral, shapes[0], first.dtype),
        view(vertical, shapes[1], second.dtype),
        view(horizontal, shapes[2], third.dtype),
        view(bias, None, _last(kinds).bias),
    )
    return Request((first, second, third), views, unbatch(third.result_shape, source))


def spatially_separable(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x, column, row, bias; options: `ConvOptions`, groups None for as the filters' shape says.

    1-D factors: two depthwise steps.  3-D factors (C_out, C_in/g, k): the column step makes a map for each pair of filter
    and input channel, the row step sums each filter's maps.  A grouped kernel leaves maps in the order (group, channel,
    filter); the shuffle in its store makes it (filter, group, channel), so that the row step is a grouped convolution of
    neighbours; its own shuffle brings (filter, group) back to (group, filter).  No pass but the two.
    """
    chosen = ConvOptions(*options)
    layout = choice(subject, "layout", chosen.layout, LAYOUTS)
    x, column, row = (required(subject, label, s) for label, s in zip(("x", "column", "row"), specs, strict=False))
    bias = optional(subject, "bias", specs[3])
    kinds = types(subject, (x.dtype, column.dtype, row.dtype), bias and bias.dtype, chosen.out_dtype)
    source = image(subject, x, 2, layout)
    channels = source.channels
    if len(column.shape) not in (1, 3) or len(row.shape) != len(column.shape) or column.shape[:-1] != row.shape[:-1]:
        raise subject.value("column and row must have the shapes (kh,), (kw,) or (C_out, C_in/groups, kh), (C_out, C_in/groups, kw)")
    if 0 in column.shape[1:] or 0 in (column.shape[-1], row.shape[-1]):
        raise subject.value("column and row must not have an empty axis")
    kernel = (column.shape[-1], row.shape[-1])
    down, across = _by_axis(subject, source, kernel, chosen)
    if len(column.shape) == 1:
        if chosen.groups is not None and integer(subject, "groups", chosen.groups, 1) != channels:
            raise subject.value(f"one column and row serve every channel by itself, which is groups={channels}; got groups={chosen.groups}")
        filters, per_group, groups = channels, 1, channels
    else:
        filters, per_group = column.shape[:2]
        groups = channels // per_group if chosen.groups is None else integer(subject, "groups", chosen.groups, 1)
        if per_group * groups != channels or filters % groups:
            wanted = f"{per_group} input channels per group in groups that divide its {filters} filters"
            raise subject.value(f"column expects {wanted}, x has {channels} channels")
    each = filters // groups  # filters per group
    first_shape, second_shape = (channels * each, 1, kernel[0], 1), (filters, per_group, 1, kernel[1])
    first = forward(subject, source, first_shape, _first(kinds), False, down._replace(groups=channels), "column")
    between = _after(first)._replace(channels=max(filters, 1) * per_group)
    second_options = across._replace(groups=max(filters, 1))
    second = forward(subject, between, second_shape, _last(kinds), bias is not None, second_options, "row")
    check_bias(subject, bias, filters)
    if each > 1 and channels > 1:
        first = first.with_(shuffle=channels)
    if each > 1 and groups > 1:
        second = second.with_(shuffle=each)
    lead = (1, 1, 1) if len(column.shape) == 1 else (groups, each, per_group)
    views = (
        view(x, source.full(layout), first.dtype),
        view(column, (*lead, kernel[0]), first.dtype),
        view(row, (*lead, kernel[1]), second.dtype),
        view(bias, (groups, each), _last(kinds).bias),
    )
    return Request((first, second), views, unbatch(second.result_shape, source))


def resize_conv(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x, w, bias; options: scale, mode, align_corners, then `ConvOptions`."""
    scale, mode, align_corners, *rest = options
    chosen = ConvOptions(*rest)
    layout = choice(subject, "layout", chosen.layout, LAYOUTS)
    x, w, bias = required(subject, "x", specs[0]), required(subject, "w", specs[1]), optional(subject, "bias", specs[2])
    kinds = types(subject, (x.dtype, w.dtype), bias and bias.dtype, chosen.out_dtype)
    source = image(subject, x, 2, layout)
    shape = weights(subject, w, 2)
    between = accumulator(kinds.operand) if isinstance(mode, str) and mode == "bilinear" else kinds.operand
    resizing = resized(subject, source, between, None, scale, mode, align_corners, layout)
    last = kinds if between == kinds.operand else Types(between, kinds.result, between)
    conv = forward(subject, source._replace(spatial=resizing.size, batched=True), shape, last, bias is not None, chosen)
    check_bias(subject, bias, shape[0])
    views = (view(x, source.full(layout), between), view(w, None, conv.dtype), view(bias, None, last.bias))
    return Request((resizing, conv), views, unbatch(conv.result_shape, source))


def mixing(batch: int, count: int, length: int, dtype: str) -> MixProblem | ConvProblem:
    """A product of matrices (batch, count) and (count, length); of integers, as a 1×1 convolution of one image."""
    if dtype not in INTEGERS:
        return MixProblem(batch, count, length, dtype)
    return ConvProblem(
        direction="forward", batch=1, in_channels=count, out_channels=batch, groups=1, spatial=(length,), kernel=(1,), stride=(1,),
        pad_low=(0,), dilation=(1,), outputs=(length,), dtype=dtype, out_dtype=dtype,
    )  # fmt: skip


def dynamic(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x, kernels (K, C_out, C_in/g, kh, kw), attention (N, K), bias (K, C_out); options: `ConvOptions`.

    Problems: the convolution of one sample (the plan's choice is made for it, whatever the batch), of all samples as the
    groups of one, the mix of the kernels, of the biases, and the way back to channels last.
    """
    chosen = ConvOptions(*options)
    layout = choice(subject, "layout", chosen.layout, LAYOUTS)
    x, kernels, attention = (required(subject, label, s) for label, s in zip(("x", "kernels", "attention"), specs, strict=False))
    bias = optional(subject, "bias", specs[3])
    kinds = types(subject, (x.dtype, kernels.dtype, attention.dtype), bias and bias.dtype, chosen.out_dtype)
    inner = _last(kinds)
    source = image(subject, x, 2, layout)
    if len(kernels.shape) != 5 or 0 in kernels.shape[3:] or kernels.shape[0] == 0:
        raise subject.value("kernels must have the shape (K, C_out, C_in/groups, kh, kw)")
    count, shape = kernels.shape[0], kernels.shape[1:]
    batch = source.batch
    if attention.shape not in ((batch, count), *([] if source.batched else [(count,)])):
        raise subject.value(f"attention must have the shape (N, K) = ({batch}, {count}); got {attention.shape}")
    if bias is not None and bias.shape != (count, shape[0]):
        raise subject.value(f"bias must have the shape (K, C_out) = ({count}, {shape[0]}); got {bias.shape}")
    one = source._replace(batch=1)
    single = forward(subject, one, shape, inner, bias is not None, chosen._replace(layout="channels_first"), "kernels")
    check_activation(subject, chosen.activation, kinds.result)
    folded = single.with_(in_channels=single.in_channels * batch, out_channels=single.out_channels * batch, groups=single.groups * batch)
    mix, mix_bias = mixing(batch, count, prod(shape), inner.operand), mixing(batch, count, shape[0], inner.bias)
    back = ShuffleProblem(batch, shape[0], single.outputs, kinds.result, layout)
    for result in (mix, back):
        check_size(subject, result.result_shape, result.out_dtype)
    views = (
        view(x, source.full(layout), inner.operand),
        view(kernels, (count, prod(shape)), inner.operand),
        view(attention, (batch, count), inner.operand),
        view(bias, None, inner.bias),
    )
    return Request((single, folded, mix, mix_bias, back), views, unbatch(back.result_shape, source))
