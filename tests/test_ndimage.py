"""SciPy's filters: beside SciPy's own functions, whose code is not ours; all of SciPy's own tests by tests/scipy_suite.py."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

import numconv as nc
from numconv.filter_catalog import FILTERS
from numconv.memory import forget
from numconv.ndimage import edges, gaussian, neighbours, sums, uniform

CASES = [pytest.param(v, c, id=f"{v.name}-{c.label}") for v in FILTERS for c in v.cases]


def theirs(name: str) -> Any:
    return getattr(scipy.signal if name.endswith("2d") else scipy.ndimage, name)


def real(case: Any, dtype: str) -> tuple[Any, ...]:
    rng = np.random.default_rng(len(case.label))
    return tuple(rng.standard_normal(s).astype(dtype) for s in case.shapes)


def bound_of(variant: Any, case: Any, arrays: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> float:
    """max|x|·Σ over chains of γ(terms)·Π Σ|w|: each sum of n products rounds n times, and once more to its result's type."""
    unit, largest = float(np.finfo(arrays[0].dtype).eps) / 2, float(np.abs(arrays[0]).max())
    found: list[float] = []

    def seen(name: str, source: Any, chains: Any, weights: Any, *others: Any, **options: Any) -> Any:
        left = list(weights)
        for chain in chains:
            mine = [left.pop(0) for _ in chain]
            terms = sum(w.size + 2 for w in mine) + len(chains)
            found.append(terms * unit / (1 - terms * unit) * float(np.prod([np.abs(w).sum() for w in mine])))
        return sums.filtered(name, source, chains, weights, *others, **options)

    if len(case.shapes) == 2 and variant.name.endswith("2d"):
        terms = arrays[1].size + 2
        return terms * unit / (1 - terms * unit) * float(np.abs(arrays[1]).sum()) * largest
    forget()  # or the call is known, and nobody is asked
    for module in (edges, gaussian, neighbours, uniform):
        monkeypatch.setattr(module, "filtered", seen)
    variant.function(*arrays, **case.options)
    monkeypatch.undo()
    return sum(found) * largest


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64"])
@pytest.mark.parametrize(("variant", "case"), CASES)
def test_integers_exactly(variant: Any, case: Any, dtype: str) -> None:
    arrays = case.arrays(np.random.default_rng(1), dtype)
    wanted = theirs(variant.name)(*arrays, **case.options)
    y = getattr(nc.signal if variant.name.endswith("2d") else nc.ndimage, variant.name)(*arrays, **case.options)
    assert y.dtype == wanted.dtype
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("variant", "case"), CASES)
def test_real_numbers(variant: Any, case: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside SciPy's in float64; of float64 SciPy's own error, of the same bound, comes on top."""
    arrays = real(case, dtype)
    wanted = theirs(variant.name)(*arrays, **case.options)
    y = variant.function(*arrays, **case.options)
    assert y.dtype == wanted.dtype
    assert y.shape == wanted.shape
    wide = theirs(variant.name)(*(a.astype(np.float64) for a in arrays), **case.options)
    assert np.abs(y - wide).max() <= 2 * bound_of(variant, case, arrays, monkeypatch)


@pytest.mark.parametrize(("variant", "case"), CASES)
def test_gradients_are_adjoint(variant: Any, case: Any) -> None:
    """⟨dy, J·v⟩ = ⟨Jᵀ·dy, v⟩, J by the filter itself, which is linear in each array."""
    arrays, rng = real(case, "float64"), np.random.default_rng(3)
    y, pullback = nc.vjp(variant.function, *arrays, **case.options)
    dy = rng.standard_normal(y.shape)
    gradients = pullback(dy)
    assert len(gradients) == len(arrays)
    for i, gradient in enumerate(gradients):
        v = rng.standard_normal(arrays[i].shape)
        moved = variant.function(*(v if j == i else a for j, a in enumerate(arrays)), **case.options)
        assert gradient.shape == arrays[i].shape
        np.testing.assert_allclose((gradient * v).sum(), (dy * moved).sum(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("variant", FILTERS, ids=lambda v: v.name)
def test_explained(variant: Any) -> None:
    case = variant.cases[0]
    found = nc.explain(variant.function, *real(case, "float32"), **case.options)
    assert found.steps
    assert found.algorithm in nc.algorithms(variant.function)


@pytest.mark.parametrize("variant", FILTERS, ids=lambda v: v.name)
def test_signature_is_scipys(variant: Any) -> None:
    ours, wanted = inspect.signature(variant.function), inspect.signature(theirs(variant.name))
    assert [(p.name, p.default, p.kind) for p in ours.parameters.values()] == [
        (p.name, p.default, p.kind) for p in wanted.parameters.values()
    ]


def test_output_as_type_and_as_array() -> None:
    x = np.random.default_rng(0).standard_normal((9, 8)).astype(np.float32)
    assert nc.ndimage.sobel(x, output=np.float64).dtype == np.float64
    target = np.empty((8, 9), np.float32).T
    assert nc.ndimage.gaussian_filter(x, 1.0, output=target) is target
    np.testing.assert_array_equal(target, nc.ndimage.gaussian_filter(x, 1.0))
    same = x.copy()
    nc.ndimage.laplace(same, output=same)
    np.testing.assert_array_equal(same, nc.ndimage.laplace(x))


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: nc.ndimage.correlate(np.ones((4, 4)), np.ones(3)), RuntimeError),
        (lambda: nc.ndimage.correlate1d(np.ones(4), np.ones(3), origin=5), ValueError),
        (lambda: nc.ndimage.gaussian_filter(np.ones((4, 4)), (1.0, 2.0, 3.0)), RuntimeError),
        (lambda: nc.ndimage.sobel(np.ones((4, 4)), mode="odd"), RuntimeError),
        (lambda: nc.ndimage.sobel(np.ones((4, 4)), axis=7), np.exceptions.AxisError),
        (lambda: nc.signal.convolve2d(np.ones(4), np.ones((2, 2))), ValueError),
    ],
)
def test_errors_are_scipys_under_our_name(call: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^(correlate|correlate1d|gaussian_filter|sobel|convolve2d): "):
        call()


def test_what_no_kernel_serves_goes_by_scipy() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((6, 7)) + 1j * rng.standard_normal((6, 7))
    np.testing.assert_array_equal(nc.ndimage.gaussian_filter(z, 1.0), scipy.ndimage.gaussian_filter(z, 1.0))
    with pytest.raises(ValueError, match="gaussian_filter: no kernel of numconv serves this"):
        nc.explain(nc.ndimage.gaussian_filter, z, 1.0)


def test_beyond_the_edges_is_a_number() -> None:
    x = np.random.default_rng(0).integers(0, 9, (6, 7))
    for cval in (3, 2.5, -1e300):
        wanted = scipy.ndimage.correlate(x.astype(float), np.ones((3, 3)), mode="constant", cval=cval)
        np.testing.assert_allclose(nc.ndimage.correlate(x.astype(float), np.ones((3, 3)), mode="constant", cval=cval), wanted)
