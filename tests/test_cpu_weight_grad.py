"""The weight gradient's rows: copied and in place, every split of channels, taps that see nothing, arrays read and written to their last byte."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest
import reference
from guarded import guarded

from numconv.cpu.machine import detect
from numconv.cpu.weight_grad import rows as weight_grad
from numconv.cpu.weight_grad.dots import plan as dot_plan
from numconv.cpu.weight_grad.dots import stretch as dot_stretch
from numconv.cpu.weight_grad.outer import plan as outer_plan
from numconv.cpu.weight_grad.outer.cost import OuterChoice
from numconv.kernel import Kernel, Machine
from numconv.problem import ConvProblem, effective_kernel

#: channels of a group in and out, groups, spatial, kernel, stride, padding, dilation
CASES = (
    (3, 5, 1, (9, 10), (3, 3), 1, 4, 1),
    (16, 40, 1, (17, 19), (3, 3), 1, 1, 1),
    (5, 33, 2, (12, 13), (3, 3), 2, 1, 1),
    (30, 17, 1, (9, 31), (1, 1), 1, 0, 1),
    (3, 20, 1, (7, 9), (3, 3), 1, 6, 6),
    (4, 20, 1, (30, 64), (3, 2), 1, (16, 0), (16, 1)),
    (4, 20, 1, (5, 700), (3, 3), 1, (1, 0), 1),
    (7, 20, 1, (1200,), (5,), (3,), 2, 1),
    (15, 18, 1, (6, 7, 8), (3, 2, 3), (2, 1, 2), (1, 0, 1), 1),
    (20, 70, 1, (32, 32), (3, 3), 1, 1, 1),
    (1, 1, 6, (9, 11), (3, 3), 1, 1, 1),
    (4, 18, 1, (5, 9), (7, 7), (12, 11), (20, 24), (3, 5)),
)
#: of which nothing may be worked out position by position, tap by tap
HUGE = (
    (16, 32, 1, (10**8,), (3,), 1, 1, 1),
    (1, 1, 1, (3 * 10**5,), (10**5,), 1, 0, 1),
    (21, 21, 1, (288, 288), (64, 64), 32, 0, 1),
    (4, 8, 1, (9,), (3,), 2**31 - 1, 1, 1),
    (4, 8, 1, (9, 9), (3, 3), 1, 2**30, 2**30),
)
NARROW = {"avx2": {"vector_bytes": 32, "registers": 16}, "neon": {"vector_bytes": 16, "registers": 32}}


def _problem(case: tuple, dtype: str = "float32", batch: int = 3) -> ConvProblem:
    channels, produced, groups, spatial, kernel, *rest = case
    stride, padding, dilation = (v if isinstance(v, tuple) else (v,) * len(spatial) for v in rest)
    outputs = tuple(
        (i + 2 * p - effective_kernel(k, d)) // s + 1 for i, p, k, d, s in zip(spatial, padding, kernel, dilation, stride, strict=True)
    )
    return ConvProblem(
        "weight_grad", batch, channels * groups, produced * groups, groups, spatial, kernel, stride, padding, dilation, outputs, dtype, dtype
    )  # fmt: skip


def _arrays(p: ConvProblem) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x, y = (rng.integers(-4, 5, (p.batch, n, *extent)) for n, extent in ((p.in_channels, p.spatial), (p.out_channels, p.outputs)))
    return x.astype(p.dtype), y.astype(p.dtype)


def _computed(p: ConvProblem, x: np.ndarray, y: np.ndarray, machine: Machine) -> np.ndarray:
    out = np.full(p.weight_shape, 99, p.dtype)
    weight_grad._run_outer(p, (x, y), out, machine)
    return out


def _expected(p: ConvProblem, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return reference.weight_grad(x, y, p.kernel, p.stride, [(a, a) for a in p.pad_low], p.dilation, p.groups)


@pytest.mark.parametrize("copied", [0, 1, 2])
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[3:])))
def test_every_way_to_read(case: tuple, copied: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chosen or not: in place, copied by chunk, copied whole; chunks of about 30 positions; channels split unevenly."""
    p, machine = _problem(case), detect()
    lanes = machine.vector_bytes // 4
    choice = OuterChoice(4, 1, lanes, (1, 1, min(p.outputs[-1], 30)), 1, -(-p.group_in * 2 // 3), copied)
    monkeypatch.setattr(outer_plan, "best", lambda *_: (1.0, choice))
    monkeypatch.setattr(weight_grad, "_work", weight_grad._work.__wrapped__)
    x, y = _arrays(p)
    np.testing.assert_array_equal(_computed(p, x, y, machine), _expected(p, x, y))


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("case", CASES[1:4], ids=lambda c: "-".join(map(str, c[3:])))
def test_narrow_register_tiles(case: tuple, name: str) -> None:
    p = _problem(case)
    x, y = _arrays(p)
    np.testing.assert_array_equal(_computed(p, x, y, replace(detect(), **NARROW[name])), _expected(p, x, y))


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64", "uint8"])
def test_other_types(dtype: str) -> None:
    p = _problem(CASES[2], dtype)
    x, y = _arrays(p)
    np.testing.assert_array_equal(
        _computed(p, x, y, detect()), _expected(p, x.astype("int64"), y.astype("int64")).astype("int64").astype(dtype)
    )


@pytest.mark.parametrize("row", [row for row in weight_grad.ROWS if row.error_factor == 1], ids=lambda row: row.name)
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c[3:])))
def test_reads_and_writes_stay_inside(case: tuple, at_end: bool, row: Kernel) -> None:
    """Arrays that touch a page which may not be touched: a read or write outside ends the process."""
    p = _problem(case)
    x, y = (guarded(a, at_end) for a in _arrays(p))
    out = guarded(np.zeros(p.weight_shape, "float32"), at_end)
    row.run(p, (x, y), out, detect())
    np.testing.assert_array_equal(out, _expected(p, x, y))


