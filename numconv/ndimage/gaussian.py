"""Gaussians and their derivatives, as sums along one axis after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from ..arguments.filters import Sum
from ..dropin import NotServedError, drop_in
from .sums import axes_of, each, filtered, one_sum, source_of

LEAST_SIGMA = 1e-15  # pixels: SciPy leaves axes of less alone


class Bell(NamedTuple):
    """The weights along one axis."""

    axis: int
    sigma: Any  # pixels
    order: Any  # of the derivative
    mode: Any
    radius: Any  # pixels; None: `truncate` sigmas


_theirs = ndimage.gaussian_filter1d  # SciPy's, whoever takes its place there


def bell(sigma: Any, order: Any, radius: Any, truncate: Any) -> np.ndarray[Any, Any]:
    """A Gaussian's derivative, sampled and to be correlated with.

    It is what SciPy's filter makes of a single 1: to the last bit, which decides where sums of integers fall that are nearly whole.
    """
    try:
        sd, half = float(sigma), float(truncate)
        reach = int(half * sd + 0.5) if radius is None else radius
    except (TypeError, ValueError, OverflowError):
        raise NotServedError(f"sigma={sigma!r}, truncate={truncate!r}") from None
    if not (isinstance(reach, int | np.integer) and isinstance(order, int | np.integer)) or reach < 0 or order < 0 or not sd > 0:
        raise NotServedError(f"sigma={sigma!r}, order={order!r}, radius={radius!r}")
    one = np.zeros(2 * int(reach) + 1)
    one[int(reach)] = 1.0
    return np.ascontiguousarray(_theirs(one, sd, order=order, mode="constant", radius=int(reach))[::-1])


def chain_of(shape: tuple[int, ...], bells: Sequence[Bell], truncate: Any) -> tuple[tuple[Sum, ...], list[Any]]:
    """The sums in turn, and their weights."""
    weights = [bell(b.sigma, b.order, b.radius, truncate) for b in bells]
    return tuple(one_sum(shape, (b.axis,), w, b.mode, (0,)) for b, w in zip(bells, weights, strict=True)), weights


def bells_of(axes: Sequence[int], sigma: Any, order: Any, mode: Any, radius: Any) -> list[Bell]:
    of_all = [each(value, len(axes)) for value in (sigma, order, mode, radius)]
    try:
        return [Bell(axis, *values) for axis, *values in zip(axes, *of_all, strict=True) if values[0] > LEAST_SIGMA]
    except (TypeError, ValueError):
        raise NotServedError(f"sigma={sigma!r}") from None


@drop_in(ndimage.gaussian_filter1d)
def gaussian_filter1d(
    input: Any, sigma: float, axis: int = -1, order: int = 0, output: Any = None, mode: str = "reflect", cval: float = 0.0,
    truncate: float = 4.0, *, radius: int | None = None,
) -> Any:  # fmt: skip
    """A Gaussian, or a derivative of one, along an axis, as `scipy.ndimage.gaussian_filter1d`."""
    source = source_of(input, output)
    (one,) = axes_of(len(source.shape), axis)
    chain, weights = chain_of(source.shape, [Bell(one, sigma, order, mode, radius)], truncate)
    return filtered("gaussian_filter1d", source, (chain,), weights, cval)


@drop_in(ndimage.gaussian_filter)
def gaussian_filter(
    input: Any, sigma: Any, order: Any = 0, output: Any = None, mode: Any = "reflect", cval: float = 0.0, truncate: float = 4.0, *,
    radius: Any = None, axes: Any = None,
) -> Any:  # fmt: skip
    """A Gaussian, or its derivatives, along all axes or those named, as `scipy.ndimage.gaussian_filter`."""
    source = source_of(input, output)
    bells = bells_of(axes_of(len(source.shape), axes), sigma, order, mode, radius)
    if not bells:
        raise NotServedError("no axis to filter")
    chain, weights = chain_of(source.shape, bells, truncate)
    return filtered("gaussian_filter", source, (chain,), weights, cval)


@drop_in(ndimage.gaussian_laplace)
def gaussian_laplace(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: float = 0.0, *, axes: Any = None, **kwargs: Any
) -> Any:
    """The sum of a Gaussian's second derivatives, as `scipy.ndimage.gaussian_laplace`."""
    source = source_of(input, output)
    chosen = axes_of(len(source.shape), axes)
    if not chosen or set(kwargs) - {"truncate"}:
        raise NotServedError(f"axes={axes!r}, {sorted(kwargs)}")
    chains, weights = [], []
    for axis, m in zip(chosen, each(mode, len(chosen)), strict=True):  # which is the mode of all sums of this derivative
        bells = bells_of(chosen, sigma, [2 * (a == axis) for a in chosen], m, None)
        if axis not in [b.axis for b in bells]:
            raise NotServedError(f"sigma={sigma!r}")
        chain, some = chain_of(source.shape, bells, kwargs.get("truncate", 4.0))
        chains.append(chain)
        weights += some
    return filtered("gaussian_laplace", source, tuple(chains), weights, cval)


@drop_in(ndimage.gaussian_gradient_magnitude)
def gaussian_gradient_magnitude(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: float = 0.0, *, axes: Any = None, **kwargs: Any
) -> Any:
    """The length of the gradient of an array under a Gaussian, as `scipy.ndimage.gaussian_gradient_magnitude`; not linear: no gradient."""
    source = source_of(input, output)
    chosen = axes_of(len(source.shape), axes)
    if not chosen or not isinstance(source.array, np.ndarray):
        raise NotServedError(f"axes={axes!r}")
    sigmas, modes = each(sigma, len(chosen)), each(mode, len(chosen))
    whole = [0.0] * len(source.shape)
    total: Any = None
    for axis, s in zip(chosen, sigmas, strict=True):
        whole[axis] = s
    for axis, m in zip(chosen, modes, strict=True):
        order = [int(a == axis) for a in range(len(source.shape))]
        part = gaussian_filter(source.array, whole, order, source.result, m, cval, **kwargs)
        part *= part
        total = part if total is None else np.add(total, part, out=total)
    total = np.sqrt(total, out=total, casting="unsafe")
    if source.output is None:
        return total
    source.output[...] = total
    return source.output
