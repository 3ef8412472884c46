"""The CPU rows for shuffle, resize, attention, mix and patches, each called directly and held against the oracle."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
import reference
from tolerance import assert_same, assert_within

import numconv as nc
from numconv.cpu.operators import dynamic, patches, resize, shuffle
from numconv.kernel import Kernel, Machine
from numconv.problem import AttentionProblem, ConvProblem, MixProblem, PatchProblem, ResizeProblem, ShuffleProblem

MACHINE = Machine("cpu", cores=2)
RNG = np.random.default_rng(7)


def run(row: Kernel, problem: Any, *arrays: Any) -> Any:
    """Into a guarded output: what lies around it must not change."""
    assert row.refuses(problem) is None
    assert row.cost(problem, MACHINE) > 0
    assert row.workspace(problem, MACHINE) >= 0
    size = prod(problem.result_shape)
    guarded = np.full(size + 128, 77, problem.out_dtype)
    out = guarded[64 : 64 + size].reshape(problem.result_shape)
    for array in arrays:
        if array is not None:
            array.flags.writeable = False
    row.run(problem, arrays, out, MACHINE)
    assert (guarded[:64] == 77).all() and (guarded[64 + size :] == 77).all()
    return out


def small(*shape: int, dtype: str = "float32", low: int = -4, high: int = 5) -> Any:
    return RNG.integers(low, high, shape).astype(dtype)


def to_last(x: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", ["int8", "uint16", "float16", "float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_shuffle(layout: str, dtype: str, groups: int) -> None:
    for spatial in ((5,), (1, 1), (3, 7), (2, 3, 4)):
        x = small(2, 6, *spatial, dtype=dtype, low=0)
        problem = ShuffleProblem(2, 6, spatial, dtype, layout, groups)
        last = layout == "channels_last"
        y = run(shuffle.ROWS[0], problem, to_last(x) if last else x)
        assert_same(np.moveaxis(y, -1, 1) if last else y, reference.shuffle(x, groups))


SIZES = [((5,), (8,)), ((1,), (4,)), ((4, 7), (9, 3)), ((4, 7), (1, 1)), ((3, 17), (6, 34)), ((2, 3, 5), (4, 2, 11))]


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "complex128"])
@pytest.mark.parametrize("spatial,size", SIZES)
def test_nearest(layout: str, dtype: str, spatial: tuple[int, ...], size: tuple[int, ...]) -> None:
    x = small(2, 3, *spatial, dtype=dtype, low=0, high=100)
    last = layout == "channels_last"
    y = run(resize.ROWS[0], ResizeProblem(2, 3, spatial, dtype, layout, size), to_last(x) if last else x)
    assert_same(np.moveaxis(y, -1, 1) if last else y, reference.resize(x, size).astype(dtype))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("spatial,size", SIZES)
def test_bilinear(layout: str, dtype: str, corners: bool, spatial: tuple[int, ...], size: tuple[int, ...]) -> None:
    x = (RNG.standard_normal((2, 3, *spatial)) + (1j * RNG.standard_normal((2, 3, *spatial)) if dtype[0] == "c" else 0)).astype(dtype)
    last = layout == "channels_last"
    row = resize.ROWS[0]
    y = run(row, ResizeProblem(2, 3, spatial, dtype, layout, size, "bilinear", corners), to_last(x) if last else x)
    expected = reference.resize(x, size, mode="bilinear", align_corners=corners)
    magnitude = reference.resize(np.abs(x), size, mode="bilinear", align_corners=corners)
    assert_within(np.moveaxis(y, -1, 1) if last else y, expected, magnitude, 4, factor=row.error_factor)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("scale", [(1.7, 2.3), (0.6, 0.31), (2.0, 0.5)])
def test_resize_by_scale(mode: str, scale: tuple[float, float]) -> None:
    x = RNG.standard_normal((1, 2, 9, 13)).astype("float32")
    size = tuple(int(i * f) for i, f in zip((9, 13), scale, strict=True))
    y = run(resize.ROWS[0], ResizeProblem(1, 2, (9, 13), "float32", "channels_first", size, mode, False, scale), x)
    expected = reference.resize(x, scale=scale, mode=mode)
    assert_within(y, expected, np.abs(x).max() + 0 * expected, 4)


def test_resize_refuses_integers_between_samples() -> None:
    assert resize.ROWS[0].refuses(ResizeProblem(1, 1, (4,), "int32", "channels_first", (8,), "bilinear"))


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("spatial", [(1, 1), (5, 7), (37,), (3, 4, 5)])
def test_attention(layout: str, dtype: str, biased: bool, spatial: tuple[int, ...]) -> None:
    n, c, hidden, kernels = 3, 13, 5, 4
    x, fc1, fc2 = (RNG.standard_normal(s).astype(dtype) for s in ((n, c, *spatial), (hidden, c), (kernels, hidden)))
    bias1, bias2 = (RNG.standard_normal(s).astype(dtype) if biased else None for s in (hidden, kernels))
    problem = AttentionProblem(n, c, spatial, dtype, layout, hidden, kernels, 2.5)
    y = run(dynamic.ROWS[0], problem, to_last(x) if layout == "channels_last" else x, fc1, fc2, bias1, bias2)
    expected = reference.attention(x, fc1, fc2, bias1, bias2, 2.5)
    np.testing.assert_allclose(y, expected, rtol=200 * np.finfo(dtype).eps)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("length", [1, 7, 2048, 5001])
def test_mix(dtype: str, length: int) -> None:
    attention, values = small(3, 4, dtype=dtype), small(4, length, dtype=dtype)
    assert_same(run(dynamic.ROWS[1], MixProblem(3, 4, length, dtype), attention, values), reference.mix(attention, values).astype(dtype))


def geometry(channels: int, spatial: Any, kernel: Any, stride: Any, pads: Any, dilation: Any, dtype: str) -> ConvProblem:
    padded = [i + lo + hi for i, (lo, hi) in zip(spatial, pads, strict=True)]
    outputs = reference.output_sizes(padded, kernel, stride, dilation)
    low = tuple(lo for lo, _ in pads)
    return ConvProblem("forward", 2, channels, channels, channels, spatial, kernel, stride, low, dilation, outputs, dtype, dtype)


PATCHES = [
    ((9,), (3,), (1,), ((0, 0),), (1,)),
    ((9,), (2,), (3,), ((1, 0),), (2,)),
    ((1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((5, 6), (5, 6), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((5, 19), (3, 3), (2, 1), ((1, 1), (2, 1)), (1, 2)),
    ((7, 8), (2, 3), (3, 4), ((0, 1), (3, 0)), (1, 1)),
    ((3, 4), (1, 7), (1, 1), ((0, 0), (5, 5)), (1, 1)),
    ((4, 5, 6), (2, 3, 2), (1, 2, 1), ((1, 0), (1, 1), (0, 0)), (2, 1, 3)),
]


@pytest.mark.parametrize("case", PATCHES, ids=str)
@pytest.mark.parametrize("dtype", ["int8", "int64", "float32", "complex64"])
def test_unfold_and_fold(case: Any, dtype: str) -> None:
    spatial, kernel, stride, pads, dilation = case
    conv = geometry(3, *case, dtype)
    x = small(2, 3, *spatial, dtype=dtype, low=0)
    cols = run(patches.ROWS[0], PatchProblem("unfold", conv), x)
    assert_same(cols, reference.unfold(x, kernel, stride, pads, dilation))
    folded = run(patches.ROWS[0], PatchProblem("fold", conv), cols)
    assert_same(folded, reference.fold(cols, spatial, kernel, stride, pads, dilation).astype(dtype))


def test_every_row_is_described() -> None:
    for row, field in product(shuffle.ROWS + resize.ROWS + dynamic.ROWS + patches.ROWS, ("name", "summary")):
        assert getattr(row, field)


@pytest.mark.parametrize("batch,channels,multiplier", [(3, 1, 4), (1, 3, 64), (3, 1, 64), (1, 1, 16)])
@pytest.mark.parametrize("padding", [0, ((0, 2), (1, 2))])
def test_depthwise_filters_split_over_workers(batch: int, channels: int, multiplier: int, padding: Any) -> None:
    """Few planes: the filters of one channel are divided among the workers."""
    x, w = small(batch, channels, 6, 11), small(channels * multiplier, 1, 3, 2)
    expected = reference.conv(x, w, pads=padding, groups=channels)
    out = np.full(expected.shape, np.nan, "float32")
    nc.conv2d(x, w, padding=padding, groups=channels, out=out, algorithm="depthwise")
    np.testing.assert_array_equal(out, expected)
