"""Arrays of other libraries: DLPack without a copy, pandas refused, subclasses of NumPy's."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

import numconv as nc
from numconv import hosts


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
