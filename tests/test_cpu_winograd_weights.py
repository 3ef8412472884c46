"""The weight gradient by Winograd, called directly: every transform and piece, boxes and splits of every kind, strides, dilations, narrow registers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
import reference
from guarded import guarded
from test_cpu_winograd import CASES, problem
from tolerance import assert_within

from numconv.cpu.machine import detect
from numconv.cpu.winograd import rows as winograd
from numconv.cpu.winograd.axes import KINDS, choices
from numconv.cpu.winograd.cost import Tile
from numconv.cpu.winograd.weights import plan as winograd_weights_plan
from numconv.kernel import Machine
from numconv.problem import ConvProblem

MACHINE = detect()
ROW = next(row for row in winograd.ROWS if row.name == "winograd_weights")
UNCACHED_PLAN, UNCACHED_WORK = winograd_weights_plan.prepared.__wrapped__, winograd._gradient_work.__wrapped__
NARROW = {"avx2": {"vector_bytes": 32, "registers": 16}, "neon": {"vector_bytes": 16, "registers": 32}}


def of(case: Any, batch: int = 2) -> ConvProblem:
    return problem(case, batch).with_(direction="weight_grad", bias=False, activation=None)


def arrays(p: ConvProblem, integers: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    shapes = (p.batch, p.in_channels, *p.spatial), (p.batch, p.out_channels, *p.outputs)
    x, y = ((rng.integers(-3, 4, s) if integers else rng.standard_normal(s)).astype(np.float32) for s in shapes)
    return x, y


def run(p: ConvProblem, x: np.ndarray, y: np.ndarray, machine: Machine = MACHINE) -> np.ndarray:
    out = np.full(p.weight_shape, np.nan, np.float32)
    ROW.run(p, (x, y), out, machine)
    return out


def expected(p: ConvProblem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return reference.weight_grad(x, y, p.kernel, p.stride, [(a, a) for a in p.pad_low], p.dilation, p.groups)


def of_the_filter(p: ConvProblem, magnitude: np.ndarray) -> np.ndarray:
    """A transform mixes the taps of a filter: the error is in proportion to the largest of its sums."""
    return np.broadcast_to(magnitude.max(axis=tuple(range(2, magnitude.ndim)), keepdims=True), magnitude.shape)


def check(p: ConvProblem, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> None:
    magnitude = of_the_filter(p, expected(p, np.abs(x), np.abs(y)))
    assert_within(w, expected(p, x, y), magnitude, p.batch * math.prod(p.outputs), factor=ROW.error_factor)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_within_the_bound(case: Any) -> None:
    p = of(case)
    x, y = arrays(p, False)
    check(p, x, y, run(p, x, y))


def forced(p: ConvProblem, machine: Machine, axes: Any, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those transforms, the box after so many cuts, tasks of one block and two thirds of the channels."""
    boxes = winograd_weights_plan.boxes_of(axes)
    tile = Tile(*winograd_weights_plan.GRADIENT_TILES[machine.registers], machine.vector_bytes // 4)
    way = winograd_weights_plan.way_of(axes, tile, boxes[min(cut, len(boxes) - 1)])
    monkeypatch.setattr(winograd_weights_plan, "chosen", lambda *_: way)
    monkeypatch.setattr(winograd_weights_plan, "splits_of", lambda *_: (1.0, 1, -(-p.group_in * 2 // 3)))
    monkeypatch.setattr(winograd, "prepared_gradient", UNCACHED_PLAN)
    monkeypatch.setattr(winograd, "_gradient_work", UNCACHED_WORK)


@pytest.mark.parametrize("cut", [0, 1, 4, 99])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_transform_and_box(case: Any, cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    p = of(case)
    x, y = arrays(p, True)
    exact = expected(p, x, y)
    for axes in choices(p):
        forced(p, MACHINE, axes, cut, monkeypatch)
        w = run(p, x, y)
        check(p, x, y, w)
        if max(a.frequencies for a in axes) == 4:  # its points are 0 and ±1
            np.testing.assert_array_equal(w, exact)


@pytest.mark.parametrize(
    ("case", "name"), [(CASES[0], "avx2"), (CASES[1], "neon"), (CASES[7], "avx2"), (CASES[22], "neon")] + [
        pytest.param(CASES[i], name, marks=pytest.mark.slow) for i, name in ((0, "neon"), (1, "avx2"), (7, "neon"), (22, "avx2"))
    ], ids=str,
)  # fmt: skip
def test_narrow_register_tiles(case: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    p, machine = of(case), replace(MACHINE, **NARROW[name])
    x, y = arrays(p, False)
    check(p, x, y, run(p, x, y, machine))
    forced(p, machine, choices(p)[0], 1, monkeypatch)
    check(p, x, y, run(p, x, y, machine))


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("case", CASES[::3], ids=str)
def test_reads_and_writes_stay_inside(case: Any, at_end: bool) -> None:
    """Arrays that touch a page which may not be touched: a read or write outside ends the process."""
    p = of(case, 1)
    x, y = (guarded(a, at_end) for a in arrays(p, False))
    out = guarded(np.zeros(p.weight_shape, "float32"), at_end)
    ROW.run(p, (x, y), out, MACHINE)
    check(p, x, y, out)


@pytest.mark.parametrize("case", CASES[2::7], ids=str)
def test_bits_depend_on_no_split(case: Any) -> None:
    p = of(case, 3)
    x, y = arrays(p, False)
    before, found = numba.get_num_threads(), []
    for workers in (1, 2, 5):
        numba.set_num_threads(min(workers, before))
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(winograd, "threads", lambda workers=workers: workers)
                found.append(run(p, x, y))
        finally:
            numba.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_cases_reach_every_way() -> None:
    found = {a.frequencies for case in CASES for axes in choices(of(case)) for a in axes}
    assert found == set(KINDS)
    plans = [winograd_weights_plan.prepared(of(case), MACHINE, workers) for case in CASES for workers in (1, 5)]
    assert any(p.tasks > q.tasks for q, p in zip(plans[::2], plans[1::2], strict=True))


def test_a_nan_spreads_over_its_filter_and_no_further() -> None:
    p = of(CASES[0])
    x, y = arrays(p, False)
    clean = run(p, x, y)
    x[1, 2, 5, 6] = np.nan
    w = run(p, x, y)
    assert np.isnan(w[:, 2]).all()
    np.testing.assert_array_equal(np.delete(w, 2, 1), np.delete(clean, 2, 1))


def test_no_samples_give_zeros() -> None:
    p = of(CASES[0], 0)
    assert not run(p, *arrays(p, True)).any()


def test_refuses_and_is_automatic_for_large_sums_only() -> None:
    p = of(CASES[2], 1)
    assert ROW.refuses(p) is None and ROW.cost(p, MACHINE) < math.inf
    assert "a third" in str(ROW.refuses(of((8, 8, 1, (9, 9), (1, 1), (0, 0), (1, 1)))))
    assert "float64" in str(ROW.refuses(p.with_(dtype="float64", out_dtype="float64")))
    assert ROW.cost(of(CASES[0], 1), MACHINE) == math.inf
    assert ROW.cost(of((17, 33, 1, (40, 150), (3, 3), (2, 2), (1, 1)), 1), MACHINE) == math.inf  # more padding than keeps the size


@pytest.mark.parametrize("case", [
    (8, 16, 1, (64, 64), (3, 3), (1, 1), (1, 1)), (32, 32, 1, (48, 50), (3, 3), (1, 1), (1, 1)), (96, 64, 1, (8, 7), (3, 3), (1, 1), (1, 1)),
    (32, 32, 1, (64, 72), (3, 3), (4, 4), (4, 4)), (64, 64, 1, (40, 70), (1, 3), (0, 1), (1, 1)), (32, 64, 1, (4001,), (3,), (1,), (1,)),
    (32, 32, 1, (8, 20, 20), (3, 3, 3), (1, 1, 1), (1, 1, 1)), (80, 64, 1, (800,), (5,), (2,), (1,)), (64, 64, 1, (900,), (7,), (3,), (1,)),
    (32, 64, 1, (900,), (11,), (15,), (3,)), (32, 32, 1, (4100,), (41,), (20,), (1,), (2,)), (48, 64, 1, (27, 27), (5, 5), (2, 2), (1, 1)),
    (64, 64, 1, (32, 32), (4, 4), (1, 1), (1, 1), (2, 2)),
], ids=str)  # fmt: skip
def test_where_it_is_automatic_each_weight_keeps_its_own_bound(case: Any) -> None:
    """No allowance for the filter here: sizes and paddings for which `auto` may take it."""
    p = of(case, 1)
    rng = np.random.default_rng(4)
    x, y = (rng.uniform(-1, 1, s).astype("float32") for s in ((1, p.in_channels, *p.spatial), (1, p.out_channels, *p.outputs)))
    assert ROW.cost(p, MACHINE) < math.inf
    assert_within(run(p, x, y), expected(p, x, y), expected(p, abs(x), abs(y)), math.prod(p.outputs), factor=ROW.error_factor)
