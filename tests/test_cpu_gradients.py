"""The CPU rows for transposed convolution and the weight gradient, each called directly and held against the oracle."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numba
import numpy as np
import pytest
import reference
from test_cpu_operators import MACHINE, RNG, run, small
from tolerance import assert_same, assert_within

import numconv as nc
from numconv.cpu.named import matrix, scatter, zero_insertion
from numconv.cpu.weight_grad import rows as weight_grad
from numconv.kernel import Kernel
from numconv.problem import ConvProblem

ROW = {row.name: row for module in (matrix, scatter, zero_insertion) for row in module.ROWS}

# spatial, kernel, stride, pad_low, dilation, outputs, groups, in_channels, out_channels: the geometry of the forward map
CASES = [
    ((5,), (3,), (1,), (1,), (1,), (5,), 1, 2, 3),
    ((1,), (1,), (1,), (0,), (1,), (1,), 1, 1, 1),
    ((9, 10), (3, 3), (2, 2), (1, 1), (1, 1), (5, 5), 1, 5, 4),
    ((9, 37), (3, 2), (2, 3), (0, 1), (1, 2), (4, 12), 2, 6, 4),
    ((7, 8), (2, 2), (3, 4), (0, 0), (1, 1), (2, 2), 1, 3, 2),
    ((6, 6), (6, 6), (1, 1), (0, 0), (1, 1), (1, 1), 3, 3, 6),
    ((3, 3), (3, 3), (2, 2), (3, 4), (2, 2), (3, 3), 1, 2, 2),
    ((12, 11), (3, 3), (2, 2), (-2, -1), (1, 1), (3, 3), 1, 2, 2),
    ((2, 1), (3, 3), (1, 1), (3, 5), (1, 1), (6, 9), 1, 2, 2),
    ((40, 300), (3, 3), (2, 2), (1, 1), (1, 1), (20, 150), 1, 5, 3),
    ((5, 6, 7), (2, 3, 3), (1, 2, 2), (1, 1, 0), (2, 1, 1), (5, 3, 3), 2, 4, 4),
]


def problem(case: Any, direction: str, dtype: str, batch: int = 2, out_dtype: str | None = None, **more: Any) -> ConvProblem:
    spatial, kernel, stride, low, dilation, outputs, groups, c_in, c_out = case
    return ConvProblem(
        direction, batch, c_in, c_out, groups, spatial, kernel, stride, low, dilation, outputs, dtype, out_dtype or dtype, **more
    )  # fmt: skip


def transposed_reference(c: ConvProblem, y: Any, w: Any, bias: Any = None) -> Any:
    pads = list(zip(c.pad_low, c.pad_high, strict=True))
    return reference.conv_transpose(y, w, bias, c.stride, pads, 0, c.groups, c.dilation, c.activation)


def _transposed_cases() -> list[Any]:
    """Zero insertion in types other than float32 on two shapes, on all by `-m slow`: each compiles a forward kernel that others test."""
    found = []
    for name, case, dtype in product(ROW, CASES, ("float32", "float64", "int8", "int64")):
        later = name == "zero_insertion" and dtype != "float32" and case not in CASES[2:4]
        found.append(pytest.param(ROW[name], case, dtype, id=f"{dtype}-{case}-{name}", marks=(pytest.mark.slow,) if later else ()))
    return found


@pytest.mark.parametrize(("row", "case", "dtype"), _transposed_cases())
def test_transposed_exact(row: Kernel, case: Any, dtype: str) -> None:
    out_dtype = "int32" if dtype == "int8" else dtype
    c = problem(case, "input_grad", dtype, out_dtype=out_dtype, bias=True)
    y, w, bias = small(2, c.out_channels, *c.outputs, dtype=dtype), small(*c.weight_shape, dtype=dtype), small(c.in_channels, dtype=dtype)
    if row.name == "zero_insertion":
        pytest.importorskip("numconv.cpu.table")
    assert_same(run(row, c, y, w, bias), transposed_reference(c, y, w, bias).astype(out_dtype))


@pytest.mark.parametrize("row", ROW.values(), ids=lambda row: row.name)
@pytest.mark.parametrize("activation", [None, "relu", "relu6", "silu", "hardswish", "sigmoid", "tanh"])
def test_transposed_bound(row: Kernel, activation: str | None) -> None:
    if row.name == "zero_insertion":
        pytest.importorskip("numconv.cpu.table")
    c = problem(CASES[3], "input_grad", "float32", activation=activation)
    y, w = (RNG.standard_normal(s).astype("float32") for s in ((2, c.out_channels, *c.outputs), c.weight_shape))
    magnitude = transposed_reference(replace(c, activation=None), np.abs(y), np.abs(w))
    assert_within(run(row, c, y, w, None), transposed_reference(c, y, w), magnitude + 1, 12, factor=row.error_factor)


def test_scatter_bits_depend_on_neither_threads_nor_batch() -> None:
    c = problem(CASES[9], "input_grad", "float32", batch=3)
    y, w = (RNG.standard_normal(s).astype("float32") for s in ((3, c.out_channels, *c.outputs), c.weight_shape))
    whole = run(ROW["scatter"], c, y, w, None)
    for n in range(3):
        np.testing.assert_array_equal(run(ROW["scatter"], replace(c, batch=1), y[n : n + 1], w, None)[0], whole[n])


def test_matrix_refuses_the_unallocatable() -> None:
    c = problem(((512, 512), (3, 3), (1, 1), (1, 1), (1, 1), (512, 512), 1, 64, 64), "input_grad", "float32", batch=1)
    assert "entries" in str(ROW["matrix"].refuses(c))
    assert ROW["scatter"].refuses(c) is None
    assert ROW["scatter"].workspace(c, MACHINE) < 1 << 20


WEIGHT_CASES = [case for case in CASES if min(case[3]) >= 0] + [
    ((20, 21), (3, 3), (1, 1), (1, 1), (1, 1), (20, 21), 4, 4, 4),
    ((20, 21), (3, 3), (2, 2), (1, 1), (1, 1), (10, 11), 8, 8, 16),
    ((13, 14), (3, 3), (1, 2), (2, 2), (2, 2), (13, 7), 1, 19, 25),
    ((9, 9), (1, 1), (1, 1), (0, 0), (1, 1), (9, 9), 2, 40, 26),
    ((18, 18), (7, 7), (2, 2), (3, 3), (1, 1), (9, 9), 1, 3, 13),
    ((101,), (5,), (2,), (4,), (2,), (51,), 1, 2, 3),
    ((120,), (7,), (1,), (3,), (1,), (120,), 4, 4, 4),
]


EXACT = [row for row in weight_grad.ROWS if row.error_factor == 1]  # Winograd has tests of its own: test_cpu_winograd_weights.py


def weight_reference(c: ConvProblem, x: Any, y: Any) -> Any:
    x = x[(..., *(slice(0, i + min(0, hi)) for i, hi in zip(c.spatial, c.pad_high, strict=True)))]
    pads = [(lo, max(0, hi)) for lo, hi in zip(c.pad_low, c.pad_high, strict=True)]
    return reference.weight_grad(x, y, c.kernel, c.stride, pads, c.dilation, c.groups)


@pytest.mark.parametrize("row", EXACT, ids=lambda row: row.name)
@pytest.mark.parametrize("case", WEIGHT_CASES, ids=str)
@pytest.mark.parametrize("dtype,out_dtype", [("float32", "float32"), ("float64", "float64"), ("int8", "int32"), ("uint8", "int64")])
def test_weight_grad_exact(row: Kernel, case: Any, dtype: str, out_dtype: str) -> None:
    c = problem(case, "weight_grad", dtype, out_dtype=out_dtype)
    low = 0 if dtype[0] == "u" else -4
    x, y = (small(2, ch, *ext, dtype=dtype, low=low) for ch, ext in ((c.in_channels, c.spatial), (c.out_channels, c.outputs)))
    assert_same(run(row, c, x, y), weight_reference(c, x, y).astype(out_dtype))


@pytest.mark.parametrize("row", EXACT, ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weight_grad_bound_and_machines(row: Kernel, dtype: str) -> None:
    for case in WEIGHT_CASES[-4:-2]:
        c = problem(case, "weight_grad", dtype)
        x, y = (RNG.standard_normal((2, ch, *ext)).astype(dtype) for ch, ext in ((c.in_channels, c.spatial), (c.out_channels, c.outputs)))
        magnitude, terms = weight_reference(c, np.abs(x), np.abs(y)), 2 * c.outputs[0] * c.outputs[1]
        for machine in (MACHINE, replace(MACHINE, vector_bytes=64, registers=32)):  # each is compiled anew
            out = np.empty(c.weight_shape, dtype)
            row.run(c, (x, y), out, machine)
            assert_within(out, weight_reference(c, x, y), magnitude, terms, factor=row.error_factor)


@pytest.mark.parametrize("row", weight_grad.ROWS, ids=lambda row: row.name)
def test_weight_grad_bits_do_not_depend_on_threads(row: Kernel) -> None:
    c = problem(((30, 31), (3, 3), (1, 1), (1, 1), (1, 1), (30, 31), 1, 20, 30), "weight_grad", "float32")
    x, y = (RNG.standard_normal((2, ch, 30, 31)).astype("float32") for ch in (20, 30))
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = run(row, c, x, y).copy()
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(run(row, c, x, y), one)


def test_zero_insertion_is_as_exact_as_it_says() -> None:
    """The forward convolution inside is large enough for Winograd, whose rounding the row does not declare."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (1, 32, 24, 24)).astype("float32"), rng.integers(-4, 5, (32, 32, 3, 3)).astype("float32")
    wanted = reference.conv_transpose(x, w, None, stride=(2, 2), pads=[(1, 1), (1, 1)])
    np.testing.assert_array_equal(nc.conv_transpose2d(x, w, stride=2, padding=1, algorithm="zero_insertion"), wanted)
