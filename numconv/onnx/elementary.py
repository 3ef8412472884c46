"""Operators by NumPy in place of the reference evaluator's own.

Its maxima and means of windows take longer than all convolutions of a network together; its normalisation of models before version 14
takes the mean and variance of the batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import arithmetic
from .operators import SAME, Array, Operator, pairs


class _Pool(Operator):
    def _windows(self, x: Array, given: dict[str, Any], outside: Any) -> Any:
        """(N, C, *positions, *kernel), `outside` where a window hangs over the border; None for what is left to the reference."""
        kernel = tuple(given["kernel_shape"])
        rank = len(kernel)
        if given.get("ceil_mode") or given.get("storage_order") or x.ndim != rank + 2 or len(self.output) > 1:
            return None
        stride, dilation = given.get("strides") or [1] * rank, given.get("dilations") or [1] * rank
        padding = pairs(None if given.get("auto_pad") == "VALID" else given.get("pads"), rank)
        if given.get("auto_pad") in SAME:
            lower = given["auto_pad"] == "SAME_LOWER"
            padding = list(arithmetic.same_padding(x.shape[2:], kernel, tuple(stride), tuple(dilation), lower))
        if any(low or high for low, high in padding):
            x = np.pad(x, [(0, 0), (0, 0), *padding], constant_values=outside)
        spans = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
        if any(span > n for span, n in zip(spans, x.shape[2:], strict=True)):
            return None
        found = sliding_window_view(x, spans, axis=tuple(range(2, rank + 2)))
        steps = (slice(None, None, s) for s in (*stride, *dilation))
        return found[(slice(None), slice(None), *steps)]


class MaxPool(_Pool):
    def _run(self, x: Array, **given: Any) -> tuple[Any, ...]:
        floating = x.dtype.kind not in "iu"
        windows = self._windows(x, given, -np.inf if floating else np.iinfo(x.dtype).min)
        return self._reference(x) if windows is None else (_reduced(np.maximum, windows, len(given["kernel_shape"])),)


class AveragePool(_Pool):
    def _run(self, x: Array, **given: Any) -> tuple[Any, ...]:
        windows = self._windows(x, given, 0)
        if windows is None or x.dtype.itemsize < np.dtype("float32").itemsize:
            return self._reference(x)
        rank = len(given["kernel_shape"])
        sums = _reduced(np.add, windows, rank)
        if given.get("count_include_pad"):
            return (sums / x.dtype.type(np.prod(given["kernel_shape"])),)
        counted = self._windows(np.ones((1, 1, *x.shape[2:]), x.dtype), given, 0)
        return (sums / _reduced(np.add, counted, rank),)


def _reduced(function: Any, windows: Array, rank: int) -> Array:
    """One tap of the kernel after the other, each a pass over all positions: windows themselves are too short for NumPy's loops."""
    taps = iter(np.ndindex(*windows.shape[-rank:]))
    found = windows[(..., *next(taps))].copy()
    for tap in taps:
        function(found, windows[(..., *tap)], out=found)
    return found


class BatchNormalization(Operator):
    """By the mean and variance that are given, where only one result is wanted."""

    def _run(self, x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, **given: Any) -> tuple[Any, ...]:
        if given.get("training_mode") or len(self.output) > 1:
            return self._reference(x, gamma, beta, mean, variance)
        channel = (-1,) + (1,) * (x.ndim - 2)
        scale = gamma / np.sqrt(variance + given["epsilon"])
        y = x * scale.reshape(channel).astype(x.dtype) + (beta - mean * scale).reshape(channel).astype(x.dtype)
        return (y.astype(x.dtype, copy=False),)


ELEMENTARY = [MaxPool, AveragePool, BatchNormalization]
