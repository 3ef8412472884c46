"""What each variant of the catalog should give: its meaning in terms of the oracle, channels first, in float64 or complex128."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import reference

from numconv.catalog import VARIANTS, Case, Variant
from numconv.problem import effective_kernel

Array = np.ndarray[Any, Any]
ALL = [(variant, case) for variant in VARIANTS for case in variant.cases]
IDS = [f"{variant.name}: {case.label}" for variant, case in ALL]
#: of these the third stage is no sum of products of small integers
INEXACT = {"dynamic_attention"}


def pads(value: Any, spatial: tuple[int, ...], kernel: tuple[int, ...], stride: Any = 1, dilation: Any = 1) -> list[tuple[int, int]]:
    """`padding` as pairs, written down again: independent of the package's."""
    rank = len(kernel)
    strides, dilations = reference.per_axis(stride, rank), reference.per_axis(dilation, rank)
    if value == "valid":
        return [(0, 0)] * rank
    if value in ("same", "same_lower"):
        found = []
        for i, k, s, d in zip(spatial, kernel, strides, dilations, strict=True):
            total = max(0, (-(-i // s) - 1) * s + effective_kernel(k, d) - i)
            low, high = total // 2, total - total // 2
            found.append((high, low) if value == "same_lower" else (low, high))
        return found
    return reference.pairs(value, rank)


def sample_of(x: Array, rank: int, options: dict[str, Any]) -> Array:
    """With the batch axis, channels first."""
    x = x if x.ndim == rank + 2 else x[None]
    return np.moveaxis(x, -1, 1) if options.get("layout") == "channels_last" else x


def conv(x: Array, w: Array, bias: Array | None, o: dict[str, Any], groups: int | None = None, padding: Any = 0) -> Array:
    rank = w.ndim - 2
    x = sample_of(x, rank, o)
    stride, dilation = o.get("stride", 1), o.get("dilation", 1)
    p = pads(o.get("padding", padding), x.shape[2:], w.shape[2:], stride, dilation)
    count = o.get("groups", 1) if groups is None else groups
    return reference.conv(x, w, bias, stride, p, dilation, count, o.get("padding_mode", "zeros"), o.get("activation"))


def dense(x: Array, w: Array, bias: Array | None = None, **o: Any) -> Array:
    return conv(x, w, bias, o)


def dilated(x: Array, w: Array, bias: Array | None = None, **o: Any) -> Array:
    return conv(x, w, bias, {"dilation": 2, "padding": "same", **o})


def grouped(x: Array, w: Array, bias: Array | None = None, **o: Any) -> Array:
    return conv(x, w, bias, {"groups": 2, **o})


def pointwise(x: Array, w: Array, bias: Array | None = None, **o: Any) -> Array:
    return conv(x, w.reshape(*w.shape[:2], 1, 1), bias, o)


def pointwise_grouped(x: Array, w: Array, bias: Array | None = None, **o: Any) -> Array:
    return pointwise(x, w, bias, **{"groups": 2, **o})


def depthwise(x: Array, w: Array, bias: Array | None = None, **o: Any) -> Array:
    return conv(x, w, bias, o, sample_of(x, 2, o).shape[1])


def shuffled(x: Array, w: Array, bias: Array | None = None, **o: Any) -> Array:
    return reference.shuffle(grouped(x, w, bias, **o), o.get("groups", 2))


def transposed(x: Array, w: Array, bias: Array | None = None, **o: Any) -> Array:
    x = sample_of(x, w.ndim - 2, o)
    p = reference.pairs(o.get("padding", 0), w.ndim - 2)
    extra, groups, dilation = o.get("output_padding", 0), o.get("groups", 1), o.get("dilation", 1)
    return reference.conv_transpose(x, w, bias, o.get("stride", 1), p, extra, groups, dilation, o.get("activation"))


def separable(x: Array, depthwise_w: Array, w: Array, bias: Array | None = None, mid_activation: str | None = None, **o: Any) -> Array:
    last = o.pop("activation", None)
    mid = depthwise(x, depthwise_w, None, **o, activation=mid_activation)
    return pointwise(mid, w, bias, activation=last)


def spatially_separable(x: Array, column: Array, row: Array, bias: Array | None = None, **o: Any) -> Array:
    """The outer products as whole filters."""
    w = reference.exact(column)[..., :, None] * reference.exact(row)[..., None, :]
    channels = sample_of(x, 2, o).shape[1]
    if w.ndim == 2:
        w = np.broadcast_to(w, (channels, 1, *w.shape))
    return conv(x, w, bias, o, channels // w.shape[1])


def flattened(x: Array, lateral: Array, vertical: Array, horizontal: Array, bias: Array | None = None, **o: Any) -> Array:
    lateral, vertical, horizontal = map(reference.exact, (lateral, vertical, horizontal))
    return conv(x, lateral[:, :, None, None] * vertical[:, None, :, None] * horizontal[:, None, None, :], bias, o)


def shuffle(x: Array, groups: int, **o: Any) -> Array:
    return reference.shuffle(sample_of(x, 2, o), groups)


def resize(x: Array, layout: str = "channels_first", **o: Any) -> Array:
    return reference.resize(sample_of(x, 2, {"layout": layout}), **o)


def resize_conv(x: Array, w: Array, bias: Array | None = None, scale: Any = 2, mode: str = "nearest", **o: Any) -> Array:
    large = reference.resize(sample_of(x, 2, o), None, scale, mode)
    return conv(large, w, bias, {**o, "layout": "channels_first"}, padding="same")


def dynamic(x: Array, kernels: Array, attention: Array, bias: Array | None = None, **o: Any) -> Array:
    x = sample_of(x, 2, o)
    stride, dilation = o.get("stride", 1), o.get("dilation", 1)
    p = pads(o.get("padding", 0), x.shape[2:], kernels.shape[3:], stride, dilation)
    return reference.dynamic_conv(x, kernels, attention, bias, stride, p, dilation, o.get("groups", 1), activation=o.get("activation"))


def deformable(x: Array, offset: Array, w: Array, bias: Array | None = None, **o: Any) -> Array:
    return reference.deform_conv2d(x, offset, w, bias, o.get("stride", 1), o.get("padding", 0), o.get("dilation", 1), o.get("mask"))


def unfold(x: Array, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Array:
    rank = len(kernel) if isinstance(kernel, tuple) else x.ndim - 2
    return reference.unfold(sample_of(x, rank, {}), reference.per_axis(kernel, rank), stride, padding, dilation)


def fold(cols: Array, output_size: Any, kernel: Any, stride: Any = 1) -> Array:
    return reference.fold(cols, output_size, kernel, stride)


def correlation(in1: Array, in2: Array, mode: str = "full") -> Array:
    """Σ_r in1[p + r]·conj(in2[r]), p from 1 − n₂ on; "valid" where the smaller lies within the larger, "same" the middle, of in1's size."""
    y = reference.conv(in1[None, None], np.conj(in2)[None, None], pads=[(k - 1, k - 1) for k in in2.shape])[0, 0]
    if mode == "same":
        start, size = [(n - i) // 2 for n, i in zip(y.shape, in1.shape, strict=True)], in1.shape
    else:
        start = [min(a, b) - 1 if mode == "valid" else 0 for a, b in zip(in1.shape, in2.shape, strict=True)]
        size = tuple(n - 2 * a for n, a in zip(y.shape, start, strict=True))
    return y[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))]


def convolution(in1: Array, in2: Array, mode: str = "full") -> Array:
    return correlation(in1, np.conj(np.flip(in2)), mode)


MEANING: dict[str, Callable[..., Array]] = {
    **{f"conv{n}d": dense for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": transposed for n in (1, 2, 3)},
    "convolve": convolution,
    "correlate": correlation,
    "pointwise_conv2d": pointwise,
    "dilated_conv2d": dilated,
    "grouped_conv2d": grouped,
    "depthwise_conv2d": depthwise,
    "pointwise_grouped_conv2d": pointwise_grouped,
    "shuffled_grouped_conv2d": shuffled,
    "channel_shuffle": shuffle,
    "depthwise_separable_conv2d": separable,
    "spatially_separable_conv2d": spatially_separable,
    "flattened_conv2d": flattened,
    "resize2d": resize,
    "resize_conv2d": resize_conv,
    "dynamic_attention": reference.attention,
    "dynamic_conv2d": dynamic,
    "deform_conv2d": deformable,
    "unfold": unfold,
    "fold": fold,
}


def arguments(case: Case, rng: np.random.Generator, dtype: str = "float32") -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arrays and keywords; a keyword `mask` is given by its shape."""
    options = dict(case.options)
    if "mask" in options:
        options["mask"] = rng.integers(0, 3, options["mask"]).astype(dtype)
    return case.arrays(rng, dtype), options


def expected(variant: Variant, arrays: tuple[Any, ...], options: dict[str, Any]) -> Array:
    """The oracle's result in the user's layout, the batch axis as the user's image has it."""
    y = MEANING[variant.name](*arrays, **options)
    if options.get("layout") == "channels_last":
        y = np.moveaxis(y, 1, -1)
    return y


def magnitude(variant: Variant, arrays: tuple[Any, ...], options: dict[str, Any]) -> Array:
    """The oracle on absolute values: what the error bound is in proportion to."""
    plain = {**options, "activation": None} if "activation" in options else options
    return expected(variant, tuple(None if a is None else np.abs(a) for a in arrays), plain)


def terms(arrays: tuple[Any, ...]) -> int:
    """At least as many products as any element of the result sums."""
    return max((prod(a.shape) for a in arrays[1:] if a is not None), default=1)
