"""What `dot_rows` costs, in cycles of one worker at the clock that Machine.flops assumes.

Zen 4 (AVX-512), one thread, 2026-11-24 (commit bccb07a; decision 11).
"""

from __future__ import annotations

from math import prod

from ....kernel import Machine
from ....problem import ConvProblem
from .stretch import DotsLayout, vectors_of

TILE_BEGUN = 60.0  # cycles a tile begun
REDUCE = 8.0  # cycles a sum over lanes
ISSUE = 1.2  # cycles a multiply-add, where the core starts one in a cycle …
ROW_READ = 2.7  # … or a row's vector of the input, which mostly lies across two lines, and its mask …
FILTER_READ = 0.6  # … with a filter's vector of the gradient …
CHAIN = 4.0  # … or from one multiply-add of a sum to the next
CROWDED_FILTERS = 1.4  # of those cycles, where several filters' gradients share few sets of the caches
PAGE = 4096  # bytes: planes so far apart, or a multiple of it, do
FAR_LINE = 1.0  # cycles a line from the second cache, where the first does not hold the planes
SPLIT_ELEMENT = 1e-9  # seconds an element of the input whose rows are split into stride phases


def tile_cycles(problem: ConvProblem, a: DotsLayout, rows: int, filters: int, size: int, machine: Machine) -> float:
    """Of a whole group and sample with such tiles; `size`: bytes of an element."""
    lanes, length = machine.vector_bytes // size, problem.group_in * problem.taps
    starts = -(-problem.group_out // filters) * -(-length // rows)
    each = max(ISSUE * rows * filters / machine.multiply_adds, ROW_READ * rows + FILTER_READ * filters, CHAIN)
    if filters > 1 and prod(a.outputs) * size % PAGE == 0:
        each *= CROWDED_FILTERS
    if (problem.group_in + filters) * prod(a.outputs) * size > machine.l1:
        each += FAR_LINE * (-(-rows // problem.taps) + filters)
    return starts * (vectors_of(a, lanes) * each + TILE_BEGUN) + problem.group_out * length * REDUCE
