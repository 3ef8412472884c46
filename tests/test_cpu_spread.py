"""The `spread` row: every tile of positions, narrow and wide rows, taps that see nothing, inputs read to their last byte; in both layouts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import reference
from guarded import guarded

from numconv.cpu.dense.channels.plan import prepared
from numconv.cpu.dense.rows import ROWS
from numconv.cpu.machine import detect
from numconv.problem import ConvProblem, effective_kernel, image_shape

ROW = ROWS[-1]
#: channels of a group in and out, groups, spatial, kernel, stride, padding, dilation
CASES = (
    *((3, 40, 1, (2, width), (1, 3), 1, 1, 1) for width in range(1, 18)),
    *((4, 33, 1, (width,), (1,), 1, 0, 1) for width in (5, 14, 49, 113, 224)),
    *((8, 16, 1, (44, width), (3, 3), 1, 1, 1) for width in (17, 38, 56)),  # one register of channels
    *((250, 64, 1, (3, width), (3, 3), 1, 1, 1) for width in (1, 2, 3)),
    (2, 17, 2, (9, 8), (3, 3), 2, 1, 1),
    (2, 5, 3, (6, 7, 8), (3, 2, 3), (2, 1, 2), (1, 0, 1), 1),
    (1, 20, 1, (5, 5), (5, 5), 1, 4, 1),
    (3, 20, 1, (7, 9), (3, 3), 1, 6, 6),
    (3, 20, 1, (30, 31), (4, 4), 4, 0, 1),
    (3, 20, 1, (4, 600), (3, 3), 3, 1, 2),
    (512, 5, 1, (3, 29), (1, 3), (1, 2), (0, 1), 1),
    (40, 33, 2, (3, 15), (1, 3), (1, 2), (0, 1), 1),
)
LAYOUTS = ("channels_first", "channels_last")
#: on which plans are asserted, whatever this machine is
WIDE = replace(detect(), vector_bytes=64, registers=32, multiply_adds=1, cores=2, l1=32 << 10, l2=1 << 20)


def _problem(case: tuple, dtype: str) -> ConvProblem:
    channels, produced, groups, spatial, kernel, stride, padding, dilation = case
    rank = len(spatial)
    stride, padding, dilation = (v if isinstance(v, tuple) else (v,) * rank for v in (stride, padding, dilation))
    outputs = tuple(
        (i + 2 * p - effective_kernel(k, d)) // s + 1 for i, p, k, d, s in zip(spatial, padding, kernel, dilation, stride, strict=True)
    )
    return ConvProblem(
        "forward", 2, channels * groups, produced * groups, groups, spatial, kernel, stride, padding, dilation, outputs, dtype, dtype, bias=True
    )  # fmt: skip


def _integers(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def _compute(p: ConvProblem, x: np.ndarray, w: np.ndarray, bias: np.ndarray, plain: bool = False) -> np.ndarray:
    """Of channels first, in the problem's layout, to channels first."""
    machine, last = detect(), p.layout == "channels_last"
    out = np.full(p.result_shape, 99, p.dtype)
    ROW.run(p, (np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x, w if plain else ROW.pack(p, w, machine), bias), out, machine)
    return np.moveaxis(out, -1, 1) if last else out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[3:])))
def test_forward(case: tuple, layout: str) -> None:
    p = _problem(case, "float32").with_(layout=layout)
    x, w, bias = (
        _integers((2, p.in_channels, *p.spatial), "float32", 1),
        _integers(p.weight_shape, "float32", 2),
        _integers((p.out_channels,), "float32", 3),
    )
    expected = reference.conv(x, w, bias, stride=p.stride, pads=[(a, a) for a in p.pad_low], dilation=p.dilation, groups=p.groups)
    np.testing.assert_array_equal(_compute(p, x, w, bias), expected)
    np.testing.assert_array_equal(_compute(p, x, w, bias, plain=True), expected)  # packed ahead of the tasks, in parts
    np.testing.assert_array_equal(
        _compute(p.with_(batch=1), x[:1], w, bias, plain=True), expected[:1]
    )  # by the task that uses a block, where boxes are few


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[3:])))
def test_transposed(case: tuple, layout: str) -> None:
    """The same geometry read backwards: `spatial` is produced."""
    p = _problem(case, "float32").with_(direction="input_grad", layout=layout)
    x, w, bias = (
        _integers((2, p.out_channels, *p.outputs), "float32", 1),
        _integers(p.weight_shape, "float32", 2),
        _integers((p.in_channels,), "float32", 3),
    )
    extra = [
        i - ((o - 1) * s - 2 * a + effective_kernel(k, d))
        for i, o, s, a, k, d in zip(p.spatial, p.outputs, p.stride, p.pad_low, p.kernel, p.dilation, strict=True)
    ]
    expected = reference.conv_transpose(
        x, w, bias, stride=p.stride, pads=[(a, a) for a in p.pad_low], output_padding=extra, groups=p.groups, dilation=p.dilation
    )
    np.testing.assert_array_equal(_compute(p, x, w, bias), expected)


