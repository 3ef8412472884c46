"""What Winograd's passes cost around the product of the frequencies.

No kernel has run on a GPU: all numbers are assumed (2026-11-24).
"""

from __future__ import annotations

from math import prod

from ...kernel import Machine
from ...problem import ConvProblem
from .. import costs

#: how often the image is read, through the second cache, by tiles that overlap
IMAGE_READS = 1.3
#: bytes of an element, of the image, the frequencies and the filters alike
FLOAT32 = 4
#: of the image and of the outputs
LAUNCHES = 2
#: taps of a filter
FILTER_TAPS = 9


def passes(problem: ConvProblem, product: ConvProblem, multiplied: float, machine: Machine) -> float:
    """Seconds of one sample once the filters are ready: the image to V, the `product` of the frequencies, M to the outputs."""
    frequencies = (product.in_channels + product.out_channels) * product.spatial[0]
    moved = FLOAT32 * (IMAGE_READS * problem.in_channels * prod(problem.spatial) + frequencies)
    moved += costs.itemsize(problem.out_dtype) * problem.out_channels * prod(problem.outputs)
    return multiplied + costs.memory(moved, machine) + LAUNCHES * machine.launch


def with_filters(problem: ConvProblem, frequencies: int, others: float, machine: Machine) -> float:
    """Seconds with those of the filters' transformation, beside `others`: they are read once, their frequencies written once."""
    return others + costs.memory(FLOAT32 * problem.out_channels * problem.group_in * (FILTER_TAPS + frequencies), machine) + machine.launch
