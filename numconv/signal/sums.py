"""SciPy's names and rules for signals, on the convolution kernels of the arrays' device.

On the host, types that no kernel computes in (extended precision, Python objects), scalars and more than three axes go by NumPy, tap by
tap; on a GPU they are refused.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import hosts
from ..arguments.edge import public
from ..arguments.signal import check, correlation, signal, swaps
from ..arguments.types import COMPLEX, FLOATS, INTEGERS, promote
from ..arguments.values import Subject
from ..call import adopt, call
from ..devices import Device
from ..planning import ANY, ELEMENTWISE, plan_for
from ..problem import ConvProblem, Problem
from ..session import Session
from ..watching import Recorder, watched

__all__ = ["convolve", "correlate"]

Array = np.ndarray[Any, Any]
LABELS = ("in1", "in2")
SERVED = INTEGERS | FLOATS | COMPLEX | {"bool"}


def _steps(name: str, mode: str, run: Session, arrays: tuple[Any, ...], problems: tuple[Problem, ...], out: Any) -> Any:
    """The kernels correlate: a convolution's kernel is reversed, and where the arrays of a correlation change places, its result."""
    one, two = arrays
    swapped, convolving = swaps(mode, one.shape[2:], two.shape[2:]), name == "convolve"
    if not convolving:
        two = run.conjugate(two)
    image, kernel = (two, one) if swapped else (one, two)
    kernel = run.flip(kernel) if convolving else kernel
    (problem,) = problems
    assert isinstance(problem, ConvProblem)
    y = _over_what_is_there(run, problem, image, kernel)
    return run.flip(y) if swapped and not convolving else y


def _over_what_is_there(run: Any, problem: ConvProblem, image: Any, kernel: Any) -> Any:
    """Around the image is nothing, where the kernels read zeros; the two differ for taps that are NaN or infinite, since 0·NaN is NaN.

    Those taps are left out of the sums and added one by one, each over the samples that it meets; if the image has such values too, all
    taps are.  A GPU's kernels read zeros.
    """
    on_host = type(run) is not _ByNumPy and type(kernel) is np.ndarray and not isinstance(run.device, Recorder)
    if not on_host or kernel.dtype.kind not in "fcV" or problem.outputs == _valid(problem):
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
        sums = _ByNumPy()(problem, (*wide, None)).astype(kernel.dtype, copy=False)[None, None]
    if y is None:
        return sums
    y[...] = sums
    return y


def _valid(problem: ConvProblem) -> tuple[int, ...]:
    return tuple(i - k + 1 for i, k in zip(problem.spatial, problem.kernel, strict=True))


def _add_tap(total: Array, x: Array, w: Array, tap: tuple[int, ...], low: tuple[int, ...]) -> None:
    """total[p] += x[p + tap − low]·w[tap] where x has such a sample."""
    shifts = [t - lo for t, lo in zip(tap, low, strict=True)]
    ends = [max(0, min(o, i - s)) for o, i, s in zip(total.shape, x.shape, shifts, strict=True)]
    reached = tuple(slice(max(0, -s), end) for s, end in zip(shifts, ends, strict=True))
    read = tuple(slice(max(0, s), max(0, s, end + s)) for s, end in zip(shifts, ends, strict=True))
    with np.errstate(invalid="ignore", over="ignore"):
        total[reached] += x[read] * w[tap]


class _ByNumPy:
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


def _transform_pays(subject: Subject, device: Device, problem: ConvProblem) -> bool:
    if problem.taps < 64:
        return False
    try:
        transform = plan_for(subject, device, problem, None, "fft")
    except ValueError:  # the row does not serve it
        return False
    sums = plan_for(subject, device, problem, None, "auto", ELEMENTWISE)
    return transform.kernel.cost(problem, transform.machine) < sums.kernel.cost(problem, sums.machine)


