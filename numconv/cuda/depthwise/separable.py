"""Separable filters in one pass: `halo_kernel` with its column pass, so that what lies between column and row stays in shared memory.

Serves `spatially_separable_conv2d`, and the vertical and horizontal steps of `flattened_conv2d`.  Where it declines, or two kernels are
predicted to be quicker, the steps run one after the other.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ...kernel import Kernel, Machine
from ...problem import ConvProblem, SeparableProblem
from ..adapt.layout import INDEX_LIMIT
from ..scalars import ALL, COMPLEX
from . import cost as model
from . import plan as halo


def run(problem: SeparableProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, column, row, bias = arrays
    conv = problem.conv
    count = max(1, (INDEX_LIMIT - 1) // largest(conv))
    for first in range(0, conv.batch, count):
        part, image, result = conv.with_(batch=min(count, conv.batch - first)), x[first : first + count], out[first : first + count]
        form = halo.form_of(part, image, result, separable=True)
        assert form is not None, "refused"
        halo.compute(part, form, image, row, column, bias, result)


def largest(conv: ConvProblem) -> int:
    """Elements of one sample, of its image or of its result."""
    return max(1, conv.in_channels * prod(conv.spatial), conv.out_channels * prod(conv.outputs))


def refuse(problem: SeparableProblem) -> str | None:
    conv = problem.conv
    if conv.padding_mode != "zeros":
        return "pads with zeros only"
    if largest(conv) >= INDEX_LIMIT:
        return "serves arrays within 32-bit indices"
    return None if halo.form_of(conv, None, None, separable=True) else "holds a tile and its column pass in 48 KB of shared memory"


ROWS = (
    Kernel(
        name="one_pass",
        problem=SeparableProblem,
        run=run,
        cost=model.separable,
        dtypes=ALL - COMPLEX,
        refuse=refuse,
        summary="Column pass into shared memory, row pass out of it; nothing between in global memory.",
    ),
)
