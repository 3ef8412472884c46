"""What the depthwise rows cost, and separable filters in one pass.

No kernel has run on a GPU: all numbers are assumed (2026-11-24).
"""

from __future__ import annotations

from math import prod

from ...kernel import Machine
from ...problem import ConvProblem, SeparableProblem
from .. import costs

#: out of shared memory: share of the arithmetic peak; share of the traffic that the halo's second reading adds
HALO_SHARE, HALO_AGAIN = 0.35, 0.1
#: by strips of rows, where no tile fits shared memory: each input row is read (window / strip) times, and every tap
STRIPS_SHARE, STRIPS_AGAIN = 0.15, 0.25
#: a column and a row pass in one: share of the arithmetic peak
SEPARABLE_SHARE = 0.25


def halo(problem: ConvProblem, machine: Machine) -> float:
    """The halo is all that is read twice, through the second cache."""
    return costs.roof(problem, machine, HALO_SHARE, extra_bytes=HALO_AGAIN * costs.traffic(problem))


def strips(problem: ConvProblem, machine: Machine) -> float:
    return costs.roof(problem, machine, STRIPS_SHARE, extra_bytes=STRIPS_AGAIN * costs.traffic(problem))


def separable(problem: SeparableProblem, machine: Machine) -> float:
    """Memory is crossed once; the image of a group is read again, from the second cache, by each of its filters."""
    conv, size = problem.conv, costs.itemsize(problem.dtype)
    products = (problem.column.multiplications + problem.row.multiplications) / max(1, conv.batch)
    image = size * conv.in_channels * prod(conv.spatial)
    again = (HALO_AGAIN + conv.group_out - 1) * image / costs.SECOND_CACHE
    arithmetic = 2 * products / (machine.flops * costs.peak_share(problem.dtype) * SEPARABLE_SHARE)
    return max(arithmetic, costs.memory(costs.traffic(conv) + again, machine)) + machine.launch
