"""Launching: kernels compiled once for each choice of constants, arrays as flat views, the caller's stream, no synchronisation.

Kernels take flat one-dimensional views and few arguments (each costs about 2 µs): geometry travels as one int32 table, uploaded once for
each problem.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba import cuda

from ..environment import SIMULATED
from .arrays import allow_shared, current_device, upload

#: threads of a block in kernels without shared memory; the simulator interprets each of them, so few
THREADS = 4 if SIMULATED else 256
#: dynamic shared memory that any kernel may have without asking
UNASKED_SHARED = 48 << 10
#: blocks of a grid-stride kernel at most
MAX_BLOCKS = 2 if SIMULATED else 132 * 16


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """`cuda.jit` with options that the simulator does not know left out."""
    if SIMULATED:
        for name in ("max_registers", "launch_bounds", "lineinfo", "forceinline"):
            options.pop(name, None)
    return cuda.jit(**options)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A device function; plain Python in the simulator, where it has no `cuda` of its own to swap."""
    return function if SIMULATED else cuda.jit(device=True, forceinline=True)(function)


def kernel_factory(make: Callable[..., Any]) -> Callable[..., Any]:
    """Cache a factory's kernels by its constants: a kernel made anew would be compiled anew."""
    return lru_cache(maxsize=256)(make)


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def flat_grid(count: int, threads: int | None = None) -> tuple[int, int]:
    """(blocks, threads) for a grid-stride loop over `count` elements."""
    threads = threads or THREADS
    return max(1, min(ceil_div(count, threads), MAX_BLOCKS)), threads


class Table:
    """A host table with its copy on each device that has asked for it; what caches hold, so that they serve several cards."""

    __slots__ = ("_copies", "host")

    def __init__(self, host: np.ndarray[Any, Any]) -> None:
        self.host = np.ascontiguousarray(host)
        self._copies: dict[int, Any] = {}

    @property
    def nbytes(self) -> int:
        """On the host and on one device."""
        return 2 * self.host.nbytes

    def here(self) -> Any:
        number = current_device()
        copy = self._copies.get(number)
        if copy is None:
            copy = self._copies[number] = upload(self.host)
        return copy


def _given(value: Any) -> Any:
    if type(value) is Table:
        return value.here()
    if type(value) is int:
        return np.int32(value)
    return type(value)(*map(_given, value)) if isinstance(value, tuple) else value


def launch(kernel: Any, grid: Any, block: Any, stream: Any, *arguments: Any, shared: int = 0) -> None:
    """`shared`: bytes of dynamic shared memory.  Whole numbers reach the kernel as int32, a NamedTuple as its fields under their names."""
    values = [_given(a) for a in arguments]
    if shared > UNASKED_SHARED:
        allow_shared(kernel, values, shared)
    kernel[grid, block, stream, shared](*values)
