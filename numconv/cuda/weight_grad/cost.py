"""What weight gradients cost: products whose terms are positions, of the whole batch.

No kernel has run on a GPU: all numbers are assumed (2026-11-24).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ...kernel import Machine
from ...problem import ConvProblem
from .. import costs
from ..stages.cost import RATE

#: depthwise, the sums of a block added by a tree: share of the arithmetic peak; launches: the parts, and their sum
DEPTHWISE_SHARE, DEPTHWISE_LAUNCHES = 0.1, 2
#: how often an operand crosses memory that is not channels last and whole in chunks: read, written so, and read
COPY_CROSSINGS = 3.0


def depthwise(problem: ConvProblem, machine: Machine) -> float:
    return costs.roof(problem, machine, DEPTHWISE_SHARE, DEPTHWISE_LAUNCHES)


def cuda_cores(problem: ConvProblem, machine: Machine, block: costs.Block, parts: int) -> costs.Estimate:
    """Rows: output channels; columns: (channel, tap); the positions in `parts`."""
    total = positions(problem)
    product = costs.Product(
        positions=problem.group_out,
        targets=problem.group_in * problem.taps,
        terms=total,
        deepest=total,
        copies=problem.groups,
        rate=costs.peak_share(problem.dtype),
        itemsize=costs.itemsize(problem.dtype),
        moved=problem.batch * costs.traffic(problem),
        choices=(parts,),
    )
    return costs.gemm([block], product, machine)


def tensor_cores(
    problem: ConvProblem,
    machine: Machine,
    blocks: Sequence[costs.Block],
    width: int,
    copied: Sequence[ConvProblem],
    choices: tuple[int, ...],
) -> costs.Estimate:
    """Rows: (tap, channel), `width` channels of a padded group; columns: output channels.

    copied: the problems whose sources are copied; choices: how many parts the positions may be cut into.
    """
    total, size = positions(problem), costs.itemsize(problem.dtype)
    copies = sum(COPY_CROSSINGS * size * problem.batch * p.source[0] * prod(p.source[1]) for p in copied)
    product = costs.Product(
        positions=width * problem.taps,
        targets=problem.group_out,
        terms=total,
        deepest=total,
        copies=problem.groups,
        rate=RATE[problem.dtype],
        itemsize=size,
        moved=problem.batch * costs.traffic(problem) + copies,
        launches=1 + len(copied),
        choices=choices,
    )
    return costs.gemm(blocks, product, machine)


def positions(problem: ConvProblem) -> int:
    return max(1, problem.batch * prod(problem.outputs))
