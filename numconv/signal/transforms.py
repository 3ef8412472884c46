"""What SciPy does by transforms, on as many threads as kernels use, and what says how."""

from __future__ import annotations

from typing import Any

from scipy import fft, signal

from ..dropin import NotServedError, drop_in

_WHY = "transforms are SciPy's"


def _by_transform(theirs: Any, *arguments: Any) -> Any:
    from ..cpu.runtime.launch import threads
    from ..watching import watched

    if watched():
        raise NotServedError(_WHY)
    with fft.set_workers(threads()):
        return theirs(*arguments)


_fftconvolve, _oaconvolve = signal.fftconvolve, signal.oaconvolve  # SciPy's, whoever takes their place there


@drop_in(signal.fftconvolve)
def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Convolve by a transform of the whole, as `scipy.signal.fftconvolve`, by SciPy's transforms; float32 is transformed in float32.

    An error is about log₂(n)·u·‖in1‖₂·‖in2‖₂ in every element, n those of the full result: small results beside large ones are lost.
    """
    return _by_transform(_fftconvolve, in1, in2, mode, axes)


@drop_in(signal.oaconvolve)
def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None) -> Any:
    """Convolve by transforms of blocks that overlap, as `scipy.signal.oaconvolve`, by SciPy's transforms."""
    return _by_transform(_oaconvolve, in1, in2, mode, axes)


@drop_in(signal.choose_conv_method)
def choose_conv_method(in1: Any, in2: Any, mode: str = "full", measure: bool = False) -> Any:
    """Which of "direct" and "fft" SciPy's convolution takes for such arrays, as `scipy.signal.choose_conv_method`."""
    raise NotServedError(_WHY)


@drop_in(signal.correlation_lags)
def correlation_lags(in1_len: int, in2_len: int, mode: str = "full") -> Any:
    """The lag of each element of a correlation of two lines, as `scipy.signal.correlation_lags`."""
    raise NotServedError("no kernel is needed")
