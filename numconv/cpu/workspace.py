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
    """`count` elements of uninitialised scratch for this thread, until the block ends; nested calls get memory of their own."""
    need = count * dtype.itemsize
    kept: np.ndarray | None = getattr(_local, "kept", None)
    _local.kept = None
    if kept is None or kept.size < need:
        kept = aligned(need)
    try:
        yield kept[:need].view(dtype)
    finally:
        if kept.size <= KEEP:
            _local.kept = kept
