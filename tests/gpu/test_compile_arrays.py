"""The views that kernels take, on device arrays over invented addresses: shapes, types and pointers, with no GPU to read them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
from numba.cuda import types
from numba.cuda.cudadrv import driver
from numba.cuda.cudadrv.devicearray import DeviceNDArray
from numba.cuda.typing.typeof import Purpose, typeof

from numconv.cuda.adapt import layout
from numconv.cuda.adapt.transpose import make_transpose
from numconv.cuda.runtime.arrays import card as arrays_card
from numconv.cuda.runtime.arrays.storage import storage
from numconv.cuda.runtime.launch import launch

BASE = 0x10000


def device_array(shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, first: int = 0) -> Any:
    pointer = driver.binding.CUdeviceptr(BASE + first)
    memory = driver.MemoryPointer(None, pointer, size=1 << 20)
    return DeviceNDArray(shape, strides, np.dtype(dtype), stream=0, gpu_data=memory)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "int8", "int64", ml_dtypes.bfloat16])
def test_flat_views_type_and_point_as_device_arrays_do(dtype: Any) -> None:
    size = np.dtype(dtype).itemsize
    array = device_array((2, 3), (3 * size, size), dtype)
    view = arrays_card.flat(array)
    stored = storage(array.dtype)
    plain = DeviceNDArray((6,), (size,), stored, gpu_data=array.gpu_data)
    assert typeof(view, Purpose.argument) == typeof(plain, Purpose.argument)
    ours, theirs = view._strided_memory_view_shim, plain._strided_memory_view_shim
    assert (ours.ptr, ours.shape, ours.dtype, ours.size) == (theirs.ptr, theirs.shape, theirs.dtype, theirs.size)
    assert ours._layout.strides_in_bytes == theirs._layout.strides_in_bytes
    assert ours._layout.is_contiguous_c


def test_words_are_uint32() -> None:
    view = arrays_card.words(device_array((3, 8), (16, 2), "float16"))
    assert view.shape == (12,)
    assert typeof(view, Purpose.argument) == types.Array(types.uint32, 1, "C")


def test_negative_strides_start_at_the_lowest_element(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays_card.cuda, "current_context", lambda: None)
    array = device_array((4, 5), (-40, 8), "float32", first=3 * 40)
    view = arrays_card.extent(array)
    assert view.device_ctypes_pointer.value == BASE
    assert view.shape == (3 * 10 + 4 * 2 + 1,)
    assert arrays_card.memory_range(array) == (BASE, BASE + 4 * view.shape[0])
    assert not layout.is_contiguous(array)


def test_alignment_of_a_view_into_a_larger_array() -> None:
    assert arrays_card.is_aligned(device_array((4,), (4,), "float32"))
    assert not arrays_card.is_aligned(device_array((4,), (4,), "float32", first=4))


def test_views_of_other_shapes_share_memory() -> None:
    array = device_array((2, 6), (24, 4), "float32")
    assert arrays_card.view(array, (3, 4)).strides == (16, 4)
    assert arrays_card.view(array, (2, 2, 6), (0, 24, 4)).device_ctypes_pointer.value == BASE


def test_more_than_48_kb_of_shared_memory_is_asked_for_once_per_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's call, noted and not made: of a real dispatcher, whose compiled kernel is invented."""
    asked: list[Any] = []
    function = SimpleNamespace(handle="handle", device=SimpleNamespace(id=3))
    compiled = SimpleNamespace(_codelibrary=SimpleNamespace(get_cufunc=lambda: function))
    kernel = make_transpose("float32", 32, 8)
    monkeypatch.setattr(type(kernel), "compile", lambda self, signature: compiled)
    monkeypatch.setattr(arrays_card.driver, "driver", SimpleNamespace(cuKernelSetAttribute=lambda *a: asked.append(a)))
    arrays = (arrays_card.flat(device_array((6,), (4,), "float32")), np.int32(1))
    for card in (0, 0, 1):
        monkeypatch.setattr(arrays_card, "current_device", lambda card=card: card)
        arrays_card.allow_shared(kernel, arrays, 150016)
    most = driver.binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    assert asked == [(most, 150016, "handle", 3)] * 2
    arrays_card.allow_shared(kernel, arrays, 60000)
    assert len(asked) == 2


def test_what_a_launch_hands_over_has_the_types_that_kernels_are_compiled_for() -> None:
    """Whole numbers as int32, and so those of a NamedTuple, whose other numbers keep their type."""

    class Sizes(NamedTuple):
        channels: int
        area: float

    handed: list[Any] = []
    kernel = {(1, 32, 0, 0): lambda *values: handed.extend(values)}
    launch(kernel, 1, 32, 0, 7, Sizes(channels=3, area=np.float64(20)))
    number, sizes = handed
    assert typeof(number, Purpose.argument) == types.int32
    assert typeof(sizes, Purpose.argument) == types.BaseTuple.from_types([types.int32, types.float64], Sizes)
    assert sizes == Sizes(3, 20.0)
