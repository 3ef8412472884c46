"""What the operators cost beside convolutions: those that compute little read once and write once.

No kernel has run on a GPU: all numbers are assumed (2026-11-24).
"""

from __future__ import annotations

from math import prod
from typing import Any

from ...kernel import Machine
from ...problem import AttentionProblem
from .. import costs

#: how often a result's bytes cross memory: what is read is taken to be as much as what is written
CROSSINGS = 2.0
#: of the attention: the means, the dense sums.  Both are over before their launches are
ATTENTION_LAUNCHES = 2


def bytes_only(problem: Any, machine: Machine) -> float:
    """Operators that read and write once."""
    return costs.memory(CROSSINGS * costs.itemsize(problem.dtype) * prod(problem.result_shape), machine) + machine.launch


def attention(problem: AttentionProblem, machine: Machine) -> float:
    return ATTENTION_LAUNCHES * machine.launch
