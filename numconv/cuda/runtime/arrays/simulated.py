"""Arrays of numba-cuda's simulator, as card.py has those of a card."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

from ....hosts import dtype_of
from ...ptx.simulator import repairs  # noqa: F401  (mends the simulator)
from .storage import storage


def flat(array: Any) -> Any:
    """A C-contiguous native array as the one-dimensional view that kernels take."""
    return FakeCUDAArray(array._ary.reshape(-1).view(storage(array.dtype)))


def words(array: Any) -> Any:
    """A C-contiguous native array as 32-bit words."""
    return FakeCUDAArray(array._ary.reshape(-1).view(np.uint32))


def extent(array: Any) -> Any:
    """A native array of any strides as a flat view from its lowest element to its highest."""
    host = array._ary
    if host.size == 0:
        return FakeCUDAArray(np.zeros(1, storage(host.dtype)))
    low = host[tuple(slice(None, None, -1) if s < 0 else slice(None) for s in host.strides)]
    steps = [s // host.itemsize for s in host.strides]
    span = 1 + sum(abs(s) * (n - 1) for s, n in zip(steps, host.shape, strict=True))
    view = np.lib.stride_tricks.as_strided(low, (span,), (host.itemsize,)).view(storage(host.dtype))
    return FakeCUDAArray(view)


def view(array: Any, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> Any:
    """The same memory under another shape (C-contiguous) or other byte strides."""
    if strides is None:
        return FakeCUDAArray(array._ary.reshape(shape))
    return FakeCUDAArray(np.lib.stride_tricks.as_strided(array._ary, shape, strides))


def allocate(shape: tuple[int, ...], dtype: Any, like: Any) -> Any:
    """A fresh array.  Poisoned, so that an element no kernel has written shows."""
    dtype = dtype_of(dtype)
    host = np.empty(shape, dtype)
    host.view(np.uint8 if host.ndim else dtype)[...] = 0xA5
    return FakeCUDAArray(host)


def stream_of(array: Any) -> Any:
    return 0


def current_device() -> int:
    return 0


def upload(table: np.ndarray[Any, Any]) -> Any:
    return FakeCUDAArray(table)


def is_aligned(array: Any) -> bool:
    return True


def multiprocessors() -> int | None:
    return None


def capability() -> tuple[int, int]:
    return 9, 0


def shared_limit() -> int:
    return 227 << 10


def allow_shared(kernel: Any, arguments: Any, shared: int) -> None:
    pass


def memory_range(array: Any) -> tuple[int, int]:
    low, high = np.lib.array_utils.byte_bounds(array._ary) if array.size else (0, 0)
    return int(low), int(high)


def adopt(array: Any) -> Any:
    return array


def release(array: Any, like: Any) -> Any:
    return array
