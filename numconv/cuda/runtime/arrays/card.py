"""Arrays on a card: views, allocation, streams, and the arrays of torch and CuPy taken in and given back."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda import types
from numba.cuda.cudadrv import driver, dummyarray
from numba.cuda.cudadrv.devicearray import DeviceNDArray
from numba.cuda.np import numpy_support

from ....hosts import dtype_of, keep_graph
from .storage import storage


@lru_cache(maxsize=4096)
def _description(count: int, itemsize: int) -> Any:
    return dummyarray.Array.from_desc(0, (count,), (itemsize,), itemsize)


@lru_cache(maxsize=32)
def _flat_type(dtype: np.dtype[Any]) -> Any:
    return types.Array(numpy_support.from_dtype(dtype), 1, "C")


class Flat(DeviceNDArray):
    """A one-dimensional view made without DeviceNDArray's own constructor, which costs more than a launch's argument."""

    def __init__(self, count: int, dtype: np.dtype[Any], memory: Any, source: Any) -> None:
        self.ndim, self.shape, self.strides, self.dtype = 1, (count,), (dtype.itemsize,), dtype
        self.size, self.alloc_size, self.gpu_data, self.stream = count, count * dtype.itemsize, memory, source.stream
        self._dummy = _description(count, dtype.itemsize)
        self.__dict__["_numba_type_"] = _flat_type(dtype)  # a cached property: looked up for every launch


def _contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = [itemsize]
    for n in reversed(shape[1:]):
        strides.append(strides[-1] * n)
    return tuple(reversed(strides)) if shape else ()


def _wrap(shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, memory: Any, source: Any) -> Any:
    made = DeviceNDArray(shape, strides, dtype, stream=source.stream, gpu_data=memory)
    made.numconv_source = getattr(source, "numconv_source", None)
    return made


def flat(array: Any) -> Any:
    """A C-contiguous native array as the one-dimensional view that kernels take."""
    return Flat(array.size, storage(array.dtype), array.gpu_data, array)


def words(array: Any) -> Any:
    """A C-contiguous native array as 32-bit words."""
    return Flat(array.size * array.dtype.itemsize // 4, np.dtype(np.uint32), array.gpu_data, array)


def extent(array: Any) -> Any:
    """A native array of any strides as a flat view from its lowest element to its highest."""
    dtype = storage(array.dtype)
    steps = [s // dtype.itemsize for s in array.strides]
    span = 1 + sum(abs(s) * (n - 1) for s, n in zip(steps, array.shape, strict=True))
    first = sum(-s * (n - 1) for s, n in zip(steps, array.shape, strict=True) if s < 0)
    memory = array.gpu_data
    if first:
        pointer = driver.binding.CUdeviceptr(int(array.device_ctypes_pointer.value) - first * dtype.itemsize)
        memory = driver.MemoryPointer(cuda.current_context(), pointer, size=span * dtype.itemsize, owner=array)
    return Flat(span, dtype, memory, array)


def view(array: Any, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> Any:
    """The same memory under another shape (C-contiguous) or other byte strides."""
    return _wrap(shape, strides or _contiguous_strides(shape, array.dtype.itemsize), array.dtype, array.gpu_data, array)


def allocate(shape: tuple[int, ...], dtype: Any, like: Any) -> Any:
    """A fresh array, from the allocator of the library that `like` came from (cuMemAlloc synchronises; theirs keep pools)."""
    source = getattr(like, "numconv_source", None)
    name = np.dtype(dtype_of(dtype)).name
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and isinstance(source, torch.Tensor) and hasattr(torch, name):
        return adopt(torch.empty(shape, dtype=getattr(torch, name), device=source.device))
    if cupy is not None and isinstance(source, cupy.ndarray) and name != "bfloat16":
        return adopt(cupy.empty(shape, dtype=name))
    return cuda.device_array(shape, dtype_of(dtype), stream=like.stream)


def stream_of(array: Any) -> Any:
    """The stream on which the array's producer works; kernels are queued there."""
    return array.stream


def current_device() -> int:
    return cuda.current_context().device.id


@lru_cache(maxsize=16)
def _upload_stream(device: int) -> Any:
    return cuda.stream()


