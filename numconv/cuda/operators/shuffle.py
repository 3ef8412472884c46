"""Channel shuffle, out[j·g + i] = x[i·n + j]: a copy of whole channels, by 128 bits where their size and address allow.

Channels last, and channels that are no multiple of 16 bytes, take the gather copy with a table for the channel axis.  Each thread writes
its own elements; nothing is computed, so every type passes bit for bit.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numba.cuda.types import int32

from ...kernel import Kernel, Machine
from ...problem import ShuffleProblem
from .. import costs
from ..adapt.gather import gather_axes
from ..geometry.decode import split
from ..ptx import idiv, imul, load4, store4
from ..runtime.arrays import is_aligned, stream_of, words
from ..runtime.launch import flat_grid, jit, kernel_factory, launch
from ..scalars import ALL
from . import cost as model


class ShuffledPlanes(NamedTuple):
    """(sample, channel), permuted within each sample."""

    quads: int  # of 16 bytes, in a plane
    channels: int
    groups: int


@kernel_factory
def make_permute() -> Any:
    """The kernel for every type: planes go by 16 bytes."""

    def permute(x, out, planes, total):
        quads, channels, groups = planes.quads, planes.channels, planes.groups
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        size = idiv(channels, groups)
        while i < total:
            plane, quad = split(i, quads)
            n, c = split(plane, channels)
            j, group = split(c, groups)
            source = int32(imul(n, channels) + imul(group, size) + j)
            at = int32(imul(source, quads) + quad)
            store4(out, int32(i * int32(4)), load4(x, int32(at * int32(4))))
            i = int32(i + step)

    return jit(permute)


def run(problem: ShuffleProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x = arrays[0]
    plane = prod(problem.spatial) * costs.itemsize(problem.dtype)
    if problem.layout == "channels_first" and plane % 16 == 0 and is_aligned(x) and is_aligned(out):
        total = problem.batch * problem.channels * plane // 16
        planes = ShuffledPlanes(quads=plane // 16, channels=problem.channels, groups=problem.groups)
        launch(make_permute(), *flat_grid(total), stream_of(out), words(x), words(out), planes, total)
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
