"""Channel shuffle: out[:, j·g + i] = x[:, i·n + j].  Moves bytes, so one kernel serves every dtype and both layouts."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import prange

from ..kernel import Kernel, Machine
from ..problem import ShuffleProblem
from .launch import kernel
from .simd.vector import get, put

INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
INEXACT = frozenset({"float32", "float64", "complex64", "complex128"})
ANY_DTYPE = INTEGERS | INEXACT | {"float16", "bfloat16"}
_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@kernel
def swap_axes(x, y, outer, groups, each, inner):
    """y[a, j, i, b] = x[a, i, j, b], both flat; i < groups, j < each.  Parallel over (a, j), whose writes are disjoint."""
    for task in prange(outer * each):
        a = task // each
        j = task - a * each
        for i in range(groups):
            source = ((a * groups + i) * each + j) * inner
            target = (task * groups + i) * inner
            for b in range(inner):
                put(y, target + b, get(x, source + b))


def words(array: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """The array as flat unsigned words, and how many make an element."""
    size = min(array.itemsize, 8)
    return array.reshape(-1).view(_WORDS[size]), array.itemsize // size


def _run(problem: ShuffleProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    if not out.size:
        return
    (x, count), (y, _) = words(arrays[0]), words(out)
    positions = prod(problem.spatial)
    last = problem.layout == "channels_last"
    outer, inner = (problem.batch * positions, count) if last else (problem.batch, positions * count)
    swap_axes(x, y, outer, problem.groups, problem.channels // problem.groups, inner)


def _cost(problem: ShuffleProblem, machine: Machine) -> float:
    size = np.dtype(problem.dtype).itemsize if problem.dtype != "bfloat16" else 2
    return machine.launch + 2 * size * problem.channels * prod(problem.spatial) / machine.bandwidth


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="permute",
        problem=ShuffleProblem,
        run=_run,
        cost=_cost,
        dtypes=ANY_DTYPE,
        honours=frozenset({"layout"}),
        error_factor=0.0,
        summary="copies each channel to its new place",
    ),
)
