"""Correlation of arrays of any number of axes by transforms of overlapping blocks (overlap-save), in the type of the arrays.

    y[b·step + p] = Σ_r x[b·step + p + r − low] · w[r]          p < step

is the circular correlation of block b with the kernel, whose spectrum is made once; a single block for all needs zeros at one end only.
Blocks are views of the array, which is copied only where they reach beyond its ends, into zeros; a chunk of them is transformed by one
call of scipy.fft, multiplied, transformed back and written, so memory does not grow with the array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ....problem import Ints
from .cost import THREADED
from .plan import Blocks

Array = np.ndarray[Any, Any]
#: spectra (n, blocks …, C, frequencies …) of samples n0 … n1 → (n, blocks …, K, frequencies …)
Multiply = Callable[[Array, slice], Array]


class Box(NamedTuple):
    """Blocks first … end along each axis."""

    first: Ints
    end: Ints


def forward(a: Array, extents: Ints, workers: int) -> Array:
    """Of the last axes, which zeros follow up to the extents."""
    from scipy import fft

    axes, real = _transformed(extents), a.dtype.kind != "c"
    lengths = [extents[axis] for axis in axes]
    if len(axes) == 1:  # in half of the time before it begins
        line = fft.rfft if real else fft.fft
        return np.asarray(line(a, lengths[0], axes[0], workers=workers))
    there = fft.rfftn if real else fft.fftn
    return np.asarray(there(a, lengths, axes=axes, workers=workers))


def _transformed(extents: Ints) -> Ints:
    """From the end; axes of one sample are not, but for the last where there is no other."""
    return tuple(axis - len(extents) for axis, extent in enumerate(extents) if extent > 1) or (-1,)


def backward(spectrum: Array, extents: Ints, workers: int, real: bool) -> Array:
    """Into the spectrum where they are complex."""
    from scipy import fft

    axes = _transformed(extents)
    lengths = [extents[axis] for axis in axes]
    if len(axes) == 1:
        line = fft.irfft if real else fft.ifft
        return np.asarray(line(spectrum, lengths[0], axes[0], workers=workers, overwrite_x=True))
    back = fft.irfftn if real else fft.ifftn
    return np.asarray(back(spectrum, lengths, axes=axes, workers=workers, overwrite_x=True))


def spectrum_of(w: Array, blocks: Blocks, dilation: Ints, dtype: Any, workers: int) -> Array:
    """Of kernels on the last axes, so that x's spectrum times it is that of their correlation."""
    rank = len(blocks.extents)
    w = w.astype(dtype, copy=False)
    if any(d > 1 for d in dilation):
        apart = np.zeros((*w.shape[:-rank], *blocks.kernel), w.dtype)
        taps: list[Any] = [slice(None, None, d) for d in dilation]
        apart[(..., *taps)] = w
        w = apart
    found = forward(w.conj() if w.dtype.kind == "c" else w, blocks.extents, workers)
    return np.conj(found, out=found)


