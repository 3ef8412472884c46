"""SciPy's names for convolution of signals, on the kernels of the arrays' device: `import numconv.signal as signal`.

Sums over lines and planes are ours (`sums`, `planes`); transforms are SciPy's, on as many threads as kernels use (`transforms`).  What no
kernel serves (Python objects, extended precision) goes by SciPy's own function, or by NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .sums import convolve, correlate

if TYPE_CHECKING:
    from .planes import convolve2d, correlate2d, sepfir2d
    from .transforms import choose_conv_method, correlation_lags, fftconvolve, oaconvolve

#: imported when first asked for: they import scipy.signal, half a second
_LATER = {
    **dict.fromkeys(("convolve2d", "correlate2d", "sepfir2d"), "planes"),
    **dict.fromkeys(("choose_conv_method", "correlation_lags", "fftconvolve", "oaconvolve"), "transforms"),
}

__all__ = [
    "choose_conv_method",
    "convolve",
    "convolve2d",
    "correlate",
    "correlate2d",
    "correlation_lags",
    "fftconvolve",
    "oaconvolve",
    "sepfir2d",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'numconv.signal' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
