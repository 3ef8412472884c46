"""The `depthwise_last` row: registers of channels whole and in part, borders wider than the image, arrays read and written to their last byte."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import reference
from guarded import guarded

from numconv.cpu.depthwise.rows import ROWS
from numconv.cpu.machine import detect
from numconv.problem import ConvProblem

ROW = ROWS[1]
MACHINES = {"avx512": (64, 32), "avx2": (32, 16), "neon": (16, 32)}
#: channels, spatial, kernel, stride, padding (low, high) per axis, dilation
CASES = (
    *((channels, (4, 9), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)) for channels in (1, 3, 15, 16, 17, 32, 40)),
    *((20, (2, width), (1, 3), (1, 1), ((0, 0), (1, 1)), (1, 1)) for width in range(1, 20)),
    (19, (23, 19), (3, 3), (1, 1), ((2, 0), (0, 1)), (1, 1)),
    (16, (7, 7), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1)),
    (9, (7, 9), (3, 3), (1, 1), ((6, 6), (6, 6)), (6, 6)),
    (5, (5, 6), (3, 3), (1, 1), ((9, 9), (9, 9)), (11, 10)),
    (4, (30, 20), (3, 3), (1, 1), ((2, 2), (3, 3)), (2, 3)),
    (3, (4, 3), (2, 2), (1, 1), ((5, 7), (6, 4)), (1, 1)),
    (24, (17, 21), (5, 5), (2, 2), ((2, 2), (2, 2)), (1, 1)),
    (6, (16, 33), (3, 3), (2, 1), ((1, 1), (1, 1)), (1, 1)),
    (21, (16, 13), (3, 3), (1, 3), ((0, 0), (0, 0)), (1, 1)),
    (21, (21, 12), (4, 1), (2, 1), ((1, 1), (0, 0)), (3, 1)),
    (18, (40, 1), (7, 1), (1, 1), ((3, 3), (0, 0)), (1, 1)),
    (18, (90,), (20,), (2,), ((3, 19),), (2,)),
    (18, (3,), (3,), (1,), ((1, 1),), (1,)),
    (20, (5, 6, 7), (3, 3, 3), (1, 2, 2), ((1, 1), (1, 1), (1, 1)), (1, 1, 1)),
    (7, (4, 8, 20), (3, 2, 3), (2, 1, 1), ((0, 2), (1, 0), (1, 1)), (1, 1, 1)),
)
IDS = [f"{case[0]}-" + "-".join("x".join(map(str, v)) for v in case[1:4]) + f"-p{case[4][0][0]}-d{case[5][0]}" for case in CASES]


def _problem(case: tuple, dtype: str = "float32", **more: object) -> ConvProblem:
    channels, spatial, kernel, stride, pads, dilation = case
    outputs = tuple(
        (i + lo + hi - d * (k - 1) - 1) // s + 1 for i, (lo, hi), k, s, d in zip(spatial, pads, kernel, stride, dilation, strict=True)
    )
    return ConvProblem(
        "forward", 2, channels, channels, channels, spatial, kernel, stride, tuple(p[0] for p in pads), dilation, outputs, dtype, dtype,
        layout="channels_last", bias=True,
    ).with_(**more)  # fmt: skip


def _check(p: ConvProblem, case: tuple, machine: object, at_end: bool, rtol: float = 0) -> None:
    rng = np.random.default_rng(11)
    x, w, bias = (rng.integers(-4, 5, shape).astype(p.dtype) for shape in ((2, *p.spatial, p.in_channels), p.weight_shape, p.out_channels))
    expected = reference.conv(
        np.moveaxis(x, -1, 1), w, bias, stride=p.stride, pads=case[4], dilation=p.dilation, groups=p.groups, activation=p.activation
    )
    assert ROW.refuses(p) is None
    out = guarded(np.full(p.result_shape, 99, p.dtype), at_end)
    x, w, bias = (guarded(a, at_end) for a in (x, w, bias))
    ROW.run(p, (x, guarded(ROW.pack(p, w, machine), at_end), bias), out, machine)
    np.testing.assert_allclose(np.moveaxis(out, -1, 1), expected, rtol=rtol, atol=0)


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_exact_and_inside(case: tuple, at_end: bool) -> None:
    """Arrays that touch a page which may not be touched: a read or write outside ends the process."""
    _check(_problem(case), case, detect(), at_end)


@pytest.mark.parametrize("activation", ["relu6", "hardswish"])
@pytest.mark.parametrize("case", CASES[26:30], ids=IDS[26:30])
def test_activation_once_per_output(case: tuple, activation: str) -> None:
    _check(_problem(case, activation=activation), case, detect(), True, 1e-6)


@pytest.mark.parametrize("dtype", ["float64", "int32", "int64"])
@pytest.mark.parametrize("number", [4, 26, 32, 39])
def test_other_types(dtype: str, number: int) -> None:
    _check(_problem(CASES[number], dtype), CASES[number], detect(), True)


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("number", [0, 6, 15, 26, 32, 39])
def test_other_machines(name: str, number: int) -> None:
    vector_bytes, registers = MACHINES[name]
    _check(_problem(CASES[number]), CASES[number], replace(detect(), vector_bytes=vector_bytes, registers=registers), True)


@pytest.mark.parametrize("off", [4, 16, 60])
def test_registers_begin_at_lines_of_an_input_that_does_not(off: int) -> None:
    """Pixels that share sets of the first cache, in an array that begins inside a line."""
    case = (256, (5, 9), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    p = _problem(case)
    rng = np.random.default_rng(12)
    x, w, bias = (rng.integers(-4, 5, shape).astype(p.dtype) for shape in ((2, *p.spatial, p.in_channels), p.weight_shape, p.out_channels))
    page = guarded(np.full(x.size + 64, np.nan, np.float32), False)  # begins at a page
    inside = page[off // 4 : off // 4 + x.size].reshape(x.shape)
    inside[...] = x
    out = guarded(np.full(p.result_shape, 99, p.dtype), True)
    ROW.run(p, (inside, ROW.pack(p, w, detect()), bias), out, detect())
    np.testing.assert_array_equal(np.moveaxis(out, -1, 1), reference.conv(np.moveaxis(x, -1, 1), w, bias, pads=case[4], groups=p.groups))


def test_refusals() -> None:
    plain = _problem(CASES[0])
    assert ROW.refuses(plain.with_(layout="channels_first")) == "serves channels last"
    assert ROW.refuses(plain.with_(out_channels=2)) == "serves one input and one output channel per group"
    assert ROW.refuses(plain.with_(padding_mode="reflect"))
    assert ROW.refuses(plain.with_(kernel=(100, 100)))
