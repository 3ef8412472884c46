"""What the dense rows cost, forward and on the way back to the input: on CUDA cores, on tensor cores, one thread a result.

No kernel has run on a GPU: all numbers are assumed (2026-11-24).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ...kernel import Machine
from ...problem import ConvProblem
from .. import costs
from ..stages.cost import RATE

#: `direct`: share of the peak where both operands of every product come through L1, and results of a multiprocessor that reach it
DIRECT_SHARE, DIRECT_FULL = 0.04, 512


def direct(problem: ConvProblem, machine: Machine) -> float:
    return costs.one_thread_each(problem, machine, DIRECT_SHARE, DIRECT_FULL)


def tensor_cores(problem: ConvProblem, machine: Machine, blocks: Sequence[costs.Block], width: int, in_place: bool) -> costs.Estimate:
    """`width`: channels of a padded group.

    An image not `in_place` is read, written channels last and padded, and read so, by one launch more.
    """
    channels, spatial = problem.source
    waste = width / (channels // problem.groups)
    extra = 0.0 if in_place else (1 + 2 * waste) * channels * prod(spatial) * costs.itemsize(problem.dtype)
    return costs.tiled(problem, machine, blocks, RATE[problem.dtype], waste, extra, 1 if in_place else 2)
