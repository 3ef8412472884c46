"""The deformable row, called directly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from test_cpu_operators import RNG, run, small
from tolerance import assert_same, assert_within

from numconv.cpu.operators.deformable.forward import ROWS
from numconv.problem import ConvProblem, DeformProblem

# spatial, kernel, stride, pads, dilation, groups, offset groups, in, out
CASES = [
    ((5, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, 1, 2, 3),
    ((1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, 1, 1, 1),
    ((12, 17), (3, 2), (2, 1), ((1, 0), (2, 1)), (1, 2), 2, 4, 8, 6),
    ((9, 33), (1, 5), (3, 1), ((0, 0), (2, 2)), (1, 1), 5, 1, 5, 5),
]


def problem(case: Any, dtype: str, masked: bool, **more: Any) -> DeformProblem:
    spatial, kernel, stride, pads, dilation, groups, offset_groups, c_in, c_out = case
    outputs = reference.output_sizes([i + lo + hi for i, (lo, hi) in zip(spatial, pads, strict=True)], kernel, stride, dilation)
    low = tuple(lo for lo, _ in pads)
    conv = ConvProblem("forward", 2, c_in, c_out, groups, spatial, kernel, stride, low, dilation, outputs, dtype, dtype, **more)
    return DeformProblem(conv, offset_groups, masked)


def arrays(p: DeformProblem, draw: Any) -> list[Any]:
    c = p.conv
    taps = p.offset_groups * c.taps
    return [
        draw((2, c.in_channels, *c.spatial)), draw((2, 2 * taps, *c.outputs)), draw(c.weight_shape), draw((c.out_channels,)),
        draw((2, taps, *c.outputs)) if p.masked else None,
    ]  # fmt: skip


def expected(p: DeformProblem, case: Any, x: Any, offset: Any, w: Any, bias: Any, mask: Any) -> Any:
    return reference.deform_conv2d(x, offset, w, bias, case[2], case[3], case[4], mask)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_on_half_integers(case: Any, masked: bool, dtype: str) -> None:
    p = problem(case, dtype, masked)
    values = arrays(p, lambda shape: small(*shape, dtype=dtype))
    values[1] /= 2
    assert_same(run(ROWS[0], p, *values), expected(p, case, *values))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bound(case: Any, masked: bool, dtype: str) -> None:
    p = problem(case, dtype, masked, activation="silu" if masked else None)
    values = arrays(p, lambda shape: RNG.standard_normal(shape).astype(dtype))
    x, offset, w, bias, mask = values
    # a position p carries an error of |p|·u, which the image's slope multiplies: allowed for by extent·max|x|
    sizes = (np.abs(x) + max(p.conv.spatial) * np.abs(x).max(), 0 * offset, np.abs(w), np.abs(bias), None if mask is None else np.abs(mask))
    magnitude = expected(p, case, *sizes) + np.abs(bias).reshape(-1, 1, 1)
    magnitude = np.broadcast_to(magnitude.max(axis=(2, 3), keepdims=True), magnitude.shape)
    oracle = expected(p, case, *values)
    y = run(ROWS[0], p, *values)
    terms = p.conv.group_in * p.conv.taps
    assert_within(y, reference.ACTIVATIONS[p.conv.activation](oracle), magnitude, terms, factor=ROWS[0].error_factor)


def test_offsets_far_away_read_zeros_and_not_a_number_stays() -> None:
    p = problem(CASES[0], "float32", False)
    x, offset, w, _, _ = arrays(p, lambda shape: small(*shape))
    for far in (1e30, -1e30, np.inf, -np.inf):
        offset[...] = far
        assert (run(ROWS[0], p, x.copy(), offset.copy(), w.copy(), None, None) == 0).all()
    offset[...] = 0
    offset[0, 0, 2, 3] = np.nan
    y = run(ROWS[0], p, x, offset, w, None, None)
    assert np.isnan(y[0, :, 2, 3]).all()
    assert np.isnan(y).sum() == y.shape[1]
