"""SciPy's names and rules for signals, on the convolution kernels.

A signal is an image of one sample and one channel.  Types that no kernel computes in (extended precision, Python objects)
and more than three axes go by NumPy, tap by tap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import devices
from .arguments import conv
from .arguments_values import COMPLEX, FLOATS, INTEGERS, Subject, choice
from .dispatch import ALL_ROWS, call, plan_for, trace
from .problem import ConvProblem

__all__ = ["convolve", "correlate"]

Array = np.ndarray[Any, Any]
MODES = ("full", "valid", "same")
METHODS = ("auto", "direct", "fft")
SUMS = 1.0  # error factor of plain sums: no Winograd here


def _swaps(subject: Subject, mode: str, one: tuple[int, ...], two: tuple[int, ...]) -> bool:
    """Whether the second array is the larger one, of which "valid" takes a part."""
    if mode != "valid":
        return False
    first, second = all(a >= b for a, b in zip(one, two, strict=True)), all(b >= a for a, b in zip(one, two, strict=True))
    if not (first or second):
        raise subject.value("For 'valid' mode, one must be at least as large as the other in every dimension")
    return not first


def _flip(a: Array) -> Array:
    """Reversed along all axes and conjugated: turns a correlation into a convolution."""
    turned = a[(slice(None, None, -1),) * a.ndim]
    return turned.conj() if a.dtype.kind == "c" else turned


def _pads(mode: str, kernel: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Zeros around the image; "same" is the middle of "full", the odd element where SciPy has it."""
    if mode == "valid":
        return tuple((0, 0) for _ in kernel)
    if mode == "full":
        return tuple((k - 1, k - 1) for k in kernel)
    return tuple((k // 2, (k - 1) // 2) for k in kernel)


def _taps(x: Array, w: Array, pads: tuple[tuple[int, int], ...], dtype: Any) -> Array:
    padded = np.pad(x, pads)
    sizes = tuple(i - k + 1 for i, k in zip(padded.shape, w.shape, strict=True))
    total = np.zeros(sizes, dtype)
    for tap in np.ndindex(*w.shape):
        total = total + padded[tuple(slice(t, t + n) for t, n in zip(tap, sizes, strict=True))] * w[tap]
    return total.astype(dtype)


def _run(name: str, x: Array, w: Array, mode: str, method: str) -> Array:
    """Σ_r x[p + r]·w[r] over zeros around x."""
    dtype = np.result_type(x, w)
    pads = _pads(mode, w.shape)
    boolean = dtype == np.bool_
    whole = np.dtype(np.int8) if boolean else dtype
    x, w = (a.astype(whole) if a.dtype == np.bool_ else a for a in (x, w))
    kernels = dtype.name in INTEGERS | FLOATS | COMPLEX or boolean
    if not kernels or not 1 <= x.ndim <= 3:
        return _taps(x, w, pads, dtype)
    out_dtype = "int32" if boolean else dtype.name
    options = (x.ndim, False, 1, pads, 1, 1, "zeros", "channels_first", None, out_dtype, "highest")
    arrays = (x[None, None], w[None, None], None)
    algorithm, accuracy = ("fft", ALL_ROWS) if method == "fft" and dtype.kind in "fc" else ("auto", SUMS)
    if method == "auto" and dtype.kind in "fc" and _transform_pays(name, arrays, options):
        algorithm, accuracy = "fft", ALL_ROWS
    y: Array = call(name, conv, ("in1", "in2", "bias"), arrays, options, None, algorithm, accuracy=accuracy)[0, 0]
    return y != 0 if boolean else y


def _transform_pays(name: str, arrays: tuple[Any, ...], options: tuple[Any, ...]) -> bool:
    with trace() as steps:
        call(name, conv, ("in1", "in2", "bias"), arrays, options)
    problem = steps[0].problem
    assert isinstance(problem, ConvProblem)
    if problem.taps < 64:
        return False
    device, subject = devices.device("cpu"), Subject(name)
    try:
        transform = plan_for(subject, device, problem, None, "fft")
    except ValueError:  # the row does not serve it
        return False
    sums = plan_for(subject, device, problem, None, "auto", SUMS)
    return transform.kernel.cost(problem, transform.machine) < sums.kernel.cost(problem, sums.machine)


def _checked(subject: Subject, in1: Any, in2: Any, mode: Any, method: Any, what: str) -> tuple[Array, Array]:
    for label, array in (("in1", in1), ("in2", in2)):
        if devices.kind(array) == "cuda":  # np.asarray would copy it to the host and hide that
            raise subject.type(f"{label} is an array on cuda, which this function does not serve yet; got {type(array).__name__}")
    one, two = np.asarray(in1), np.asarray(in2)
    if one.ndim != two.ndim:
        raise subject.value(f"{what} should have the same dimensionality; got {one.ndim} and {two.ndim}")
    try:
        choice(subject, "mode", mode, MODES)
    except (TypeError, ValueError):
        raise subject.value(f"Acceptable mode flags are 'valid', 'same', or 'full'; got {mode!r}") from None
    if method not in METHODS:
        raise subject.value(f"Acceptable method flags are 'auto', 'direct', or 'fft'; got {method!r}")
    if one.ndim and (one.size == 0 or two.size == 0):
        raise subject.value(f"{what} must not be empty; got shapes {one.shape} and {two.shape}")
    return one, two


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Convolve two N-dimensional arrays, as `scipy.signal.convolve` does.

    Parameters
    ----------
    in1, in2 : array_like of the same number of axes
    mode : "full" (all of it), "valid" (what needs no zeros around), "same" (the middle, of in1's size)
    method : "direct", "fft", or "auto", the cheaper of the two

    Returns
    -------
    ndarray of type `np.result_type(in1, in2)`

    Examples
    --------
    >>> nc.convolve([1, 2, 3], [0, 1, 0.5])
    array([0. , 1. , 2.5, 4. , 1.5])
    """
    subject = Subject("convolve")
    one, two = _checked(subject, in1, in2, mode, method, "volume and kernel")
    if one.ndim == 0:
        return one * two
    if _swaps(subject, mode, one.shape, two.shape) or (mode == "full" and two.size > one.size):
        one, two = two, one
    return _run("convolve", one, two[(slice(None, None, -1),) * two.ndim], mode, method)


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """Cross-correlate two N-dimensional arrays, as `scipy.signal.correlate` does; in2 is conjugated.

    Parameters and result as for `convolve`.

    Examples
    --------
    >>> nc.correlate([1, 2, 3], [0, 1, 0.5])
    array([0.5, 2. , 3.5, 3. , 0. ])
    """
    subject = Subject("correlate")
    one, two = _checked(subject, in1, in2, mode, method, "in1 and in2")
    if one.ndim == 0:
        return one * two.conj()
    if _swaps(subject, mode, one.shape, two.shape) or (mode == "full" and two.size > one.size):
        swapped = _run("correlate", two, one.conj() if one.dtype.kind == "c" else one, mode, method)
        return _flip(swapped)
    return _run("correlate", one, two.conj() if two.dtype.kind == "c" else two, mode, method)