def test_the_plan_counts_the_packing_of_weights_given_plain() -> None:
    """Few positions, many filters: shared out by filters, each packed by who uses it; packed before, shared out by positions."""
    p = _problem((256, 288, 1, (17, 17), (3, 3), 2, 0, 1), "float32").with_(batch=1)
    packed, plain = prepared(p, WIDE, 2), prepared(p, WIDE, 2, given=True)
    assert (packed.plan.h.boxes, plain.plan.h.boxes) == (2, 1)
    assert packed.tile == plain.tile


def test_pixels_beyond_the_second_cache_are_asked_for() -> None:
    """Of the next tile, one after the other: pointwise, one group, channels last."""
    p = _problem((64, 32, 1, (96, 96), (1, 1), 1, 0, 1), "float32").with_(layout="channels_last")
    far, near = (prepared(p, replace(WIDE, l2=size), 1) for size in (1 << 20, 1 << 22))
    assert (far.tile[4], near.tile[4]) == (True, False)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "int32", "int64"])
def test_other_types(dtype: str, layout: str) -> None:
    p = _problem((3, 40, 2, (7, 13), (3, 3), 1, 1, 1), dtype).with_(layout=layout)
    x, w, bias = _integers((2, 6, 7, 13), dtype, 1), _integers(p.weight_shape, dtype, 2), _integers((80,), dtype, 3)
    expected = reference.conv(x, w, bias, stride=p.stride, pads=[(1, 1)] * 2, dilation=p.dilation, groups=2)
    np.testing.assert_array_equal(_compute(p, x, w, bias), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shuffle", [1, 4])
@pytest.mark.parametrize("activation", ["relu6", "hardswish"])
def test_sums_are_finished(activation: str, shuffle: int, layout: str) -> None:
    """Bias, activation and shuffle on the way out; padding of another width on each side."""
    p = _problem((3, 20, 2, (7, 13), (3, 3), 1, 1, 1), "float32")
    p = p.with_(layout=layout, activation=activation, shuffle=shuffle, pad_low=(2, 0), outputs=(7, 12))
    x, w, bias = _integers((2, 6, 7, 13), "float32", 1), _integers(p.weight_shape, "float32", 2), _integers((40,), "float32", 3)
    expected = reference.conv(x, w, bias, pads=[(2, 0), (0, 1)], groups=2, activation=activation)
    np.testing.assert_allclose(_compute(p, x, w, bias), reference.shuffle(expected, shuffle), rtol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[3:])))
def test_reads_stay_inside(case: tuple, at_end: bool, layout: str) -> None:
    """Inputs, weights and output that touch a page which may not be touched: a read or write outside ends the process."""
    p = _problem(case, "float32").with_(batch=1, layout=layout)
    machine = detect()
    x, w = (
        guarded(np.ones(image_shape(1, p.in_channels, p.spatial, layout), "float32"), at_end),
        guarded(np.ones(p.weight_shape, "float32"), at_end),
    )
    out, bias = guarded(np.zeros(p.result_shape, "float32"), at_end), guarded(np.ones(p.out_channels, "float32"), at_end)
    packed = guarded(ROW.pack(p, w, machine), at_end)
    ROW.run(p, (x, packed, bias), out, machine)
    assert out.min() >= 1
