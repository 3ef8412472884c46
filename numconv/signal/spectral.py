"""Convolution of host arrays of any number of axes by transforms of blocks (`cpu/named/fft`): what rows of convolutions do not serve.

Integers are transformed in float64 where that is exact once it is rounded.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any, NamedTuple

import numpy as np

from ..bounds import of_transforms
from ..cpu.machine import detect
from ..cpu.named.fft.blocks import correlate, spectrum_of
from ..cpu.named.fft.plan import Blocks, Sum, blocks_of, seconds
from ..cpu.runtime.launch import threads
from ..dropin import NotServedError
from ..problem import Ints

Array = np.ndarray[Any, Any]
HALF_A_UNIT = 0.5  # of an integer: errors below are rounded away


class Lines(NamedTuple):
    """A convolution along some axes, apart from its values: lines, planes or volumes of an image by a kernel's."""

    image: Ints  # extents along these axes
    kernel: Ints
    low: Ints  # zeros in front of the image
    outputs: Ints


def lines(mode: str, image: Ints, kernel: Ints, like: Ints) -> Lines:
    """`like`: the extents that mode "same" takes the middle of."""
    full = tuple(i + k - 1 for i, k in zip(image, kernel, strict=True))
    outputs = {"full": full, "same": like, "valid": tuple(i - k + 1 for i, k in zip(image, kernel, strict=True))}[mode]
    low = tuple(k - 1 - (f - o) // 2 for k, f, o in zip(kernel, full, outputs, strict=True))
    return Lines(image, kernel, low, outputs)


def _sum(found: Lines, batch: int, filters: int, dtype: np.dtype[Any]) -> Sum:
    parts = 2 if dtype.kind == "c" else 1
    return Sum(
        found.image,
        found.low,
        found.outputs,
        found.kernel,
        (1,) * len(found.kernel),
        batch,
        parts,
        parts,
        parts,
        filters * parts,
        dtype.itemsize // parts,
    )


def blocks_for(found: Lines, batch: int, filters: int, dtype: np.dtype[Any]) -> Blocks:
    return blocks_of(_sum(found, batch, filters, dtype), detect())


def seconds_for(found: Lines, dtype: np.dtype[Any]) -> float:
    """Of one image by one kernel."""
    one = _sum(found, 1, 1, dtype)
    return seconds(one, blocks_of(one, detect()), detect())


def exact(one: Array, two: Array, blocks: Blocks) -> bool:
    """Whether integers come out of their transform within half a unit: its error goes with ‖block‖₂·‖kernel‖₂ (`bounds.of_transforms`)."""
    size = prod(blocks.extents)
    norms = [sqrt(min(a.size, size)) * max(abs(int(a.min())), abs(int(a.max()))) for a in (one, two)]
    return of_transforms(blocks.extents, 1, "float64") * norms[0] * norms[1] < HALF_A_UNIT


def convolved(one: Array, two: Array, mode: str, axes: Ints, dtype: np.dtype[Any], result: np.dtype[Any]) -> Array | None:
    """As `scipy.signal.fftconvolve`: along the axes, broadcast over the others; in that type, with a result of the other.

    None: integers that would not be exact.
    """
    full = _along(one, two, mode, axes, dtype, result)
    if full is None or mode != "same":
        return full
    begins = ((f - n) // 2 for f, n in zip(full.shape, one.shape, strict=True))  # of axes that are broadcast it is the middle, too
    return np.ascontiguousarray(full[tuple(slice(b, b + n) for b, n in zip(begins, one.shape, strict=True))])


def _along(one: Array, two: Array, mode: str, axes: Ints, dtype: np.dtype[Any], result: np.dtype[Any]) -> Array | None:
    axes = tuple(axis for axis in axes if one.shape[axis] != 1 and two.shape[axis] != 1)
    others = tuple(axis for axis in range(one.ndim) if axis not in axes)
    batch = np.broadcast_shapes(*(tuple(a.shape[axis] for axis in others) for a in (one, two)))
    like = tuple(one.shape[axis] for axis in axes)
    extents = [tuple(a.shape[axis] for axis in axes) for a in (one, two)]
    if prod(extents[1]) > prod(extents[0]):
        one, two = two, one
        extents.reverse()
    if not axes:
        return (one * two).astype(result, copy=False)
    found = lines(mode, extents[0], extents[1], like)
    kernel = _front(two, others, axes, batch)
    image = _front(one, others, axes, batch, kernel.shape[0] > 1)
    blocks = blocks_for(found, image.shape[0], kernel.shape[0], dtype)
    if result.kind in "iu" and not exact(one, two, blocks):
        return None
    out = np.empty((image.shape[0], 1, *found.outputs), result)
    workers = threads()
    backwards: list[Any] = [slice(None, None, -1)] * len(axes)
    spectrum = spectrum_of(kernel[(..., *backwards)], blocks, (1,) * len(axes), dtype, workers)
    spectrum = spectrum.reshape(spectrum.shape[0], *(1,) * len(axes), 1, *spectrum.shape[2:])  # between samples and channels: blocks

    def multiply(samples: Array, which: slice) -> Array:
        return np.multiply(samples, spectrum if spectrum.shape[0] == 1 else spectrum[which], out=samples)

    correlate(image, out, multiply, blocks, found.low, (1,) * len(axes), dtype, workers)
    back = np.argsort([*others, *axes])
    return out.reshape(*batch, *found.outputs).transpose(back)


def _front(a: Array, others: Ints, axes: Ints, batch: Ints, each: bool = False) -> Array:
    """(N, 1, *axes): N those of the batch, or 1 where it is the same for all of them and not asked for each."""
    a = a.transpose(*others, *axes)
    if each or prod(a.shape[: len(others)]) > 1:
        a = np.broadcast_to(a, (*batch, *a.shape[len(others) :]))
    return a.reshape(-1, 1, *a.shape[len(others) :])


def type_of(*arrays: Array) -> np.dtype[Any]:
    """That SciPy's transforms give: half numbers in float32, integers in float64."""
    kinds = [np.dtype("f4") if a.dtype == "f2" else np.dtype("f8") if a.dtype.kind in "biu" else a.dtype for a in arrays]
    found = np.result_type(*kinds)
    if found.name not in ("float32", "float64", "complex64", "complex128"):
        raise NotServedError(f"{found}")
    return found
