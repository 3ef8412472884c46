"""Forward convolution through real FFTs (scipy.fft), contracted over channels in the frequency domain: for large kernels.

The transform is in float64 for float32 too: an FFT's error is absolute, a share of the largest values anywhere in the image, and in
float32 the small outputs of an image with a large range would lose all their digits.  Samples with a NaN or an infinity, which a
transform would spread over their whole output, go to another row.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numba import prange

from ...bounds import SIGNAL, of_transforms
from ...kernel import Kernel, Machine
from ...plan import make_plan
from ...problem import ConvProblem, Ints, effective_kernel
from ..runtime.launch import kernel
from ..simd.vector import get, put
from ..stages.finish import finish
from .cost import fft_seconds

Array = np.ndarray[Any, Any]
FREQUENCIES = 512  # frequencies per task: sum and both factors stay in the L1 cache


@kernel
def contract(x, w, y, batch, channels, out_channels, groups, size):
    """y[n, k, f] = Σ_c x[n, c, f]·conj(w[k, c, f]), flat arrays of re, im pairs.  Parallel over (n, k, block of f)."""
    group_in, group_out = channels // groups, out_channels // groups
    blocks = (size + FREQUENCIES - 1) // FREQUENCIES
    for task in prange(batch * out_channels * blocks):
        start = (task % blocks) * FREQUENCIES
        k = (task // blocks) % out_channels
        n = task // (blocks * out_channels)
        count = min(FREQUENCIES, size - start)
        target = ((n * out_channels + k) * size + start) * 2
        for j in range(2 * count):
            put(y, target + j, 0.0)
        for c in range(group_in):
            a = ((n * channels + k // group_out * group_in + c) * size + start) * 2
            b = ((k * group_in + c) * size + start) * 2
            for j in range(count):
                xr, xi = get(x, a + 2 * j), get(x, a + 2 * j + 1)
                wr, wi = get(w, b + 2 * j), get(w, b + 2 * j + 1)
                put(y, target + 2 * j, get(y, target + 2 * j) + (xr * wr + xi * wi))
                put(y, target + 2 * j + 1, get(y, target + 2 * j + 1) + (xi * wr - xr * wi))


@cache
def fast_length(n: int) -> int:
    """The least 2^a·3^b·5^c from n on: `scipy.fft.next_fast_len(n, real=True)`, whose import would take 0.17 s of every first call."""
    found, fives = 1 << (n - 1).bit_length(), 1
    while fives < found:
        odd = fives
        while odd < found:
            found = min(found, odd << (-(-n // odd) - 1).bit_length())
            odd *= 3
        fives *= 5
    return found


def _extents(c: ConvProblem) -> Ints:
    """Lengths of the circular axes: the image, and zeros that serve the low border and, around the circle, the high one."""
    return tuple(
        fast_length(max(i + max(lo, hi, 0), effective_kernel(k, d)))
        for i, lo, hi, k, d in zip(c.spatial, c.pad_low, c.pad_high, c.kernel, c.dilation, strict=True)
    )


def _transformed_weights(c: ConvProblem, w: Array, workers: int) -> Array:
    from scipy.fft import rfftn

    dilated = w
    if any(d > 1 for d in c.dilation):
        extents = [effective_kernel(k, d) for k, d in zip(c.kernel, c.dilation, strict=True)]
        dilated = np.zeros((*w.shape[:2], *extents), w.dtype)
        steps: list[Any] = [slice(None, None, d) for d in c.dilation]
        dilated[(..., *steps)] = w
    found: Array = rfftn(dilated.astype(np.float64, copy=False), _extents(c), axes=range(2, 2 + c.rank), workers=workers)
    return found


def _transform(c: ConvProblem, x: Array, w: Array, workers: int) -> Array:
    from scipy.fft import irfftn, rfftn

    axes, extents = range(2, 2 + c.rank), _extents(c)
    fx = rfftn(x.astype(np.float64, copy=False), extents, axes=axes, workers=workers)
    fw = _transformed_weights(c, w, workers)
    size = prod(fx.shape[2:])
    fy = np.empty((x.shape[0], c.out_channels, *fx.shape[2:]), fx.dtype)
    flat = [np.ascontiguousarray(a).reshape(-1).view(np.float64) for a in (fx, fw)]
    contract(*flat, fy.reshape(-1).view(np.float64), x.shape[0], c.in_channels, c.out_channels, c.groups, size)
    y = irfftn(fy, extents, axes=axes, workers=workers, overwrite_x=True)
    for axis, (o, s, lo, extent) in enumerate(zip(c.outputs, c.stride, c.pad_low, extents, strict=True), start=2):
        y = np.take(y, (np.arange(o) * s - lo) % extent, axis=axis)
    return y  # type: ignore[no-any-return]


def _elsewhere(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    """By the cheapest row of plain sums: another transform would spread them over its tiles.  The device's table holds this row."""
    from .. import device

    plan = make_plan(c, machine, tuple(row for row in device.table() if row.error_factor <= 1))
    device.execute(plan, arrays, out)


def _run(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, w, bias = arrays
    if not out.size:
        return
    if not np.isfinite(w).all():
        _elsewhere(c, arrays, out, machine)
        return
    finite = np.isfinite(x.reshape(c.batch, -1)).all(axis=1)
    whole = bool(finite.all())
    if finite.any():
        y = _transform(c, x if whole else x[finite], w, machine.cores)
        if whole:
            out[...] = y
        else:
            out[finite] = y
        finish(c, out, bias)
    if not whole:
        rest = np.ascontiguousarray(x[~finite])
        result = np.empty((rest.shape[0], *out.shape[1:]), out.dtype)
        _elsewhere(c.with_(batch=rest.shape[0]), (rest, w, bias), result, machine)
        out[~finite] = result


def _workspace(c: ConvProblem, machine: Machine) -> int:
    """The most of three moments: while the image is transformed, while the weights are, and on the way back; a real axis is halved."""
    *outer, last = _extents(c)
    real, spectrum = 8 * prod(outer) * last, 16 * prod(outer) * (last // 2 + 1)
    images, filters, results = c.batch * c.in_channels, c.out_channels * c.group_in, c.batch * c.out_channels
    widened = 8 if c.dtype == "float32" else 0
    there = images * (widened * prod(c.spatial) + real + spectrum)
    weights = images * spectrum + filters * (widened * c.taps + real + spectrum)
    sizes = [
        prod(c.outputs[:axis]) * prod(_extents(c)[axis:]) for axis in range(c.rank + 1)
    ]  # samples, as one axis after the other is taken
    back = (images + filters + results) * spectrum + results * 8 * max(a + b for a, b in pairwise(sizes))
    return max(there, weights, back)


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="fft",
        problem=ConvProblem,
        run=_run,
        cost=fft_seconds,
        honours=frozenset({"groups", "activation", "precision"}),
        workspace=_workspace,
        # no bound by elements holds, its error goes with the norms (tests/test_cpu_spectral.py): so never unasked (decision 0035)
        error_factor=32.0,
        error_of=SIGNAL,
        error_size=lambda problem: of_transforms(_extents(problem), problem.group_in, "float64"),
        automatic=False,
        summary="real FFTs in float64, channels contracted per frequency; for kernels of hundreds of taps",
    ),
)
