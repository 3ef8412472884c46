"""What a new shape costs: generous bounds, in the time of the calling thread, on what `benchmarks/new_shapes.py` measures."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import numconv as nc

ROOT = Path(__file__).resolve().parents[1]
SHAPES = 12
OFTEN = {"pointwise"}  # kinds of layer in every run of the tests; the others take a minute to compile (`-m slow`)


@pytest.fixture(scope="module")
def measure() -> Iterator[Any]:
    """The script, in one thread: waiting for another is no planning."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import new_shapes

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield new_shapes
    numba.set_num_threads(before)
    sys.path.remove(str(ROOT / "benchmarks"))
    for name in ("new_shapes", "layers"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
@pytest.mark.parametrize("often", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_new_shape_costs_little(often: bool, direction: str, layout: str, measure: Any) -> None:
    slow = {}
    for label, layer, of, way in measure.cases():
        if (of, way) != (layout, direction) or layer.multiplications > 5e7 or (layer.kind in OFTEN) is not often:
            continue
        make = measure.widths(layer, layout, direction)
        ms, kb = 1e3 * measure.beyond(make, SHAPES, time.thread_time), measure.kept(make, SHAPES) / 1e3
        if ms > 4 or kb > 25:  # at rest: 1 ms, 20 kB
            slow[label] = f"{ms:.2f} ms, {kb:.1f} kB"
    assert not slow


def test_explain_of_extreme_sizes(measure: Any) -> None:
    slow = {name: ms for name in measure.EXTREME if (ms := 1e3 * measure.explained(name, time.thread_time)) > 20}  # at rest: 5 ms
    assert not slow


def test_extreme_sizes_run() -> None:
    """Right, and at once: no table has anything for each position, phase or target."""
    x, w = np.arange(1.0, 10.0, dtype="f4").reshape(1, 1, 9), np.array([5, 2, 7], "f4").reshape(1, 1, 3)
    begin = time.perf_counter()
    np.testing.assert_array_equal(nc.conv1d(x, w, stride=2**31 - 1)[0, 0], [5 + 2 * 2 + 7 * 3])
    np.testing.assert_array_equal(nc.conv1d(x, w, dilation=2**30, padding=2**30), 2 * x)
    square = np.ones((1, 1, 9, 9), "f4")
    assert nc.conv2d(square, np.ones((1, 1, 3, 3), "f4"), stride=10**7).tolist() == [[[[9.0]]]]
    np.testing.assert_array_equal(nc.conv2d(square, np.ones((1, 1, 3, 3), "f4"), dilation=2**30, padding=2**30), square)
    for layout in ("channels_first", "channels_last"):
        shape = (1, 9, 1) if layout == "channels_last" else (1, 1, 9)
        options = {"stride": 2**31 - 1, "layout": layout}
        assert nc.conv1d(x.reshape(shape), w, **options).ravel().tolist() == [5 + 2 * 2 + 7 * 3]
    dx, dw = nc.vjp(nc.conv1d, x, w, stride=2**31 - 1)[1](np.ones((1, 1, 1), "f4"))
    assert dx[0, 0].tolist() == [5, 2, 7, 0, 0, 0, 0, 0, 0]
    assert dw[0, 0].tolist() == [1, 2, 3]
    assert time.perf_counter() - begin < 300  # kernels compile; tables of 2³¹ would take longer and 16 GiB
