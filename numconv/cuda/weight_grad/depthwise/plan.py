"""The depthwise weight gradient: what a block owns, and how many of them there are."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ....problem import ConvProblem
from ...environment import SIMULATED
from ...runtime.launch import ceil_div


class TreeForm(NamedTuple):
    """What of a block is compiled into the kernel."""

    threads: int  # a power of two, the leaves of the tree that adds them
    taps: int  # of a block: sums of a thread
    length: int  # positions of a block: of a part


FORM = TreeForm(threads=4, taps=9, length=32) if SIMULATED else TreeForm(threads=256, taps=9, length=1 << 14)


def parts(problem: ConvProblem) -> int:
    return max(1, ceil_div(problem.batch * prod(problem.outputs), FORM.length))


def blocks(problem: ConvProblem) -> int:
    return ceil_div(problem.taps, FORM.taps) * problem.out_channels * parts(problem)
