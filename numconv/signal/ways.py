"""The way of a convolution or correlation of two arrays on the host: sums by the kernels, transforms by blocks, or NumPy tap by tap.

A way is a function of two arrays of the form that it was found for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import devices, hosts
from ..arguments.signal import correlation, swaps
from ..arguments.types import COMPLEX, FLOATS, INTEGERS, promote
from ..arguments.values import Subject
from ..planning import ANY, ELEMENTWISE, plan_for
from ..problem import ConvProblem, Problem
from ..session import Bound, Session, bind, repeat
from .axes import channelled
from .ends import ByNumPy, over_what_is_there, valid

Array = np.ndarray[Any, Any]
Way = Callable[[Array, Array], Any]
LABELS = ("in1", "in2")
SERVED = INTEGERS | FLOATS | COMPLEX | {"bool"}
isfinite, all_of = np.isfinite, np.logical_and.reduce  # names of this module are found sooner
MOST_AXES = 3  # of a kernel
INTEGER_KINDS = str.maketrans("ub", "ii")
TRANSFORMED = "transformed"  # a method: "fft", without a warning
LEAST_TAPS = 64  # that may be transformed


def steps(name: str, mode: str, run: Any, arrays: tuple[Any, ...], problems: tuple[Problem, ...], out: Any) -> Any:
    """The kernels correlate: a convolution's kernel is reversed, and where the arrays of a correlation change places, its result."""
    one, two = arrays
    swapped, convolving = swaps(mode, one.shape[2:], two.shape[2:]), name == "convolve"
    if not convolving:
        two = run.conjugate(two)
    image, kernel = (two, one) if swapped else (one, two)
    kernel = run.flip(kernel) if convolving else kernel
    (problem,) = problems
    assert isinstance(problem, ConvProblem)
    y = over_what_is_there(run, problem, image, kernel)
    return run.flip(y) if swapped and not convolving else y


def served(one: Array, two: Array) -> bool:
    """Whether kernels compute in the types, on so many axes."""
    return {one.dtype.name, two.dtype.name} <= SERVED and 1 <= one.ndim <= MOST_AXES


def computed_in(subject: Subject, one: Array, two: Array) -> str:
    return "int32" if one.dtype == two.dtype == np.bool_ else promote(subject, one.dtype, two.dtype)


def choice_of(subject: Subject, one: Any, two: Any, mode: str, method: str) -> str:
    """ "auto": sums; or "fft"."""
    if method != "auto":
        return "auto" if method == "direct" else "fft"
    dtype = computed_in(subject, one, two)
    return "fft" if _transform_pays(subject, correlation(mode, one.shape, two.shape, dtype, dtype)) else "auto"


def _transform_pays(subject: Subject, problem: ConvProblem) -> bool:
    from ..cpu.named.fft.cost import ONE_CHANNEL

    if problem.taps < LEAST_TAPS:
        return False
    device = devices.device("cpu")
    whole = hosts.dtype_of(problem.dtype).kind in "iu"
    try:
        transform = plan_for(subject, device, problem.with_(dtype="float64", out_dtype="float64") if whole else problem, None, "fft")
    except ValueError:  # the row does not serve it
        return False
    sums = plan_for(subject, device, problem, None, "auto", ELEMENTWISE)
    return transform.seconds < sums.seconds * ONE_CHANNEL.get(sums.kernel.name, {}).get("i" if whole else "f", 1.0)


def way_of(subject: Subject, one: Array, two: Array, mode: str, method: str) -> Way:
    name = subject.name
    if one.ndim == 0:
        return lambda one, two: one * (two if name == "convolve" else two.conj())
    if not {one.dtype.name, two.dtype.name} <= SERVED:
        return _tap_by_tap(name, mode)
    single = all(1 in pair for pair in zip(one.shape, two.shape, strict=True))
    if mode == "full" and one.ndim > 1 and single:
        return _each_by_each(name)
    dtype = computed_in(subject, one, two)
    if one.ndim > MOST_AXES:
        return _over_many_axes(subject, one, two, mode, method, dtype)
    algorithm = choice_of(subject, one, two, mode, method)
    whole = hosts.dtype_of(dtype).kind in "iu"
    if method == "fft" and not whole:
        return _warning(way_of(subject, one, two, mode, TRANSFORMED))
    if algorithm == "fft" and not whole and "i" in (one.dtype.kind + two.dtype.kind).translate(INTEGER_KINDS):
        wide = _planned(subject, one, two, mode, np.result_type(dtype, np.float64).name, algorithm)  # as SciPy: integers in float64
        return lambda one, two: wide(one, two).astype(dtype)
    sums = _planned(subject, one, two, mode, dtype, "auto" if whole else algorithm)
    if whole and algorithm == "fft":
        sums = _whole(name, mode, dtype, sums)
    boolean = one.dtype == two.dtype == np.bool_
    return (lambda one, two: sums(one, two) != 0) if boolean else sums


