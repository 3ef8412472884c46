"""For the kernels that walk the defining sum: any rank as three axes, geometry as plain integers, and ranges inside an image."""

from __future__ import annotations

from ...problem import ConvProblem, Ints
from ..runtime.launch import device_function


def three(values: Ints, fill: int) -> Ints:
    """Unit axes before, up to three."""
    return (fill,) * (3 - len(values)) + tuple(values)


def scalars(problem: ConvProblem) -> Ints:
    """spatial, kernel, stride, pad_low, dilation, outputs: three of each, in this order."""
    c = problem
    rows = (three(c.spatial, 1), three(c.kernel, 1), three(c.stride, 1), three(c.pad_low, 0), three(c.dilation, 1), three(c.outputs, 1))
    return tuple(int(v) for row in rows for v in row)


@device_function
def first_inside(shift, stride):
    """Least p ≥ 0 with p·stride + shift ≥ 0."""
    return 0 if shift >= 0 else (stride - 1 - shift) // stride


@device_function
def end_inside(shift, stride, extent, outputs):
    """One more than the largest p < outputs with p·stride + shift < extent; 0 where there is none."""
    last = extent - 1 - shift
    return 0 if last < 0 else min(outputs, last // stride + 1)
