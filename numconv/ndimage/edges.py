"""Filters that find edges: differences of neighbours, some smoothed across."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from ..dropin import NotServedError, drop_in
from .sums import axes_of, each, filtered, one_sum, source_of

DIFFERENCE = (-1.0, 0.0, 1.0)
SECOND_DIFFERENCE = (1.0, -2.0, 1.0)


def _across(name: str, smoothing: tuple[float, ...], input: Any, axis: Any, output: Any, mode: Any, cval: Any) -> Any:
    """A difference along one axis, smoothed along the others."""
    source = source_of(input, output)
    rank = len(source.shape)
    (one,) = axes_of(rank, axis)
    modes, order = each(mode, rank), [one, *(a for a in range(rank) if a != one)]
    weights = [np.array(DIFFERENCE), *[np.array(smoothing)] * (rank - 1)]
    chain = tuple(one_sum(source.shape, (a,), w, modes[a], (0,)) for a, w in zip(order, weights, strict=True))
    return filtered(name, source, (chain,), weights, cval)


@drop_in(ndimage.prewitt)
def prewitt(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: float = 0.0) -> Any:
    """Prewitt's filter: a difference along an axis, sums of three along the others, as `scipy.ndimage.prewitt`."""
    return _across("prewitt", (1.0, 1.0, 1.0), input, axis, output, mode, cval)


@drop_in(ndimage.sobel)
def sobel(input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: float = 0.0) -> Any:
    """Sobel's filter: a difference along an axis, sums weighted 1, 2, 1 along the others, as `scipy.ndimage.sobel`."""
    return _across("sobel", (1.0, 2.0, 1.0), input, axis, output, mode, cval)


@drop_in(ndimage.laplace)
def laplace(input: Any, output: Any = None, mode: Any = "reflect", cval: float = 0.0, *, axes: Any = None) -> Any:
    """The sum of second differences, as `scipy.ndimage.laplace`."""
    source = source_of(input, output)
    chosen = axes_of(len(source.shape), axes)
    if not chosen:
        raise NotServedError("no axes")
    weights = [np.array(SECOND_DIFFERENCE)] * len(chosen)
    sums = [one_sum(source.shape, (a,), w, m, (0,)) for a, w, m in zip(chosen, weights, each(mode, len(chosen)), strict=True)]
    return filtered("laplace", source, tuple((one,) for one in sums), weights, cval)


@drop_in(ndimage.generic_laplace)
def generic_laplace(
    input: Any, derivative2: Callable[..., Any], output: Any = None, mode: Any = "reflect", cval: float = 0.0, extra_arguments: Any = (),
    extra_keywords: Any = None, *, axes: Any = None,
) -> Any:  # fmt: skip
    """The sum of what `derivative2(input, axis, output, mode, cval, …)` finds along the axes, as `scipy.ndimage.generic_laplace`."""
    source = source_of(input, output)
    chosen = axes_of(len(source.shape), axes)
    if not chosen or not callable(derivative2) or not isinstance(source.array, np.ndarray):
        raise NotServedError(f"axes={axes!r}")
    modes, keywords = each(mode, len(chosen)), extra_keywords or {}
    total = np.empty(source.shape, source.result) if source.output is None else source.output
    derivative2(source.array, chosen[0], total, modes[0], cval, *extra_arguments, **keywords)
    for axis, m in zip(chosen[1:], modes[1:], strict=True):
        total += derivative2(source.array, axis, source.result, m, cval, *extra_arguments, **keywords)
    return total
