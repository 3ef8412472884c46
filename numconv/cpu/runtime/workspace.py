"""Scratch memory that is used again: a fresh large array costs a page fault every 4 KiB."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from math import prod

import numpy as np

LARGEST = 128 << 20  # bytes of one piece, about half of them gaps that nothing touches; a larger one is given back after the call
LIMIT = 256 << 20  # bytes of all pieces that are kept, of all threads; beyond it, those that no call uses now are given back
GAP = 1 << 20  # bytes

_lock = threading.RLock()
_held = 0  # bytes
_threads: weakref.WeakSet[_Free] = weakref.WeakSet()


class _Free(list[np.ndarray]):
    """What a thread keeps and does not use now: views, each of an array of bytes."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # by identity

    def __del__(self) -> None:
        give_back(self)


class _Kept(threading.local):
    def __init__(self) -> None:
        self.free = _Free()
        with _lock:
            _threads.add(self.free)


def _fresh_lock_in_child() -> None:
    """Another thread may have held it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_lock_in_child)


def held() -> int:
    """Bytes that are kept, of all threads."""
    return _held


def give_back(free: _Free) -> None:
    """All of it; its thread may be using it meanwhile."""
    while True:
        try:
            view = free.pop()
        except IndexError:
            return
        _count(-view.base.nbytes)  # type: ignore[union-attr]


def forget() -> None:
    """What no call uses now, of all threads."""
    with _lock:
        every = list(_threads)
    for free in every:
        give_back(free)


def _count(size: int) -> None:
    global _held
    with _lock:
        _held += size


def _is_kept(raw: np.ndarray) -> bool:
    """Whether a fresh piece is to be kept after its call; counts it if so."""
    if raw.nbytes > LARGEST:
        return False
    if _held + raw.nbytes > LIMIT:
        forget()
    if _held + raw.nbytes > LIMIT:
        return False
    _count(raw.nbytes)
    return True


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

    __slots__ = ("count", "dtype", "free", "kept", "view")

    def __init__(self, count: int, dtype: np.dtype) -> None:
        self.count, self.dtype = count, dtype

    def __enter__(self) -> np.ndarray:
        count, dtype = self.count, self.dtype
        self.free = free = _local.free
        self.kept = True
        try:
            view = free.pop()  # the last given back: what the same depth of nesting had before
        except IndexError:
            view = _NOTHING
        if view.size != count or view.dtype is not dtype:  # else as it was used before
            raw = view.base
            if raw is None or raw.nbytes < count * dtype.itemsize:
                if raw is not None:
                    _count(-raw.nbytes)
                del view, raw  # before there is another
                raw = aligned((-(-count * dtype.itemsize // 64) * 64,), _BYTES)
                self.kept = _is_kept(raw)
            view = np.ndarray((count,), dtype, raw)
        self.view = view
        return view

    def __exit__(self, *error: object) -> None:
        if self.kept:
            self.free.append(self.view)


def borrow(count: int, dtype: np.dtype) -> Scratch:
    """`count` elements of uninitialised scratch for this thread, until the block ends; nested blocks have memory of their own."""
    return Scratch(count, dtype)
