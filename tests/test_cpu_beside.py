"""Elements of a result from which weights that are not finite are seen: those taps that they read the image with, one by one."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numconv as nc
from numconv.cpu.adapt.padding import FEW, LIMITS, _greatest, beside, finite
from numconv.problem import ConvProblem


def conv_problem(extents: tuple[int, int], kernel: int, stride: int, dilation: int, low: int, back: bool) -> ConvProblem:
    """The first axis as given; the second one of 6 pixels, 3 taps and padding 1."""
    spatial, outputs = extents
    return ConvProblem(
        direction="input_grad" if back else "forward",
        dtype="float32",
        batch=1,
        in_channels=1,
        out_channels=1,
        groups=1,
        spatial=(spatial, 6),
        kernel=(kernel, 3),
        outputs=(outputs, 6),
        stride=(stride, 1),
        dilation=(dilation, 1),
        pad_low=(low, 1),
        out_dtype="float32",
    )


def on_image(p: ConvProblem, axis: int, element: int) -> set[int]:
    """The taps with which an element of the result reads the source."""
    k, s, d, low = p.kernel[axis], p.stride[axis], p.dilation[axis], p.pad_low[axis]
    if p.direction == "forward":
        return {r for r in range(k) if 0 <= element * s + r * d - low < p.spatial[axis]}
    return {r for r in range(k) if (element + low - r * d) % s == 0 and 0 <= (element + low - r * d) // s < p.outputs[axis]}


@settings(max_examples=400, deadline=None)
@given(st.integers(1, 12), st.integers(1, 7), st.integers(1, 4), st.integers(1, 4), st.integers(-1, 6), st.integers(-1, 6), st.booleans())
def test_elements_see_every_tap(spatial: int, kernel: int, stride: int, dilation: int, low: int, high: int, back: bool) -> None:
    room = spatial + low + high - (kernel - 1) * dilation - 1
    if room < 0 or (low < 0 and not back):
        return
    p = conv_problem((spatial, room // stride + 1), kernel, stride, dilation, low, back)
    what = beside(p)
    for axis, extent in enumerate(p.spatial if back else p.outputs):
        for name, joined in (("middle", set.union), ("line", set.intersection)):
            place = getattr(what, name)
            if place is not None:
                elements = range(extent)[place[axis]]
                assert len(elements) > 0
                assert joined(*(on_image(p, axis, q) for q in elements)) == set(range(p.kernel[axis])), (name, axis)


def test_most_layers_are_seen() -> None:
    """Or the test above shows nothing: same padding, a stride, a gradient's phases, a kernel wider than the image."""
    for numbers in (((6, 6), 3, 1, 1, 1), ((6, 3), 3, 2, 1, 1), ((9, 9), 5, 1, 2, 4)):
        assert beside(conv_problem(*numbers, False)).line is not None
    assert beside(conv_problem((12, 6), 3, 2, 1, 1, True)).middle is not None
    assert beside(conv_problem((2, 2), 3, 1, 1, 1, False)).middle is not None


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, -np.nan])
def test_what_is_not_finite_is_found(bad: float, dtype: str) -> None:
    w = np.full(FEW + 77, np.finfo(dtype).max, dtype)
    w[::2] = np.finfo(dtype).min
    assert finite(w) and finite(w[:99])
    for at in (0, FEW // 2 + 1, FEW + 76):
        some = w.copy()
        some[at] = bad
        assert not finite(some)
        assert not finite(some[max(0, at - 50) :])
        found = np.empty(3, f"i{w.itemsize}")
        _greatest.serial(some.view(found.dtype), found, np.iinfo(found.dtype).max)
        assert np.isnan(found.view(dtype)).any() or np.isinf(found.view(dtype)).any()


@pytest.mark.parametrize("activation", [*LIMITS])
@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_activations_hide_no_infinity(activation: str, bad: float) -> None:
    """Of a filter whose results are limits of the activation, and zeros of others."""
    rng = np.random.default_rng(2)
    x, w = rng.uniform(0.5, 1, (1, 64, 9, 9)).astype("f4"), rng.standard_normal((64, 64, 3, 3)).astype("f4")
    w[5, 3, 0, 2] = bad
    options: dict[str, Any] = {"padding": 1, "activation": activation}
    y = nc.conv2d(x, w, **options)
    assert np.isnan(y[0, 5, 0]).all() and np.isnan(y[0, 5, :, -1]).all() and np.isfinite(np.delete(y, 5, 1)).all()
    few = nc.conv2d(x, w[5:6], **options)  # looked at as they are
    assert w[5:6].size < FEW < w.size
    for i, j in product((0, 4, 8), repeat=2):
        np.testing.assert_allclose(y[0, 5, i, j], few[0, 0, i, j], rtol=1e-5)
