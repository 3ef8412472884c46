"""The `depthwise` row: strips of every width and direction, borders wider than the image, planes read to their first and last byte."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
import reference
from guarded import guarded

from numconv.cpu.depthwise.cut import groups_of
from numconv.cpu.depthwise.plan import cut_for, prepared
from numconv.cpu.depthwise.rows import ROWS, _of_planes
from numconv.cpu.machine import detect
from numconv.cpu.runtime.tasks import perform
from numconv.problem import ConvProblem

ROW = ROWS[0]
MACHINES = {"avx512": (64, 32), "avx2": (32, 16), "neon": (16, 32)}
#: filters per channel, spatial, kernel, stride, padding (low, high) per axis, dilation
CASES = (
    *((1, (5, width), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)) for width in range(1, 41)),
    (2, (23, 19), (3, 3), (1, 1), ((2, 0), (0, 1)), (1, 1)),
    (1, (7, 7), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    (1, (7, 9), (3, 3), (1, 1), ((6, 6), (6, 6)), (6, 6)),
    (1, (5, 6), (3, 3), (1, 1), ((9, 9), (9, 9)), (11, 10)),
    (1, (30, 20), (3, 3), (1, 1), ((2, 2), (3, 3)), (2, 3)),
    (1, (4, 3), (2, 2), (1, 1), ((5, 7), (6, 4)), (1, 1)),
    (1, (17, 50), (5, 5), (2, 2), ((2, 2), (2, 2)), (1, 1)),
    (3, (16, 33), (3, 3), (2, 1), ((1, 1), (1, 1)), (1, 1)),
    (1, (16, 33), (3, 3), (1, 2), ((0, 0), (0, 0)), (1, 1)),
    (1, (21, 12), (3, 3), (3, 2), ((1, 1), (1, 1)), (1, 1)),
    (1, (21, 12), (4, 1), (2, 1), ((1, 1), (0, 0)), (3, 1)),
    (1, (40, 1), (7, 1), (1, 1), ((3, 3), (0, 0)), (1, 1)),
    (1, (9, 70), (1, 3), (1, 1), ((0, 0), (2, 2)), (1, 2)),
    (1, (320,), (63,), (1,), ((31, 31),), (1,)),
    (2, (200,), (20,), (2,), ((3, 19),), (2,)),
    (1, (3,), (3,), (1,), ((1, 1),), (1,)),
    (1, (5, 6, 7), (3, 3, 3), (1, 2, 2), ((1, 1), (1, 1), (1, 1)), (1, 1, 1)),
    (1, (4, 8, 20), (3, 2, 3), (2, 1, 1), ((0, 2), (1, 0), (1, 1)), (1, 1, 1)),
)
IDS = ["-".join("x".join(map(str, v)) for v in case[1:4]) + f"-p{case[4][0][0]}-d{case[5][0]}" for case in CASES]


def _problem(case: tuple, dtype: str = "float32", **more: object) -> ConvProblem:
    multiplier, spatial, kernel, stride, pads, dilation = case
    outputs = tuple(
        (i + lo + hi - d * (k - 1) - 1) // s + 1 for i, (lo, hi), k, s, d in zip(spatial, pads, kernel, stride, dilation, strict=True)
    )
    low = tuple(p[0] for p in pads)
    return ConvProblem("forward", 2, 3, 3 * multiplier, 3, spatial, kernel, stride, low, dilation, outputs, dtype, dtype, bias=True).with_(
        **more
    )


def _arrays(p: ConvProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    return tuple(rng.integers(-4, 5, shape).astype(p.dtype) for shape in ((2, 3, *p.spatial), p.weight_shape, p.out_channels))  # type: ignore[return-value]


def _check(p: ConvProblem, case: tuple, machine: object, at_end: bool) -> None:
    arrays = _arrays(p)
    expected = reference.conv(*arrays, stride=p.stride, pads=case[4], dilation=p.dilation, groups=3, activation=p.activation)
    assert ROW.refuses(p) is None
    out = guarded(np.full(p.result_shape, 99, p.dtype), at_end)
    ROW.run(p, tuple(guarded(a, at_end) for a in arrays), out, machine)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_exact_and_inside(case: tuple, at_end: bool) -> None:
    """Arrays that touch a page which may not be touched: a read or write outside ends the process."""
    _check(_problem(case), case, detect(), at_end)


@pytest.mark.parametrize("activation", ["relu6", "hardswish"])
@pytest.mark.parametrize("case", CASES[40:50], ids=IDS[40:50])
def test_activation_once_per_output(case: tuple, activation: str) -> None:
    """Where the vectors of a row overlap as well."""
    p = _problem(case, activation=activation)
    x, w, bias = _arrays(p)
    expected = reference.conv(x, w, bias, stride=p.stride, pads=case[4], dilation=p.dilation, groups=3, activation=activation)
    out = np.full(p.result_shape, np.nan, "float32")
    ROW.run(p, (x, w, bias), out, detect())
    np.testing.assert_allclose(out, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64"])
@pytest.mark.parametrize("number", [18, 40, 44, 46])
def test_other_types(dtype: str, number: int) -> None:
    _check(_problem(CASES[number], dtype), CASES[number], detect(), True)


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("number", [6, 18, 36, 40, 44, 46, 53])
def test_other_machines(name: str, number: int) -> None:
    vector_bytes, registers = MACHINES[name]
    _check(_problem(CASES[number]), CASES[number], replace(detect(), vector_bytes=vector_bytes, registers=registers), True)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_tap_once(case: tuple) -> None:
    """Those that see the image, in groups or alone; and the groups are as many as the cost counts."""
    cut, _ = cut_for(_problem(case), detect())
    shared, single = groups_of(cut)
    taps = [int(a) + j * cut.tap_step for a in shared for j in range(cut.taps)] + single.tolist()
    assert sorted(taps) == list(cut.axes[cut.along].live)
    others = prod(len(axis.live) for i, axis in enumerate(cut.axes) if i != cut.along)
    assert (cut.shared, cut.single) == (shared.size * others, single.size * others)


@pytest.mark.parametrize("multiplier", [1, 3])
@pytest.mark.parametrize("spatial", [(5, 9), (40, 50)])
@pytest.mark.parametrize("workers", [1, 2, 3, 5, 7])
def test_shares_begin_anywhere(workers: int, spatial: tuple[int, int], multiplier: int) -> None:
    """In the middle of planes that are done together, and of their strips."""
    p = _problem((multiplier, spatial, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 2))).with_(batch=7)
    p = p.with_(outputs=tuple(n + 2 - d * 2 for n, d in zip(spatial, (1, 2), strict=True)))
    rng = np.random.default_rng(12)
    x, w, bias = (rng.integers(-4, 5, shape).astype("float32") for shape in ((7, 3, *spatial), p.weight_shape, p.out_channels))
    out = np.full(p.result_shape, 99, "float32")
    perform(_of_planes(p, detect(), workers), x, w, bias, out)
    np.testing.assert_array_equal(out, reference.conv(x, w, bias, pads=((1, 1), (1, 1)), dilation=(1, 2), groups=3))


@pytest.mark.parametrize("channels_last", [False, True])
def test_plans_do_not_grow(channels_last: bool) -> None:
    """With extents, stride or dilation: kinds of strips are in them, not strips."""

    def size(extent: int, stride: int = 1, pad: int = 1, dilation: int = 1) -> int:
        p = _problem((1, (extent, 1000), (3, 3), (stride, 1), ((pad, pad), (1, 1)), (dilation, 1)))
        p = p.with_(layout="channels_last") if channels_last else p
        return prepared(p, detect()).numbers.nbytes

    assert size(100) == size(10**8) < 2000
    assert size(9, 2**31 - 1, 1) < 2000 > size(9, 1, 2**30, 2**30)


def test_wide_dilation() -> None:
    """As wide as its padding, on nine samples: one tap sees the image."""
    p = ConvProblem("forward", 1, 1, 1, 1, (9,), (3,), (1,), (2**30,), (2**30,), (9,), "float32", "float32")
    x, out = np.arange(9, dtype="float32").reshape(1, 1, 9), np.full((1, 1, 9), np.nan, "float32")
    ROW.run(p, (x, np.array([[[2, 3, 5]]], "float32"), None), out, detect())
    np.testing.assert_array_equal(out, 3 * x)


def test_refusals() -> None:
    plain = _problem(CASES[0])
    assert ROW.refuses(plain.with_(groups=1)) == "serves one input channel per group"
    assert ROW.refuses(plain.with_(padding_mode="reflect"))
    assert "last axis" in str(ROW.refuses(_problem((1, (5, 9), (3, 3), (1, 3), ((1, 1), (1, 1)), (1, 1)))))
    assert "shorter" in str(ROW.refuses(plain.with_(spatial=(5, 2**31), outputs=(5, 2**31))))
    assert "last axis" in str(ROW.refuses(_problem((1, (9, 1), (3, 1), (3, 1), ((1, 1), (0, 0)), (1, 1)))))
