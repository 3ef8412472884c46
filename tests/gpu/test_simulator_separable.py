"""Separable filters in one pass, in the simulator: against the oracle and the steps one after the other, and where it stands back."""

from __future__ import annotations

from typing import Any

import cases
import ml_dtypes
import numpy as np
import pytest
from numba import cuda

import numconv as nc
from numconv.catalog import VARIANTS, Case, Variant
from numconv.cuda.depthwise import rows as depthwise
from numconv.cuda.depthwise.halo import plan as halo
from numconv.problem import SeparableProblem

CASES = [(v, c) for v in VARIANTS if v.fused for c in v.cases]
IDS = [f"{v.name}: {c.label}" for v, c in CASES]


def put(arrays: Any) -> Any:
    return tuple(None if a is None else cuda.to_device(np.ascontiguousarray(a)) for a in arrays)


@pytest.mark.parametrize("dtype", ["float32", "int8", "float16"])
@pytest.mark.parametrize(("variant", "case"), CASES, ids=IDS)
def test_the_catalogs_cases(variant: Variant, case: Case, dtype: str) -> None:
    arrays, options = cases.arguments(case, np.random.default_rng(0), dtype)
    y = variant.function(*put(arrays), **options, algorithm="one_pass")
    expected = cases.expected(variant, arrays, options)
    np.testing.assert_array_equal(y.copy_to_host().astype(expected.dtype), expected)


@pytest.mark.parametrize(
    ("shape", "filters", "kernel", "options"),
    [
        ((1, 2, 6, 12), None, (5, 3), {"padding": (2, 1)}),  # by four
        ((2, 4, 7, 8), (4, 4), (3, 3), {"padding": 1, "stride": (2, 1)}),
        ((1, 5, 6, 8), None, (3, 2), {"padding": 1, "layout": "channels_last", "dilation": (1, 2), "activation": "relu"}),
        ((1, 6, 5, 8), (8, 4), (3, 3), {"padding": "same", "layout": "channels_last"}),
        ((1, 1, 5, 16), None, (3, 13), {"padding": (1, 24), "dilation": (1, 4)}),  # a row in pieces
    ],
)
def test_is_the_steps_one_after_the_other(shape: Any, filters: Any, kernel: Any, options: Any) -> None:
    rng = np.random.default_rng(1)
    lead = filters or ()
    x, column, row = (rng.integers(-2, 3, s).astype("float32") for s in (shape, (*lead, kernel[0]), (*lead, kernel[1])))
    arrays = put((x, column, row))
    y = nc.spatially_separable_conv2d(*arrays, **options, algorithm="one_pass").copy_to_host()
    np.testing.assert_array_equal(y, nc.spatially_separable_conv2d(*arrays, **options, algorithm="direct").copy_to_host())
    np.testing.assert_array_equal(y, nc.spatially_separable_conv2d(x, column, row, **options))


def test_bfloat16_with_bias_rounds_once() -> None:
    kind = ml_dtypes.bfloat16
    x, column, row = np.full((1, 1, 3, 3), 1.0078125, kind), np.full(3, 1.0078125, kind), np.full(3, 1.0078125, kind)
    bias = np.array([0.5], kind)
    y = nc.spatially_separable_conv2d(*put((x, column, row, bias)), algorithm="one_pass").copy_to_host()
    exact = 9 * 1.0078125**3 + 0.5
    assert y.item() == kind(exact)


def explained(*arrays: Any, **options: Any) -> list[type]:
    return [type(s.problem) for s in nc.explain(nc.spatially_separable_conv2d, *put(arrays), **options).steps]


def test_is_chosen_where_it_serves_and_is_no_slower() -> None:
    x, pair = np.ones((1, 3, 8, 8), "float32"), (np.ones(3, "float32"), np.ones(3, "float32"))
    assert explained(x, *pair) == [SeparableProblem]
    assert explained(x, *pair, padding=1, padding_mode="reflect") == explained(x, *pair, algorithm="direct")
    assert SeparableProblem not in explained(x, *pair, algorithm="direct")
    assert SeparableProblem not in explained(x.astype("complex64"), *pair)
    long = np.ones(31, "float32"), np.ones(31, "float32")  # arithmetic decides, and the passes apart are better at it
    assert SeparableProblem not in explained(np.ones((1, 4, 2048, 2048), "float32"), *long)
    with pytest.raises(ValueError, match="'one_pass' pads with zeros only"):
        nc.spatially_separable_conv2d(*put((x, *pair)), padding=1, padding_mode="reflect", algorithm="one_pass")
    with pytest.raises(ValueError, match="unknown algorithm 'one_pass'"):
        nc.spatially_separable_conv2d(x, *pair, algorithm="one_pass")
    assert "one_pass" in nc.algorithms(nc.flattened_conv2d, "cuda")
    assert nc.algorithms(nc.conv2d, "cuda").count("one_pass") == 0


def test_counts_are_those_of_the_steps() -> None:
    x, pair = np.ones((2, 3, 8, 8), "float32"), (np.ones(3, "float32"), np.ones(5, "float32"))
    for border in ("count", "skip"):
        on, off = (nc.cost(nc.spatially_separable_conv2d, *a, padding="same", border=border) for a in (put((x, *pair)), (x, *pair)))
        assert (on.multiplications, on.additions, on.parameters) == (off.multiplications, off.additions, off.parameters)


def test_gradients_go_by_the_steps() -> None:
    rng = np.random.default_rng(2)
    arrays = tuple(rng.integers(-2, 3, s).astype("float32") for s in ((1, 2, 5, 5), (3,), (3,)))
    y, pullback = nc.vjp(nc.spatially_separable_conv2d, *put(arrays), padding=1)
    wanted, back = nc.vjp(nc.spatially_separable_conv2d, *arrays, padding=1)
    np.testing.assert_array_equal(y.copy_to_host(), wanted)
    g = rng.integers(-2, 3, wanted.shape).astype("float32")
    for a, b in zip(pullback(cuda.to_device(g)), back(g), strict=True):
        if b is not None:
            np.testing.assert_array_equal(a.copy_to_host(), b)


def test_batches_beyond_the_index_limit_and_tiles_of_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    x, column, row = (rng.integers(-2, 3, s).astype("float32") for s in ((3, 2, 9, 9), (3,), (3,)))
    monkeypatch.setattr(depthwise, "INDEX_LIMIT", 2 * 81 + 1)
    monkeypatch.setattr(halo, "HALO_TILES", {False: (halo.HaloTile(2, 2, 4, 2),), True: (halo.HaloTile(8, 2, 2, 2),)})
    halo._with_tile.cache_clear()
    y = nc.spatially_separable_conv2d(*put((x, column, row)), padding=1, algorithm="one_pass").copy_to_host()
    halo._with_tile.cache_clear()
    np.testing.assert_array_equal(y, nc.spatially_separable_conv2d(x, column, row, padding=1))
