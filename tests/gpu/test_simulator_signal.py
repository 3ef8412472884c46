"""`nc.convolve` and `nc.correlate` of device arrays in the simulator, against SciPy on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal
from numba import cuda
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

import numconv as nc
from numconv.cuda.adapt import layout

SHAPES = [((7,), (3,)), ((3,), (8,)), ((5,), (5,)), ((4, 5), (3, 2)), ((2, 3), (4, 5)), ((2, 5), (3, 2)), ((3, 2, 4), (2, 2, 3))]
TYPES = [("f4", "f4"), ("f8", "c8"), ("c16", "c16"), ("i1", "i1"), ("u1", "i4"), ("i8", "f4"), ("f2", "f2")]


def signal(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    values = rng.integers(0 if dtype[0] == "u" else -3, 4, shape)
    return (values + 1j * rng.integers(-3, 4, shape)).astype(dtype) if dtype[0] == "c" else values.astype(dtype)


@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("types", TYPES, ids=str)
def test_like_scipy(name: str, mode: str, shapes: Any, types: Any) -> None:
    rng = np.random.default_rng(0)
    one, two = (signal(rng, shape, dtype) for shape, dtype in zip(shapes, types, strict=True))
    on = cuda.to_device(one), cuda.to_device(two)
    wide = (a.astype("f4") if a.dtype == "f2" else a for a in (one, two))  # SciPy has no correlation of half types
    try:
        with np.errstate(invalid="ignore"):  # of mixed types, SciPy casts the uninitialised memory of its result
            wanted = getattr(scipy.signal, name)(*wide, mode, "direct").astype(np.result_type(one, two))
    except ValueError:
        with pytest.raises(ValueError, match=f"^{name}: For 'valid' mode, one must be at least as large as the other"):
            getattr(nc, name)(*on, mode)
        return
    got = getattr(nc, name)(*on, mode)
    assert type(got) is FakeCUDAArray
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got.copy_to_host(), wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_within_the_bound(dtype: str) -> None:
    rng = np.random.default_rng(1)
    one, two = rng.standard_normal(40).astype(dtype), rng.standard_normal(9).astype(dtype)
    exact, magnitude = np.convolve(one.astype("float64"), two.astype("float64")), np.convolve(abs(one), abs(two))
    got = nc.convolve(cuda.to_device(one), cuda.to_device(two)).copy_to_host()
    assert (abs(got - exact) <= 10 * np.finfo(dtype).eps * magnitude).all()


def test_any_strides() -> None:
    one, two = np.arange(12.0).reshape(3, 4)[::-1, ::2], np.arange(9.0).reshape(3, 3).T[:, ::-1]
    for name in ("convolve", "correlate"):
        got = getattr(nc, name)(FakeCUDAArray(one), FakeCUDAArray(two))
        np.testing.assert_array_equal(got.copy_to_host(), getattr(scipy.signal, name)(one, two))


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128", "int8", "uint64"])
def test_reverse(dtype: str) -> None:
    a = np.arange(30).reshape(2, 3, 5).astype(dtype)
    np.testing.assert_array_equal(layout.reverse(FakeCUDAArray(a.swapaxes(0, 2))).copy_to_host(), np.flip(a.swapaxes(0, 2)))


def test_refusals() -> None:
    one = cuda.to_device(np.ones(4, "float32"))
    with pytest.raises(TypeError, match="^convolve: arrays must be on one device; in1 is on cuda .*, in2 on cpu"):
        nc.convolve(one, np.ones(2, "float32"))
    with pytest.raises(TypeError, match="^correlate: arrays must be on one device; in1 is on cpu .*, in2 on cuda"):
        nc.correlate([1.0, 2.0], one)
    with pytest.raises(ValueError, match="^convolve: unknown algorithm 'fft'; this operator on cuda has"):
        nc.convolve(one, one, method="fft")
    with pytest.raises(TypeError, match="^convolve: in2 has dtype bool"):
        nc.convolve(one, cuda.to_device(np.ones(2, bool)))
    for shape in ((), (1, 1, 1, 1)):
        many = cuda.to_device(np.ones(shape, "float32"))
        with pytest.raises(ValueError, match=f"^correlate: kernels serve arrays of 1 to 3 axes; got {len(shape)}"):
            nc.correlate(many, many)
    with pytest.raises(ValueError, match="^convolve: volume and kernel must not be empty"):
        nc.convolve(one, cuda.to_device(np.ones(0, "float32")))


def test_nothing_goes_by_way_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = cuda.to_device(np.arange(3.0)), cuda.to_device(np.arange(8.0))
    wanted = scipy.signal.correlate(np.arange(3.0), np.arange(8.0))

    def refuse(*arguments: Any) -> None:
        raise AssertionError("copied to the host")

    copy = FakeCUDAArray.copy_to_host
    monkeypatch.setattr(FakeCUDAArray, "copy_to_host", refuse)
    monkeypatch.setattr(FakeCUDAArray, "__array__", refuse, raising=False)
    y = nc.correlate(one, two)
    np.testing.assert_array_equal(copy(y), wanted)


@pytest.mark.parametrize("name", ["fftconvolve", "oaconvolve"])
def test_names_of_transforms_are_sums_there(name: str) -> None:
    one, two = np.arange(12, dtype="f4").reshape(3, 4), np.ones((2, 2), "f4")
    got = getattr(nc.signal, name)(cuda.to_device(one), cuda.to_device(two), "same")
    assert type(got) is FakeCUDAArray
    np.testing.assert_array_equal(got.copy_to_host(), scipy.signal.convolve(one, two, "same", "direct"))
    with pytest.raises(ValueError, match=f"^{name}: no GPU kernel serves this: axes=0"):
        getattr(nc.signal, name)(cuda.to_device(one), cuda.to_device(two), axes=0)
