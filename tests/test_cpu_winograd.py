"""The Winograd row, called directly: every choice of axes, dilations, both sizes of the transform, weights transformed before and on the way."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import pytest
import reference
from tolerance import assert_within

import numconv as nc
from numconv.cpu import winograd
from numconv.cpu.machine import detect
from numconv.cpu.winograd_blocking import axes, chosen, prepared
from numconv.kernel import Machine
from numconv.problem import ConvProblem

MACHINE = detect()
ROW = winograd.ROWS[0]
#: channels in, out, groups, spatial, kernel, padding, dilation
CASES = [
    (5, 13, 1, (11, 19), (3, 3), (1, 1), (1, 1)),
    (8, 26, 2, (12, 70), (3, 3), (0, 2), (1, 1)),
    (17, 33, 1, (40, 150), (3, 3), (1, 1), (1, 1)),
    (8, 9, 1, (3, 3), (3, 3), (0, 0), (1, 1)),
    (40, 48, 1, (7, 7), (3, 3), (1, 1), (1, 1)),
    (5, 13, 1, (13, 22), (3, 3), (1, 1), (2, 2)),
    (8, 20, 1, (20, 37), (3, 3), (3, 5), (3, 5)),
    (8, 20, 1, (20, 37), (3, 3), (16, 16), (16, 16)),
    (8, 20, 1, (64, 128), (3, 3), (8, 8), (8, 8)),
    (8, 9, 1, (5, 40), (3, 3), (36, 36), (36, 36)),
    (4, 7, 1, (30,), (3,), (1,), (1,)),
    (16, 30, 1, (12000,), (3,), (0,), (1,)),
    (4, 30, 1, (200,), (3,), (3,), (3,)),
    (8, 20, 1, (20, 37), (1, 3), (0, 1), (1, 1)),
    (8, 20, 1, (20, 37), (3, 1), (8, 0), (8, 1)),
    (8, 20, 1, (20, 37), (5, 3), (2, 1), (1, 1)),
    (8, 20, 1, (20, 37), (3, 5), (2, 1), (2, 3)),
    (8, 20, 2, (5, 9, 11), (3, 3, 3), (1, 1, 1), (1, 1, 1)),
    (16, 20, 1, (6, 9, 11), (3, 1, 1), (1, 0, 0), (1, 1, 1)),
    (16, 20, 1, (9, 5, 11), (3, 2, 2), (2, 0, 1), (2, 1, 2)),
    (16, 20, 1, (9, 8, 11), (2, 3, 3), (2, 6, 4), (1, 5, 4)),
    (16, 20, 1, (7, 60, 60), (3, 1, 1), (1, 0, 0), (1, 1, 1)),
]


def problem(case: Any, batch: int = 2) -> ConvProblem:
    channels, produced, groups, spatial, kernel, padding, dilation = case
    outputs = tuple(i + 2 * p - d * (k - 1) for i, p, k, d in zip(spatial, padding, kernel, dilation, strict=True))
    return ConvProblem(
        "forward", batch, channels, produced, groups, spatial, kernel, (1,) * len(kernel), padding, dilation, outputs, "float32", "float32",
        bias=True, activation="relu",
    )  # fmt: skip


def arrays(p: ConvProblem, integers: bool) -> tuple[Any, ...]:
    rng = np.random.default_rng(3)
    shapes = (p.batch, p.in_channels, *p.spatial), p.weight_shape, (p.out_channels,)
    return tuple((rng.integers(-3, 4, s) if integers else rng.standard_normal(s)).astype(np.float32) for s in shapes)


def run(p: ConvProblem, x: Any, packed: Any, bias: Any) -> Any:
    """Into the middle of an array, whose ends must stay as they are."""
    size = int(np.prod(p.result_shape))
    whole = np.full(size + 128, np.nan, np.float32)
    out = whole[64 : 64 + size].reshape(p.result_shape)
    winograd.run(p, (x, packed, bias), out, MACHINE)
    assert np.isnan(whole[:64]).all() and np.isnan(whole[-64:]).all()
    return out


def expected(p: ConvProblem, x: Any, w: Any, bias: Any, activation: str | None) -> Any:
    return reference.conv(x, w, bias, pads=[(a, a) for a in p.pad_low], dilation=p.dilation, groups=p.groups, activation=activation)


def of_the_tile(p: ConvProblem, magnitude: Any) -> Any:
    """A transform mixes the samples of a tile: its error is in proportion to the largest sum of the tile, not to each output's own."""
    for axis, dilation in enumerate(p.dilation, 2):
        padded = np.pad(magnitude, [(3 * dilation,) * 2 if k == axis else (0, 0) for k in range(magnitude.ndim)])
        windows = [np.take(padded, range(s * dilation, s * dilation + magnitude.shape[axis]), axis) for s in range(7)]
        magnitude = np.max(windows, axis=0)
    return magnitude