def test_bits_depend_on_no_split() -> None:
    p = _problem((20, 70, 1, (32, 33), (3, 3), 1, 1, 1))
    rng = np.random.default_rng(4)
    x, y = (rng.standard_normal((3, n, 32, 33)).astype("float32") for n in (20, 70))
    before, found = numba.get_num_threads(), []
    for workers in (1, 2, 5):
        machine = detect()
        numba.set_num_threads(min(workers, before))
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(weight_grad, "threads", lambda workers=workers: workers)
                found.append(_computed(p, x, y, machine))
        finally:
            numba.set_num_threads(before)
    assert outer_plan.prepared(p, detect(), 5).tasks > outer_plan.prepared(p, detect(), 1).tasks
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("row", [weight_grad.OUTER, weight_grad.DOTS], ids=["outer", "dots"])
@pytest.mark.parametrize("case", HUGE, ids=lambda c: "-".join(map(str, c[3:])))
def test_plans_stay_small(case: tuple, row: weight_grad.WeightRow) -> None:
    work = weight_grad._work(row, _problem(case, batch=1), detect(), 2)
    assert work.tables.nbytes + work.offsets.nbytes < 4000


def test_rows_shorter_than_the_stride() -> None:
    """Split into as many phases as there are elements, not into 2³¹ − 1."""
    p = _problem(HUGE[3], batch=2)
    x, y = _arrays(p)
    for row in weight_grad.ROWS:
        out = np.full(p.weight_shape, 99, "float32")
        row.run(p, (x, y), out, detect())
        np.testing.assert_array_equal(out[..., 1], np.einsum("nki,nci->kc", y, x[..., :1]))
        np.testing.assert_array_equal(out[..., [0, 2]], np.einsum("nki,ncj->kcj", y, np.stack([0 * x[..., 0], x[..., 1]], -1)))


@pytest.mark.parametrize("flat", [dot_stretch.FLAT, 0])  # stretches of positions over several axes where the arrays match; output rows
@pytest.mark.parametrize("machine", [*NARROW, "little"])
@pytest.mark.parametrize("case", CASES[:3] + CASES[-4:], ids=lambda c: "-".join(map(str, c[3:])))
def test_dot_rows_by_every_stretch_and_chunk(case: tuple, machine: str, flat: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`little`: a second cache and a room that hold few positions, so that sums are taken up again chunk by chunk."""
    if machine == "little":
        monkeypatch.setattr(dot_plan, "MOST_VECTORS", 19)
        monkeypatch.setattr(dot_plan, "MOST_MASKS", 99)
    monkeypatch.setattr(dot_stretch, "FLAT", flat)
    monkeypatch.setattr(dot_plan, "layout", dot_stretch.layout.__wrapped__)
    monkeypatch.setattr(weight_grad, "_work", weight_grad._work.__wrapped__)
    p, dots = _problem(case), next(row for row in weight_grad.ROWS if row.name == "dot_rows")
    narrow = replace(detect(), **NARROW.get(machine, {"l2": 1 << 10}))
    x, y = _arrays(p)
    out = np.full(p.weight_shape, 99, "float32")
    dots.run(p, (x, y), out, narrow)
    np.testing.assert_array_equal(out, _expected(p, x, y))
    vectors = dot_plan.prepared(p, narrow, 1).plan.vectors
    assert vectors >= -(-np.prod(p.outputs) * 4 // narrow.vector_bytes)
