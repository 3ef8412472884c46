"""Lazy arrays as a device: dask's, and those of `out_of_core`.

Plans are those of their chunks' device, of rows whose bits no cut changes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from .. import devices
from ..hosts import dtype_of
from ..kernel import Kernel, Machine
from ..plan import Plan
from ..planning import elementwise
from ..problem import Problem
from . import array as lazy
from .array import Lazy
from .filters import filtered
from .problems import lazily
from .views import add, broadcast, cast, conjugate, flip, reshape, transpose

__all__ = ["add", "adopt", "broadcast", "cast", "conjugate", "copy", "empty", "filtered", "flip", "lazily", "machine", "name", "overlaps"]
__all__ += ["release", "reshape", "table", "transpose", "upload"]

name = "chunks"


def machine() -> Machine:
    """One core of the host's: chunks are computed by a thread each."""
    return devices.device("cpu").machine()


@cache
def table() -> tuple[Kernel, ...]:
    """Transforms see a chunk's ends, and some rows order a sum by the size of a plane: their bits follow the cuts, so they refuse."""
    return tuple(row if row.one_order else replace(row, refuse=_refuse) for row in elementwise(devices.device("cpu").table()))


def _refuse(problem: Problem) -> str:
    return "orders its sums by the size of a plane, which chunks change"


def adopt(array: Any) -> Lazy:
    if isinstance(array, Lazy):
        return array
    if is_dask(array):
        from .dask import adopted

        return adopted(array)
    return lazy.whole(devices.device("cpu").adopt(array))


def is_dask(array: Any) -> bool:
    """Whether it is an array of dask's, without importing dask."""
    dask = sys.modules.get("dask.array")
    return dask is not None and isinstance(array, dask.Array)


def release(array: Lazy, like: Any) -> Any:
    """One of dask's, unless the user's own are of the other kind."""
    if isinstance(like, Lazy):
        return array
    from .dask import released

    return released(array)


def empty(shape: tuple[int, ...], dtype: str, like: Any) -> Lazy:
    """One of no elements."""
    return lazy.whole(np.zeros(shape, dtype_of(dtype)))


def upload(array: np.ndarray[Any, Any]) -> Lazy:
    return lazy.whole(array)


def copy(array: Lazy) -> Lazy:
    return array


def overlaps(a: Any, b: Any) -> bool:
    return False


def execute(plan: Plan, arrays: tuple[Any, ...], out: Any, packed: bool = False) -> None:
    raise TypeError("a lazy array cannot be written into")
