"""SciPy's sums over planes: `convolve2d`, `correlate2d`, `sepfir2d`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import signal

from .. import devices
from ..arguments.filters import Sum
from ..arguments.types import COMPLEX, FLOATS, INTEGERS
from ..dropin import NotServedError, drop_in
from ..ndimage.sums import filtered, source_of
from ..watching import watched
from . import sums

MODES = ("full", "same", "valid")
BOUNDARIES = {"fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap", "symm": "symmetric", "symmetric": "symmetric"}
PLANE = 2  # axes


def _served(array: Any) -> Any:
    found = array if devices.kind(array) != "cpu" or isinstance(array, np.ndarray) else np.asarray(array)
    dtype = np.dtype(found.dtype)
    if len(found.shape) != PLANE or 0 in found.shape or dtype.name not in INTEGERS | FLOATS | COMPLEX or not dtype.isnative:
        raise NotServedError(f"{dtype} of shape {tuple(found.shape)}")
    return found


def _over_plane(name: str, in1: Any, in2: Any, mode: Any, boundary: Any, fillvalue: Any) -> Any:
    """Beyond its edges in1 is what the boundary says: it is extended by that, and what the extension reaches is cut out of the full sum."""
    one, two = _served(in1), _served(in2)
    if mode not in MODES or boundary not in BOUNDARIES:
        raise NotServedError(f"mode={mode!r}, boundary={boundary!r}")
    if not isinstance(fillvalue, int | float | np.integer | np.floating):
        raise NotServedError(f"fillvalue={fillvalue!r}")
    of_all = getattr(sums, name.removesuffix("2d"))
    zeros = BOUNDARIES[boundary] == "constant" and fillvalue == 0
    covered = all(a >= b for a, b in zip(one.shape, two.shape, strict=True))
    whole = mode == "full" or (mode == "same" and name == "convolve2d")  # else another element is the middle one
    if (zeros and whole) or (mode == "valid" and covered):
        return of_all(one, two, mode)
    if mode == "valid" or not isinstance(one, np.ndarray) or watched():
        raise NotServedError(f"mode={mode!r}, boundary={boundary!r} takes copies on the host")
    dtype = np.result_type(one, two)
    how = {"constant_values": np.asarray(fillvalue, dtype)} if BOUNDARIES[boundary] == "constant" else {}
    if zeros:
        return _cut(of_all(one, two, "full"), name, one.shape, two.shape)
    pads = [(k - 1, k - 1) for k in two.shape]
    around = np.pad(one.astype(dtype, copy=False), pads, BOUNDARIES[boundary], **how)  # type: ignore[call-overload]
    full = of_all(around, two, "valid")
    return full if mode == "full" else _cut(full, name, one.shape, two.shape)


def _cut(full: Any, name: str, shape: tuple[int, ...], extents: tuple[int, ...]) -> Any:
    """The middle, of in1's shape."""
    begins = [(k - 1) // 2 if name == "convolve2d" else k // 2 for k in extents]
    return np.ascontiguousarray(full[tuple(slice(b, b + n) for b, n in zip(begins, shape, strict=True))])


@drop_in(signal.convolve2d)
def convolve2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """Convolve two planes, as `scipy.signal.convolve2d`.

    Large kernels by a transform, as `convolve` decides, with its bound by norms; integers exactly.
    """
    return _over_plane("convolve2d", in1, in2, mode, boundary, fillvalue)


@drop_in(signal.correlate2d)
def correlate2d(in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0) -> Any:
    """Cross-correlate two planes, as `scipy.signal.correlate2d`; in2 is conjugated.

    Large kernels by a transform, as `correlate` decides, with its bound by norms; integers exactly.
    """
    return _over_plane("correlate2d", in1, in2, mode, boundary, fillvalue)


@drop_in(signal.sepfir2d)
def sepfir2d(input: Any, hrow: Any, hcol: Any) -> Any:
    """Filter rows, then columns, of a plane that is mirrored at its edges, as `scipy.signal.sepfir2d`."""
    source = source_of(input, None)
    rows, columns = np.asarray(hrow), np.asarray(hcol)
    same = source.dtype.kind == "f" and rows.dtype.kind in "fiu" and columns.dtype.kind in "fiu"
    short = all(h.ndim == 1 and h.size % 2 == 1 and h.size <= min(source.shape) for h in (rows, columns))
    if len(source.shape) != PLANE or not same or not short:
        raise NotServedError(f"{source.dtype} of shape {source.shape} by rows {rows.shape} and columns {columns.shape}")
    weights = [np.ascontiguousarray(h[::-1], dtype=np.float64) for h in (rows, columns)]
    chain = tuple(Sum((axis,), w.shape, (0,), "reflect") for axis, w in zip((1, 0), weights, strict=True))
    return filtered("sepfir2d", source, (chain,), weights)
