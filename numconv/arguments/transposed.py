"""Transposed convolution of any rank: the input-gradient map of a convolution, with the sizes that a user may ask for."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..problem import ConvProblem, Ints, effective_kernel
from .request import Request, check_bias, check_size, image, optional, required, unbatch, view, weights
from .types import check_activation, types
from .values import LARGEST, LAYOUTS, PRECISIONS, Pairs, Spec, Subject, choice, integer, padding_pairs, per_axis, shown


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
        raise subject.value(f"padding must be at most {LARGEST}; got {shown(chosen.padding)}")
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
            raise subject.value(f"output_size and output_padding exclude each other; got {shown(options.output_size)} and {extra}")
        wanted = per_axis(subject, "output_size", options.output_size, rank, 1)
        if any(not b <= size < b + s for size, b, s in zip(wanted, base, stride, strict=True)):
            possible = " × ".join(possible_sizes(b, s) for b, s in zip(base, stride, strict=True))
            raise subject.value(f"output_size {wanted} is impossible; possible sizes: {possible}")
        return wanted
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        given = f"got {extra} with stride {stride}, dilation {dilation}"
        raise subject.value(f"output_padding must be less than the stride or the dilation; {given}")
    sizes = tuple(b + e for b, e in zip(base, extra, strict=True))
    if min(sizes) < 1:
        raise subject.value(f"no output: its size would be {sizes}; padding {pairs} crops all of it")
    return sizes


def possible_sizes(base: int, stride: int) -> str:
    low, high = max(base, 1), base + stride - 1
    if high < low:
        return "(none)"
    if high - low < 8:
        return "(" + ", ".join(map(str, range(low, high + 1))) + ("," if low == high else "") + ")"
    return f"({low}, …, {high})"