def upload(table: np.ndarray[Any, Any]) -> Any:
    """A copy on the device, complete before any stream can read it: waits for this copy alone, once for each table and device."""
    stream = _upload_stream(current_device())
    copy = cuda.to_device(table, stream=stream)
    stream.synchronize()
    copy.stream = 0
    return copy


def multiprocessors() -> int | None:
    """Of the current card; None where there is none."""
    return cuda.get_current_device().MULTIPROCESSOR_COUNT if cuda.is_available() else None


def capability() -> tuple[int, int]:
    """Compute capability of the current card; the newest where there is none."""
    return tuple(cuda.get_current_device().compute_capability) if cuda.is_available() else (9, 0)  # type: ignore[return-value]


def shared_limit() -> int:
    """Bytes of shared memory that a block may ask for on the current card."""
    return int(cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)


def allow_shared(kernel: Any, arguments: Any, shared: int) -> None:
    """Let a kernel have more than 48 KB, once for each device; numba-cuda has no option for it (NVIDIA/numba-cuda#94)."""
    allowed = kernel.__dict__.setdefault("numconv_shared", {})
    if allowed.get(current_device(), 0) >= shared:
        return
    compiled = kernel.compile(tuple(kernel.typeof_pyval(a) for a in arguments))
    function = compiled._codelibrary.get_cufunc()
    most = driver.binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    driver.driver.cuKernelSetAttribute(most, shared, function.handle, function.device.id)
    allowed[current_device()] = shared


def is_aligned(array: Any) -> bool:
    """Whether 16-byte reads may start at its first element: a view of a larger array may begin anywhere."""
    return int(array.device_ctypes_pointer.value) % 16 == 0


def memory_range(array: Any) -> tuple[int, int]:
    if not array.size:
        return 0, 0
    start = int(array.device_ctypes_pointer.value)
    low = start + sum(s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True) if s < 0)
    return low, start + array.dtype.itemsize + sum(s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True) if s > 0)


def adopt(array: Any) -> Any:
    """A DeviceNDArray over the caller's memory, on the caller's current stream; nothing is copied or synchronised."""
    if isinstance(array, DeviceNDArray):
        return array
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    if torch is not None and isinstance(array, torch.Tensor):
        keep_graph(array)
        tensor = array.detach().resolve_conj().resolve_neg()
        if len(cuda.gpus) > 1 and current_device() != tensor.device.index:
            cuda.select_device(tensor.device.index)
        if tensor.dtype == torch.bfloat16:  # no NumPy name in the interface: its bits under ml_dtypes' name
            bits = cuda.as_cuda_array(tensor.view(torch.int16), sync=False)
            native = DeviceNDArray(bits.shape, bits.strides, dtype_of("bfloat16"), gpu_data=bits.gpu_data)
        else:
            native = cuda.as_cuda_array(tensor, sync=False)
        native.stream = cuda.external_stream(torch.cuda.current_stream(tensor.device).cuda_stream)
    else:
        native = cuda.as_cuda_array(array, sync=False)
        if cupy is not None and isinstance(array, cupy.ndarray):
            native.stream = cuda.external_stream(cupy.cuda.get_current_stream().ptr)
    native.numconv_source = array
    return native


def release(array: Any, like: Any) -> Any:
    """The result as the caller's kind of array: what it was allocated as, or a view through the array interface."""
    torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
    source = getattr(array, "numconv_source", None)
    if torch is not None and isinstance(like, torch.Tensor):
        if isinstance(source, torch.Tensor) and source.data_ptr() == int(array.device_ctypes_pointer.value):
            strides = [s // array.dtype.itemsize for s in array.strides]
            same = tuple(source.shape) == tuple(array.shape) and list(source.stride()) == strides
            return source if same else source.as_strided(array.shape, strides)
        return torch.as_tensor(array, device=like.device)
    if cupy is not None and isinstance(like, cupy.ndarray):
        same = isinstance(source, cupy.ndarray) and source.data.ptr == int(array.device_ctypes_pointer.value)
        return source if same and source.shape == array.shape and source.strides == array.strides else cupy.asarray(array)
    return array
