"""Scratch memory that is used again: a fresh large array costs a page fault every 4 KiB."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

LARGEST = 128 << 20  # bytes of one piece, about half of them gaps that nothing touches; a larger one is given back after the call
LIMIT = 256 << 20  # bytes of all pieces that are kept, of all threads; beyond it, those that no call uses now are given back
GAP = 1 << 20  # bytes
LINE = 64  # bytes of a cache line

_lock = threading.RLock()
_threads: weakref.WeakSet[_Free] = weakref.WeakSet()


class _Free(list[np.ndarray]):
    """What a thread keeps and does not use now: views, each of an array of bytes.  It ends with its thread."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # by identity
    held = 0  # bytes, with what is in use


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
    with _lock:
        return sum(free.held for free in _threads)


def forget() -> None:
    """Of all threads, what no call uses now; they may be taking it meanwhile."""
    with _lock:
        for free in list(_threads):
            with suppress(IndexError):
                while True:
                    free.held -= free.pop().base.nbytes  # type: ignore[union-attr]


def _fresh(free: _Free, size: int, instead_of: int) -> tuple[np.ndarray, bool]:
    """So many bytes for a thread that has just given up a smaller piece; and whether it is to keep them."""
    with _lock:
        free.held -= instead_of
    piece: Any = aligned((size,), _BYTES).base
    with _lock:
        if held() + piece.nbytes > LIMIT:
            forget()
        fits = piece.nbytes <= LARGEST and held() + piece.nbytes <= LIMIT
        free.held += piece.nbytes * fits
    return piece, fits


_local = _Kept()
_BYTES = np.dtype(np.uint8)
_NOTHING = np.empty(0, _BYTES)


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A fresh array from the start of a cache line on, in lines that nothing else has a part of."""
    return _from_a_line(np.empty(-(-prod(shape) * dtype.itemsize // LINE) * LINE + LINE, np.uint8), shape, dtype)


def _from_a_line(piece: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A view of a piece that has a line to spare; its `base` is the piece."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(piece.data))  # a quarter of what `piece.ctypes.data` takes, a microsecond
    return np.ndarray(shape, dtype, piece, -address % LINE)


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
            piece, size = view.base, count * dtype.itemsize
            if piece is None or piece.nbytes < size + LINE:
                before = 0 if piece is None else piece.nbytes
                del view, piece  # first
                piece, self.kept = _fresh(free, size, before)
            view = _from_a_line(piece, (count,), dtype)
        self.view = view
        return view

    def __exit__(self, *error: object) -> None:
        if self.kept:
            self.free.append(self.view)


def borrow(count: int, dtype: np.dtype) -> Scratch:
    """`count` elements of uninitialised scratch for this thread, until the block ends; nested blocks have memory of their own."""
    return Scratch(count, dtype)
