"""Scratch memory that is used again: a fresh large array costs a page fault every 4 KiB."""

from __future__ import annotations

import ctypes
import threading
from math import prod

import numpy as np

KEEP = 128 << 20  # bytes per thread, about half of them gaps that nothing touches; more is given back after the call
GAP = 1 << 20  # bytes


class _Kept(threading.local):
    """What this thread keeps and does not use now."""

    def __init__(self) -> None:
        self.free: list[np.ndarray] = []  # views, each of an array of bytes


_local = _Kept()
_BYTES = np.dtype(np.uint8)
_NOTHING = np.empty(0, _BYTES)


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A fresh array from the start of a cache line on, in lines that nothing else has a part of."""
    raw = np.empty(-(-prod(shape) * dtype.itemsize // 64) * 64 + 64, np.uint8)
    address = ctypes.addressof(ctypes.c_char.from_buffer(raw.data))  # a quarter of what `raw.ctypes.data` takes, a microsecond
    return np.ndarray(shape, dtype, raw, -address % 64)


def spaced(count: int, size: int) -> int:
    """Elements of `size` bytes from the scratch of one worker, `count`, to that of the next.

    The machine's prefetchers follow the channels of a box at their fixed step, and go on by several steps beyond the last: without a gap
    they keep fetching lines that the next worker is writing (decision 0026: a fifth of a layer's time).
    """
    return count + -(-min(count, GAP // size) // 16) * 16


class Scratch:
    """`with` gives the memory; a class, since a generator's context costs more than a small convolution."""

    __slots__ = ("count", "dtype", "free", "view")

    def __init__(self, count: int, dtype: np.dtype) -> None:
        self.count, self.dtype = count, dtype

    def __enter__(self) -> np.ndarray:
        free, count, dtype = _local.free, self.count, self.dtype
        self.free = free
        view = free.pop() if free else _NOTHING  # the last given back: what the same depth of nesting had before
        if view.size != count or view.dtype is not dtype:  # else as it was used before
            raw = view.base
            if raw is None or raw.nbytes < count * dtype.itemsize:
                raw = aligned((-(-count * dtype.itemsize // 64) * 64,), _BYTES)
            view = np.ndarray((count,), dtype, raw)
        self.view = view
        return view

    def __exit__(self, *error: object) -> None:
        if self.view.base.nbytes <= KEEP:  # type: ignore[union-attr]
            self.free.append(self.view)


def borrow(count: int, dtype: np.dtype) -> Scratch:
    """`count` elements of uninitialised scratch for this thread, until the block ends; nested blocks have memory of their own."""
    return Scratch(count, dtype)
