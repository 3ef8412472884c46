"""Every public variant once: where the survey treats it, what kind of problem it is, sample cases.

Tests, benchmarks, `explain` and the tables of the documentation iterate over `VARIANTS`.  A new variant is one public
function and one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import hosts
from .api import channelwise, deformable, dense, dynamic, patches, resize, separable, shuffle, transposed
from .problem import AttentionProblem, ConvProblem, DeformProblem, Ints, PatchProblem, ResizeProblem, SeparableProblem, ShuffleProblem
from .signal import sums as signal


@dataclass(frozen=True)
class Case:
    """Shapes of the array arguments in order (None: left out) and the keywords."""

    label: str
    shapes: tuple[Ints | None, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def arrays(self, rng: np.random.Generator, dtype: str = "float32") -> tuple[Any, ...]:
        """Small integers, so that every partial sum is exact in any order and type."""
        low = 0 if dtype.startswith("u") else -2
        kind = hosts.dtype_of(dtype)
        return tuple(None if s is None else rng.integers(low, 3, s).astype(kind) for s in self.shapes)


@dataclass(frozen=True)
class Variant:
    """One public function; `problem` and `direction` are those of its (main) kernel."""

    function: Callable[..., Any]
    section: int
    title: str
    problem: type
    cases: tuple[Case, ...]
    direction: str = "forward"
    composite: bool = False  # several kernels in turn
    fused: type | None = None  # the problem of one kernel that may stand in for the last of them

    @property
    def name(self) -> str:
        return self.function.__name__


MODES = ("reflect", "replicate", "circular", "symmetric")
LAST: dict[str, Any] = {"layout": "channels_last"}


def _conv_cases(rank: int) -> tuple[Case, ...]:
    size: Ints = (9, 11, 8)[:rank]
    three, two = (3, 2, 3)[:rank], (2, 3, 2)[:rank]
    every = {"stride": (2, 1, 3)[:rank], "padding": ((1, 0), (2, 1), (0, 2))[:rank], "dilation": (2, 2, 1)[:rank]}
    return (
        Case("plain", ((1, 3, *size), (4, 3, *three))),
        Case("one channel, one filter", ((1, 1, *size), (1, 1, *three))),
        Case("one sample", ((3, *size), (4, 3, *three), (4,)), {"padding": 1}),
        Case("bias, same", ((2, 3, *size), (5, 3, *three), (5,)), {"padding": "same"}),
        Case("same lower, stride", ((2, 2, *size), (3, 2, *two), None), {"padding": "same_lower", "stride": 2}),
        Case("all at once", ((2, 4, *size), (6, 2, *two), (6,)), {**every, "groups": 2}),
        Case("channels last", ((2, *size, 4), (6, 2, *three), (6,)), {**every, "groups": 2, "layout": "channels_last"}),
        *(Case(mode, ((1, 2, *size), (3, 2, *three), None), {"padding": 2, "padding_mode": mode}) for mode in MODES),
        Case("relu", ((1, 3, *size), (4, 3, *three), (4,)), {"activation": "relu"}),
        Case("relu6", ((1, 3, *size), (4, 3, *three), (4,)), {"activation": "relu6"}),
        Case("kernel as large as the input", ((1, 2, *size), (3, 2, *size))),
        Case("taps that see only padding", ((1, 2, *(3, 4, 2)[:rank]), (3, 2, *[5] * rank)), {"padding": 4, "dilation": 2}),
        Case("stride beyond the kernel", ((1, 2, *size), (3, 2, *two)), {"stride": 4}),
        Case("empty batch", ((0, 2, *size), (3, 2, *two))),
    )


def _transpose_cases(rank: int) -> tuple[Case, ...]:
    size: Ints = (4, 5, 3)[:rank]
    three = (3, 2, 3)[:rank]
    return (
        Case("plain", ((1, 3, *size), (3, 4, *three))),
        Case("one sample", ((3, *size), (3, 4, *three), (4,)), {"padding": 1}),
        Case("stride", ((2, 3, *size), (3, 2, *three), (2,)), {"stride": 2}),
        Case("output padding", ((2, 3, *size), (3, 2, *three)), {"stride": 3, "padding": 1, "output_padding": 2}),
        Case("groups, dilation", ((2, 4, *size), (4, 3, *three), (6,)), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
        Case("holes", ((1, 2, *size), (2, 2, *three)), {"stride": 4}),
        Case("cropped beyond the kernel", ((1, 2, *size), (2, 3, *[2] * rank)), {"stride": 3, "padding": 2}),
        Case("pairs, channels last", ((2, *size, 2), (2, 3, *three), (3,)), {"stride": 2, "padding": ((1, 0),) * rank, **LAST}),
        Case("relu", ((1, 3, *size), (3, 4, *three), (4,)), {"activation": "relu", "stride": 2}),
        Case("empty batch", ((0, 3, *size), (3, 4, *three))),
    )


_SIGNALS = (
    Case("full", ((9,), (4,))),
    Case("full, the second larger", ((3, 4), (5, 6))),
    Case("same", ((7, 8), (4, 3)), {"mode": "same"}),
    Case("same, the second larger", ((4, 5), (6, 7)), {"mode": "same"}),
    Case("valid", ((5, 6, 4), (2, 3, 3)), {"mode": "valid"}),
    Case("valid, the second larger", ((3,), (8,)), {"mode": "valid"}),
)

VARIANTS: tuple[Variant, ...] = (
    Variant(signal.convolve, 1, "convolution of signals", ConvProblem, _SIGNALS),
    Variant(signal.correlate, 1, "cross-correlation of signals", ConvProblem, _SIGNALS),
    Variant(dense.conv2d, 2, "2-D convolution", ConvProblem, _conv_cases(2)),
    Variant(dense.conv1d, 2, "1-D convolution", ConvProblem, _conv_cases(1)),
    Variant(dense.conv3d, 3, "3-D convolution", ConvProblem, _conv_cases(3)),
    Variant(dense.pointwise_conv2d, 4, "1×1 convolution", ConvProblem, (
        Case("matrix", ((2, 5, 6, 7), (3, 5), (3,))),
        Case("four axes, stride", ((2, 5, 6, 7), (3, 5, 1, 1)), {"stride": 2, "activation": "relu"}),
        Case("channels last", ((2, 6, 7, 4), (6, 2), (6,)), {"groups": 2, **LAST}),
    )),
    Variant(transposed.conv_transpose2d, 6, "2-D transposed convolution", ConvProblem, _transpose_cases(2), "input_grad"),
    Variant(transposed.conv_transpose1d, 6, "1-D transposed convolution", ConvProblem, _transpose_cases(1), "input_grad"),
    Variant(transposed.conv_transpose3d, 6, "3-D transposed convolution", ConvProblem, _transpose_cases(3), "input_grad"),
    Variant(resize.resize2d, 6, "resize", ResizeProblem, (
        Case("nearest", ((2, 3, 4, 5),), {"size": (7, 3)}),
        Case("nearest, twice", ((2, 3, 4, 5),), {"scale": 2}),
        Case("nearest, scale", ((2, 3, 4, 5),), {"scale": 1.7}),
        Case("bilinear, twice", ((1, 2, 4, 5),), {"scale": 2, "mode": "bilinear"}),
        Case("bilinear, channels last", ((1, 4, 5, 2),), {"size": (8, 10), "mode": "bilinear", **LAST}),
        Case("corners aligned", ((2, 5, 3),), {"size": (9, 5), "mode": "bilinear", "align_corners": True}),
    )),
    Variant(resize.resize_conv2d, 6, "resize, then convolve", ConvProblem, (
        Case("nearest", ((2, 3, 4, 5), (4, 3, 3, 3), (4,))),
        Case("bilinear", ((1, 2, 4, 5), (3, 2, 3, 3)), {"mode": "bilinear"}),
        Case("channels last, groups", ((1, 4, 5, 4), (4, 2, 3, 3), (4,)), {"scale": 3, "groups": 2, "stride": 2, **LAST}),
    ), composite=True),
    Variant(dense.dilated_conv2d, 7, "dilated convolution", ConvProblem, (
        Case("two", ((2, 3, 9, 8), (4, 3, 3, 3), (4,))),
        Case("four, stride", ((1, 2, 13, 12), (3, 2, 3, 3)), {"dilation": 4, "stride": 2}),
        Case("channels last", ((1, 9, 8, 2), (3, 2, 3, 3)), {"dilation": (2, 3), **LAST}),
    )),
    Variant(separable.spatially_separable_conv2d, 8, "spatially separable convolution", ConvProblem, (
        Case("one pair", ((2, 3, 7, 8), (3,), (5,), (3,)), {"padding": "same"}),
        Case("one pair, stride", ((2, 7, 8, 3), (3,), (2,)), {"stride": 2, "dilation": (2, 1), **LAST}),
        Case("rank-1 filters", ((2, 3, 7, 8), (4, 3, 3), (4, 3, 3), (4,)), {"padding": 1}),
        Case("groups", ((2, 6, 7, 8), (4, 3, 3), (4, 3, 2), (4,)), {"stride": (2, 1), "padding": ((1, 0), (0, 2))}),
        Case("groups, channels last", ((2, 7, 8, 4), (6, 2, 3), (6, 2, 3), (6,)), {"padding": "same", "activation": "relu", **LAST}),
    ), composite=True, fused=SeparableProblem),
    Variant(separable.depthwise_separable_conv2d, 8, "depthwise separable convolution", ConvProblem, (
        Case("plain", ((2, 3, 7, 8), (3, 1, 3, 3), (5, 3), (5,))),
        Case("multiplier, stride", ((1, 3, 7, 8), (6, 1, 3, 3), (4, 6, 1, 1), None), {"stride": 2, "padding": 1}),
        Case("channels last", ((1, 7, 8, 3), (3, 1, 3, 2), (4, 3), (4,)), {"dilation": 2, "padding": 1, "mid_activation": "relu", **LAST}),
    ), composite=True),
    Variant(channelwise.depthwise_conv2d, 8, "depthwise convolution", ConvProblem, (
        Case("plain", ((2, 3, 7, 8), (3, 1, 3, 3), (3,)), {"padding": 1}),
        Case("multiplier", ((2, 3, 7, 8), (6, 1, 3, 2), (6,)), {"stride": 2, "padding": 1, "dilation": (1, 2)}),
        Case("one channel", ((1, 1, 7, 8), (2, 1, 3, 3))),
        Case("taps that see only padding", ((1, 2, 3, 4), (2, 1, 7, 9)), {"padding": (4, 5)}),
        Case("channels last", ((2, 7, 8, 3), (3, 1, 5, 5), (3,)), {"padding": "same", "padding_mode": "reflect", **LAST}),
    )),
    Variant(separable.flattened_conv2d, 9, "flattened convolution", ConvProblem, (
        Case("plain", ((2, 3, 7, 8), (4, 3), (4, 3), (4, 5), (4,))),
        Case("stride, padding", ((1, 7, 8, 3), (2, 3), (2, 3), (2, 2)), {"stride": 2, "padding": (1, 2), **LAST}),
    ), composite=True, fused=SeparableProblem),
    Variant(channelwise.grouped_conv2d, 10, "grouped convolution", ConvProblem, (
        Case("two", ((2, 4, 7, 8), (6, 2, 3, 3), (6,))),
        Case("three", ((1, 6, 7, 8), (9, 2, 3, 3)), {"groups": 3, "stride": 2, "padding": 1}),
        Case("channels last", ((1, 7, 8, 4), (6, 2, 3, 3)), LAST),
    )),
    Variant(channelwise.shuffled_grouped_conv2d, 11, "shuffled grouped convolution", ConvProblem, (
        Case("three", ((2, 6, 7, 8), (12, 2, 3, 3), (12,)), {"groups": 3}),
        Case("two, stride", ((1, 4, 7, 8), (6, 2, 3, 3), None), {"stride": 2, "padding": 1, "activation": "relu"}),
        Case("channels last", ((1, 7, 8, 4), (6, 2, 1, 1), (6,)), LAST),
    )),
    Variant(shuffle.channel_shuffle, 11, "channel shuffle", ShuffleProblem, (
        Case("three groups", ((2, 6, 4, 5),), {"groups": 3}),
        Case("channels last", ((2, 4, 5, 6),), {"groups": 2, **LAST}),
    )),
    Variant(channelwise.pointwise_grouped_conv2d, 12, "pointwise grouped convolution", ConvProblem, (
        Case("two", ((2, 4, 5, 6), (6, 2), (6,))),
        Case("three, channels last", ((2, 5, 6, 6), (6, 2, 1, 1)), {"groups": 3, **LAST}),
    )),
    Variant(dynamic.dynamic_attention, 13, "attention over kernels", AttentionProblem, (
        Case("plain", ((3, 4, 4, 4), (2, 4), (3, 2))),
        Case("bias, temperature", ((3, 4, 4, 4), (2, 4), (3, 2), (2,), (3,)), {"temperature": 4.0}),
    )),
    Variant(dynamic.dynamic_conv2d, 13, "dynamic convolution", ConvProblem, (
        Case("plain", ((3, 4, 6, 7), (2, 5, 4, 3, 3), (3, 2))),
        Case("bias, groups", ((2, 4, 6, 7), (3, 6, 2, 3, 3), (2, 3), (3, 6)), {"stride": 2, "padding": 1, "groups": 2}),
        Case("channels last", ((2, 6, 7, 4), (3, 6, 4, 3, 2), (2, 3), (3, 6)), {"padding": "same", "activation": "relu", **LAST}),
    ), composite=True),
    Variant(deformable.deform_conv2d, 13, "deformable convolution", DeformProblem, (
        Case("plain", ((2, 3, 6, 7), (2, 18, 4, 5), (4, 3, 3, 3), (4,))),
        Case("mask, groups", ((1, 4, 6, 7), (1, 24, 3, 4), (4, 2, 3, 2), None),
             {"stride": 2, "padding": 1, "dilation": (1, 2), "mask": (1, 12, 3, 4)}),
    )),
    Variant(patches.unfold, 6, "patches to columns", PatchProblem, (
        Case("plain", ((2, 3, 5, 6),), {"kernel": (3, 2)}),
        Case("all at once", ((3, 7, 8),), {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}),
        Case("three axes", ((1, 2, 4, 5, 4),), {"kernel": 2, "stride": 2}),
    ), "unfold"),
    Variant(patches.fold, 6, "columns to patches", PatchProblem, (
        Case("plain", ((2, 18, 15),), {"output_size": (5, 6), "kernel": (3, 2)}),
        Case("one axis", ((2, 9, 3),), {"output_size": (7,), "kernel": (3,), "stride": 2}),
    ), "fold"),
)  # fmt: skip


def variants() -> tuple[Variant, ...]:
    """Those above, and SciPy's filters, whose modules import SciPy's."""
    from .filter_catalog import FILTERS, TRANSFORMS

    return VARIANTS + FILTERS + TRANSFORMS


def find(function: Callable[..., Any] | str) -> Variant | None:
    """The row of a public function or of its name, or None."""
    filter_of = str(getattr(function, "__module__", "")).startswith(
        tuple(f"{__package__}.{name}" for name in ("ndimage", "signal.planes", "signal.transforms"))
    )
    rows = variants() if filter_of else VARIANTS
    return next((v for v in rows if function is v.function or (isinstance(function, str) and function == v.name)), None)