def _planned(subject: Subject, one: Array, two: Array, mode: str, dtype: str, algorithm: str) -> Way:
    """One kernel, bound to arrays of this form as soon as there are some."""
    convolving, kind = subject.name == "convolve", hosts.dtype_of(dtype)
    problem = correlation(mode, one.shape, two.shape, dtype, dtype)
    swapped = swaps(mode, one.shape, two.shape)
    session = Session(subject, devices.device("cpu"), algorithm, ANY if algorithm == "fft" else ELEMENTWISE)
    plan = plan_for(subject, session.device, problem, None, algorithm, session.accuracy)
    image_shape, kernel_shape = (1, 1, *problem.spatial), (1, 1, *problem.kernel)
    backwards = (slice(None, None, -1),) * one.ndim
    ends = kind.kind in "fcV" and problem.outputs != valid(problem)
    plain = one.dtype == two.dtype == kind
    bound: Bound | None = None

    def way(one: Array, two: Array) -> Array:
        nonlocal bound
        if not plain:
            one, two = one.astype(kind, copy=False), two.astype(kind, copy=False)
        if not convolving and kind.kind == "c":
            two = two.conj()
        image, kernel = (two, one) if swapped else (one, two)
        kernel = np.ascontiguousarray(kernel[backwards] if convolving else kernel)
        flat = kernel.reshape(-1)
        finite = not ends or all_of(isfinite(flat))
        arrays = image.reshape(image_shape), flat.reshape(kernel_shape), None
        if not finite:
            y = over_what_is_there(session, problem, arrays[0], arrays[1])
        else:
            if bound is None:
                bound = bind(session.device, plan, arrays)
            y = repeat(subject.name, bound, arrays)
        y = y.reshape(problem.outputs)
        return y[backwards] if swapped and not convolving else y

    return way


def _warning(transform: Way) -> Way:
    """As SciPy warns of a transform that was asked for."""

    def way(one: Array, two: Array) -> Any:
        y = transform(one, two)
        if not all_of(isfinite(y), None):
            text = "Use of fft convolution on input with NAN or inf: what they reach is summed, as by method='direct'"
            warnings.warn(text, RuntimeWarning, stacklevel=5)
        return y

    return way


def _whole(name: str, mode: str, dtype: str, sums: Way) -> Way:
    """Integers, transformed where that is exact."""
    from .spectral import convolved

    result = hosts.dtype_of(dtype)

    def way(one: Array, two: Array) -> Any:
        other = two if name == "convolve" else np.flip(two)
        y = convolved(one, other, mode, tuple(range(one.ndim)), np.dtype(np.float64), result)
        return sums(one, two) if y is None else y

    return way


def _each_by_each(name: str) -> Way:
    """On each axis one array has one sample: nothing is summed."""

    def way(one: Array, two: Array) -> Any:
        return one * (two if name == "convolve" else np.flip(ByNumPy.conjugate(two)))

    return way


def _tap_by_tap(name: str, mode: str) -> Way:
    def way(one: Array, two: Array) -> Any:
        problem = correlation(mode, one.shape, two.shape, "", "")
        return steps(name, mode, ByNumPy(), (one[None, None], two[None, None]), (problem,), None)

    return way


def _over_many_axes(subject: Subject, one: Array, two: Array, mode: str, method: str, dtype: str) -> Way:
    """More axes than a kernel has: by transforms, or as channels of one that has three."""
    from .spectral import convolved, lines, seconds_for

    name, kind = subject.name, hosts.dtype_of(dtype)
    axes, boolean = tuple(range(one.ndim)), one.dtype == two.dtype == np.bool_
    problem = correlation(mode, one.shape, two.shape, dtype, dtype)
    as_channels, predicted = channelled(subject, problem)
    in_floats = kind if kind.kind in "fc" and kind.itemsize > 2 else np.dtype(np.float64)
    transformed = seconds_for(lines("full", problem.spatial, problem.kernel, ()), in_floats)
    transforms = method == "fft" or (method == "auto" and transformed < predicted)
    by_taps = _tap_by_tap(name, mode)

    def way(one: Array, two: Array) -> Any:
        one, two = one.astype(kind, copy=False), two.astype(kind, copy=False)
        other = two if name == "convolve" else np.flip(ByNumPy.conjugate(two))
        finite = kind.kind in "iu" or bool(np.isfinite(one).all() and np.isfinite(two).all())
        y = convolved(one, other, mode, axes, in_floats, kind) if transforms and finite else None
        if y is None:
            y = as_channels(*((other, one) if problem.spatial == two.shape != one.shape else (one, other))) if finite else by_taps(one, two)
        return y != 0 if boolean else y

    return way
