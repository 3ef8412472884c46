"""Small integers two by two: an element of a kernel's is two channels' int16, and a product is both products' sum.

Machines multiply pairs in one instruction (simd.emit), twice as many as floats, and never round: sums are those of int32, which wrap.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import prange

from ..runtime.launch import kernel
from ..simd.pairs import pairs_of
from ..simd.vector import get, load, moved, pointer, put, store

LANES = 16  # elements at a time
Array = np.ndarray[Any, Any]
SMALL_PAIRING = 1 << 15  # elements; fewer are put together in the calling thread


@kernel
def _together(x, y, planes, channels, volume):  # type: ignore[no-untyped-def]
    """y[n, c, i] = x[n, 2·c, i] and x[n, 2·c + 1, i] above it, zero beyond the last channel; flat."""
    half, whole = (channels + 1) // 2, volume // LANES * LANES
    for plane in prange(planes * half):
        c = plane % half * 2
        low, to = moved(pointer(x), (plane // half * channels + c) * volume), moved(pointer(y), plane * volume)
        if c + 1 < channels:
            high = moved(low, volume)
            for i in range(0, whole, LANES):
                store(to, i, pairs_of(load(low, i, LANES), load(high, i, LANES)))
            for i in range(whole, volume):
                put(to, i, np.int32(get(high, i)) << 16 | np.int32(get(low, i)) & 0xFFFF)
        else:
            for i in range(volume):
                put(to, i, np.int32(get(low, i)) & 0xFFFF)


def paired(a: Array, groups: int, axis: int) -> Array:
    """Channels (groups, n) along that axis as (groups, ⌈n/2⌉) pairs, held as int32."""
    shape, n = list(a.shape), a.shape[axis] // groups
    shape[axis] = groups * -(-n // 2)
    volume = prod(a.shape[axis % a.ndim + 1 :])
    if volume == 1 and n % 2 == 0:
        return np.ascontiguousarray(a, np.int16).reshape(-1).view(np.int32).reshape(shape)
    source, found = np.require(a, a.dtype.newbyteorder("="), ["C", "A"]).reshape(-1), np.empty(shape, np.int32)
    pair = _together if found.size > SMALL_PAIRING else _together.serial
    pair(source, found.reshape(-1), prod(a.shape[: axis % a.ndim]) * groups, n, volume)
    return found
