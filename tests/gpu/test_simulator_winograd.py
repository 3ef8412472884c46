"""The Winograd row of the CUDA table in the simulator: both sizes of the transform, dilations, groups, shuffle, batches in pieces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import reference
from numba import cuda
from tolerance import assert_within

from numconv.cuda import device
from numconv.cuda.winograd import plan as winograd
from numconv.cuda.winograd import rows
from numconv.plan import make_plan
from numconv.problem import ConvProblem

ROW = rows.ROWS[0]
#: channels in, out, groups, spatial, padding, dilation, shuffle, activation
CASES = [
    (4, 3, 1, (5, 7), (1, 1), (1, 1), 1, "relu"),
    (4, 3, 1, (4, 8), (1, 1), (1, 1), 1, None),
    (8, 6, 2, (6, 5), (0, 2), (1, 1), 2, None),
    (4, 5, 1, (7, 9), (2, 3), (2, 3), 1, "relu6"),
]


def problem(case: Any, batch: int = 2, layout: str = "channels_first") -> ConvProblem:
    channels, produced, groups, spatial, padding, dilation, shuffle, act = case
    outputs = tuple(i + 2 * p - 2 * d for i, p, d in zip(spatial, padding, dilation, strict=True))
    return ConvProblem(
        "forward", batch, channels, produced, groups, spatial, (3, 3), (1, 1), padding, dilation, outputs, "float32", "float32",
        bias=True, activation=act, shuffle=shuffle, layout=layout,
    )  # fmt: skip


def arrays(p: ConvProblem, integers: bool) -> tuple[Any, ...]:
    rng = np.random.default_rng(3)
    shapes = (p.batch, p.in_channels, *p.spatial), p.weight_shape, (p.out_channels,)
    return tuple((rng.integers(-3, 4, s) if integers else rng.standard_normal(s)).astype(np.float32) for s in shapes)


def run(p: ConvProblem, x: Any, w: Any, bias: Any) -> Any:
    x = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if p.layout == "channels_last" else x
    put = tuple(cuda.to_device(a) for a in (x, w, bias))
    out = device.empty(p.result_shape, "float32", put[0])
    device.execute(make_plan(p, device.machine(), device.table(), "winograd"), put, out)
    y = out.copy_to_host()
    return np.moveaxis(y, -1, 1) if p.layout == "channels_last" else y


def expected(p: ConvProblem, x: Any, w: Any, bias: Any, activation: str | None) -> Any:
    y = reference.conv(x, w, bias, pads=[(a, a) for a in p.pad_low], dilation=p.dilation, groups=p.groups, activation=activation)
    return reference.shuffle(y, p.shuffle) if p.shuffle > 1 else y


@pytest.fixture(params=[2, 4])
def m(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(winograd, "chosen", lambda problem, machine: request.param)
    return int(request.param)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_integers_round_to_the_exact_result(case: Any, m: int) -> None:
    p = problem(case)
    x, w, bias = arrays(p, True)
    y, exact = run(p, x, w, bias), expected(p, x, w, bias, p.activation)
    if m == 2:  # its points are 0 and ±1
        np.testing.assert_array_equal(y, exact)
    np.testing.assert_allclose(y, exact, rtol=0, atol=0.02)


def test_channels_last_and_batches_in_pieces(m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "WORKSPACE", 1)
    p = problem(CASES[0], 3, "channels_last")
    assert winograd.samples(p, m) == 1
    x, w, bias = arrays(p, False)
    whole = run(p, x, w, bias)
    monkeypatch.undo()
    monkeypatch.setattr(winograd, "chosen", lambda problem, machine: m)
    np.testing.assert_array_equal(run(problem(CASES[0], 3), x, w, bias), whole)


def test_within_each_outputs_own_bound_where_it_may_be_automatic(m: int) -> None:
    """Padding as `auto` takes it: no allowance for the tile."""
    p = problem((16, 4, 1, (9, 10), (1, 1), (1, 1), 1, None), 1)
    rng = np.random.default_rng(5)
    x, w = (rng.uniform(-1, 1, s).astype(np.float32) for s in ((1, 16, 9, 10), p.weight_shape))
    bias = np.zeros(4, np.float32)
    magnitude = expected(p, abs(x), abs(w), bias, None)
    assert_within(run(p, x, w, bias), expected(p, x, w, bias, None), magnitude, 16 * 9, factor=ROW.error_factor)


def test_a_nan_stays_within_the_tiles_that_read_it() -> None:
    p = problem((4, 1, 1, (12, 12), (1, 1), (1, 1), 1, None), 1)
    x, w, bias = arrays(p, False)
    x[0, 2, 1, 1] = np.nan
    y = run(p, x, w, bias)[0, 0]
    assert np.isnan(y[:3, :3]).all()
    assert np.isfinite(y[4:]).all() and np.isfinite(y[:, 4:]).all()


def test_choice() -> None:
    """A large layer is taken, a small one and one with more padding than keeps the size are not."""
    machine = device.H100
    large = problem((512, 512, 1, (56, 56), (1, 1), (1, 1), 1, None), 1)
    assert winograd.chosen(large, machine) == 4
    assert make_plan(large, machine, device.table()).kernel is not None
    names = [make_plan(p, machine, device.table()).kernel.name for p in (large, problem(CASES[0], 1))]
    assert names[0] == "winograd" != names[1]
    wide = large.with_(pad_low=(2, 1), outputs=(58, 56))
    assert ROW.cost(wide, machine) == math.inf and ROW.refuses(wide) is None
    assert "stride 1" in str(ROW.refuses(large.with_(stride=(2, 1))))
    assert "four input channels" in str(ROW.refuses(large.with_(in_channels=3)))
    assert "float64" in str(ROW.refuses(large.with_(dtype="float64")))
