"""What the rows for comparison cost.

No kernel has run on a GPU: all numbers are assumed (2026-11-24).
"""

from __future__ import annotations

from math import prod

from ...kernel import Machine
from ...problem import ConvProblem
from .. import costs

#: `scatter`: share of the arithmetic peak, and results of a multiprocessor that reach it; seconds of a tap's two barriers
SCATTER_SHARE, SCATTER_FULL, SCATTER_TAP = 0.06, 2048, 1e-6
#: `matrix`: share of the arithmetic peak; its pattern is read beside the operands
MATRIX_SHARE = 0.02


def scatter(problem: ConvProblem, machine: Machine) -> float:
    """As dense/`direct`, a little quicker a product where the card is full."""
    return costs.one_thread_each(problem, machine, SCATTER_SHARE, SCATTER_FULL, SCATTER_TAP)


def matrix(problem: ConvProblem, machine: Machine) -> float:
    return costs.roof(problem, machine, MATRIX_SHARE)


def zero_insertion(problem: ConvProblem, machine: Machine, gather: float) -> float:
    """Every product with an inserted zero is made: the strides' product times the work, `gather` seconds by stride phases."""
    return gather * prod(problem.stride) + machine.launch
