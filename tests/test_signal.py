"""`nc.convolve` and `nc.correlate` against SciPy's: values, types and shapes, on integers that no type rounds."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import scipy.signal

import numconv as nc
from numconv.filter_catalog import TRANSFORMS

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


def whole(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, most: int = 9) -> Any:
    return rng.integers(0 if dtype[0] == "u" else -most, most + 1, shape).astype(dtype)


@pytest.mark.parametrize("shapes", [((20000,), (6000,)), ((300, 200), (41, 50)), ((40, 41, 42), (11, 12, 13))], ids=str)
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8"])
@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_integers_are_transformed_and_exact(name: str, shapes: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """int64 sums by SciPy, wrapped to the type.  That a transform ran is seen."""
    from numconv.signal import spectral

    taken = []
    inner = spectral.convolved
    monkeypatch.setattr(spectral, "convolved", lambda *a: taken.append(inner(*a)) or taken[-1])
    rng = np.random.default_rng(0)
    one, two = (whole(rng, shape, dtype, 255 if dtype == "u1" else 100) for shape in shapes)
    for mode in ("full", "same", "valid"):
        wide = getattr(scipy.signal, name)(one.astype("f8"), two.astype("f8"), mode, "fft")
        got = getattr(nc, name)(one, two, mode, "fft")
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, np.rint(wide).astype("i8").astype(dtype))
    assert len(taken) == 3
    assert all(y is not None for y in taken)


def test_long_integers_are_transformed_unasked() -> None:
    one = np.arange(20_000) % 17
    assert nc.explain(nc.convolve, one, one).algorithm == "fft"
    np.testing.assert_array_equal(nc.convolve(one, one), np.rint(scipy.signal.fftconvolve(one, one)).astype("i8"))


def test_integers_too_large_for_a_transform_are_summed() -> None:
    rng = np.random.default_rng(0)
    one, two = (rng.integers(-(2**45), 2**45, n) for n in (3000, 2000))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(nc.convolve(one, two, method="fft"), np.convolve(one, two))


@pytest.mark.parametrize("most", [2**20, 2**24, 2**26, 2**30])
def test_integers_at_the_edge_of_what_is_exact(most: int) -> None:
    rng = np.random.default_rng(0)
    one, two = (rng.choice([-most, most - 1, most], n) for n in (900, 800))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(nc.convolve(one, two, method="fft"), np.convolve(one, two))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("method", ["direct", "fft", "auto"])
@pytest.mark.parametrize("dtype", ["i4", "f4", "f8", "c16", "u1"])
def test_four_axes_and_five(mode: str, method: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shapes in (
        ((6, 5, 7, 4), (3, 2, 3, 2)),
        ((3, 2, 3, 2), (6, 5, 7, 4)),
        ((3, 4, 2, 3, 5), (2, 1, 2, 3, 1)),
        ((4, 1, 5, 6), (1, 3, 2, 2)),
    ):
        one, two = (signal(rng, shape, dtype) for shape in shapes)
        for name in ("convolve", "correlate"):
            try:
                wanted = getattr(scipy.signal, name)(one, two, mode, "direct")
            except ValueError:
                continue
            got = getattr(nc, name)(one, two, mode, method)
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(np.rint(got.real) + 1j * np.rint(got.imag), wanted)


@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize(
    "shapes", [((1, 30), (20, 1)), ((20, 1), (1, 30)), ((1, 1, 9), (4, 5, 1)), ((1, 40), (3, 3)), ((40, 1), (3, 3))], ids=str
)
def test_long_one_way(name: str, shapes: Any) -> None:
    rng = np.random.default_rng(0)
    for dtype in ("i4", "f8", "c16"):
        one, two = (signal(rng, shape, dtype) for shape in shapes)
        for mode in ("full", "same"):
            np.testing.assert_array_equal(getattr(nc, name)(one, two, mode), getattr(scipy.signal, name)(one, two, mode, "direct"))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("name", ["fftconvolve", "oaconvolve"])
def test_transforms_are_bounded_by_norms(name: str, dtype: str) -> None:
    """As the docstring says; over some axes, with the others broadcast."""
    rng = np.random.default_rng(0)
    one, two = (rng.standard_normal(shape).astype(dtype) for shape in ((3, 1, 4000), (1, 2, 77)))
    got = getattr(nc.signal, name)(one, two, axes=-1)
    assert got.dtype == dtype
    u, steps = np.finfo(dtype).eps / 2, 24 * np.log2(8192) + 10
    for i, j in np.ndindex(3, 2):
        exact = np.convolve(one[i, 0].astype("G"), two[0, j].astype("G"))
        assert abs(got[i, j] - exact).max() <= steps * u * np.linalg.norm(one[i, 0]) * np.linalg.norm(two[0, j])


def test_a_call_of_a_known_form_looks_at_its_values() -> None:
    """The second call is bound: NaN, infinities and other flags must be seen all the same."""
    one, two = np.arange(6.0), np.array([1.0, 2.0])
    for a, b in (
        (one, two),
        (one, np.array([np.inf, 1.0])),
        (one[::-1], two),
        (one, two),
        (one, np.array([1e300, 1.0])),
        (one.astype("f4"), two),
    ):
        for name in ("convolve", "correlate"):
            wanted = getattr(np, name)(a, b, "full")
            finite = np.isfinite(b).all()
            np.testing.assert_array_equal(
                getattr(nc, name)(a, b) if finite else np.isnan(getattr(nc, name)(a, b)), wanted if finite else np.isnan(wanted)
            )


@pytest.mark.parametrize("name", ["fftconvolve", "oaconvolve"])
def test_transforms_have_the_gradients_of_convolve(name: str) -> None:
    rng = np.random.default_rng(0)
    one, two, dy = (rng.normal(size=shape) for shape in ((12, 13), (5, 4), (16, 16)))
    _, pullback = nc.vjp(getattr(nc.signal, name), one, two)
    done, dtwo = pullback(dy)
    np.testing.assert_allclose(done, scipy.signal.correlate(dy, two, "valid"), atol=1e-12)
    np.testing.assert_allclose(dtwo, scipy.signal.correlate(dy, one, "valid"), atol=1e-12)
    assert nc.explain(getattr(nc.signal, name), one, two).algorithm == "fft"


@pytest.mark.parametrize("variant", TRANSFORMS, ids=lambda v: v.name)
def test_cases_of_the_catalog(variant: Any) -> None:
    rng = np.random.default_rng(0)
    for case in variant.cases:
        one, two = (rng.integers(-9, 10, shape).astype("f8") for shape in case.shapes)
        np.testing.assert_array_equal(
            np.rint(variant.function(one, two, **case.options)), scipy.signal.convolve(one, two, **case.options, method="direct")
        )


def test_transforms_use_as_many_threads_as_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from numconv.cpu.named.fft import blocks

    seen, forward = [], blocks.forward
    monkeypatch.setattr(blocks, "forward", lambda a, extents, workers: seen.append((a.size, workers)) or forward(a, extents, workers))
    before = numba.get_num_threads()
    try:
        for count in (1, before):
            numba.set_num_threads(count)
            nc.signal.fftconvolve(np.ones(200_000), np.ones(99))
            assert {workers for size, workers in seen if size >= 1 << 16} == {count}
            seen.clear()
    finally:
        numba.set_num_threads(before)


def test_a_transform_that_is_asked_for_warns_of_nan_as_scipys() -> None:
    one, two = np.ones(300), np.ones(20)
    nc.convolve(one, two, method="fft")  # warnings are errors here
    one[7] = np.nan
    for _ in range(2):  # the second call is bound
        with pytest.warns(RuntimeWarning, match="^Use of fft convolution on input with NAN or inf"):
            y = nc.convolve(one, two, method="fft")
        assert np.isnan(y).sum() == 20
    nc.convolve(one, two)
