"""SciPy's names that transform, and that say which way a convolution goes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import signal

from .. import devices, hosts
from ..arguments.signal import MODES, covers
from ..dropin import NotServedError, drop_in
from ..watching import watched
from . import sums
from .spectral import convolved, type_of

Array = np.ndarray[Any, Any]
SMALL = 1 << 13  # samples


def _host(array: Any) -> Array:
    if type(array) is not np.ndarray and not hosts.is_torch(array) and not isinstance(array, list | tuple | int | float | complex):
        raise NotServedError(f"in1 or in2 is {type(array).__name__}")
    found = hosts.adopt(array)
    if found.ndim == 0 or found.size == 0 or found.dtype.kind not in "biufc":
        raise NotServedError(f"{found.dtype} of shape {found.shape}")
    return found


def _axes(rank: int, axes: Any) -> tuple[int, ...]:
    if axes is None:
        return tuple(range(rank))
    found = [axes] if isinstance(axes, int | np.integer) else axes
    try:
        places = tuple(int(a) % rank for a in found if a == int(a) and -rank <= a < rank)
    except (TypeError, ValueError):
        places = ()
    if not places or len(set(places)) < len(found):
        raise NotServedError(f"axes={axes!r}")
    return tuple(sorted(places))


def _transformed(in1: Any, in2: Any, mode: Any, axes: Any) -> Any:
    if watched() or devices.kind(in1) != "cpu" or devices.kind(in2) != "cpu":
        if axes is not None or np.dtype(getattr(in1, "dtype", "O")).kind not in "fc":
            raise NotServedError(f"axes={axes!r}, or no floating point")
        on_host = devices.kind(in1) == devices.kind(in2) == "cpu"
        return sums.convolve(in1, in2, mode, "fft" if on_host else "auto")
    one, two = _host(in1), _host(in2)
    if one.ndim != two.ndim or not isinstance(mode, str) or mode not in MODES:
        raise NotServedError(f"shapes {one.shape} and {two.shape}, mode={mode!r}")
    places = tuple(a for a in _axes(one.ndim, axes) if one.shape[a] != 1 and two.shape[a] != 1)
    alike = all(m == n or 1 in (m, n) for a, (m, n) in enumerate(zip(one.shape, two.shape, strict=True)) if a not in places)
    along = [tuple(a.shape[p] for p in places) for a in (one, two)]
    if not alike or (mode == "valid" and not covers(*along) and not covers(*along[::-1])):
        raise NotServedError(f"shapes {one.shape} and {two.shape}")
    if max(one.size, two.size) <= SMALL and not hosts.is_torch(in1):
        raise NotServedError("SciPy transforms it as a whole, as we would, and begins sooner")
    dtype = type_of(one, two)
    full = convolved(one, two, mode, places, dtype, dtype if places else np.result_type(one, two))
    assert full is not None  # no integers
    return hosts.release(np.ascontiguousarray(full), in1)


_BOUND = """
    Notes
    -----
    With n elements of the full result, an error is at most about log₂(n)·u·‖in1‖₂·‖in2‖₂ in every element, u the unit roundoff of the type
    in which is transformed: small results beside large ones are lost.  Integers are transformed in float64, and not rounded.  Along each
    axis the transform is of blocks that overlap, as many as a model of their costs says: time grows with n·log(taps), memory does not
    grow beyond the result.
    """


@drop_in(signal.fftconvolve)
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Convolve by transforms, as `scipy.signal.fftconvolve`; float32 in float32."""
    return _transformed(in1, in2, mode, axes)


@drop_in(signal.oaconvolve)
def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Convolve by transforms of blocks that overlap, as `scipy.signal.oaconvolve`; the same as `fftconvolve`."""
    return _transformed(in1, in2, mode, axes)


@drop_in(signal.choose_conv_method)
def choose_conv_method(in1: Any, in2: Any, mode: str = "full", measure: bool = False) -> Any:
    """Which of "direct" and "fft" SciPy's convolution takes for such arrays, as `scipy.signal.choose_conv_method`.

    Ours decides by a model of its own kernels (`nc.explain(nc.convolve, …)` says how), and mostly transforms later.
    """
    raise NotServedError("what SciPy would choose is SciPy's to say")


@drop_in(signal.correlation_lags)
def correlation_lags(in1_len: int, in2_len: int, mode: str = "full") -> Any:
    """The lag of each element of a correlation of two lines, as `scipy.signal.correlation_lags`."""
    raise NotServedError("no kernel is needed")


for _function in (fftconvolve, oaconvolve):
    _function.__doc__ = (_function.__doc__ or "") + _BOUND
