"""Channels last on the CPU: transposed by squares, with remainders, in scratch that nested calls do not share."""

from __future__ import annotations

import numpy as np
import pytest
import reference

import numconv as nc
from numconv.cpu.adapt.layouts import channels_first, channels_last, serves
from numconv.cpu.runtime.workspace import borrow


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "complex64"])
@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (1, 7, 8), (3, 16, 16), (1, 129, 24), (2, 33, 47), (1, 4, 70)])
def test_there_and_back(shape: tuple[int, ...], vector_bytes: int, dtype: str) -> None:
    a = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    assert serves(a)
    first = channels_first(a, vector_bytes, np.empty(a.size, dtype))
    np.testing.assert_array_equal(first, a.transpose(0, 2, 1))
    back = np.zeros_like(a)
    channels_last(first, vector_bytes, back)
    np.testing.assert_array_equal(back, a)


@pytest.mark.parametrize("algorithm", ["direct", "spread"])
@pytest.mark.parametrize("view", ["x", "out"])
def test_arrays_that_are_no_blocks(view: str, algorithm: str) -> None:
    """Strided arrays go the slower way, with the same result; by a row that is given channels first, and one that serves channels last."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (2, 9, 7, 6)).astype("float32"), rng.integers(-4, 5, (20, 6, 3, 3)).astype("float32")
    expected = np.moveaxis(
        reference.conv(np.moveaxis(x, -1, 1), w, None, stride=(1, 1), pads=[(0, 0)] * 2, dilation=(1, 1), groups=1), 1, -1
    )
    if view == "x":
        wide = np.zeros((2, 9, 7, 12), "float32")
        wide[..., ::2] = x
        np.testing.assert_array_equal(nc.conv2d(wide[..., ::2], w, layout="channels_last", algorithm=algorithm), expected)
    else:
        wide = np.full((2, 7, 5, 40), 77, "float32")
        nc.conv2d(x, w, layout="channels_last", algorithm=algorithm, out=wide[..., ::2])
        np.testing.assert_array_equal(wide[..., ::2], expected)
        assert (wide[..., 1::2] == 77).all()


def test_nested_scratch_is_not_shared() -> None:
    with borrow(10, np.dtype("float32")) as outer:
        outer[:] = 1
        with borrow(10, np.dtype("float32")) as inner:
            inner[:] = 2
            assert not np.may_share_memory(outer, inner)
        assert (outer == 1).all()
    with borrow(10, np.dtype("float32")) as again:
        assert np.may_share_memory(outer, again)  # kept for the next call