def correlate(
    x: Array, out: Array, multiply: Multiply, blocks: Blocks, low: Ints, stride: Ints, dtype: Any, workers: int,
    spoiled: Callable[[Array, Array], None] | None = None,
) -> None:  # fmt: skip
    """x (N, C, *spatial) → out (N, K, *outputs), cast to out's type; integers are rounded to the nearest.

    `spoiled(windows, sums)` does blocks in another way whose result is not finite: (C, *extents) → (K, *steps at stride).
    """
    rank = len(blocks.extents)
    for samples, box in _chunks(x.shape[0], blocks):
        windows = _windows(x[samples], box, blocks, low, dtype)
        shared = workers if windows.size >= THREADED else 1
        y = backward(multiply(forward(windows, blocks.extents, shared), samples), blocks.extents, shared, np.dtype(dtype).kind != "c")
        kept: list[Any] = [slice(0, step, s) for step, s in zip(blocks.steps, stride, strict=True)]
        y = y[(..., *kept)]
        if out.dtype.kind in "iu":
            y = np.rint(y).astype(np.int64)  # which wraps to narrower types, as numbers with a point need not
        elif spoiled is not None and not np.isfinite(y).all():
            for at in np.argwhere(~np.isfinite(y).all(axis=tuple(range(-rank - 1, 0)))):
                spoiled(windows[tuple(at)], y[tuple(at)])
        starts = [b * (step // s) for b, step, s in zip(box.first, blocks.steps, stride, strict=True)]
        target = out[(samples, slice(None), *(slice(start, None) for start in starts))]
        _store(np.moveaxis(y, rank + 1, 1), target, 0)


def _chunks(samples: int, blocks: Blocks) -> Iterator[tuple[slice, Box]]:
    """Samples and blocks of each chunk: as many as fit of the last axis, then of those before."""
    room, lengths = blocks.chunk, []
    for count in reversed((samples, *blocks.counts)):
        lengths.append(max(1, min(count, room)))
        room //= lengths[-1]
    many, *each = reversed(lengths)
    axes = [[(b, min(b + n, count)) for b in range(0, count, n)] for n, count in zip(each, blocks.counts, strict=True)]
    for n in range(0, samples, many):
        for box in product(*axes):
            yield slice(n, min(n + many, samples)), Box(tuple(a for a, _ in box), tuple(b for _, b in box))


def _windows(x: Array, box: Box, blocks: Blocks, low: Ints, dtype: Any) -> Array:
    """(n, C, *spatial) → (n, blocks …, C, *extents), a view that overlaps itself."""
    inside, pads = [slice(None), slice(None)], [(0, 0), (0, 0)]
    for first, end, step, extent, lo, n in zip(box.first, box.end, blocks.steps, blocks.extents, low, x.shape[2:], strict=True):
        start, stop = first * step - lo, (end - 1) * step - lo + extent
        reached = slice(min(max(start, 0), n), min(max(stop, 0), n))
        before = min(max(0, -start), stop - start)
        inside.append(reached)
        pads.append((before, stop - start - before - (reached.stop - reached.start)))
    seen = x[tuple(inside)]
    if any(map(any, pads)):
        around = np.zeros([before + n + after for (before, after), n in zip(pads, seen.shape, strict=True)], dtype)
        around[tuple(slice(before, before + n) for (before, _), n in zip(pads, seen.shape, strict=True))] = seen
        seen = around
    elif seen.dtype != dtype or not seen.flags.aligned:
        seen = seen.astype(dtype)
    counts = tuple(end - first for first, end in zip(box.first, box.end, strict=True))
    n_stride, c_stride, *strides = seen.strides
    apart = (s * step for s, step in zip(strides, blocks.steps, strict=True))
    return np.lib.stride_tricks.as_strided(
        seen, (seen.shape[0], *counts, seen.shape[1], *blocks.extents), (n_stride, *apart, c_stride, *strides), writeable=False
    )


def _store(y: Array, out: Array, axis: int) -> None:
    """y (n, K, blocks …, *steps) → out (n, K, *positions): whole blocks at once, then the last ones, which may be cut off."""
    rank = out.ndim - 2
    if axis == rank:
        steps = y.shape[2 + rank :]
        apart = out.reshape(
            *out.shape[:2], *(n for pair in zip(y.shape[2 : 2 + rank], steps, strict=True) for n in pair)
        )  # a view: no axis is joined
        apart.transpose(0, 1, *range(2, 2 + 2 * rank, 2), *range(3, 3 + 2 * rank, 2))[...] = y
        return
    count, step, positions = y.shape[2 + axis], y.shape[2 + rank + axis], out.shape[2 + axis]
    whole, rest = min(count, positions // step), max(0, min(count * step, positions) - min(count, positions // step) * step)
    before: tuple[Any, ...] = (slice(None),) * (2 + axis)
    if whole:
        _store(y[(*before, slice(0, whole))], out[(*before, slice(0, whole * step))], axis + 1)
    if rest:
        last = y[(*before, slice(whole, whole + 1))]
        cut = (*((slice(None),) * (2 + rank + axis)), slice(0, rest))
        _store(last[cut], out[(*before, slice(whole * step, whole * step + rest))], axis + 1)
