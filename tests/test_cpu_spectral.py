"""The FFT row, called directly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from scipy.fft import next_fast_len
from test_cpu_gradients import CASES, problem
from test_cpu_operators import MACHINE, RNG, run, small
from tolerance import assert_within

from numconv.cpu.named.fft import ROWS, fast_length
from numconv.problem import ConvProblem

FFT = ROWS[0]
FORWARD = [case for case in CASES if min(case[3]) >= 0 and max(case[1]) > 1] + [
    ((40, 40), (21, 21), (1, 1), (10, 10), (1, 1), (40, 40), 1, 3, 4),
    ((64, 50), (25, 31), (2, 3), (0, 5), (1, 1), (20, 10), 2, 4, 2),
    ((7, 9), (9, 11), (1, 1), (4, 5), (1, 1), (7, 9), 1, 1, 1),
]


def expected(c: ConvProblem, x: Any, w: Any, bias: Any = None) -> Any:
    # the oracle pads at both ends; a negative high pad leaves the end unread
    x = x[(..., *(slice(0, i + min(0, hi)) for i, hi in zip(c.spatial, c.pad_high, strict=True)))]
    pads = [(lo, max(0, hi)) for lo, hi in zip(c.pad_low, c.pad_high, strict=True)]
    return reference.conv(x, w, bias, c.stride, pads, c.dilation, c.groups, activation=c.activation)


def norms(c: ConvProblem, x: Any, w: Any) -> Any:
    """(N, K, 1 …): the sum over channels of ‖x‖₂·‖w‖₂, to which the error of every output is in proportion, however small that output is (MATH.md)."""
    axes = tuple(range(2, x.ndim))
    of_x = np.linalg.norm(x.reshape(*x.shape[:2], -1), axis=2).reshape(c.batch, c.groups, 1, c.group_in)
    of_w = np.linalg.norm(w.reshape(*w.shape[:2], -1), axis=2).reshape(1, c.groups, -1, c.group_in)
    return np.expand_dims((of_x * of_w).sum(3).reshape(c.batch, -1), axes)


@pytest.mark.parametrize("case", FORWARD, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_fft(case: Any, dtype: str, activation: str | None) -> None:
    c = problem(case, "forward", dtype, bias=True, activation=activation)
    x, w, bias = (RNG.standard_normal(s).astype(dtype) for s in ((2, c.in_channels, *c.spatial), c.weight_shape, (c.out_channels,)))
    magnitude = norms(c, x, w) + np.abs(bias).reshape(-1, *(1 for _ in c.spatial))
    assert_within(run(FFT, c, x, w, bias), expected(c, x, w, bias), magnitude, c.group_in * c.taps)


@pytest.mark.parametrize("case", FORWARD, ids=str)
def test_fft_of_small_integers_rounds_to_them(case: Any) -> None:
    c = problem(case, "forward", "float32")
    x, w = small(2, c.in_channels, *c.spatial), small(*c.weight_shape)
    np.testing.assert_array_equal(np.rint(run(FFT, c, x, w, None)), expected(c, x, w))


def test_fast_lengths_are_scipys() -> None:
    assert [fast_length(n) for n in range(1, 3000)] == [next_fast_len(n, real=True) for n in range(1, 3000)]


def test_fft_keeps_nan_where_it_is() -> None:
    c = problem(FORWARD[-3], "forward", "float32")
    x, w = (RNG.standard_normal(s).astype("float32") for s in ((2, c.in_channels, *c.spatial), c.weight_shape))
    clean = run(FFT, c, x.copy(), w, None)
    x[1, 0, 3, 3] = np.nan
    y = run(FFT, c, x, w, None)
    np.testing.assert_array_equal(y[0], clean[0])
    assert 0 < np.isnan(y[1]).sum() < y[1].size


def test_fft_is_for_floats_large_kernels_and_who_asks() -> None:
    assert FFT.refuses(problem(FORWARD[0], "forward", "int32"))
    assert not FFT.automatic
    assert FFT.cost(problem(FORWARD[2], "forward", "float32"), MACHINE) >= 1
    assert FFT.cost(problem(FORWARD[-3], "forward", "float32"), MACHINE) < 0.1
