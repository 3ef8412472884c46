"""What lies beyond a signal's ends: nothing.  And sums tap by tap, of whatever type and on any number of axes, which read nothing there."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problem import ConvProblem
from ..session import Session
from ..watching import Recorder

Array = np.ndarray[Any, Any]


def over_what_is_there(run: Any, problem: ConvProblem, image: Any, kernel: Any) -> Any:
    """Around the image is nothing, where the kernels read zeros; the two differ for taps that are NaN or infinite, since 0·NaN is NaN.

    Those taps are left out of the sums and added one by one, each over the samples that it meets; if the image has such values too, all
    taps are.  A GPU's kernels read zeros.
    """
    on_host = type(run) is not ByNumPy and type(kernel) is np.ndarray and not isinstance(run.device, Recorder)
    if not on_host or kernel.dtype.kind not in "fcV" or problem.outputs == valid(problem):
        return run(problem, (image, kernel, None))
    finite = np.isfinite(kernel)
    if finite.all():
        return run(problem, (image, kernel, None))
    taped = type(run) is not Session
    y = run(problem, (image, kernel, None)) if taped else None  # a tape is to know the true kernel
    if np.isfinite(image).all():
        plain = Session(run.subject, run.device, run.algorithm, run.accuracy)
        sums = plain(problem, (image, np.where(finite, kernel, kernel.dtype.type(0)), None))
        for tap in np.argwhere(~finite[0, 0]):
            _add_tap(sums[0, 0], image[0, 0], kernel[0, 0], tuple(int(t) for t in tap), problem.pad_low)
    else:
        wide = [a.astype(np.float32) if a.dtype.itemsize == 2 else a for a in (image, kernel)]
        sums = ByNumPy()(problem, (*wide, None)).astype(kernel.dtype, copy=False)[None, None]
    if y is None:
        return sums
    y[...] = sums
    return y


def valid(problem: ConvProblem) -> tuple[int, ...]:
    return tuple(i - k + 1 for i, k in zip(problem.spatial, problem.kernel, strict=True))


def _add_tap(total: Array, x: Array, w: Array, tap: tuple[int, ...], low: tuple[int, ...]) -> None:
    """total[p] += x[p + tap − low]·w[tap] where x has such a sample."""
    shifts = [t - lo for t, lo in zip(tap, low, strict=True)]
    ends = [max(0, min(o, i - s)) for o, i, s in zip(total.shape, x.shape, shifts, strict=True)]
    reached = tuple(slice(max(0, -s), end) for s, end in zip(shifts, ends, strict=True))
    read = tuple(slice(max(0, s), max(0, s, end + s)) for s, end in zip(shifts, ends, strict=True))
    with np.errstate(invalid="ignore", over="ignore"):
        total[reached] += x[read] * w[tap]


class ByNumPy:
    """A session without kernels: any type, any number of axes, tap by tap."""

    flip = staticmethod(np.flip)

    @staticmethod
    def conjugate(array: Array) -> Array:
        """NumPy's makes int8 of booleans."""
        return array.conj() if array.dtype.kind in "cO" else array

    def __call__(self, problem: ConvProblem, arrays: tuple[Any, ...]) -> Array:
        x, w = arrays[0][0, 0], arrays[1][0, 0]
        total = np.zeros(problem.outputs, np.result_type(x, w))
        for tap in np.ndindex(*w.shape):
            _add_tap(total, x, w, tap, problem.pad_low)
        return total
