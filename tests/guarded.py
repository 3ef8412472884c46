"""Arrays between pages that may not be touched."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

_kept: list[mmap.mmap] = []


def guarded(array: np.ndarray, at_end: bool) -> np.ndarray:
    """A copy whose last byte (or first) lies at a page that any access to ends the process.  POSIX; elsewhere a plain copy."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "mprotect"):
        return array.copy()
    page = mmap.PAGESIZE
    size = -(-array.nbytes // page) * page
    region = mmap.mmap(-1, size + 2 * page)
    _kept.append(region)  # the protection stays, so must the region
    base = ctypes.addressof(ctypes.c_char.from_buffer(region))
    for guard in (base, base + page + size):
        assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
    start = page + size - array.nbytes if at_end else page
    copy = np.frombuffer(region, array.dtype, array.size, start).reshape(array.shape)
    copy[...] = array
    return copy
