"""`nc.convolve` and `nc.correlate` against SciPy's: values, types and shapes, on integers that no type rounds."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.signal

import numconv as nc

SHAPES = [
    ((7,), (3,)), ((3,), (8,)), ((5,), (5,)), ((6, 7), (3, 4)), ((3, 4), (6, 7)), ((3, 7), (6, 4)),
    ((5, 4, 6), (2, 3, 3)), ((2, 3, 2, 4), (1, 2, 2, 2)),
]  # fmt: skip
TYPES = [
    ("f8", "f8"), ("f4", "f4"), ("i1", "i1"), ("i4", "u1"), ("i8", "f4"), ("c8", "c16"), ("c8", "f4"), ("f4", "c8"),
    ("g", "f8"), ("u2", "u2"), ("?", "u1"), ("f4", "?"),
]  # fmt: skip


def signal(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    if dtype == "?":
        return rng.integers(0, 2, shape).astype(bool)
    values = rng.integers(0 if dtype[0] == "u" else -3, 4, shape)
    return (values + 1j * rng.integers(-3, 4, shape)).astype(dtype) if dtype[0] == "c" else values.astype(dtype)


@pytest.mark.parametrize(("name", "mode"), list(product(("convolve", "correlate"), ("full", "same", "valid"))))
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("types", TYPES, ids=str)
def test_like_scipy(name: str, mode: str, shapes: Any, types: Any) -> None:
    rng = np.random.default_rng(0)
    one, two = (signal(rng, shape, dtype) for shape, dtype in zip(shapes, types, strict=True))
    try:
        with np.errstate(invalid="ignore"):  # of mixed types, SciPy casts the uninitialised memory of its result
            wanted = getattr(scipy.signal, name)(one, two, mode, "direct")
    except ValueError:
        with pytest.raises(ValueError, match=f"^{name}: For 'valid' mode, one must be at least as large as the other"):
            getattr(nc, name)(one, two, mode)
        return
    got = getattr(nc, name)(one, two, mode)
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)


def test_large_kernels_may_be_transformed() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(60, 70)), rng.normal(size=(31, 33))
    wanted = scipy.signal.convolve(one, two, "same", "direct")
    for method in ("auto", "direct", "fft"):
        np.testing.assert_allclose(nc.convolve(one, two, "same", method), wanted, rtol=0, atol=1e-11)


def test_refusals_as_in_scipy() -> None:
    with pytest.raises(ValueError, match=r"^convolve: volume and kernel should have the same dimensionality"):
        nc.convolve([1], [[1]])
    with pytest.raises(ValueError, match=r"^correlate: Acceptable mode flags"):
        nc.correlate([1], [1], "some")
    with pytest.raises(ValueError, match=r"^convolve: Acceptable method flags"):
        nc.convolve([1], [1], method="slow")
    assert nc.convolve(3, 4) == 12


def test_arrays_of_two_devices_are_refused() -> None:
    class OnDevice:
        __cuda_ndarray__ = True

    with pytest.raises(TypeError, match="^convolve: arrays must be on one device; in1 is on cpu .*, in2 on cuda"):
        nc.convolve([1, 2, 3], OnDevice())


@pytest.mark.parametrize("dtype", ["float32", "complex128", "bool"])
def test_tensors_of_torch_stay_tensors(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    one, two = (np.arange(n).astype(dtype) for n in (5, 3))
    for a, b in ((one, two), (two, one)):  # the second is the larger: the result is reversed
        y = nc.correlate(torch.from_numpy(a), torch.from_numpy(b))
        assert isinstance(y, torch.Tensor)
        np.testing.assert_array_equal(y.numpy(), scipy.signal.correlate(a, b))


def test_what_has_no_kernel_has_no_gradient() -> None:
    with pytest.raises(ValueError, match="^convolve: no kernel, so no plan and no gradient, for 4 axes of float64 and float64"):
        nc.vjp(nc.convolve, np.ones((1, 1, 1, 2)), np.ones((1, 1, 1, 2)))


def test_gradients_of_the_transform() -> None:
    rng = np.random.default_rng(0)
    one, two, dy = (rng.normal(size=n) for n in (60, 31, 90))
    y, pullback = nc.vjp(nc.convolve, one, two, method="fft")
    np.testing.assert_allclose(y, np.convolve(one, two), atol=1e-12)
    done, dtwo = pullback(dy)
    np.testing.assert_allclose(done, np.correlate(dy, two, "valid"), atol=1e-12)
    np.testing.assert_allclose(dtwo, np.correlate(dy, one, "valid"), atol=1e-12)