def _call(name: str, in1: Any, in2: Any, mode: Any, method: Any) -> Any:
    device, natives, subject = adopt(name, LABELS, (in1, in2))
    steps = partial(_steps, name, mode)
    if device.name != "cpu":  # plain sums, for want of a transform
        return call(name, signal, LABELS, (in1, in2), (mode, method), None, "fft" if method == "fft" else "auto", steps, ELEMENTWISE)
    one, two = natives
    if one is None or two is None:
        raise subject.type(f"{'in1' if one is None else 'in2'} must be an array; got None")
    for label, array in zip(LABELS, natives, strict=True):
        if array.dtype.kind in "USmMV" and array.dtype.name != "bfloat16":
            raise subject.type(f"{label} must hold numbers; got dtype {array.dtype}")
    check(subject, one.shape, two.shape, mode, method)
    if not {one.dtype.name, two.dtype.name} <= SERVED or not 1 <= one.ndim <= 3:
        return _without_kernels(subject, steps, one, two, mode, in1)
    boolean = one.dtype == two.dtype == np.bool_
    dtype = "int32" if boolean else promote(subject, one.dtype, two.dtype)

    def given(user: Any, native: Array) -> Any:
        return native.astype(dtype) if native.dtype == np.bool_ else user if hosts.is_torch(user) else native

    algorithm, accuracy = "auto", ELEMENTWISE
    if hosts.dtype_of(dtype).kind in "fc" and method != "direct":  # a transform would round integers
        problem = correlation(mode, one.shape, two.shape, dtype, dtype)
        if method == "fft" or _transform_pays(subject, device, problem):
            algorithm, accuracy = "fft", ANY
    y = call(name, signal, LABELS, (given(in1, one), given(in2, two)), (mode, method), None, algorithm, steps, accuracy)
    if boolean:
        y = y != 0
    return hosts.release(y, in1) if type(y) is np.ndarray and not watched() else y


def _without_kernels(subject: Subject, steps: Any, one: Array, two: Array, mode: str, like: Any) -> Any:
    if watched():
        raise subject.value(f"no kernel, so no plan and no gradient, for {one.ndim} axes of {one.dtype} and {two.dtype}")
    if one.ndim == 0:
        y = one * (two if subject.name == "convolve" else two.conj())
        return hosts.release(np.asarray(y), like) if hosts.is_torch(like) else y
    problem = correlation(mode, one.shape, two.shape, "", "")
    return hosts.release(steps(_ByNumPy(), (one[None, None], two[None, None]), (problem,), None), like)


@public
def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Convolve two N-dimensional arrays, as `scipy.signal.convolve` does.

    Parameters
    ----------
    in1, in2 : array_like of the same number of axes, on one device
        Of any number of axes and any type on the host; on a GPU of 1 to 3 axes and of integer, real or complex type.
    mode : {"full", "valid", "same"}
        All of it; what needs no zeros around; the middle, of in1's size.
    method : {"auto", "direct", "fft"}
        Sums, a transform, or the cheaper of the two; integers are always summed, and a GPU has no transform.

    Returns
    -------
    array of type `np.result_type(in1, in2)`, of the kind that in1 is

    Raises
    ------
    TypeError
        For arrays on different devices, and on a GPU of booleans.
    ValueError
        For different numbers of axes, for mode="valid" where neither covers the other, for an empty array, for unknown names; on a GPU for
        method="fft" and other than 1 to 3 axes.

    Notes
    -----
    Full: y[p] = Σ_r in1[p − r] · in2[r].  Around in1 is nothing:
    a NaN or an infinity of either array is in the results that it takes part in, and in
    no others.

    Real and complex sums of the direct method are bounded as those of `conv1d`, element by element.
    A transform, which "auto" takes where SciPy's does
    and it is cheaper, knows no small results beside large ones: with n elements of the full result, each error is at most about
    log₂(n)·2⁻⁵³·‖in1‖₂·‖in2‖₂ (transforms are in float64), and one rounding of the result.
    Where values span many decades, ask for "direct".

    Examples
    --------
    >>> nc.convolve([1, 2, 3], [0, 1, 0.5])
    array([0. , 1. , 2.5, 4. , 1.5])
    """
    return _call("convolve", in1, in2, mode, method)


@public
def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Cross-correlate two N-dimensional arrays, as `scipy.signal.correlate` does; in2 is conjugated.

    Parameters
    ----------
    in1, in2, mode, method
        As for `convolve`.

    Returns
    -------
    array of type `np.result_type(in1, in2)`, of the kind that in1 is

    Raises
    ------
    TypeError, ValueError
        As `convolve`.

    Notes
    -----
    Full: y[p + n₂ − 1] = Σ_r in1[p + r] · conj(in2[r]), n₂ the size of in2, p from 1 − n₂.

    Examples
    --------
    >>> nc.correlate([1, 2, 3], [0, 1, 0.5])
    array([0.5, 2. , 3.5, 3. , 0. ])
    """
    return _call("correlate", in1, in2, mode, method)
