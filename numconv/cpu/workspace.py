"""Scratch memory that is used again: a fresh large array costs a page fault every 4 KiB."""

from __future__ import annotations

import threading

import numpy as np

KEEP = 64 << 20  # bytes per thread; more is given back after the call


class _Kept(threading.local):
    """What is kept for each depth of nesting, and how deep this thread is."""

    def __init__(self) -> None:
        self.stack: list[np.ndarray] = []
        self.depth = 0


_local = _Kept()


def aligned(count: int, dtype: np.dtype) -> np.ndarray:
    """At least `count` elements, from the start of a cache line on to the end of one."""
    nbytes = -(-count * dtype.itemsize // 64) * 64
    raw = np.empty(nbytes + 64, np.uint8)
    shift = -raw.ctypes.data % 64
    return raw[shift : shift + nbytes].view(dtype)


class Scratch:
    """`with` gives the memory; a class, since a generator's context costs more than a small convolution."""

    __slots__ = ("count", "dtype")

    def __init__(self, count: int, dtype: np.dtype) -> None:
        self.count, self.dtype = count, dtype

    def __enter__(self) -> np.ndarray:
        stack, depth = _local.stack, _local.depth
        if depth == len(stack):
            stack.append(aligned(self.count, self.dtype))
        kept = stack[depth].view(self.dtype)
        if kept.size < self.count:
            kept = stack[depth] = aligned(self.count, self.dtype)
        _local.depth = depth + 1
        return kept[: self.count]

    def __exit__(self, *error: object) -> None:
        _local.depth = depth = _local.depth - 1
        if _local.stack[depth].nbytes > KEEP:
            _local.stack[depth] = aligned(0, self.dtype)


def borrow(count: int, dtype: np.dtype) -> Scratch:
    """`count` elements of uninitialised scratch for this thread, until the block ends; nested blocks have memory of their own."""
    return Scratch(count, dtype)
