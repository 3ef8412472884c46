"""Checkerboard artefacts of transposed convolutions: where they come from, and how strong they are.

An output q of a transposed convolution gets contributions from the taps b with b·d ≡ q + lo (mod s).  Their number is the
same for all q inside exactly if s divides k (d = 1), and across axes the numbers multiply.  Even numbers do not make an
even response: for a constant input the response at phase r is the sum of the weights there, S_r = Σ_{b ≡ r mod s} w[b]; for
w = [1, 3, 1, 3] and s = 2 these are 2 and 6.

References
----------
Odena, Dumoulin & Olah, "Deconvolution and Checkerboard Artifacts", Distill 2016, doi 10.23915/distill.00003.
"""

from __future__ import annotations

from functools import reduce
from math import gcd, prod
from typing import Any

import numpy as np

from .arguments.edge import public
from .arguments.values import Subject, host_array, per_axis, sequence, shown
from .arithmetic import paddings, read_axes

__all__ = ["is_even", "overlap_map", "phase_gain", "score"]

Array = np.ndarray[Any, Any]


@public
def overlap_map(input_shape: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Array:
    """How many inputs reach each output of a transposed convolution.

    Parameters
    ----------
    input_shape : int or one int per axis
        The spatial size of the (small) input.
    kernel, stride, padding, dilation : as of `conv_transpose2d`

    Returns
    -------
    int64 array of the output's spatial shape, (i − 1)·s + k_e − lo − hi per axis
        The outer product of the axes' counts.

    Examples
    --------
    >>> overlap_map(3, kernel=3, stride=2)
    array([1, 1, 2, 1, 2, 1, 1])
    """
    subject = Subject("overlap_map")
    axes, many = read_axes(subject, "input_shape", input_shape, kernel, stride, dilation)
    counts = []
    for axis, (low, high) in zip(axes, paddings(subject, axes, padding, many, words=False), strict=True):
        size = axis.smallest_source(low, high)
        if size < 1:
            raise subject.value(f"no output: its size would be {size}; padding {(low, high)} crops all of it")
        reached = np.arange(axis.size)[:, None] * axis.stride + np.arange(axis.kernel) * axis.dilation
        counts.append(np.bincount(reached.ravel(), minlength=low + size)[low : low + size].astype(np.int64))
    return reduce(np.multiply.outer, counts)


@public
def is_even(kernel: Any, stride: Any, dilation: Any = 1) -> bool:
    """Whether all outputs inside are reached by equally many inputs: s divides k on every axis (d = 1).

    Examples
    --------
    >>> is_even(4, 2), is_even(3, 2)
    (True, False)
    """
    axes, _ = read_axes(Subject("is_even"), "size", 1, kernel, stride, dilation)
    # taps b·d mod s run through the multiples of gcd(d, s), in rounds of s/gcd
    return all(gcd(a.dilation, a.stride) == 1 and a.kernel % a.stride == 0 for a in axes)


@public
def phase_gain(w: Any, stride: Any) -> Array:
    """Sums of the weights over each stride phase: the response to a constant input, S[r] = Σ_{b ≡ r mod s} w[b].

    Parameters
    ----------
    w : array
        A plain kernel (k,) or (kh, kw), or weights (C_in, C_out/groups, *kernel).  `stride` as a sequence tells the number of
        spatial axes where that is ambiguous: they are the last ones.
    stride : int or one int per axis

    Returns
    -------
    array, the kernel's axes replaced by phases (*stride)
        Equal entries mean no checkerboard for constant inputs.

    Examples
    --------
    >>> phase_gain(np.array([1, 3, 1, 3]), 2)
    array([2, 6])
    """
    subject = Subject("phase_gain")
    sums = host_array(subject, "w", w)
    if sums.dtype.kind not in "iufcb" and sums.dtype.name != "bfloat16":
        raise subject.type(f"w must hold numbers; got dtype {sums.dtype}")
    axes = sequence(stride)
    rank = len(axes) if axes is not None else sums.ndim if sums.ndim <= 2 else sums.ndim - 2
    if not 1 <= rank <= sums.ndim:
        raise subject.value(f"w must have the kernel's {rank} axes last; got w {sums.shape}")
    for axis, s in enumerate(per_axis(subject, "stride", stride, rank, 1), start=sums.ndim - rank):
        moved = np.moveaxis(sums, axis, -1)
        short = -moved.shape[-1] % s
        padded = np.concatenate([moved, np.zeros((*moved.shape[:-1], short), moved.dtype)], axis=-1)
        sums = np.moveaxis(padded.reshape(*moved.shape[:-1], -1, s).sum(axis=-2), -1, axis)
    return sums


@public
def score(image: Any, stride: Any) -> float:
    """Strength of a pattern of period `stride` in an image: the share of its variance that its phase means explain.

    0 for no such pattern (or a constant image), 1 where the image is nothing else.  Rows and columns beyond the last whole
    period are left out.

    Parameters
    ----------
    image : array
        (L,), or any leading axes and (H, W); `stride` as a sequence tells the number of spatial axes, the last ones.
    stride : int or one int per axis

    Examples
    --------
    >>> score(np.tile([0.0, 1.0], 8), 2)
    1.0
    """
    subject = Subject("score")
    x = host_array(subject, "image", image)
    if x.dtype.kind not in "iufb" and x.dtype.name != "bfloat16":
        raise subject.type(f"image must be real; got dtype {x.dtype}")
    x = x.astype(np.float64)
    axes = sequence(stride)
    rank = len(axes) if axes is not None else min(x.ndim, 2)
    if not 1 <= rank <= x.ndim:
        raise subject.value(f"image must have the stride's {rank} axes last; got image {x.shape}")
    periods = per_axis(subject, "stride", stride, rank, 1)
    lead, sizes = x.shape[: x.ndim - rank], x.shape[x.ndim - rank :]
    whole = [n // s for n, s in zip(sizes, periods, strict=True)]
    if 0 in whole:
        raise subject.value(f"image must hold one period; got image {x.shape}, stride {shown(stride)}")
    cut: tuple[Any, ...] = (..., *(slice(n * s) for n, s in zip(whole, periods, strict=True)))
    x = x[cut]
    split = x.reshape(prod(lead), *(v for pair in zip(whole, periods, strict=True) for v in pair))
    means = split.mean(axis=tuple(range(1, 2 * rank, 2))).reshape(prod(lead), -1)
    total = float(x.reshape(prod(lead), -1).var(axis=1).sum())
    return float(means.var(axis=1).sum()) / total if total else 0.0
