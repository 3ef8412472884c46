"""Every variant of the catalog on every sample case, on the simulator's arrays, exactly on small integers."""

from __future__ import annotations

from typing import Any

import cases
import numpy as np
import pytest
from numba import cuda

from numconv import devices
from numconv.catalog import Case, Variant

OTHERS = ("float64", "int8", "float16", "int64", "complex64")


def put(array: Any) -> Any:
    return None if array is None else cuda.to_device(np.ascontiguousarray(array))


def run(variant: Variant, case: Case, dtype: str) -> tuple[Any, Any]:
    arrays, options = cases.arguments(case, np.random.default_rng(0), dtype)
    device_options = {name: put(value) if isinstance(value, np.ndarray) else value for name, value in options.items()}
    actual = variant.function(*(put(a) for a in arrays), **device_options)
    expected = cases.expected(variant, arrays, options)
    return actual, expected[0] if expected.ndim == actual.ndim + 1 else expected


def in_turn(*modes: str) -> list[Any]:
    """The largest cases, a hundred thousand products and more, in these padding modes; in the others by `-m slow`."""
    return [
        pytest.param(
            v,
            c,
            marks=(pytest.mark.slow,) if v.name == "conv3d" and c.options.get("padding_mode", "zeros") not in ("zeros", *modes) else (),
        )
        for v, c in cases.ALL
    ]


@pytest.mark.parametrize(("variant", "case"), in_turn("symmetric"), ids=cases.IDS)
def test_float32(variant: Variant, case: Case) -> None:
    actual, expected = run(variant, case, "float32")
    assert devices.kind(actual) == "cuda"
    assert actual.dtype == np.float32
    assert tuple(actual.shape) == expected.shape
    if variant.name in cases.INEXACT:
        np.testing.assert_allclose(actual.copy_to_host(), expected, rtol=1e-5)
    else:
        np.testing.assert_array_equal(actual.copy_to_host(), expected)


@pytest.mark.parametrize(("variant", "case"), in_turn(), ids=cases.IDS)
def test_another_type(variant: Variant, case: Case) -> None:
    """Each case in one of the other types, in turn."""
    dtype = OTHERS[cases.ALL.index((variant, case)) % len(OTHERS)]
    kind = np.dtype(dtype).kind
    if variant.name in cases.INEXACT:
        pytest.skip("a softmax is not exact")
    if kind == "c" and ("activation" in case.options or "mid_activation" in case.options):
        pytest.skip("activations are not defined for complex numbers")
    if kind in "ciu" and (variant.name == "deform_conv2d" or case.options.get("mode") == "bilinear"):
        pytest.skip("interpolation is for real numbers")
    actual, expected = run(variant, case, dtype)
    got = actual.copy_to_host()
    np.testing.assert_array_equal(got, expected.astype(got.dtype) if kind in "iu" else expected)
