"""Forward convolution by real transforms (scipy.fft) of overlapping blocks, channels summed for each frequency: for large kernels.

In float32 the transform is in float32: an error is absolute, a share of the largest values anywhere in its block, which small outputs
beside large ones lose their digits to.  Blocks whose result is not finite (a NaN or an infinity in them, which a transform would spread;
sums too large for it) are done by another row.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import prange

from ....bounds import SIGNAL, of_transforms
from ....kernel import Kernel, Machine
from ....plan import make_plan
from ....problem import ConvProblem, effective_kernel
from ...runtime.launch import kernel, threads
from ...simd.vector import get, put
from ...stages.finish import finish
from .blocks import correlate, spectrum_of
from .plan import Sum, blocks_of, seconds, wholes

Array = np.ndarray[Any, Any]
FREQUENCIES = 512  # frequencies per task: sum and both factors stay in the L1 cache


@kernel
def contract(x, w, y, batch, channels, out_channels, groups, size):
    """y[n, k, f] = Σ_c x[n, c, f]·w[k, c, f], flat arrays of re, im pairs.  Parallel over (n, k, block of f)."""
    group_in, group_out = channels // groups, out_channels // groups
    blocks = (size + FREQUENCIES - 1) // FREQUENCIES
    for task in prange(batch * out_channels * blocks):
        start = (task % blocks) * FREQUENCIES
        k = (task // blocks) % out_channels
        n = task // (blocks * out_channels)
        count = min(FREQUENCIES, size - start)
        target = ((n * out_channels + k) * size + start) * 2
        for j in range(2 * count):
            put(y, target + j, y.dtype.type(0))
        for c in range(group_in):
            a = ((n * channels + k // group_out * group_in + c) * size + start) * 2
            b = ((k * group_in + c) * size + start) * 2
            for j in range(count):
                xr, xi = get(x, a + 2 * j), get(x, a + 2 * j + 1)
                wr, wi = get(w, b + 2 * j), get(w, b + 2 * j + 1)
                put(y, target + 2 * j, get(y, target + 2 * j) + (xr * wr - xi * wi))
                put(y, target + 2 * j + 1, get(y, target + 2 * j + 1) + (xi * wr + xr * wi))


def _sum(c: ConvProblem) -> Sum:
    return Sum(
        spatial=c.spatial,
        low=c.pad_low,
        outputs=tuple((o - 1) * s + 1 for o, s in zip(c.outputs, c.stride, strict=True)),
        kernel=tuple(map(effective_kernel, c.kernel, c.dilation)),
        stride=c.stride,
        batch=c.batch,
        images=c.in_channels,
        results=c.out_channels,
        products=c.out_channels * c.group_in,
        filters=c.out_channels * c.group_in,
        itemsize=np.dtype(c.dtype).itemsize,
    )


def _run(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, w, bias = arrays
    if not out.size:
        return
    if not np.isfinite(w).all():
        _elsewhere(c, arrays, out, machine)
        return
    blocks = blocks_of(_sum(c), machine)
    spectrum = spectrum_of(w, blocks, c.dilation, x.dtype, threads())

    def multiply(samples: Array, which: slice) -> Array:
        """A channel apiece: a product; else a sum of them."""
        if c.group_in == 1 and c.group_out == 1:
            return np.multiply(samples, spectrum[:, 0], out=samples)
        many, frequencies = samples.shape[: -c.rank - 1], samples.shape[-c.rank :]
        y = np.empty((*many, c.out_channels, *frequencies), samples.dtype)
        flat = [np.ascontiguousarray(a).reshape(-1).view(x.dtype) for a in (samples, spectrum)]
        contract(*flat, y.reshape(-1).view(x.dtype), prod(many), c.in_channels, c.out_channels, c.groups, prod(frequencies))
        return y

    def spoiled(windows: Array, sums: Array) -> None:
        """Of a block that is all there is, the zeros behind are those in front."""
        behind = [
            (0, 0),
            *((0, max(0, (o - 1) * s + k - e)) for o, s, k, e in zip(sums.shape[1:], c.stride, blocks.kernel, blocks.extents, strict=True)),
        ]
        windows = np.pad(windows, behind)
        inner = c.with_(batch=1, spatial=windows.shape[1:], outputs=sums.shape[1:], pad_low=(0,) * c.rank, bias=False, activation=None)
        result = np.empty(inner.result_shape, out.dtype)
        _elsewhere(inner, (np.ascontiguousarray(windows)[None], w, None), result, machine)
        sums[...] = result[0]

    with np.errstate(invalid="ignore", over="ignore"):  # such blocks are done again
        correlate(x, out, multiply, blocks, c.pad_low, c.stride, x.dtype, threads(), spoiled)
    finish(c, out, bias)


def _elsewhere(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    """By the cheapest row of plain sums: another transform would spread them over its tiles.  The device's table holds this row."""
    from ... import device

    plan = make_plan(c, machine, tuple(row for row in device.table() if row.error_factor <= 1))
    device.execute(plan, arrays, out)


def _workspace(c: ConvProblem, machine: Machine) -> int:
    """The kernels' spectra, and with them first the kernels between zeros, then the images, where blocks reach beyond them, and a chunk.

    Of a chunk the spectra of images and results, or what comes back.
    """
    blocks = blocks_of(_sum(c), machine)
    *outer, last = blocks.extents
    itemsize = np.dtype(c.dtype).itemsize
    real, spectrum = itemsize * prod(outer) * last, 2 * itemsize * prod(outer) * (last // 2 + 1)
    many = min(blocks.chunk, c.batch * prod(blocks.counts))  # blocks
    filters = c.out_channels * c.group_in
    covered = [n * (e - k + 1) + k - 1 for n, e, k in zip(blocks.counts, blocks.extents, blocks.kernel, strict=True)]
    images = 0 if tuple(covered) == c.spatial else itemsize * c.batch * c.in_channels * prod(covered)
    chunk = many * max((c.in_channels + c.out_channels) * spectrum, c.out_channels * (spectrum + real))
    return filters * spectrum + max(filters * real, images + chunk)


def _error(c: ConvProblem) -> float:
    """That of one block for all: shorter ones have less."""
    return of_transforms(wholes(_sum(c)), c.group_in, c.dtype)


def _seconds(c: ConvProblem, machine: Machine) -> float:
    s = _sum(c)
    return seconds(s, blocks_of(s, machine), machine)


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="fft",
        problem=ConvProblem,
        run=_run,
        cost=_seconds,
        honours=frozenset({"groups", "activation", "precision"}),
        workspace=_workspace,
        keeps_scratch=False,
        # no bound by elements holds, its error goes with the norms (tests/test_cpu_spectral.py): so never unasked (decision 0035)
        error_factor=32.0,
        error_of=SIGNAL,
        error_size=_error,
        automatic=False,
        summary="real FFTs of overlapping blocks, channels contracted per frequency; for kernels of hundreds of taps",
    ),
)
