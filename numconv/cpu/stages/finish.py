"""Bias and activation in place, for the rows whose sums come out of a library."""

from __future__ import annotations

from math import exp, prod, tanh
from typing import Any

import numpy as np
from numba import prange

from ...activations import ACTIVATIONS, HARDSWISH, RELU, RELU6, SIGMOID, SILU, SILU_FLOOR
from ...problem import ConvProblem
from ..runtime.launch import device_function, kernel
from ..simd.vector import get, put


@device_function
def activated(v, code):
    """The activation numbered `code` ≥ 1 of a float, in float64; NaN stays NaN."""
    v = float(v)
    if code == RELU:
        return 0.0 if v < 0.0 else v
    if code == RELU6:
        return 0.0 if v < 0.0 else (6.0 if v > 6.0 else v)
    if code == SILU:
        return v if v != v else max(v, SILU_FLOOR) / (1.0 + exp(-max(v, SILU_FLOOR)))
    if code == HARDSWISH:
        return v * (0.0 if v < -3.0 else (6.0 if v > 3.0 else v + 3.0)) / 6.0
    if code == SIGMOID:
        return 1.0 / (1.0 + exp(-v))
    return tanh(v)


@kernel
def finish_planes(y, bias, planes, channels, plane, code):
    """y[n, k, p] = activation(y[n, k, p] + bias[k]), flat.  Parallel over planes (n, k)."""
    for task in prange(planes):
        add = bias[task % channels]
        for i in range(task * plane, (task + 1) * plane):
            v = get(y, i) + add
            if code:
                put(y, i, activated(v, code))
            else:
                put(y, i, v)


def finish(c: ConvProblem, y: Any, bias: Any) -> None:
    """In place, on the result of a forward or input_grad problem, channels first."""
    if bias is None and c.activation is None:
        return
    channels, extents = c.target
    bias = np.zeros(channels, y.dtype) if bias is None else bias.astype(y.dtype, copy=False)
    finish_planes(y.reshape(-1), bias, c.batch * channels, channels, prod(extents), ACTIVATIONS[c.activation])
