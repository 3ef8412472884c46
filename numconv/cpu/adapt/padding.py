"""What is beside the image, where a weight is infinite or NaN: the same in all kernels.

Padding is zeros, which are multiplied: 0·∞ is NaN.  Beside a source of an input gradient (a transposed convolution) there is nothing: its
sum goes over what is there.  Of finite numbers it is all one, so kernels read zeros or leave out rows of them, whichever is faster.  Hence
whoever runs a row asks whether the weights are finite: at once where they are few, of packed ones when they are packed, and of many by
what they do to a few elements of the result, which see the image with every tap: there one that is not finite leaves nothing finite.
What is not finite is summed tap by tap.  Weight gradients ask the same of the result's gradient, which reaches the taps of all input
channels alike.
"""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from ...kernel import Kernel, Machine
from ...memory import kept
from ...problem import ConvProblem, effective_kernel
from ..runtime.launch import kernel as compiled
from ..runtime.launch import threads
from ..stages.finish import finish
from .lowering import framed

Array = np.ndarray[Any, Any]
FEW = 8192  # weights that one product of BLAS in this thread sees in a microsecond or two
#: the numbers that infinities become; rows differ in their last bits
LIMITS = {"relu": (0.0,), "relu6": (0.0, 6.0), "silu": (0.0,), "hardswish": (0.0,), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
MARGIN = 1e-6


class NotFinite(NamedTuple):
    """Weights as they are, where others are packed."""

    w: Array


class Beside(NamedTuple):
    """What a problem meets beside its image; slices along each axis of the result."""

    taps: bool  # some tap lies there for some element
    middle: tuple[slice, ...] | None  # elements that between them see the image with every tap
    line: tuple[slice, ...] | None  # elements of one row, each of which does
    blind: bool  # some element sees nothing but padding


NOWHERE = Beside(False, None, None, False)


def _inside(back: bool, i: int, o: int, k: int, s: int, d: int, low: int) -> slice | None:
    """Along one axis, elements each of which sees the image with every tap."""
    first, end = (max(0, (k - 1) * d - low), min(i, o - low) if s == 1 else 0) if back else (-(-max(0, low) // s), 0)
    if not back:
        end = min(o, (i - 1 - (k - 1) * d + low) // s + 1)
    return slice(first, end) if first < end else None


def _between(back: bool, i: int, o: int, k: int, s: int, d: int, low: int) -> slice | None:
    """… that do so between them: of a strided gradient one of each phase, else both ends."""
    if back:
        first = (i - s) // 2
        return slice(first, first + s) if first >= 0 and first + low - (k - 1) * d >= 0 and first + s - 1 + low < o * s else None
    last = (o - 1) * s - low  # the first element's taps are on the image up to the kernel's end, the last one's from its beginning on
    met = (i - 1 + low) // d >= k - 1 and last >= 0 and -(-max(0, low) // d) <= (i - 1 - last) // d + 1
    return slice(0, o, max(1, o - 1)) if met else None


def _one(inside: slice) -> slice:
    centre = (inside.start + inside.stop) // 2
    return slice(centre, centre + 1)


@kept
def beside(p: ConvProblem) -> Beside:
    if p.dtype not in ("float32", "float64") or p.padding_mode != "zeros":
        return NOWHERE
    axes = list(zip(p.spatial, p.outputs, p.kernel, p.stride, p.dilation, p.pad_low, strict=True))
    back = p.direction == "input_grad"
    if all(k == s == 1 and low == 0 and o == i for i, o, k, s, _, low in axes) if back else max(*p.pad_low, *p.pad_high) <= 0:
        return NOWHERE
    inside = [_inside(back, *axis) for axis in axes]
    middle = [_one(run) if run else _between(back, *axis) for run, axis in zip(inside, axes, strict=True)]
    line = [_one(run) if run else None for run in inside[:-1]] + inside[-1:]
    ends = zip(p.pad_low, p.pad_high, p.kernel, p.dilation, strict=True)
    blind = any(max(low, high) >= effective_kernel(k, d) for low, high, k, d in ends)
    return Beside(True, _all(middle), _all(line), blind)


def _all(along: list[slice | None]) -> tuple[slice, ...] | None:
    found = tuple(run for run in along if run is not None)
    return found if len(found) == len(along) else None


@compiled
def _greatest(bits: Any, found: Any, magnitude: int) -> None:
    """Of each part the greatest pattern of bits, signs aside: those of infinities and NaN are above all others."""
    parts = len(found)
    for part in prange(parts):
        most = bits[0] & magnitude
        for i in range(part * bits.size // parts, (part + 1) * bits.size // parts):
            most = max(most, bits[i] & magnitude)
        found[part] = most


def finite(w: Array) -> bool:
    flat = w.reshape(-1)
    if flat.size <= FEW:
        return bool(np.vdot(flat, flat) < inf) or bool(np.isfinite(flat).all())  # squares may be too large; `vdot` does not warn of it
    kind = np.int32 if flat.itemsize == 4 else np.int64
    found = np.empty(threads(), kind)
    _greatest(flat.view(kind), found, kind(np.iinfo(kind).max))
    return bool(found.max() < kind(np.array(inf, flat.dtype).view(kind)))


def _shown(p: ConvProblem, w: Array, out: Array) -> bool:
    """Whether what has come out shows that the weights are finite; where it does not, they are looked at themselves.

    An activation takes infinity to a number of its own: a filter that gives anything else somewhere along the line has no infinity.
    """
    what = beside(p)
    place: Any = what.middle if p.activation is None else what.line
    last = p.layout == "channels_last"
    values = out[(0, *place)] if last else out[(0, slice(None), *place)]
    if p.activation is None:
        return bool(np.vdot(values, values) < inf) or bool(np.isfinite(values).all()) or finite(w)
    plain = np.isfinite(values)
    for limit in LIMITS[p.activation]:
        plain &= np.abs(values - limit) > MARGIN
    doubtful = np.flatnonzero(~plain.any(axis=tuple(range(p.rank) if last else range(1, p.rank + 1))))
    return doubtful.size == 0 or finite(w[doubtful] if p.direction == "forward" and p.shuffle <= 1 else w)


def pack(kernel: Kernel, p: ConvProblem, w: Array, machine: Machine) -> Any:
    return NotFinite(w) if beside(p).taps and not finite(w) else kernel.pack(p, w, machine)


def run(kernel: Kernel, p: ConvProblem, arrays: tuple[Any, ...], out: Array, machine: Machine, packed: bool) -> None:
    """A row on arrays as it wants them, but that weights may be plain.  `packed`: they are what `pack` made of them."""
    taps, middle, line, blind = beside(p)
    if p.direction == "weight_grad":
        kernel.run(p, arrays, out, machine)
        if taps and not (np.isfinite(out[:, :1]).all() and (not blind or np.isfinite(arrays[1]).all())):
            _weights_by_taps(p, (arrays[0], arrays[1]), out)
        return
    x, w, bias = arrays
    if type(w) is NotFinite:
        _images_by_taps(p, x, w.w, bias, out)
        return
    later = taps and not packed and w.size > FEW and out.size > 0 and (middle if p.activation is None else line) is not None
    if taps and not packed and not later and not finite(w):
        _images_by_taps(p, x, w, bias, out)
        return
    ready = w if packed or kernel.takes_plain else kernel.pack(p, w, machine)
    kernel.run(p, (x, ready, bias), out, machine)
    if later and not _shown(p, w, out):
        _images_by_taps(p, x, w, bias, out)


def _reached(p: ConvProblem, tap: tuple[int, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """The positions of the source, and of the outputs, that a tap joins in a forward pass; None where there are none."""
    source, outputs = [], []
    for r, i, o, s, d, low in zip(tap, p.spatial, p.outputs, p.stride, p.dilation, p.pad_low, strict=True):
        at = r * d - low
        first, end = max(0, -(at // s)), min(o, (i - 1 - at) // s + 1)
        if end <= first:
            return None
        source.append(slice(first * s + at, (end - 1) * s + at + 1, s))
        outputs.append(slice(first, end))
    return tuple(source), tuple(outputs)


def _padded(p: ConvProblem, x: Array) -> tuple[ConvProblem, Array]:
    """The same convolution of the image with its zeros around it; x channels first, by group."""
    ends = [(max(0, low), max(0, high)) for low, high in zip(p.pad_low, p.pad_high, strict=True)]
    return p.with_(spatial=framed(p), pad_low=(0,) * p.rank), np.pad(x, [(0, 0)] * 3 + ends)


def _first(p: ConvProblem, image: Array) -> Array:
    """Channels first, by group: (N, groups, channels, *spatial)."""
    image = np.moveaxis(image, -1, 1) if p.layout == "channels_last" else image
    return image.reshape(len(image), p.groups, image.shape[1] // p.groups, *image.shape[2:])


def _images_by_taps(p: ConvProblem, x: Array, w: Array, bias: Array | None, out: Array) -> None:
    back = p.direction == "input_grad"
    each, source = w.reshape(p.groups, p.group_out, p.group_in, *p.kernel), _first(p, x)
    channels, extents = p.target
    geometry, source = (p, source) if back else _padded(p, source)
    sums = np.zeros((len(source), p.groups, channels // p.groups, *extents), out.dtype)
    with np.errstate(all="ignore"):
        for tap in np.ndindex(*p.kernel):
            found = _reached(geometry, tap)
            if found is None:
                continue
            read, write = found[::-1] if back else found
            factor = each[(..., *tap)].swapaxes(1, 2) if back else each[(..., *tap)]
            seen, target = source[(..., *read)], sums[(..., *write)]
            target += np.matmul(factor, seen.reshape(*seen.shape[:3], -1)).reshape(target.shape)
        first = np.moveaxis(out, -1, 1) if p.layout == "channels_last" else out
        result = sums.reshape(first.shape)
        finish(p, result, bias)
        if p.shuffle > 1:
            result = result.reshape(len(result), p.shuffle, channels // p.shuffle, *extents).swapaxes(1, 2).reshape(first.shape)
        first[...] = result


def _weights_by_taps(p: ConvProblem, images: tuple[Array, Array], out: Array) -> None:
    x, y = images
    each, gradient = out.reshape(p.groups, p.group_out, p.group_in, *p.kernel), _first(p, y)
    geometry, source = _padded(p, _first(p, x))
    with np.errstate(all="ignore"):
        for tap in np.ndindex(*p.kernel):
            found = _reached(geometry, tap)
            assert found is not None
            seen, g = source[(..., *found[0])], gradient[(..., *found[1])]
            flat, of = seen.reshape(*seen.shape[:3], -1), g.reshape(*g.shape[:3], -1)
            each[(..., *tap)] = np.matmul(of, flat.swapaxes(2, 3)).sum(axis=0)
