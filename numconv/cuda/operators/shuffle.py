"""Channel shuffle, out[j·g + i] = x[i·n + j]: a copy of whole channels, by 128 bits where their size and address allow.

Channels last, and channels that are no multiple of 16 bytes, take the gather copy with a table for the channel axis.  Each thread writes
its own elements; nothing is computed, so every type passes bit for bit.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32

from ...kernel import Kernel, Machine
from ...problem import ShuffleProblem
from .. import costs
from ..adapt.layout import gather_axes
from ..ptx import idiv, imul, load4, store4
from ..runtime.launch import flat_grid, is_aligned, jit, kernel_factory, launch, stream_of, words
from ..scalars import ALL
from . import cost as model


@kernel_factory
def make_permute() -> Any:
    """Rows (sample, channel) of `quads` times 16 bytes, permuted within each sample."""

    def permute(x, out, quads, channels, groups, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        size = idiv(channels, groups)
        while i < total:
            row = idiv(i, quads)
            n = idiv(row, channels)
            c = int32(row - imul(n, channels))
            j = idiv(c, groups)
            source = int32(imul(n, channels) + imul(int32(c - imul(j, groups)), size) + j)
            at = int32(imul(source, quads) + int32(i - imul(row, quads)))
            store4(out, int32(i * int32(4)), load4(x, int32(at * int32(4))))
            i = int32(i + step)

    return jit(permute)


def run(problem: ShuffleProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x = arrays[0]
    row = prod(problem.spatial) * costs.itemsize(problem.dtype)
    if problem.layout == "channels_first" and row % 16 == 0 and is_aligned(x) and is_aligned(out):
        total = problem.batch * problem.channels * row // 16
        sizes = [np.int32(v) for v in (row // 16, problem.channels, problem.groups, total)]
        launch(make_permute(), *flat_grid(total), stream_of(out), words(x), words(out), *sizes)
        return
    c = np.arange(problem.channels)
    n = problem.channels // problem.groups
    order = c % problem.groups * n + c // problem.groups
    axis = 1 if problem.layout == "channels_first" else len(problem.spatial) + 1
    indices = tuple(order if a == axis else np.arange(e) for a, e in enumerate(problem.result_shape))
    gather_axes(x, out, indices, ("shuffle", problem))


ROWS = (
    Kernel(
        name="permute",
        problem=ShuffleProblem,
        run=run,
        cost=model.bytes_only,
        dtypes=ALL,
        honours=frozenset({"layout"}),
        error_factor=0.0,
        summary="Whole channels copied by 128 bits, or a gather copy with the channel axis permuted.",
    ),
)