@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_integers_round_to_the_exact_result(case: Any) -> None:
    p = problem(case)
    x, w, bias = arrays(p, True)
    y = run(p, x, winograd.pack(p, w, MACHINE), bias)
    exact = expected(p, x, w, bias, "relu")
    if chosen(p.with_(batch=1), MACHINE).m == 2:  # its points are 0 and ±1
        np.testing.assert_array_equal(y, exact)
    np.testing.assert_allclose(y, exact, rtol=0, atol=0.02)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_within_the_bound(case: Any) -> None:
    p = problem(case)
    x, w, bias = arrays(p, False)
    magnitude = of_the_tile(p, expected(p, np.abs(x), np.abs(w), np.abs(bias), None))
    y = run(p, x, winograd.pack(p, w, MACHINE), bias)
    assert_within(y, expected(p, x, w, bias, "relu"), magnitude, p.group_in * p.taps, factor=ROW.error_factor)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_bits_for_any_threads_batch_and_packing(case: Any) -> None:
    p, one = problem(case, 3), problem(case, 1)
    x, w, bias = arrays(p, False)
    transformed = winograd.pack(p, w, MACHINE)
    wanted = run(p, x, transformed, bias)
    np.testing.assert_array_equal(run(p, x, w, bias), wanted)  # the weights as given: transformed on the way
    np.testing.assert_array_equal(run(one, x[1:2], transformed, bias), wanted[1:2])
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        np.testing.assert_array_equal(run(p, x, w, bias), wanted)
    finally:
        numba.set_num_threads(threads)


def test_cases_reach_every_way() -> None:
    machine = Machine("wide", vector_bytes=64, registers=32)
    made = [prepared(problem(case, 1), machine, 1)[0] for case in CASES]
    assert {b.m for b in made} == {2, 4}
    transformed = {tuple(a.m > 1 for a in b.box.axes) for b in made}
    assert transformed == {(False, True, False, True), (False, True, False, False), (False, False, False, True)}
    for axis in (1, 2, 3):
        assert any(b.box.boxes[axis] > 1 for b in made)


def test_weights_are_transformed_on_the_way_where_that_pays() -> None:
    assert ROW.packs_itself(problem(CASES[4], 1), MACHINE)
    assert not ROW.packs_itself(problem(CASES[4], 64), MACHINE)


def test_axes() -> None:
    p = problem((16, 20, 1, (6, 9, 11), (3, 1, 1), (1, 0, 0), (1, 1, 1)))
    assert [(a.extent, a.m) for a in axes(p, 4)] == [(1, 1), (6, 4), (9, 1), (11, 1)]
    p = problem((8, 20, 2, (5, 9, 11), (3, 3, 3), (1, 1, 1), (1, 1, 1)))
    assert [(a.extent, a.m, a.shifts) for a in axes(p, 4)] == [(5, 1, (0, 1, 2)), (9, 4, (0,)), (1, 1, (0,)), (11, 4, (0,))]


def test_refuses() -> None:
    p = problem(CASES[0])
    assert ROW.refuses(p) is None
    assert "stride 1" in str(ROW.refuses(p.with_(stride=(1, 2))))
    assert "three taps" in str(ROW.refuses(problem((8, 8, 1, (9, 9), (5, 1), (0, 0), (1, 1)))))
    assert "four input channels" in str(ROW.refuses(p.with_(in_channels=3)))


@pytest.mark.parametrize(
    ("function", "x_shape", "w_shape", "padding", "dilation"),
    [
        ("conv2d", (1, 8, 64, 64), (16, 8, 3, 3), 1, 1),
        ("conv2d", (1, 32, 48, 50), (32, 32, 3, 3), 1, 1),
        ("conv2d", (1, 32, 64, 72), (32, 32, 3, 3), 4, 4),
        ("conv2d", (1, 64, 40, 70), (64, 64, 1, 3), (0, 1), 1),
        ("conv1d", (1, 32, 4001), (64, 32, 3), 1, 1),
        ("conv3d", (1, 32, 8, 20, 20), (32, 32, 3, 3, 3), 1, 1),
    ],
)
def test_where_it_is_automatic_each_output_keeps_its_own_bound(function: str, x_shape: Any, w_shape: Any, padding: Any, dilation: int) -> None:
    """No allowance for the tile here: sizes and paddings for which `auto` may take it (by name, since the choice is the machine's)."""
    rng = np.random.default_rng(4)
    x, w = rng.uniform(-1, 1, x_shape).astype("float32"), rng.uniform(-1, 1, w_shape).astype("float32")
    call = getattr(nc, function)
    options = {"padding": padding, "dilation": dilation, "algorithm": "winograd"}
    assert ROW.cost(nc.explain(call, x, w, **options).plan.problem, MACHINE) < math.inf
    rank = x.ndim - 2
    pads = [(p, p) for p in (padding if isinstance(padding, tuple) else (padding,) * rank)]
    exact, magnitude = (reference.conv(a, b, None, pads=pads, dilation=(dilation,) * rank) for a, b in ((x, w), (abs(x), abs(w))))
    assert_within(call(x, w, **options), exact, magnitude, w[0].size, factor=ROW.error_factor)
