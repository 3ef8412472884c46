"""Which tile, and how many parts of split-K: chosen for one sample of a card as large as an H100.

So neither batch nor card changes the order of a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...problem import ConvProblem
from .. import costs
from ..geometry.convolution import Lowered


def quickest(problem: ConvProblem, low: Lowered, blocks: Sequence[costs.Block], rate: float, chunk: int = 1) -> tuple[Any, int]:
    """(tile, parts of split-K); `rate` over float32's on CUDA cores, `chunk` elements in a term of the table."""
    terms = low.depth * chunk
    product = costs.Product(
        positions=low.plan.positions,
        targets=low.plan.targets,
        terms=terms,
        deepest=terms,
        copies=problem.groups * low.plan.phases,
        rate=rate,
        itemsize=costs.itemsize(problem.dtype),
        moved=costs.traffic(problem),
    )
    found = costs.gemm(blocks, product, costs.H100)
    return found.tile, found.parts
