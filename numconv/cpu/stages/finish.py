"""Bias and activation in place, for the rows whose sums come out of a library."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import prange

from ...activations import ACTIVATIONS
from ...problem import ConvProblem
from ..geometry.scalars import activated
from ..runtime.launch import kernel
from ..simd.vector import get, put


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
