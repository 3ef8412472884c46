"""Channel shuffle: out[:, j·g + i] = x[:, i·n + j].  Moves bytes, so one kernel serves every dtype and both layouts."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import prange

from ...kernel import Kernel, Machine
from ...problem import ShuffleProblem
from ..adapt.lowering import ALL
from ..runtime.launch import kernel
from ..simd.vector import get, put

_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@kernel
def move_planes(x, y, table, batch, plane):
    """y[n, c, p] = x[n, table[c], p], flat.  Parallel over (n, c)."""
    channels = len(table)
    for task in prange(batch * channels):
        n = task // channels
        source = (n * channels + table[task - n * channels]) * plane
        for p in range(plane):
            put(y, task * plane + p, get(x, source + p))


@kernel
def move_columns(x, y, table, positions):
    """y[p, c] = x[p, table[c]], flat.  Parallel over blocks of 64 positions."""
    channels = len(table)
    for task in prange((positions + 63) // 64):
        for p in range(task * 64, min(task * 64 + 64, positions)):
            for c in range(channels):
                put(y, p * channels + c, get(x, p * channels + get(table, c)))


def words(array: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], int]:
    """The array as flat unsigned words, and how many make an element."""
    size = min(array.itemsize, 8)
    return array.reshape(-1).view(_WORDS[size]), array.itemsize // size


def _run(problem: ShuffleProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    if not out.size:
        return
    (x, count), (y, _) = words(arrays[0]), words(out)
    positions = prod(problem.spatial)
    table = np.arange(problem.channels).reshape(problem.groups, -1).T.reshape(-1)
    if problem.layout == "channels_last":
        table = (table[:, None] * count + np.arange(count)).reshape(-1)
        move_columns(x, y, table, problem.batch * positions)
    else:
        move_planes(x, y, table, problem.batch, positions * count)


def _cost(problem: ShuffleProblem, machine: Machine) -> float:
    size = np.dtype(problem.dtype).itemsize if problem.dtype != "bfloat16" else 2
    return machine.launch + 2 * size * problem.channels * prod(problem.spatial) / machine.bandwidth


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="permute",
        problem=ShuffleProblem,
        run=_run,
        cost=_cost,
        dtypes=ALL,
        honours=frozenset({"layout"}),
        workspace=lambda problem, machine: 8 * problem.channels,
        error_factor=0.0,
        summary="copies each channel to its new place",
    ),
)
