"""Arrays of other libraries: DLPack without a copy, pandas refused, subclasses of NumPy's."""

from __future__ import annotations

import inspect
import pydoc
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import numconv as nc
from numconv import devices, hosts


class Foreign:
    """What knows DLPack and nothing else."""

    def __init__(self, array: np.ndarray[Any, Any], device: int = 1) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


def test_dlpack_is_read_in_place() -> None:
    x, w = np.arange(48.0).reshape(1, 3, 4, 4), np.ones((2, 3, 3, 3))
    assert np.shares_memory(hosts.adopt(Foreign(x)), x)
    expected = nc.conv2d(x, w)
    np.testing.assert_array_equal(nc.conv2d(Foreign(x), Foreign(w)), expected)
    np.testing.assert_array_equal(nc.Conv2d(Foreign(w))(Foreign(x)), expected)
    np.testing.assert_array_equal(nc.conv2d(Foreign(x[:, :, ::-1]), w), nc.conv2d(x[:, :, ::-1].copy(), w))
    with pytest.raises(TypeError, match=r"conv2d: x is on DLPack's device 8, which is not the host"):
        nc.conv2d(Foreign(x, 8), w)


class Everywhere(Foreign):
    """As JAX's arrays, which have the name of the GPU's protocol on the host too, and raise if it is asked for there."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        raise AttributeError("not on a GPU")


def test_dlpack_says_where_an_array_lies() -> None:
    x, w = np.arange(48.0).reshape(1, 3, 4, 4), np.ones((2, 3, 3, 3))
    assert (devices.kind(Everywhere(x)), devices.kind(Everywhere(x, 2))) == ("cpu", "cuda")
    np.testing.assert_array_equal(nc.conv2d(Everywhere(x), Everywhere(w)), nc.conv2d(x, w))


def test_pandas_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in where pandas is not installed."""
    try:
        import pandas
    except ModuleNotFoundError:
        frame = type("DataFrame", (), {"__array__": lambda self, dtype=None, copy=None: np.ones((1, 8))})
        pandas = types.SimpleNamespace(DataFrame=frame, Series=type("Series", (), {}), Index=type("Index", (), {}))
        monkeypatch.setitem(sys.modules, "pandas", pandas)
        given = frame()
    else:
        given = pandas.DataFrame(np.ones((1, 8)))
    with pytest.raises(TypeError, match=r"conv1d: x is of pandas, whose labels would be lost: give its to_numpy\(\)"):
        nc.conv1d(given, np.ones((1, 1, 3)))


def test_subclasses_give_plain_arrays() -> None:
    class Labelled(np.ndarray):
        pass

    x, w = np.arange(8.0).reshape(1, 1, 8), np.ones((1, 1, 3))
    y = nc.conv1d(x.view(Labelled), w.view(Labelled))
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, nc.conv1d(x, w))


def test_xarray_by_apply_ufunc() -> None:
    """Labels stay, axes are named, and chunks stay chunks."""
    xr = pytest.importorskip("xarray", reason="xarray is not installed (extra `test`)")
    values = np.arange(2 * 3 * 8 * 9, dtype="f4").reshape(2, 8, 9, 3)
    picture = xr.DataArray(values, dims=("time", "y", "x", "band"), coords={"time": [3, 5], "y": np.arange(8) / 2}, attrs={"unit": "K"})
    w = np.random.default_rng(0).integers(-3, 4, (3, 3, 3, 3)).astype("f4")

    def sharpen(a: Any) -> Any:
        return nc.conv2d(a, w, padding=1)

    dims = ["band", "y", "x"]
    found = xr.apply_ufunc(sharpen, picture, input_core_dims=[dims], output_core_dims=[dims])
    assert found.dims == ("time", "band", "y", "x")
    np.testing.assert_array_equal(found.time, [3, 5])
    np.testing.assert_array_equal(found.y, np.arange(8) / 2)
    np.testing.assert_array_equal(found.values, nc.conv2d(values.transpose(0, 3, 1, 2), w, padding=1))
    smooth = xr.apply_ufunc(nc.ndimage.gaussian_filter, picture.isel(band=0), kwargs={"sigma": (0, 1, 1)}, keep_attrs=True)
    assert smooth.attrs == {"unit": "K"} and smooth.dims == ("time", "y", "x")
    np.testing.assert_array_equal(smooth.values, nc.ndimage.gaussian_filter(values[..., 0], (0, 1, 1)))
    dask = pytest.importorskip("dask", reason="needs the extra `dask`")
    lazy = xr.apply_ufunc(sharpen, picture.chunk({"time": 1, "y": 4}), input_core_dims=[dims], output_core_dims=[dims], dask="allowed")
    assert lazy.chunks is not None and dask.is_dask_collection(lazy.data)
    np.testing.assert_array_equal(lazy.values, found.values)


def test_jax_is_read_in_place() -> None:
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")
    x, w = jnp.arange(2 * 3 * 8 * 8, dtype="float32").reshape(2, 3, 8, 8), jnp.ones((4, 3, 3, 3), "float32")
    seen = hosts.adopt(x)
    assert seen.ctypes.data == x.unsafe_buffer_pointer() and not seen.flags.writeable
    y = nc.conv2d(x, w, padding=1)
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, nc.conv2d(np.array(x), np.array(w), padding=1))
    back = jnp.from_dlpack(y)  # and the way back, without a copy where JAX finds the memory aligned
    np.testing.assert_array_equal(np.asarray(back), y)


@pytest.mark.parametrize("kind", [np.matrix, np.memmap, np.recarray])
def test_numpys_own_subclasses(kind: Any, tmp_path: Path) -> None:
    a = np.arange(12.0).reshape(3, 4)
    if kind is np.memmap:
        given: Any = np.memmap(tmp_path / "a", "f8", "w+", shape=(3, 4))
        given[:] = a
    elif kind is np.matrix:
        with pytest.warns(PendingDeprecationWarning):
            given = np.matrix(a)
    else:
        given = a.view(np.recarray)
    found = nc.conv1d(given, np.ones((2, 3, 2)))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, nc.conv1d(a, np.ones((2, 3, 2))))


def test_rows_of_pandas_are_refused() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"a": [1.0, 2, 3], "b": [4.0, 5, 6]})
    for given in (frame, frame["a"], frame.iloc[0], frame.index):
        with pytest.raises(TypeError, match=r"convolve: in1 is of pandas, whose labels would be lost: give its to_numpy\(\)"):
            nc.convolve(given, [1.0, 2.0])
    np.testing.assert_array_equal(nc.convolve(frame["a"].to_numpy(), [1.0, 2.0]), [1, 4, 7, 6])


def test_help_shows_the_whole_text() -> None:
    """As `help(nc.conv2d)` and `nc.conv2d?` do: signature with names and defaults, parameters, errors, examples."""
    text = pydoc.render_doc(nc.conv2d, renderer=pydoc.plaintext)
    signature = inspect.signature(nc.conv2d)
    assert list(signature.parameters)[:7] == ["x", "w", "bias", "stride", "padding", "dilation", "groups"]
    for part in ("conv2d(", "padding_mode: 'str' = 'zeros'", "Parameters", "Returns", "Raises", "Examples", "Notes", ">>> "):
        assert part in text, part
    assert "conv2d(x" in pydoc.render_doc(nc.Conv2d, renderer=pydoc.plaintext) or "weights of its own" in (nc.Conv2d.__doc__ or "")
