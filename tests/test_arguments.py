"""Every refusal: its type and its text.  And what is accepted: kinds of arrays, types of results, `out`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import numconv as nc
from numconv.watching import trace


def f(*shape: int, dtype: str = "float32") -> Any:
    return np.ones(shape, dtype)


X, W = f(1, 6, 8, 8), f(8, 3, 3, 3)
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

VALUE_ERRORS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (nc.conv2d, (X, f(8, 4, 3, 3)), {"groups": 2},
     "conv2d: w expects 4 input channels per group times groups=2, x has 6 channels (x (1, 6, 8, 8), w (8, 4, 3, 3))"),
    (nc.conv2d, (X, f(8, 4, 3, 3)), {}, "conv2d: w expects 4 input channels per group times groups=1, x has 6 channels"),
    (nc.conv2d, (X, f(7, 3, 3, 3)), {"groups": 2}, "conv2d: w has 7 filters, which groups=2 does not divide"),
    (nc.conv2d, (X, W), {"groups": 0}, "conv2d: groups must be at least 1; got 0"),
    (nc.conv2d, (f(8, 8), W), {}, "conv2d: x must have the axes (N, C, height, width), N optional; got 2 axes"),
    (nc.conv2d, (f(8, 8), W), {"layout": "channels_last"}, "conv2d: x must have the axes (N, height, width, C), N optional; got 2 axes"),
    (nc.conv2d, (X, f(8, 6, 3)), {}, "conv2d: w must have 4 axes, two of channels and 2 of the kernel; got 3"),
    (nc.conv2d, (X, f(8, 6, 0, 3)), {}, "conv2d: w has an empty kernel axis"),
    (nc.conv2d, (f(1, 0, 8, 8), f(8, 0, 3, 3)), {}, "conv2d: x has no channels"),
    (nc.conv2d, (f(1, 6, 0, 8), f(8, 6, 3, 3)), {}, "conv2d: x has an empty spatial axis"),
    (nc.conv2d, (f(1, 6, 2, 8), f(8, 6, 3, 3)), {}, "conv2d: no output: the kernel's extent 3 exceeds the padded input's 2 + 0 + 0"),
    (nc.conv2d, (f(1, 6, 8, 8), f(8, 6, 3, 3)), {"dilation": 5},
     "conv2d: no output: the kernel's extent 11 exceeds the padded input's 8 + 0 + 0"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"stride": 0}, "conv2d: stride must be at least 1; got 0"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"stride": (1, 2, 3)},
     "conv2d: stride must be an integer or one for each of the 2 spatial axes; got (1, 2, 3)"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"stride": 2**31}, "conv2d: stride must be at most 2147483647; got 2147483648"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"dilation": -1}, "conv2d: dilation must be at least 1; got -1"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"padding": -1}, "conv2d: padding must be at least 0; got -1"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"padding": ((1, 2, 3), 1)},
     "conv2d: padding of an axis must be an integer or a (low, high) pair; got (1, 2, 3)"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"padding": (1, 2, 3)},
     "conv2d: padding must have one entry for each of the 2 spatial axes; got (1, 2, 3)"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"padding": "full"}, "conv2d: padding must be 'valid', 'same', 'same_lower', an integer, one per axis"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"padding_mode": "mirror"},
     "conv2d: padding_mode must be one of 'zeros', 'reflect', 'replicate', 'circular', 'symmetric'; got 'mirror'"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"padding": 8, "padding_mode": "reflect"},
     "conv2d: padding_mode 'reflect' needs padding less than the input's size; got padding (8, 8) of size 8"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"padding": 9, "padding_mode": "symmetric"},
     "conv2d: padding_mode 'symmetric' needs padding at most the input's size"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"padding": 9, "padding_mode": "circular"},
     "conv2d: padding_mode 'circular' needs padding at most the input's size"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"layout": "NHWC"}, "conv2d: layout must be one of 'channels_first', 'channels_last'; got 'NHWC'"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"activation": "gelu"}, "conv2d: activation must be one of None, 'relu', 'relu6'"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"precision": "low"}, "conv2d: precision must be one of 'highest', 'tf32'; got 'low'"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"algorithm": "fastest"}, "conv2d: unknown algorithm 'fastest'; this operator on"),
    (nc.conv2d, (X, f(8, 6, 3, 3), f(6)), {}, "conv2d: bias must have the shape (8,), one for each output channel; got (6,)"),
    (nc.conv1d, (f(1, 2, 9), f(3, 2, 3)), {"padding": (1, 2)},
     "conv1d: padding must have one entry for each of the 1 spatial axes; got (1, 2)"),
    (nc.pointwise_conv2d, (X, f(8, 6, 3, 3)), {},
     "pointwise_conv2d: w must have the shape (C_out, C_in/groups) or (C_out, C_in/groups, 1, 1)"),
    (nc.depthwise_conv2d, (X, f(6, 2, 3, 3)), {},
     "depthwise_conv2d: w must have one input channel per group, as each channel is its own; got 2"),
    (nc.depthwise_conv2d, (X, f(7, 1, 3, 3)), {}, "depthwise_conv2d: w must have a multiple of x's 6 channels as filters; got 7"),
    (nc.conv_transpose2d, (f(1, 4, 5, 5), f(3, 2, 3, 3)), {}, "conv_transpose2d: w expects 3 input channels, x has 4 channels"),
    (nc.conv_transpose2d, (f(1, 4, 5, 5), f(4, 2, 3, 3)), {"groups": 3},
     "conv_transpose2d: x has 4 channels, which groups=3 does not divide"),
    (nc.conv_transpose2d, (f(1, 4, 5, 5), f(4, 2, 3, 3)), {"padding": "same"},
     "conv_transpose2d: padding must be an integer, one per axis"),
    (nc.conv_transpose2d, (f(1, 4, 5, 5), f(4, 2, 3, 3)), {"output_padding": 2, "stride": 2},
     "conv_transpose2d: output_padding must be less than the stride or the dilation; got (2, 2) with stride (2, 2), dilation (1, 1)"),
    (nc.conv_transpose2d, (f(1, 4, 5, 5), f(4, 2, 3, 3)), {"output_size": (9, 30), "stride": 2},
     "conv_transpose2d: output_size (9, 30) is impossible; possible sizes: (11, 12) × (11, 12)"),
    (nc.conv_transpose2d, (f(1, 4, 5, 5), f(4, 2, 3, 3)), {"output_size": (11, 12), "output_padding": 1, "stride": 2},
     "conv_transpose2d: output_size and output_padding exclude each other"),
    (nc.conv_transpose2d, (f(1, 4, 1, 1), f(4, 2, 3, 3)), {"padding": 2}, "conv_transpose2d: no output: its size would be (-1, -1)"),
    (nc.channel_shuffle, (X, 4), {}, "channel_shuffle: x has 6 channels, which groups=4 does not divide (x (1, 6, 8, 8))"),
    (nc.resize2d, (X,), {}, "resize2d: give either size or scale; got size=None, scale=None"),
    (nc.resize2d, (X, 3, 2), {}, "resize2d: give either size or scale; got size=3, scale=2"),
    (nc.resize2d, (X,), {"scale": 0.1}, "resize2d: no output: scale 0.1 makes the size (0, 0)"),
    (nc.resize2d, (X,), {"scale": float("nan")}, "resize2d: scale must be positive and finite; got nan"),
    (nc.resize2d, (X, 3), {"align_corners": True}, "resize2d: align_corners has a meaning only for mode 'bilinear'; got mode 'nearest'"),
    (nc.resize2d, (X, 3), {"mode": "cubic"}, "resize2d: mode must be one of 'nearest', 'bilinear'; got 'cubic'"),
    (nc.deform_conv2d, (X, f(1, 18, 5, 5), f(4, 6, 3, 3)), {}, "deform_conv2d: offset must have the shape (1, 18·offset_groups, 6, 6)"),
    (nc.deform_conv2d, (X, f(1, 18, 6, 6), f(4, 4, 3, 3)), {},
     "deform_conv2d: w's 4 input channels per group do not divide x's 6 channels"),
    (nc.deform_conv2d, (X, f(1, 18, 6, 6), f(4, 6, 3, 3)), {"mask": f(1, 18, 6, 6)},
     "deform_conv2d: mask must have the shape (1, 9, 6, 6)"),
    (nc.dynamic_attention, (X, f(2, 5), f(3, 2)), {}, "dynamic_attention: fc1 must have the shape (hidden, C) for the 6 channels of x"),
    (nc.dynamic_attention, (X, f(2, 6), f(3, 2)), {"temperature": 0}, "dynamic_attention: temperature must be positive and finite; got 0"),
    (nc.dynamic_conv2d, (X, f(3, 8, 6, 3, 3), f(2, 3)), {}, "dynamic_conv2d: attention must have the shape (N, K) = (1, 3); got (2, 3)"),
    (nc.dynamic_conv2d, (X, f(3, 8, 6, 3, 3), f(1, 3), f(8)), {}, "dynamic_conv2d: bias must have the shape (K, C_out) = (3, 8); got (8,)"),
    (nc.flattened_conv2d, (X, f(4, 6), f(3, 3), f(4, 3)), {},
     "flattened_conv2d: vertical must have 2 axes, one row for each filter of the 4"),
    (nc.spatially_separable_conv2d, (X, f(3), f(4, 6, 3)), {},
     "spatially_separable_conv2d: column and row must have the shapes (kh,), (kw,)"),
    (nc.depthwise_separable_conv2d, (X, f(6, 1, 3, 3), f(4, 5)), {},
     "depthwise_separable_conv2d: pointwise must have the shape (C_out, 6)"),
    (nc.unfold, (X, (2, 2, 2, 2)), {}, "unfold: 1 to 3 spatial axes are supported; got 4"),
    (nc.fold, (f(1, 9, 5), (5, 5), (2, 2)), {}, "fold: cols must have a multiple of prod(kernel)=4 rows; got 9"),
    (nc.fold, (f(1, 8, 5), (5, 5), (2, 2)), {}, "fold: cols must have L=16 columns, one per position (4, 4); got 5"),
    (nc.Conv2d, (f(8, 6, 3, 3),), {"stride": 0}, "Conv2d: stride must be at least 1; got 0"),
    (nc.Conv2d, (f(8, 6, 3, 3), f(3)), {}, "Conv2d: bias must have the shape (8,), one for each output channel; got (3,)"),
]  # fmt: skip

TYPE_ERRORS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"stride": 1.0}, "conv2d: stride must be an integer; got 1.0"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"stride": True}, "conv2d: stride must be an integer; got True"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"stride": (1, True)}, "conv2d: stride must be an integer; got True"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"stride": "2"}, "conv2d: stride must be an integer or 2 of them; got '2'"),
    (nc.conv2d, (X, W), {"groups": 2.0}, "conv2d: groups must be an integer; got 2.0"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"padding": 0.5}, "conv2d: padding must be an integer; got 0.5"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"layout": 1}, "conv2d: layout must be a string; got 1"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"algorithm": None}, "conv2d: algorithm must be a string; got None"),
    (nc.conv2d, (X > 0, f(8, 6, 3, 3)), {},
     "conv2d: x has dtype bool, which is not an integer, real or complex type that numconv computes in"),
    (nc.conv2d, (X, f(8, 6, 3, 3).astype(object)), {}, "conv2d: w has dtype object"),
    (nc.conv2d, (None, f(8, 6, 3, 3)), {}, "conv2d: x must be an array; got None (w (8, 6, 3, 3))"),
    (nc.conv2d, (X, "weights"), {}, "conv2d: w has dtype <U7"),
    (nc.conv2d, ([[1, 2], [3]], f(8, 6, 3, 3)), {}, "conv2d: x is not an array"),
    (nc.conv2d, (X.astype("datetime64[s]"), f(8, 6, 3, 3)), {}, "conv2d: x has dtype datetime64[s]"),
    (nc.conv2d, (X.astype(np.longdouble), f(8, 6, 3, 3)), {}, "conv2d: x has dtype float128"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"out_dtype": "int32"}, "conv2d: out_dtype int32 cannot hold sums of float32"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"out_dtype": "float16"},
     "conv2d: out_dtype float16 is narrower than float32, in which the sums are computed"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"out_dtype": "quarter"}, "conv2d: out_dtype must be a dtype; got 'quarter'"),
    (nc.conv2d, (X.astype("c8"), f(8, 6, 3, 3)), {"out_dtype": "float32"}, "conv2d: out_dtype float32 cannot hold sums of complex64"),
    (nc.conv2d, (X.astype("c8"), f(8, 6, 3, 3)), {"activation": "relu"}, "conv2d: activation 'relu' is not defined for complex64"),
    (nc.conv2d, (f(1, 6, 8, 8, dtype="i1"), f(8, 6, 3, 3, dtype="i1")), {"activation": "tanh"},
     "conv2d: activation 'tanh' is not defined for int32"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"out": [1]}, "conv2d: out must be a numpy.ndarray, as the result is; got builtins.list"),
    (nc.conv2d, (X, f(8, 6, 3, 3)), {"out": f(1, 8, 6, 6, dtype="f8")}, "conv2d: out must have dtype float32; got float64"),
    (nc.resize2d, (X.astype(int), 4), {"mode": "bilinear"}, "resize2d: mode 'bilinear' interpolates real numbers; x has dtype int64"),
    (nc.resize2d, (X,), {"scale": "2"}, "resize2d: scale must be a number or one per axis; got '2'"),
    (nc.deform_conv2d, (X.astype(int), f(1, 18, 6, 6, dtype="i8"), f(4, 6, 3, 3, dtype="i8")), {},
     "deform_conv2d: offsets interpolate real numbers"),
    (nc.dynamic_attention, (X.astype(int), f(2, 6, dtype="i8"), f(3, 2, dtype="i8")), {},
     "dynamic_attention: attention is a softmax of real numbers"),
    (nc.Conv2d, (f(8, 6, 3, 3),), {"groups": 1.0}, "Conv2d: groups must be an integer; got 1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "args", "options", "text"), VALUE_ERRORS, ids=[e[3][:60] for e in VALUE_ERRORS])
def test_value_errors(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"^" + re.escape(text)):
        function(*args, **options)


@pytest.mark.parametrize(("function", "args", "options", "text"), TYPE_ERRORS, ids=[e[3][:60] for e in TYPE_ERRORS])
def test_type_errors(function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=r"^" + re.escape(text)):
        function(*args, **options)


def test_options_equal_in_value_but_not_in_type_are_told_apart_after_a_cached_call() -> None:
    x, w = f(1, 1, 4, 4), f(1, 1, 2, 2)
    for _ in range(3):
        nc.conv2d(x, w, stride=1)
        nc.conv2d(x, w, stride=(1, 1))
    for stride in (1.0, True, (1, 1.0), (True, 1), np.float64(1)):
        with pytest.raises(TypeError, match=r"stride must be an integer"):
            nc.conv2d(x, w, stride=stride)
    for stride in (np.int64(1), [1, 1], np.array([1, 1]), (np.int8(1), 1)):
        np.testing.assert_array_equal(nc.conv2d(x, w, stride=stride), nc.conv2d(x, w))


def test_unallocatable() -> None:
    x = np.broadcast_to(np.float32(1), (1, 1, 2**20, 2**20))
    with pytest.raises(MemoryError, match=r"^conv2d: cannot allocate \d+ bytes for float32 of shape"):
        nc.conv2d(x, np.broadcast_to(np.float32(1), (2**40, 1, 1, 1)))
    with pytest.raises(MemoryError, match=r"^conv2d: "):
        nc.conv2d(f(1, 1, 8, 8), f(1, 1, 3, 3), padding=2**40)


def test_composites_check_all_steps_before_the_first_runs() -> None:
    with trace() as steps, pytest.raises(ValueError, match=r"^depthwise_separable_conv2d: bias"):
        nc.depthwise_separable_conv2d(X, f(6, 1, 3, 3), f(4, 6), f(5))
    assert steps == []


def test_out_is_checked() -> None:
    w = f(6, 6, 3, 3)
    with pytest.raises(ValueError, match=re.escape("conv2d: out must have the shape (1, 6, 6, 6); got (1, 6, 5, 6)")):
        nc.conv2d(X, w, out=f(1, 6, 5, 6))
    frozen = f(1, 6, 6, 6)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"conv2d: out is read-only"):
        nc.conv2d(X, w, out=frozen)
    x = f(1, 6, 8, 8)
    for _ in range(2):  # the second call comes from the cache
        with pytest.raises(ValueError, match=r"conv2d: out overlaps an input"):
            nc.conv2d(x, w, padding=1, out=x)
    nc.conv2d(x, w, padding=1)
    with pytest.raises(ValueError, match=r"conv2d: out overlaps an input"):
        nc.conv2d(x, w, padding=1, out=x)


@pytest.mark.parametrize(("x", "w", "out_dtype", "wanted"), [
    ("float32", "float32", None, "float32"), ("float32", "float64", None, "float64"), ("float16", "float16", None, "float16"),
    ("float16", "float32", None, "float32"), ("float16", "float16", "float32", "float32"), ("float32", "complex64", None, "complex64"),
    ("int8", "int8", None, "int32"), ("uint8", "int8", None, "int32"), ("int16", "uint16", None, "int64"), ("int32", "int8", None, "int64"),
    ("uint64", "int64", None, "float64"), ("int8", "int8", "int8", "int8"), ("int8", "int8", "float32", "float32"),
    ("int64", "float32", None, "float64"), ("float32", "float32", "float64", "float64"), ("float32", "float32", "complex128", "complex128"),
    (">f4", "<f4", None, "float32"), ("uint8", "uint8", np.int64, "int64"),
])  # fmt: skip
def test_result_types(x: str, w: str, out_dtype: Any, wanted: str) -> None:
    y = nc.conv2d(np.full((1, 1, 3, 3), 2, x), np.full((1, 1, 2, 2), 3, w), out_dtype=out_dtype)
    assert y.dtype == wanted
    np.testing.assert_array_equal(y, np.full((1, 1, 2, 2), 24))


def test_bias_types() -> None:
    x, w = f(1, 1, 2, 2, dtype="int8"), f(1, 1, 2, 2, dtype="int8")
    assert nc.conv2d(x, w, [1]).dtype == np.int32
    assert nc.conv2d(x, w, [0.5]).dtype == np.float64
    np.testing.assert_array_equal(nc.conv2d(x, w, [0.5]), [[[[4.5]]]])
    assert nc.conv2d(f(1, 1, 2, 2), f(1, 1, 2, 2), np.ones(1)).dtype == np.float64


def test_integers_wrap() -> None:
    y = nc.conv1d(np.full((1, 1, 4), 2**31 - 1, np.int32), np.full((1, 1, 4), 3, np.int32), out_dtype="int32")
    np.testing.assert_array_equal(y, (np.full(4, 2**31 - 1, np.int64).sum() * 3).astype(np.int32).reshape(1, 1, 1))


def test_lists_memmaps_and_torch_tensors(tmp_path: Any) -> None:
    wanted = nc.conv1d(np.arange(5).reshape(1, 5), np.array([[[1, 2]]]))
    got = nc.conv1d([[0, 1, 2, 3, 4]], [[[1, 2]]])
    assert type(got) is np.ndarray
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, wanted)
    file = np.memmap(tmp_path / "x", np.float32, "w+", shape=(1, 1, 5))
    file[:] = np.arange(5)
    got = nc.conv1d(file, f(1, 1, 2))
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, [[[1, 3, 5, 7]]])


def test_torch_tensors_share_memory_both_ways() -> None:
    torch = pytest.importorskip("torch")
    x = torch.arange(25, dtype=torch.float32).reshape(1, 1, 5, 5)
    w = torch.ones(1, 1, 2, 2)
    wanted = torch.nn.functional.conv2d(x, w)
    y = nc.conv2d(x, w)
    assert isinstance(y, torch.Tensor)
    assert torch.equal(y, wanted)
    out = torch.empty_like(wanted)
    assert nc.conv2d(x, w, out=out) is out
    assert torch.equal(out, wanted)
    with pytest.raises(TypeError, match=r"conv2d: out must be a torch.Tensor, as the result is; got numpy.ndarray"):
        nc.conv2d(x, w, out=np.empty((1, 1, 4, 4), np.float32))
    half = nc.conv2d(x.bfloat16(), w.bfloat16())
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, wanted.bfloat16())
    assert nc.conv2d(x.bfloat16(), w.bfloat16(), out_dtype=torch.float32).dtype == torch.float32


def test_unbatched_in_unbatched_out() -> None:
    x, w = f(6, 8, 8), f(4, 6, 3, 3)
    out = np.empty((4, 6, 6), np.float32)
    assert nc.conv2d(x, w, out=out) is out
    np.testing.assert_array_equal(out, nc.conv2d(x[None], w)[0])
    with pytest.raises(ValueError, match=r"out must have the shape"):
        nc.conv2d(x, w, out=out[None])


@pytest.mark.parametrize(("function", "args", "options", "shape"), [
    (nc.conv2d, (f(0, 3, 8, 8), f(4, 3, 3, 3)), {}, (0, 4, 6, 6)),
    (nc.conv2d, (f(2, 3, 8, 8), f(0, 3, 3, 3), f(0)), {}, (2, 0, 6, 6)),
    (nc.conv2d, (f(0, 8, 8, 3), f(4, 3, 3, 3)), {"layout": "channels_last", "padding": 4, "padding_mode": "reflect"}, (0, 14, 14, 4)),
    (nc.conv_transpose2d, (f(0, 3, 4, 4), f(3, 2, 2, 2)), {"stride": 2}, (0, 2, 8, 8)),
    (nc.conv_transpose2d, (f(1, 3, 4, 4), f(3, 0, 2, 2)), {}, (1, 0, 5, 5)),
    (nc.depthwise_separable_conv2d, (f(0, 3, 8, 8), f(3, 1, 3, 3), f(5, 3)), {}, (0, 5, 6, 6)),
    (nc.flattened_conv2d, (f(1, 3, 8, 8), f(0, 3), f(0, 3), f(0, 3)), {}, (1, 0, 6, 6)),
    (nc.spatially_separable_conv2d, (f(1, 3, 8, 8), f(0, 3, 3), f(0, 3, 3)), {}, (1, 0, 6, 6)),
    (nc.dynamic_conv2d, (f(0, 3, 8, 8), f(2, 4, 3, 3, 3), f(0, 2)), {}, (0, 4, 6, 6)),
    (nc.dynamic_attention, (f(0, 3, 8, 8), f(2, 3), f(4, 2)), {}, (0, 4)),
    (nc.resize_conv2d, (f(0, 3, 8, 8), f(4, 3, 3, 3)), {}, (0, 4, 16, 16)),
    (nc.deform_conv2d, (f(0, 3, 8, 8), f(0, 18, 6, 6), f(4, 3, 3, 3)), {}, (0, 4, 6, 6)),
    (nc.channel_shuffle, (f(0, 6, 8), 3), {}, (0, 6, 8)),
    (nc.unfold, (f(0, 3, 8, 8), 3), {}, (0, 27, 36)),
    (nc.fold, (f(0, 27, 36), 8, 3), {}, (0, 3, 8, 8)),
], ids=lambda v: getattr(v, "__name__", None))  # fmt: skip
def test_empty_results_are_legal(function: Any, args: Any, options: Any, shape: tuple[int, ...]) -> None:
    for _ in range(2):
        y = function(*args, **options)
        assert y.shape == shape
        assert y.dtype == np.float32
    out = np.empty(shape, np.float32)
    assert function(*args, **options, out=out) is out


def test_threads_share_the_caches() -> None:
    x, w = f(2, 4, 12, 12), f(4, 4, 3, 3)
    wanted = nc.conv2d(x, w)
    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(lambda _: nc.conv2d(x, w), range(40)):
            np.testing.assert_array_equal(y, wanted)


def test_layers_keep_their_own_weights() -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.integers(-3, 4, (2, 4, 9, 9)).astype("f4"), rng.integers(-3, 4, (6, 2, 3, 3)).astype("f4"), np.arange(6, dtype="f4")
    layer = nc.Conv2d(w, b, stride=2, padding=1, groups=2, activation="relu")
    wanted = nc.conv2d(x, w, b, stride=2, padding=1, groups=2, activation="relu")
    before = w.copy()
    w[:] = 0
    for _ in range(3):
        np.testing.assert_array_equal(layer(x), wanted)
    np.testing.assert_array_equal(layer(x[0]), wanted[0])
    out = np.empty_like(wanted)
    assert layer(x, out=out) is out
    np.testing.assert_array_equal(out, wanted)
    np.testing.assert_array_equal(layer.weight, before)
    layer.weight[:] = 0
    np.testing.assert_array_equal(layer(x.astype("f8")), wanted)
    with pytest.raises(ValueError, match=r"^Conv2d: w expects 2 input channels per group times groups=2, x has 3 channels"):
        layer(x[:, :3])
    up = nc.ConvTranspose2d(before.transpose(1, 0, 2, 3), stride=2)
    np.testing.assert_array_equal(up(x[:, :2]), nc.conv_transpose2d(x[:, :2], before.transpose(1, 0, 2, 3), stride=2))


def test_explain_says_why_not() -> None:
    explanation = nc.explain(nc.conv2d, f(1, 4, 9, 9), f(4, 4, 3, 3))
    text = str(explanation)
    assert explanation.algorithm in nc.algorithms(nc.conv2d)
    for candidate in explanation.candidates:
        assert candidate.kernel.name in text
        if candidate.reason is not None:
            assert candidate.reason in text
            with pytest.raises(ValueError, match=re.escape(f"conv2d: algorithm {candidate.kernel.name!r} {candidate.reason}")):
                nc.conv2d(f(1, 4, 9, 9), f(4, 4, 3, 3), algorithm=candidate.kernel.name)
    with pytest.raises(ValueError, match=r"^algorithms: "):
        nc.algorithms(print)
    with pytest.raises(ValueError, match=r"^algorithms: device"):
        nc.algorithms(nc.conv2d, device="tpu")


def test_import_is_light() -> None:
    heavy = "('numba', 'scipy', 'torch', 'cupy', 'dask', 'matplotlib', 'ml_dtypes')"
    code = f"import sys, numconv; bad = [m for m in {heavy} if m in sys.modules]; assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_all_names_exist() -> None:
    for name in nc.__all__:
        assert getattr(nc, name) is not None
    assert callable(nc.cost)


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: nc.arithmetic.receptive_field(5), TypeError, "receptive_field: layers must be a sequence of dicts; got 5"),
    (lambda: nc.checkerboard.score(["x"], 2), TypeError, "score: image must be real; got dtype <U1"),
    (lambda: nc.separability.separate(np.eye(3), tol="x"), TypeError, "separate: tol must be a number; got 'x'"),
    (lambda: nc.separability.rank(np.eye(3), -1), ValueError, "rank: tol must be at least 0; got -1"),
    (lambda: nc.explain("conv2d", X, W), TypeError, "explain: function must be an operator of numconv; got 'conv2d'"),
    (lambda: nc.vjp(nc.channel_shuffle, X, 2)[1](np.ones(X.shape, object)), TypeError, "vjp: dy must hold numbers; got dtype object"),
    (lambda: nc.convolve([1], None), TypeError, "convolve: in2 must be an array; got None"),
])  # fmt: skip
def test_refusals_beside_the_operators(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        call()


def test_sizes_may_be_arrays() -> None:
    """As ONNX has them."""
    two, three = np.array([2, 2]), np.array([3, 3, 3])
    x = np.arange(64, dtype="float32").reshape(1, 1, 4, 4, 4)
    np.testing.assert_array_equal(nc.unfold(x[0], three), nc.unfold(x[0], (3, 3, 3)))
    cols = nc.unfold(x, three)
    np.testing.assert_array_equal(nc.fold(cols, np.array([4, 4, 4]), three), nc.fold(cols, (4, 4, 4), (3, 3, 3)))
    np.testing.assert_array_equal(nc.resize2d(x[0], scale=two), nc.resize2d(x[0], scale=2))


@pytest.mark.parametrize("layer", [False, True], ids=["function", "layer"])
def test_a_remembered_call_serves_arrays_that_lie_as_they_did_then(layer: bool) -> None:
    """Of the same shape and type, but strided, in Fortran order, misaligned, read-only."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (2, 5, 8, 8)).astype(np.float32), rng.integers(-4, 5, (3, 5, 3, 3)).astype(np.float32)
    made = nc.Conv2d(w) if layer else None

    def run(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return made(x) if made is not None else nc.conv2d(x, w)

    def strided(a: np.ndarray) -> np.ndarray:
        whole = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
        whole[..., ::2] = a
        return whole[..., ::2]

    def misaligned(a: np.ndarray) -> np.ndarray:
        raw = np.zeros(a.nbytes + 1, np.uint8)
        moved = raw[1:].view(a.dtype).reshape(a.shape)
        moved[...] = a
        return moved

    def frozen(a: np.ndarray) -> np.ndarray:
        a = a.copy()
        a.flags.writeable = False
        return a

    expected = [run(x, w), run(x, w)][1]
    for lie in (strided, np.asfortranarray, misaligned, frozen):
        for a, b in ((lie(x), w), (x, lie(w)), (lie(x), lie(w))):
            for _ in range(2):
                np.testing.assert_array_equal(run(a, b), expected)


def test_a_remembered_call_serves_no_other_options() -> None:
    """Options that are equal, or have the same bits, but other types: the first is remembered, the others are checked anew."""
    x, w = np.ones((1, 1, 8, 8), np.float32), np.ones((1, 1, 3, 3), np.float32)
    good: Any
    for good, bad in (
        ((1, 1), (1.0, 1)), ((np.int64(1), 1), (np.float64(5e-324), 1)), ((np.uint8(255), 1), (np.int8(-1), 1)), (((1, 1), (1, 1)), ((1, 1), (1.0, 1))),
    ):  # fmt: skip
        name = "padding" if isinstance(good[0], tuple) else "stride"
        expected = nc.conv2d(x, w, **{name: good})
        with pytest.raises((TypeError, ValueError), match=f"conv2d: {name}"):
            nc.conv2d(x, w, **{name: bad})
        np.testing.assert_array_equal(nc.conv2d(x, w, **{name: good}), expected)
