"""For the kernels that walk the defining sum: any rank as three axes, geometry as plain integers, and ranges inside an image."""

from __future__ import annotations

from math import exp, tanh

from ...activations import HARDSWISH, RELU, RELU6, SIGMOID, SILU
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


@device_function
def activated(v, code):
    """The activation numbered `code` ≥ 1 of a float, in float64; NaN stays NaN."""
    v = float(v)
    if code == RELU:
        return 0.0 if v < 0.0 else v
    if code == RELU6:
        return 0.0 if v < 0.0 else (6.0 if v > 6.0 else v)
    if code == SILU:
        return v / (1.0 + exp(-v))
    if code == HARDSWISH:
        return v * (0.0 if v < -3.0 else (6.0 if v > 3.0 else v + 3.0)) / 6.0
    if code == SIGMOID:
        return 1.0 / (1.0 + exp(-v))
    return tanh(v)
