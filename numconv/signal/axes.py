"""Sums over more axes than a kernel has: the taps of the first axes are its channels, their outputs its samples."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from .. import devices, hosts
from ..arguments.values import Subject
from ..planning import ELEMENTWISE, plan_for
from ..problem import ConvProblem
from ..session import Session

Array = np.ndarray[Any, Any]
INNER = 3  # axes of a kernel
AT_ONCE = 64 << 20  # bytes of samples, each of which is there as often as there are taps of the first axes


def channelled(subject: Subject, problem: ConvProblem) -> tuple[Callable[[Array, Array], Array], float]:
    """A function of image and (unreversed) kernel of a convolution, and the seconds it is predicted to take."""
    first = problem.rank - INNER
    lows, outer = problem.pad_low[:first], problem.outputs[:first]
    taps, rest = prod(problem.kernel[:first]), slice(first, None)
    inner = problem.with_(
        batch=1, in_channels=taps, spatial=problem.spatial[rest], kernel=problem.kernel[rest], stride=(1,) * INNER,
        pad_low=problem.pad_low[rest], dilation=(1,) * INNER, outputs=problem.outputs[rest],
    )  # fmt: skip
    device = devices.device("cpu")
    session = Session(subject, device, "auto", ELEMENTWISE)
    kind = hosts.dtype_of(problem.dtype)
    rows = max(1, AT_ONCE // (prod(outer[1:]) * taps * prod(inner.spatial) * kind.itemsize))

    def convolve(image: Array, kernel: Array) -> Array:
        pads = [(low, max(0, o + k - 1 - low - n)) for low, o, k, n in zip(lows, outer, problem.kernel, image.shape, strict=False)]
        around = np.pad(image, [*pads, *[(0, 0)] * INNER])
        w = np.ascontiguousarray(np.flip(kernel)).reshape(1, taps, *inner.kernel)
        y = np.empty((*outer, *inner.outputs), kind)
        for p in range(0, outer[0], rows):
            part = around[p : p + rows + problem.kernel[0] - 1]
            windows = np.lib.stride_tricks.sliding_window_view(part, problem.kernel[:first], tuple(range(first)))
            windows = windows[tuple(slice(0, o) for o in (rows, *outer[1:]))]
            x = np.moveaxis(windows, range(-first, 0), range(first, 2 * first)).reshape(-1, taps, *inner.spatial)
            found = session(inner.with_(batch=x.shape[0]), (x, w, None))
            y[p : p + rows] = found.reshape(-1, *outer[1:], *inner.outputs)
        return y

    return convolve, prod(outer) * plan_for(subject, device, inner, None, "auto", ELEMENTWISE).seconds
