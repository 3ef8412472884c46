"""SciPy's names and rules for signals, on the convolution kernels of the arrays' device.

On the host a call's way is found once for arrays of a form (`ways`).  On a GPU, and where a call is watched (`explain`, gradients), it goes
by way of `call.call` with the same problem and algorithm.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from .. import hosts
from ..arguments.edge import public
from ..arguments.signal import check, signal
from ..arguments.values import Subject
from ..call import adopt, call
from ..memory import BOUND, Store
from ..planning import ANY, ELEMENTWISE
from ..watching import Recorder, watched
from .ways import LABELS, choice_of, computed_in, served, steps, way_of

__all__ = ["convolve", "correlate"]

_ways = Store()  # by the form of a call
_ndarray = np.ndarray


def _call(name: str, in1: Any, in2: Any, mode: Any, method: Any) -> Any:
    if watched():
        return _watched(name, in1, in2, mode, method)
    if type(in1) is _ndarray and type(in2) is _ndarray and type(mode) is type(method) is str:
        way = _ways.get((name, mode, method, in1.shape, in2.shape, in1.dtype, in2.dtype, in1.flags.num, in2.flags.num))
        if way is not None:
            return way(in1, in2)
    device, (one, two), subject = adopt(name, LABELS, (in1, in2))
    if device.name != "cpu":  # plain sums, for want of a transform
        algorithm = "fft" if method == "fft" else "auto"
        return call(name, signal, LABELS, (in1, in2), (mode, method), None, algorithm, partial(steps, name, mode), ELEMENTWISE)
    _check(subject, one, two, mode, method)
    way = way_of(subject, one, two, mode, method)
    y = way(one, two)
    if type(in1) is type(in2) is _ndarray:
        _ways.put((name, mode, method, one.shape, two.shape, one.dtype, two.dtype, one.flags.num, two.flags.num), way, BOUND)
    return hosts.release(np.asarray(y), in1) if hosts.is_torch(in1) else y


def _check(subject: Subject, one: Any, two: Any, mode: Any, method: Any) -> None:
    if one is None or two is None:
        raise subject.type(f"{'in1' if one is None else 'in2'} must be an array; got None")
    for label, array in zip(LABELS, (one, two), strict=True):
        if array.dtype.kind in "USmMV" and array.dtype.name != "bfloat16":
            raise subject.type(f"{label} must hold numbers; got dtype {array.dtype}")
    check(subject, one.shape, two.shape, mode, method)


def _watched(name: str, in1: Any, in2: Any, mode: Any, method: Any) -> Any:
    device, (one, two), subject = adopt(name, LABELS, (in1, in2))
    in_turn = partial(steps, name, mode)
    if device.name != "cpu":
        algorithm = "fft" if method == "fft" else "auto"
        return call(name, signal, LABELS, (in1, in2), (mode, method), None, algorithm, in_turn, ELEMENTWISE)
    _check(subject, one, two, mode, method)
    if not served(one, two):
        raise subject.value(f"no kernel, so no plan and no gradient, for {one.ndim} axes of {one.dtype} and {two.dtype}")
    algorithm, dtype = choice_of(subject, one, two, mode, method), computed_in(subject, one, two)
    in_floats = algorithm == "fft" and hosts.dtype_of(dtype).kind in "iu"
    if in_floats:  # what runs where that is exact; a tape has no gradients of integers
        algorithm, dtype, in_floats = ("fft", "float64", True) if isinstance(device, Recorder) else ("auto", dtype, False)

    def given(user: Any, native: Any) -> Any:
        return native.astype(dtype) if in_floats or native.dtype == np.bool_ else user if hosts.is_torch(user) else native

    arrays = given(in1, one), given(in2, two)
    y = call(name, signal, LABELS, arrays, (mode, method), None, algorithm, in_turn, ANY if algorithm == "fft" else ELEMENTWISE)
    return y != 0 if one.dtype == two.dtype == np.bool_ else y


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
        Sums, a transform, or the cheaper of the two; integers are transformed where that is exact, and a GPU has no transform.

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
    A transform, which "auto" takes where a model of both says that it is cheaper, is in the type of the result (integers: in float64, and
    only where their sums are exact once rounded).  It knows no small results beside large ones: with n elements of the full result, each
    error is at most (24·(log₂(n) + axes) + 10)·u·‖in1‖₂·‖in2‖₂, u the unit roundoff of the type; in practice some log₂(n)·u of the norms.
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
