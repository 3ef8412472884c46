"""`direct` and `gather` on numbers of any size: strides beyond taps and extents, dilations that divide nothing, plans that know no extents."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random

import numpy as np
import pytest

from numconv.cpu.dense.positions import plan
from numconv.cpu.dense.positions.plan import prepared, seconds
from numconv.cpu.dense.rows import ROWS
from numconv.cpu.machine import detect
from numconv.memory import weight
from numconv.problem import ConvProblem

DIRECT, GATHER, _ = ROWS
STRIDE, DILATION = 2**31 - 1, 2**30


def _summed(p: ConvProblem, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """By the definition, tap by tap, in float64: both directions."""
    out = np.zeros((x.shape[0], p.target[0], *p.target[1]))
    for tap in product(*(range(k) for k in p.kernel)):
        at = [np.arange(o) * s + a * d - low for o, s, a, d, low in zip(p.outputs, p.stride, tap, p.dilation, p.pad_low, strict=True)]
        inside = [(i >= 0) & (i < n) for i, n in zip(at, p.spatial, strict=True)]
        image, sums = (np.ix_(*(of[k] for of, k in zip(v, inside, strict=True))) for v in (at, [np.arange(o) for o in p.outputs]))
        read, write = (sums, image) if p.direction == "input_grad" else (image, sums)
        for g in range(p.groups):
            each = w[g * p.group_out : (g + 1) * p.group_out][(..., *tap)].astype(float)
            each = each.T if p.direction == "input_grad" else each
            produced, summed = each.shape
            source = x[:, g * summed : (g + 1) * summed][(slice(None), slice(None), *read)]
            out[:, g * produced : (g + 1) * produced][(slice(None), slice(None), *write)] += np.einsum("ps,ns...->np...", each, source)
    return out


def _drawn(draw: Random) -> ConvProblem:
    rank = draw.choice((1, 2, 2, 3))

    def each(*values: int) -> tuple[int, ...]:
        return tuple(draw.choice(values) for _ in range(rank))

    kernel, stride, dilation, low = each(1, 1, 2, 3, 4, 5, 7), each(1, 1, 2, 3, 5, 8), each(1, 1, 2, 3, 5), each(0, 0, 1, 2, 5, 9)
    spatial = tuple(draw.randint(1, (0, 60, 18, 8)[rank]) for _ in range(rank))
    sizes = zip(spatial, low, dilation, kernel, stride, strict=True)
    outputs = tuple(max(1, min(12, (i + lo + draw.choice((0, lo, 3, 9)) - d * (k - 1) - 1) // s + 1)) for i, lo, d, k, s in sizes)
    groups = draw.choice((1, 1, 2))
    return ConvProblem(
        draw.choice(("forward", "input_grad")), draw.choice((1, 2)), groups * draw.choice((1, 3, 17)), groups * draw.choice((1, 2, 13)),
        groups, spatial, kernel, stride, low, dilation, outputs, "float32", "float32", bias=True,
    )  # fmt: skip


#: what longer runs of the next test found
FOUND = (
    ConvProblem(
        "input_grad", 2, 1, 2, 1, (7, 1, 4), (3, 1, 5), (1, 2, 1), (1, 2, 5), (1, 5, 1), (9, 3, 8), "float32", "float32", bias=True
    ),
    ConvProblem("input_grad", 2, 17, 2, 1, (8, 7), (7, 3), (5, 3), (0, 2), (1, 5), (1, 1), "float32", "float32", bias=True),
)


@pytest.mark.parametrize("seed", range(8))
def test_geometries_of_all_kinds(seed: int) -> None:
    rng, draw = np.random.default_rng(seed), Random(seed)
    for p in [*FOUND, *(_drawn(draw) for _ in range(25))]:
        x, w = (rng.integers(-4, 5, s).astype(np.float32) for s in ((p.batch, p.source[0], *p.source[1]), p.weight_shape))
        bias = rng.integers(-4, 5, p.target[0]).astype(np.float32)
        expected = _summed(p, x, w) + bias.reshape(-1, *(1,) * p.rank)
        row = GATHER if p.direction == "input_grad" else DIRECT
        for weights in (w, row.pack(p, w, detect())):
            out = np.full(p.result_shape, np.nan, np.float32)
            row.run(p, (x, weights, bias), out, detect())
            np.testing.assert_array_equal(out, expected, str(p))


def _one(direction: str, spatial: int, kernel: int, stride: int, low: int, dilation: int, outputs: int, rank: int = 1) -> ConvProblem:
    sizes = [(n,) * rank for n in (spatial, kernel, stride, low, dilation, outputs)]
    return ConvProblem(direction, 1, 2, 2, 1, *sizes, "float32", "float32")  # type: ignore[arg-type]


@pytest.mark.parametrize("direction", ["forward", "input_grad"])
@pytest.mark.parametrize("sizes", [(9, 3, STRIDE, 1, 1, 1), (9, 3, 1, DILATION, DILATION, 9), (9, 3, STRIDE, DILATION, DILATION, 1), (300, 3, 97, 0, 1, 4), (96, 64, 32, 16, 1, 3)])  # fmt: skip
@pytest.mark.parametrize("rank", [1, 2])
def test_huge_numbers(direction: str, sizes: tuple, rank: int) -> None:
    p, rng = _one(direction, *sizes, rank=rank), np.random.default_rng(2)
    x, w = (rng.integers(-4, 5, s).astype(np.float32) for s in ((1, p.source[0], *p.source[1]), p.weight_shape))
    out, row = np.full(p.result_shape, np.nan, np.float32), GATHER if direction == "input_grad" else DIRECT
    row.run(p, (x, w, None), out, detect())
    np.testing.assert_array_equal(out, _summed(p, x, w))


@pytest.mark.parametrize("direction", ["forward", "input_grad"])
def test_plans_know_no_extents(direction: str) -> None:
    """As many integers for any problem, in a few kilobytes."""
    sizes = [
        (9, 3, 1, 1, 1, 9),
        (10**8, 9, 1, 4, 1, 10**8),
        (10**6, 10**5, 1, 0, 1, 10**6),
        (480, 64, 32, 16, 1, 15),
        (9, 3, STRIDE, 1, 1, 1),
    ]
    found = [prepared(_one(direction, *s, rank=rank), detect(), 2, True) for s in sizes for rank in (1, 2)]
    assert len({p.numbers.size for p in found}) == 1
    assert max(weight(p) for p in found) < 10_000
    assert all(np.isfinite(seconds(_one(direction, *s), detect())) for s in sizes)


@pytest.mark.parametrize("direction", ["forward", "input_grad"])
def test_offsets_of_64_bits(direction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    p, rng, machine = _one(direction, 20, 3, 2, 1, 1, 10, rank=2), np.random.default_rng(4), replace(detect(), name="far")
    monkeypatch.setattr(plan, "FAR", 1)
    assert (
        prepared(p, machine, 1, True).tile[-2] == 64 and prepared(p, detect(), 1, True).tile[:3] == prepared(p, machine, 1, True).tile[:3]
    )
    x, w = (rng.integers(-4, 5, s).astype(np.float32) for s in ((1, p.source[0], *p.source[1]), p.weight_shape))
    out, row = np.full(p.result_shape, np.nan, np.float32), GATHER if direction == "input_grad" else DIRECT
    row.run(p, (x, w, None), out, machine)
    np.testing.assert_array_equal(out, _summed(p, x, w))
