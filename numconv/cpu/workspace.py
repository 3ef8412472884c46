"""Scratch memory that is used again: a fresh large array costs a page fault every 4 KiB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

KEEP = 64 << 20  # bytes per thread; more is given back after the call

_local = threading.local()


def aligned(nbytes: int) -> np.ndarray:
    """Bytes that start on a cache line."""
    raw = np.empty(nbytes + 64, np.uint8)
    shift = -raw.ctypes.data % 64
    return raw[shift : shift + nbytes]


@contextmanager
def borrow(count: int, dtype: np.dtype) -> Iterator[np.ndarray]:
    """`count` elements of uninitialised scratch for this thread, until the block ends; nested blocks have memory of their own."""
    need = count * dtype.itemsize
    stack: list[np.ndarray | None] = _local.__dict__.setdefault("stack", [])  # what is kept for each depth of nesting
    depth = _local.__dict__.setdefault("depth", 0)
    if depth == len(stack):
        stack.append(None)
    kept = stack[depth]
    if kept is None or kept.size < need:
        kept = stack[depth] = aligned(need)
    _local.depth = depth + 1
    try:
        yield kept[:need].view(dtype)
    finally:
        _local.depth = depth
        if kept.size > KEEP:
            stack[depth] = None
