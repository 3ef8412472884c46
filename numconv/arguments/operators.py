"""User arguments → problems: shuffle, resize, attention, deformable convolution, unfold and fold."""

from __future__ import annotations

import math
from typing import Any

from ..problem import AttentionProblem, DeformProblem, Ints, PatchProblem, ResizeProblem, ShuffleProblem
from .convolution import ConvOptions, forward
from .request import Image, Request, View, check_bias, check_size, image, optional, required, unbatch, view, weights
from .types import COMPLEX, FLOATS, INTEGERS, Types, check_dtype, promote, types
from .values import LARGEST, LAYOUTS, PRECISIONS, Spec, Subject, choice, integer, number, per_axis, sequence, shown

Specs = tuple[Spec | None, ...]


def shuffle(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x of any rank; options: groups, layout."""
    groups_given, layout_given = options
    layout = choice(subject, "layout", layout_given, LAYOUTS)
    x = required(subject, "x", specs[0])
    rank = len(x.shape) - 2  # the rank is not told, so the batch axis is not optional
    if rank < 1:
        raise subject.value(f"x must have the axes (N, C, *spatial); got {len(x.shape)} axes")
    source = image(subject, x, rank, layout)
    groups = integer(subject, "groups", groups_given, 1)
    if source.channels % groups:
        raise subject.value(f"x has {source.channels} channels, which groups={groups} does not divide")
    dtype = check_dtype(subject, "x", x)
    problem = ShuffleProblem(source.batch, source.channels, source.spatial, dtype, layout, groups)
    return Request((problem,), (view(x, None, dtype),), problem.result_shape)


def resize(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x (N, C, H, W); options: size, scale, mode, align_corners, layout."""
    size, scale, mode, align_corners, layout_given = options
    layout = choice(subject, "layout", layout_given, LAYOUTS)
    x = required(subject, "x", specs[0])
    source = image(subject, x, 2, layout)
    problem = resized(subject, source, check_dtype(subject, "x", x), size, scale, mode, align_corners, layout)
    return Request((problem,), (view(x, source.full(layout), problem.dtype),), unbatch(problem.result_shape, source))


def resized(
    subject: Subject, source: Image, dtype: str, size: Any, scale: Any, mode: Any, align_corners: Any, layout: str
) -> ResizeProblem:
    rank = len(source.spatial)
    mode = choice(subject, "mode", mode, ("nearest", "bilinear"))
    if not isinstance(align_corners, bool):
        raise subject.type(f"align_corners must be True or False; got {shown(align_corners)}")
    if mode == "nearest" and align_corners:
        raise subject.value("align_corners has a meaning only for mode 'bilinear'; got mode 'nearest'")
    if mode == "bilinear" and (dtype in INTEGERS or dtype in COMPLEX):
        raise subject.type(f"mode 'bilinear' interpolates real numbers; x has dtype {dtype}")
    if (size is None) == (scale is None):
        raise subject.value(f"give either size or scale; got size={shown(size)}, scale={shown(scale)}")
    scales: tuple[float, ...] | None = None
    if size is not None:
        sizes = per_axis(subject, "size", size, rank, 1)
    else:
        scales = scale_factors(subject, scale, rank)
        grown = [i * s for i, s in zip(source.spatial, scales, strict=True)]
        if not max(grown) <= LARGEST:
            raise subject.value(f"the output's size must be at most {LARGEST}; got scale {shown(scale)}")
        sizes = tuple(map(math.floor, grown))
        if min(sizes) < 1:
            raise subject.value(f"no output: scale {shown(scale)} makes the size {sizes}")
        if all(n == i * s for n, i, s in zip(sizes, source.spatial, scales, strict=True)):
            scales = None  # sizes say the same: one problem, one compiled plan
    problem = ResizeProblem(source.batch, source.channels, source.spatial, dtype, layout, sizes, mode, align_corners, scales)
    check_size(subject, problem.result_shape, dtype)
    if max(sizes) > LARGEST:
        raise subject.value(f"the output's size must be at most {LARGEST}; got {sizes}")
    return problem


def scale_factors(subject: Subject, scale: Any, rank: int) -> tuple[float, ...]:
    given = sequence(scale)
    items = [scale] * rank if given is None else given
    if len(items) != rank:
        raise subject.value(f"scale must be a number or one for each of the {rank} spatial axes; got {shown(scale)}")
    found = []
    for item in items:
        value = number(subject, "scale", item, "a number or one per axis")
        if not (value > 0 and math.isfinite(value)):
            raise subject.value(f"scale must be positive and finite; got {shown(scale)}")
        found.append(value)
    return tuple(found)


def attention(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x (N, C, …), fc1 (hidden, C), fc2 (K, hidden), bias1, bias2; options: temperature."""
    x, fc1, fc2 = (required(subject, label, spec) for label, spec in zip(("x", "fc1", "fc2"), specs, strict=False))
    bias1, bias2 = optional(subject, "bias1", specs[3]), optional(subject, "bias2", specs[4])
    temperature, precision = options
    choice(subject, "precision", precision, PRECISIONS)
    heat = number(subject, "temperature", temperature)
    if not (heat > 0 and math.isfinite(heat)):
        raise subject.value(f"temperature must be positive and finite; got {shown(temperature)}")
    if len(x.shape) < 2:
        raise subject.value(f"x must have the axes (N, C, *spatial); got {len(x.shape)} axes")
    batch, channels, spatial = x.shape[0], x.shape[1], x.shape[2:]
    if 0 in x.shape[1:]:
        raise subject.value("x has an empty axis: its mean is not defined")
    if len(fc1.shape) != 2 or fc1.shape[1] != channels or 0 in fc1.shape:
        raise subject.value(f"fc1 must have the shape (hidden, C) for the {channels} channels of x")
    if len(fc2.shape) != 2 or fc2.shape[1] != fc1.shape[0] or 0 in fc2.shape:
        raise subject.value(f"fc2 must have the shape (K, hidden) with hidden={fc1.shape[0]} as fc1 has it")
    check_bias(subject, bias1, fc1.shape[0], "bias1")
    check_bias(subject, bias2, fc2.shape[0], "bias2")
    dtype = promote(subject, *(spec.dtype for spec in specs if spec is not None))
    if dtype not in FLOATS:
        raise subject.type(f"attention is a softmax of real numbers; the arrays' common type is {dtype}")
    problem = AttentionProblem(batch, channels, spatial or (1,), dtype, "channels_first", fc1.shape[0], fc2.shape[0], heat)
    views = (view(x, (batch, channels, *problem.spatial), dtype), *(view(spec, None, dtype) for spec in specs[1:]))
    return Request((problem,), views, problem.result_shape)


def deform(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x, offset, w, bias, mask; options: stride, padding, dilation, activation, out_dtype, precision."""
    stride, padding, dilation, activation, out_dtype, precision = options
    x, offset, w = (required(subject, label, spec) for label, spec in zip(("x", "offset", "w"), specs, strict=False))
    bias, mask = optional(subject, "bias", specs[3]), optional(subject, "mask", specs[4])
    kinds = types(subject, tuple(s.dtype for s in (x, offset, w, mask) if s is not None), bias and bias.dtype, out_dtype)
    if kinds.operand not in FLOATS:
        raise subject.type(f"offsets interpolate real numbers; the arrays' common type is {kinds.operand}")
    source = image(subject, x, 2, "channels_first")
    shape = weights(subject, w, 2)
    if shape[1] == 0 or source.channels % shape[1]:
        raise subject.value(f"w's {shape[1]} input channels per group do not divide x's {source.channels} channels")
    groups = source.channels // shape[1]
    chosen = ConvOptions(stride, padding, dilation, groups, activation=activation, precision=precision)
    conv = forward(subject, source, shape, kinds, bias is not None, chosen)
    check_bias(subject, bias, shape[0])
    lead = (source.batch,) if source.batched else ()
    per_group = 2 * conv.taps
    channels = offset.shape[len(lead)] if len(offset.shape) == len(lead) + 3 else 0
    wanted = (*lead, channels, *conv.outputs)
    if channels == 0 or channels % per_group or offset.shape != wanted or source.channels % (channels // per_group):
        form = f"({', '.join(map(str, lead))}{', ' if lead else ''}{per_group}·offset_groups, {conv.outputs[0]}, {conv.outputs[1]})"
        raise subject.value(f"offset must have the shape {form}, offset_groups dividing x's {source.channels} channels")
    offset_groups = channels // per_group
    if mask is not None and mask.shape != (*lead, channels // 2, *conv.outputs):
        raise subject.value(f"mask must have the shape {(*lead, channels // 2, *conv.outputs)}, half of offset's channels")
    problem = DeformProblem(conv, offset_groups, mask is not None)
    full: Ints = () if source.batched else (1,)
    views = (
        view(x, source.full("channels_first"), kinds.operand),
        view(offset, full + offset.shape, kinds.operand),
        view(w, None, kinds.operand),
        view(bias, None, kinds.bias),
        View() if mask is None else view(mask, full + mask.shape, kinds.operand),
    )
    return Request((problem,), views, unbatch(problem.result_shape, source))


def _patches(subject: Subject, direction: str, source: Image, dtype: str, options: tuple[Any, ...]) -> PatchProblem:
    kernel_given, stride, padding, dilation = options
    kernel = per_axis(subject, "kernel", kernel_given, len(source.spatial), 1)
    geometry = ConvOptions(stride, padding, dilation, None)
    conv = forward(subject, source, (source.channels, 1, *kernel), Types(dtype, dtype, dtype), False, geometry)
    problem = PatchProblem(direction, conv)
    check_size(subject, problem.result_shape, dtype)
    return problem


def unfold(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """x (N, C, *spatial); options: kernel, stride, padding, dilation.  A kernel of one int takes its rank from a batched x."""
    x = required(subject, "x", specs[0])
    kernel = sequence(options[0])
    rank = len(x.shape) - 2 if kernel is None else len(kernel)
    if not 1 <= rank <= 3:
        raise subject.value(f"1 to 3 spatial axes are supported; got {rank}")
    source = image(subject, x, rank, "channels_first")
    problem = _patches(subject, "unfold", source, check_dtype(subject, "x", x), options)
    return Request((problem,), (view(x, source.full("channels_first"), problem.dtype),), unbatch(problem.result_shape, source))


def fold(subject: Subject, specs: Specs, options: tuple[Any, ...]) -> Request:
    """cols (N, C·prod(kernel), L); options: output_size, kernel, stride, padding, dilation.  Two ints mean two axes, as in torch."""
    size_given, *rest = options
    cols = required(subject, "cols", specs[0])
    ranks = [len(items) for items in map(sequence, (size_given, rest[0])) if items is not None]
    rank = ranks[0] if ranks else 2
    if not 1 <= rank <= 3:
        raise subject.value(f"1 to 3 spatial axes are supported; got {rank}")
    if len(cols.shape) not in (2, 3):
        raise subject.value(f"cols must have the axes (N, C·prod(kernel), L), N optional; got {len(cols.shape)} axes")
    size = per_axis(subject, "output_size", size_given, rank, 1)
    kernel = per_axis(subject, "kernel", rest[0], rank, 1)
    batched = len(cols.shape) == 3
    rows, length = cols.shape[-2:]
    taps = math.prod(kernel)
    if rows == 0 or rows % taps:
        raise subject.value(f"cols must have a multiple of prod(kernel)={taps} rows; got {rows}")
    source = Image(cols.shape[0] if batched else 1, rows // taps, size, batched)
    dtype = types(subject, (cols.dtype,), None, None).result  # integers are summed in 32 or 64 bits, as everywhere
    problem = _patches(subject, "fold", source, dtype, tuple(rest))
    outputs = problem.conv.outputs
    if length != math.prod(outputs):
        raise subject.value(f"cols must have L={math.prod(outputs)} columns, one per position {outputs}; got {length}")
    shape = (source.batch, rows, length)
    return Request((problem,), (view(cols, shape, problem.dtype),), unbatch(problem.result_shape, source))
