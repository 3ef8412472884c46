"""Every variant of the catalog on every sample case against the oracle: exactly on small integers, then within the bound."""

from __future__ import annotations

import inspect
from typing import Any

import cases
import numpy as np
import pytest
import tolerance
from cases import ALL, IDS

import numconv as nc
from numconv.catalog import VARIANTS, Case, Variant

EXACT_TYPES = ("float32", "float64", "complex64", "complex128", "int8", "int16", "int32", "int64", "uint8")
REAL_ONLY = {"resize_conv2d", "resize2d", "deform_conv2d", "dynamic_attention"}


def run(variant: Variant, arrays: tuple[Any, ...], options: dict[str, Any], **more: Any) -> Any:
    return variant.function(*arrays, **options, **more)


def squeeze(expected: Any, actual: Any) -> Any:
    """The oracle always has a batch axis."""
    return expected[0] if expected.ndim == np.ndim(actual) + 1 else expected


def skip_if_undefined(variant: Variant, case: Case, dtype: str) -> None:
    kind = np.dtype(dtype).kind
    if kind == "c" and ("activation" in case.options or "mid_activation" in case.options):
        pytest.skip("activations are not defined for complex numbers")
    if kind in "ciu" and (variant.name in ("deform_conv2d", "dynamic_attention") or case.options.get("mode") == "bilinear"):
        pytest.skip("interpolation and softmax are for real numbers")


@pytest.mark.parametrize(("variant", "case"), ALL, ids=IDS)
@pytest.mark.parametrize("dtype", EXACT_TYPES)
def test_exact_on_small_integers(variant: Variant, case: Case, dtype: str) -> None:
    if variant.name in cases.INEXACT:
        pytest.skip("a softmax is not exact")
    skip_if_undefined(variant, case, dtype)
    arrays, options = cases.arguments(case, np.random.default_rng(0), dtype)
    actual = run(variant, arrays, options)
    expected = squeeze(cases.expected(variant, arrays, options), actual)
    wanted = dtype
    sums = variant.problem is nc.catalog.ConvProblem or variant.name == "fold"
    if np.dtype(dtype).kind in "iu" and sums and variant.section > 1:  # SciPy keeps narrow integers
        wanted = "int32" if np.dtype(dtype).itemsize <= 2 else "int64"
    assert actual.dtype == wanted
    assert type(actual) is np.ndarray
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected.astype(actual.dtype) if np.dtype(dtype).kind in "iu" else expected)


@pytest.mark.parametrize(("variant", "case"), ALL, ids=IDS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_within_the_bound(variant: Variant, case: Case, dtype: str) -> None:
    rng = np.random.default_rng(1)
    arrays, options = cases.arguments(case, rng, "float64")
    arrays = tuple(None if a is None else (a + rng.uniform(-0.5, 0.5, a.shape)).astype(dtype) for a in arrays)
    actual = run(variant, arrays, options)
    expected = squeeze(cases.expected(variant, arrays, options), actual)
    if variant.name == "deform_conv2d":  # positions are rounded too: error in proportion to the differences of neighbours
        np.testing.assert_allclose(actual, expected, rtol=2e-2 if dtype == "float16" else 1e-4, atol=1e-1 if dtype == "float16" else 1e-4)
        return
    magnitude = squeeze(cases.magnitude(variant, arrays, options), actual)
    if variant.name == "dynamic_attention":
        magnitude = np.full_like(magnitude, 8 * sum(float(np.abs(a).max()) ** 2 for a in arrays if a is not None))
    tolerance.assert_within(actual, expected, magnitude, 4 * cases.terms(arrays), np.dtype(dtype))


@pytest.mark.parametrize(("variant", "case"), ALL, ids=IDS)
def test_out_is_filled_and_returned(variant: Variant, case: Case) -> None:
    if "out" not in inspect.signature(variant.function).parameters:
        pytest.skip("SciPy's signature has no out")
    arrays, options = cases.arguments(case, np.random.default_rng(2))
    wanted = run(variant, arrays, options)
    out = np.full(wanted.shape, np.nan, wanted.dtype)
    assert run(variant, arrays, options, out=out) is out
    np.testing.assert_array_equal(out, wanted)
    wide = np.full((*wanted.shape, 2), np.nan, wanted.dtype)
    run(variant, arrays, options, out=wide[..., 0])
    np.testing.assert_array_equal(wide[..., 0], wanted)
    assert np.isnan(wide[..., 1]).all()


@pytest.mark.parametrize(("variant", "case"), ALL, ids=IDS)
def test_inputs_of_any_strides_read_only(variant: Variant, case: Case) -> None:
    arrays, options = cases.arguments(case, np.random.default_rng(3))
    wanted = run(variant, arrays, options)

    def awkward(a: Any) -> Any:
        if a is None:
            return None
        view = np.repeat(a[..., ::-1], 2, axis=-1)[..., ::-2]
        view = view.T.copy().T
        np.testing.assert_array_equal(view, a)
        view.flags.writeable = False
        return view

    np.testing.assert_array_equal(run(variant, tuple(map(awkward, arrays)), options), wanted)


def test_explain_traces_every_variant_without_running() -> None:
    for variant in VARIANTS:
        arrays, options = cases.arguments(variant.cases[0], np.random.default_rng(4))
        explanation = nc.explain(variant.function, *arrays, **options)
        assert len(explanation.steps) == len(explanation.plans) >= (2 if variant.composite else 1)
        assert np.prod(explanation.steps[-1].problem.result_shape) == run(variant, arrays, options).size or variant.name == "dynamic_conv2d"
        assert explanation.algorithm in str(explanation)
        assert explanation.workspace >= 0
        assert explanation.algorithm in nc.algorithms(variant.function)


def test_catalog_and_public_names_agree() -> None:
    for variant in VARIANTS:
        assert getattr(nc, variant.name) is variant.function
        assert variant.name in nc.__all__
        assert variant.name in cases.MEANING
    assert {v.section for v in VARIANTS} == set(range(1, 14)) - {5}
