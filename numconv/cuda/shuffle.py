"""Channel shuffle, out[j·g + i] = x[i·n + j], as a gather copy whose channel axis is permuted by a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernel import Kernel, Machine
from ..problem import ShuffleProblem
from . import costs
from .layout import gather_axes
from .scalars import ALL


def run(problem: ShuffleProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    c = np.arange(problem.channels)
    n = problem.channels // problem.groups
    order = c % problem.groups * n + c // problem.groups
    axis = 1 if problem.layout == "channels_first" else len(problem.spatial) + 1
    shape = problem.result_shape
    gather_axes(arrays[0], out, tuple(order if a == axis else np.arange(e) for a, e in enumerate(shape)), ("shuffle", problem))


ROWS = (
    Kernel(
        name="permute",
        problem=ShuffleProblem,
        run=run,
        cost=costs.bytes_only,
        dtypes=ALL,
        honours=frozenset({"layout"}),
        error_factor=0.0,
        summary="Gather copy with the channel axis permuted.",
    ),
)
