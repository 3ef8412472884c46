"""Means of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from ..dropin import NotServedError, drop_in
from .sums import Source, axes_of, each, filtered, one_sum, source_of

LONGEST = 64  # neighbours; of more, SciPy's running sum takes less time than a sum of all


def _means(
    name: str, source: Source, axes: Sequence[int], sizes: Sequence[Any], modes: Sequence[Any], cval: Any, origins: Sequence[Any]
) -> Any:
    """Of integers the quotient of two exact numbers, rounded towards zero; else a sum with weights 1/size."""
    if not all(isinstance(n, int | np.integer) and 1 < n <= LONGEST for n in sizes):
        raise NotServedError(f"size={tuple(sizes)}")
    whole = source.dtype.kind in "iu" or source.result.kind in "iu"
    if whole and (not isinstance(source.array, np.ndarray) or len(set(sizes)) > 1):
        raise NotServedError(f"means of {source.dtype} of {tuple(sizes)}")
    weights = [np.full(n, 1.0 if whole else 1 / n) for n in sizes]
    chain = tuple(one_sum(source.shape, (a,), w, m, (o,)) for a, w, m, o in zip(axes, weights, modes, origins, strict=True))
    return filtered(name, source, (chain,), weights, cval, int(sizes[0]) if whole else 1)


@drop_in(ndimage.uniform_filter1d)
def uniform_filter1d(
    input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: float = 0.0, origin: int = 0
) -> Any:
    """The mean of `size` neighbours along an axis, as `scipy.ndimage.uniform_filter1d`."""
    source = source_of(input, output)
    return _means("uniform_filter1d", source, axes_of(len(source.shape), axis), [size], [mode], cval, [origin])


@drop_in(ndimage.uniform_filter)
def uniform_filter(
    input: Any, size: Any = 3, output: Any = None, mode: Any = "reflect", cval: float = 0.0, origin: Any = 0, *, axes: Any = None
) -> Any:
    """The mean of a box of neighbours, as `scipy.ndimage.uniform_filter`."""
    source = source_of(input, output)
    chosen = axes_of(len(source.shape), axes)
    of_all = zip(chosen, *(each(value, len(chosen)) for value in (size, mode, origin)), strict=True)
    try:
        kept = [(a, int(n), m, o) for a, n, m, o in of_all if n > 1]
    except (TypeError, ValueError):
        raise NotServedError(f"size={size!r}") from None
    if not kept:
        raise NotServedError("no axis to filter")
    axis, sizes, modes, origins = map(list, zip(*kept, strict=True))
    return _means("uniform_filter", source, axis, sizes, modes, cval, origins)
