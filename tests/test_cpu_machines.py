"""The dense CPU kernels as an AVX2 and a NEON machine would run them: narrower vectors, fewer registers, the same code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reference

from numconv.cpu.dense.channels import plan as spread_plan
from numconv.cpu.dense.positions import plan as direct_plan
from numconv.cpu.machine import detect
from numconv.cpu.table import table
from numconv.cpu.winograd.plan import chosen
from numconv.kernel import Machine
from numconv.problem import ConvProblem

MACHINES = {
    "avx2": {"vector_bytes": 32, "registers": 16, "multiply_adds": 2},
    "neon": {"vector_bytes": 16, "registers": 32, "multiply_adds": 2},
}
#: row, in channels, out channels, groups, spatial, stride, dilation
CASES = (
    ("direct", 5, 13, 1, (11, 19), (1, 1), (1, 1)),
    ("direct", 6, 26, 2, (12, 17), (2, 2), (1, 1)),
    ("direct", 3, 13, 1, (14, 15), (1, 1), (3, 2)),
    ("spread", 5, 13, 1, (11, 19), (1, 1), (1, 1)),
    ("spread", 6, 70, 2, (12, 17), (2, 2), (1, 1)),
    ("spread", 3, 13, 1, (14, 15), (1, 1), (3, 2)),
    ("spread back", 40, 5, 1, (12, 17), (2, 2), (1, 1)),
    ("spread last", 6, 70, 2, (12, 17), (2, 2), (1, 1)),
    ("spread", 40, 21, 1, (9, 23), (1, 1), (1, 1)),  # several blocks of terms, several tiles to a row
    ("spread last", 40, 21, 1, (9, 23), (1, 1), (1, 1)),
    ("direct", 40, 9, 1, (9, 23), (1, 1), (1, 1)),
    ("gather", 13, 5, 1, (12, 17), (2, 2), (1, 1)),
    ("depthwise", 6, 6, 6, (9, 31), (1, 1), (1, 1)),
    ("direct", 6, 26, 2, (17, 45), (3, 4), (1, 1)),
    ("direct", 4, 9, 1, (13, 60), (2, 5), (1, 2)),
    ("winograd", 5, 13, 1, (11, 19), (1, 1), (1, 1)),
    ("winograd", 5, 13, 1, (13, 22), (1, 1), (2, 2)),
    ("winograd", 5, 13, 1, (7, 7), (1, 1), (1, 1)),
    ("winograd", 5, 13, 1, (23, 22), (1, 1), (3, 9)),
    ("winograd", 5, 13, 1, (23, 22), (1, 2), (1, 2)),
    ("winograd", 5, 13, 1, (23, 22), (2, 1), (2, 3)),
    ("winograd last", 5, 13, 1, (11, 19), (1, 1), (1, 1)),
    ("winograd last", 6, 70, 2, (23, 22), (2, 1), (2, 3)),
)


def _machine_cases() -> list[Any]:
    """Each case on one machine, in turn; on the other by `-m slow`: each compiles kernels of its own, 2 to 20 s."""
    found = []
    for number, case in enumerate(CASES):
        for turn, name in enumerate(MACHINES):
            later = () if number % len(MACHINES) == turn else (pytest.mark.slow,)
            found.append(pytest.param(case, name, id="-".join(map(str, (case[0], *case[4:], name))), marks=later))
    return found


@pytest.mark.parametrize(("case", "name"), _machine_cases())
def test_narrow_register_tiles(name: str, case: tuple) -> None:
    row_name, channels, produced, groups, spatial, stride, dilation = case
    direction = "input_grad" if row_name in ("gather", "spread back") else "forward"
    machine = replace(detect(), **MACHINES[name])
    row = next(r for r in table() if r.name == row_name.split()[0])
    rng = np.random.default_rng(5)
    outputs = tuple((i + 2 - 2 * d - 1) // s + 1 for i, s, d in zip(spatial, stride, dilation, strict=True))
    p = ConvProblem(
        direction, 2, channels, produced, groups, spatial, (3, 3), stride, (1, 1), dilation, outputs, "float32", "float32", bias=True,
        activation="relu",
    )  # fmt: skip
    x = rng.integers(-4, 5, (2, *((produced, *outputs) if direction == "input_grad" else (channels, *spatial)))).astype(np.float32)
    w = rng.integers(-4, 5, p.weight_shape).astype(np.float32)
    bias = rng.integers(-3, 4, p.target[0]).astype(np.float32)
    if direction == "input_grad":
        extra = [i - ((o - 1) * s + 1) for i, o, s in zip(spatial, outputs, stride, strict=True)]
        expected = reference.conv_transpose(
            x, w, bias, stride=stride, pads=[(1, 1)] * 2, output_padding=extra, groups=groups, dilation=dilation, activation="relu"
        )
    else:
        expected = reference.conv(x, w, bias, stride=stride, pads=[(1, 1)] * 2, dilation=dilation, groups=groups, activation="relu")
    if row_name.endswith("last"):
        p, x = p.with_(layout="channels_last"), np.ascontiguousarray(np.moveaxis(x, 1, -1))
    out = np.full(p.result_shape, np.nan, np.float32)
    row.run(p, (x, row.pack(p, w, machine), bias), out, machine)
    out = np.moveaxis(out, -1, 1) if row_name.endswith("last") else out
    if row.name == "winograd":  # not exact on integers: its points are fractions
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-3)
    else:
        np.testing.assert_array_equal(out, expected)


ZEN4 = Machine("zen4", vector_bytes=64, registers=32, cores=2, flops=9.6e10)
ZEN3 = Machine("zen3", vector_bytes=32, registers=16, cores=2, l2=512 << 10, multiply_adds=2, flops=9.6e10)


def dense(channels: int, produced: int, extent: int, kernel: int) -> ConvProblem:
    low, sizes = (kernel // 2,) * 2, (extent, extent)
    return ConvProblem(
        "forward", 1, channels, produced, 1, sizes, (kernel, kernel), (1, 1), low, (1, 1), sizes, "float32", "float32", bias=True
    )


def test_tiles_share_out_blocks_of_filters() -> None:
    """144 → 288 on 7×7: nine blocks of two vectors leave one of two cores idle for a tenth of the time."""
    p = dense(144, 288, 7, 1)
    assert spread_plan.prepared(p, ZEN4, 1).tile == spread_plan.prepared(p, ZEN4, 2).tile  # the packed weights are the same
    assert spread_plan.prepared(p, ZEN4, 2).plan.filters.blocks % 2 == 0
    assert spread_plan.prepared(p, replace(ZEN4, cores=1), 1).plan.filters.blocks == 9


@pytest.mark.parametrize("problem", [dense(256, 324, 38, 3), dense(512, 256, 56, 1), dense(128, 128, 56, 3)], ids=str)
def test_enough_sums_for_two_multiply_adds_a_cycle(problem: ConvProblem) -> None:
    """At a latency of four cycles eight sums are the least, and a broadcast for each multiply-add is an instruction too many."""
    tiles = [spread_plan.prepared(problem, ZEN3, 2).tile[:2], direct_plan.prepared(problem, ZEN3, 2).tile[:2]]
    if problem.taps > 1:
        tiles.append(chosen(problem, ZEN3).tile[:2])
    for rows, vectors in tiles:
        assert rows * vectors >= 10
        assert vectors >= 2
