"""Convolution and correlation with any weights, under SciPy's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from ..dropin import NotServedError, drop_in
from .sums import axes_of, each, filtered, one_sum, source_of


def _weights(weights: Any) -> Any:
    """On the host as float64, as SciPy takes them; a device's as they are."""
    if hasattr(weights, "__cuda_array_interface__") or hasattr(weights, "__cuda_ndarray__"):
        return weights
    found = np.asarray(weights)
    if found.dtype.kind not in "biuf":
        raise NotServedError(f"weights of {found.dtype}")
    return found.astype(np.float64)


def reversed_about(origins: Sequence[Any], extents: Sequence[int]) -> list[Any]:
    """Origins for the weights turned round: of an even number of them the middle is the other one."""
    try:
        return [-o - (k % 2 == 0) for o, k in zip(origins, extents, strict=True)]
    except TypeError:
        raise NotServedError(f"origin={tuple(origins)}") from None


def _along(name: str, input: Any, weights: Any, axis: Any, output: Any, mode: Any, cval: Any, origin: Any) -> Any:
    """One sum along one axis."""
    source, w, turned = source_of(input, output), _weights(weights), name == "convolve1d"
    if len(w.shape) != 1:
        raise NotServedError(f"weights of {len(w.shape)} axes")
    axes = axes_of(len(source.shape), axis)
    origins = reversed_about([origin], w.shape) if turned else [origin]
    return filtered(name, source, ((one_sum(source.shape, axes, w, mode, origins),),), (w,), cval, turned=turned)


@drop_in(ndimage.correlate1d)
def correlate1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: float = 0.0, origin: int = 0
) -> Any:
    """Correlation of all lines along an axis, as `scipy.ndimage.correlate1d`."""
    return _along("correlate1d", input, weights, axis, output, mode, cval, origin)


@drop_in(ndimage.convolve1d)
def convolve1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: float = 0.0, origin: int = 0
) -> Any:
    """Convolution of all lines along an axis, as `scipy.ndimage.convolve1d`."""
    return _along("convolve1d", input, weights, axis, output, mode, cval, origin)


def _dense(name: str, input: Any, weights: Any, output: Any, mode: Any, cval: Any, origin: Any, axes: Any) -> Any:
    source, w = source_of(input, output), _weights(weights)
    chosen = axes_of(len(source.shape), axes)
    origins = each(origin, len(chosen))
    if len(w.shape) != len(chosen) or not chosen:
        raise NotServedError(f"weights of {len(w.shape)} axes for {len(chosen)}")
    turned = name == "convolve"
    origins = reversed_about(origins, w.shape) if turned else origins
    return filtered(name, source, ((one_sum(source.shape, chosen, w, mode, origins),),), (w,), cval, turned=turned)


@drop_in(ndimage.correlate)
def correlate(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: float = 0.0, origin: Any = 0, *, axes: Any = None
) -> Any:
    """Correlation with weights of as many axes as the array or as are named, as `scipy.ndimage.correlate`."""
    return _dense("correlate", input, weights, output, mode, cval, origin, axes)


@drop_in(ndimage.convolve)
def convolve(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: float = 0.0, origin: Any = 0, *, axes: Any = None
) -> Any:
    """Convolution with weights of as many axes as the array or as are named, as `scipy.ndimage.convolve`."""
    return _dense("convolve", input, weights, output, mode, cval, origin, axes)
