"""`nc.matrix` on GPU arrays, in the simulator, over a stub of CuPy: CuPy itself is not installed here, and nothing below has met it.

The stub has the names that the adapter calls, with the meaning of CuPy's documentation, on the simulator's arrays: no implicit conversion to
NumPy, `csr_matrix` of device arrays only and of floating-point or complex numbers, a `LinearOperator` that hands its arrays on.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference
import scipy.sparse
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

import numconv as nc


class StubArray(FakeCUDAArray):
    """What `cupy.ndarray` does, as far as it is asked here."""

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if not callable(found):
            return found
        return lambda *a, **o: wrap(found(*a, **o))

    def __getitem__(self, index: Any) -> Any:
        return wrap(self._ary[index._ary if isinstance(index, FakeCUDAArray) else index])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._ary[index] = getattr(value, "_ary", value)

    def __iadd__(self, other: Any) -> Any:
        self._ary += getattr(other, "_ary", other)
        return self

    def reshape(self, *shape: Any) -> Any:
        return wrap(self._ary.reshape(*shape))

    def ravel(self) -> Any:
        return wrap(self._ary.ravel())

    def transpose(self, axes: Any = None) -> Any:
        return wrap(self._ary.transpose(axes))

    T = property(transpose)


def wrap(array: Any) -> Any:
    return StubArray(array) if isinstance(array, np.ndarray) else array


def on_device(function: Any) -> Any:
    def call(array: Any, *rest: Any) -> Any:
        assert isinstance(array, FakeCUDAArray), "CuPy's functions take arrays on the device"
        return StubArray(function(array._ary, *rest))

    return call


def csr_matrix(parts: Any, shape: Any) -> Any:
    assert all(isinstance(a, StubArray) for a in parts) and parts[1].dtype == parts[2].dtype == np.int32
    assert parts[0].dtype.kind in "fc"
    held = scipy.sparse.csr_matrix(tuple(a._ary for a in parts), shape=shape)
    return SimpleNamespace(get=lambda: held, shape=held.shape, dtype=held.dtype)


class LinearOperator:
    def __init__(self, shape: Any, matvec: Any, rmatvec: Any = None, matmat: Any = None, dtype: Any = None, rmatmat: Any = None) -> None:
        self.shape, self.dtype, self.matvec, self.rmatvec, self.matmat, self.rmatmat = shape, dtype, matvec, rmatvec, matmat, rmatmat


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    modules = {name: ModuleType(name) for name in ("cupy", "cupyx", "cupyx.scipy", "cupyx.scipy.sparse", "cupyx.scipy.sparse.linalg")}
    stub = modules["cupy"]
    stub.ndarray = StubArray
    stub.asarray = lambda a: StubArray(getattr(a, "_ary", a))
    stub.ascontiguousarray, stub.moveaxis = on_device(np.ascontiguousarray), on_device(np.moveaxis)
    modules["cupyx.scipy.sparse"].csr_matrix = csr_matrix
    modules["cupyx.scipy.sparse.linalg"].LinearOperator = LinearOperator
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return stub


#: input shape, weights' shape, options
GEOMETRIES: list[tuple[Any, Any, dict[str, Any]]] = [
    ((2, 5, 6), (3, 2, 3, 2), {"stride": (2, 1), "padding": 1}),
    ((4, 7), (4, 2, 3), {"groups": 2, "dilation": 2, "padding": 2}),
    ((2, 1, 4, 4), (2, 1, 3, 3), {}),  # two images
    ((4, 4), (3, 3), {}),  # a plain kernel
]


def integers(shape: Any, dtype: str, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    found = rng.integers(-3, 4, shape)
    return (found + 1j * rng.integers(-3, 4, shape) if dtype.startswith("c") else found).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
@pytest.mark.parametrize(("shape", "weights", "options"), GEOMETRIES)
def test_matrix_on_a_stub_of_cupy_is_the_hosts(cupy: Any, shape: Any, weights: Any, options: Any, dtype: str) -> None:
    w = integers(weights, dtype, 0)
    on, off = nc.matrix.conv_matrix(cupy.asarray(w), shape, **options), nc.matrix.conv_matrix(w, shape, **options)
    np.testing.assert_array_equal(on.get().toarray(), off.toarray())
    assert on.get().has_canonical_format and on.dtype == off.dtype


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular", "symmetric"])
@pytest.mark.parametrize(("shape", "weights", "options"), GEOMETRIES[:2])
def test_operator_on_a_stub_of_cupy_is_the_hosts(cupy: Any, shape: Any, weights: Any, options: Any, mode: str) -> None:
    w = integers(weights, "float32", 0)
    on = nc.matrix.conv_operator(cupy.asarray(w), shape, **options, padding_mode=mode)
    off = nc.matrix.conv_operator(w, shape, **options, padding_mode=mode)
    assert on.shape == off.shape and on.dtype == off.dtype
    for name, count in (("matvec", on.shape[1]), ("rmatvec", on.shape[0]), ("matmat", (on.shape[1], 2)), ("rmatmat", (on.shape[0], 2))):
        v = integers(count, "float32", 1)
        got = getattr(on, name)(cupy.asarray(v))
        assert isinstance(got, FakeCUDAArray)
        np.testing.assert_array_equal(got._ary, getattr(off, name)(v))


def test_integers_are_refused_for_the_matrix_and_not_for_the_operator(cupy: Any) -> None:
    w = cupy.asarray(integers((1, 1, 3, 3), "int32", 0))
    with pytest.raises(
        TypeError, match="^conv_matrix: CuPy's sparse matrices hold floating-point and complex numbers; these would be int64"
    ):
        nc.matrix.conv_matrix(w, (1, 4, 4))
    x = integers(16, "int32", 1)
    got = nc.matrix.conv_operator(w, (1, 4, 4)).matvec(cupy.asarray(x))
    np.testing.assert_array_equal(got._ary, reference.conv(x.reshape(1, 1, 4, 4), w._ary).ravel())


def test_without_cupy_it_says_so() -> None:
    with pytest.raises(TypeError, match="^conv_operator: w is on a GPU, where sparse matrices are CuPy's, which is not installed"):
        nc.matrix.conv_operator(FakeCUDAArray(np.ones((3, 3))), (4, 4))
