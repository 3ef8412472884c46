"""What is beside the image, where a weight is infinite or NaN: the same in all kernels.

Padding is zeros, which are multiplied: 0·∞ is NaN.  Beside a source of an input gradient (a transposed convolution) there is nothing: its
sum goes over what is there.  Of finite numbers it is all one, so kernels read zeros or leave out rows of them, whichever is faster.  Hence
whoever runs a row asks whether the weights are finite: at once where they are few, of packed ones when they are packed, and of many by
what they do to the middle of the result, where every tap is on the image: there one that is not finite leaves nothing finite.  (An
activation may hide that, so there all are looked at.)  What is not finite is summed tap by tap.  Weight gradients ask the same of the
result's gradient, which reaches the taps of all input channels alike.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import Any, NamedTuple

import numpy as np

from ...kernel import Kernel, Machine
from ...memory import kept
from ...problem import ConvProblem, effective_kernel
from ..stages.finish import finish
from .lowering import framed

Array = np.ndarray[Any, Any]
FEW = 8192  # weights that one product of BLAS in this thread sees in a microsecond or two


class NotFinite(NamedTuple):
    """Weights as they are, where others are packed."""

    w: Array


class Beside(NamedTuple):
    """What a problem meets beside its image."""

    taps: bool  # some tap lies there for some element
    middle: tuple[int, ...] | None  # an element whose taps are all on the image
    blind: bool  # some element sees nothing but padding


NOWHERE = Beside(False, None, False)


@kept
def beside(p: ConvProblem) -> Beside:
    if p.dtype not in ("float32", "float64") or p.padding_mode != "zeros":
        return NOWHERE
    axes = list(zip(p.spatial, p.outputs, p.kernel, p.stride, p.dilation, p.pad_low, strict=True))
    if p.direction == "input_grad":
        if all(k == s == 1 and low == 0 and o == i for i, o, k, s, _, low in axes):
            return NOWHERE
        centres = tuple(i // 2 for i in p.spatial)
        real = all(s == 1 and q + low - (k - 1) * d >= 0 and q + low < o for q, (_, o, k, s, d, low) in zip(centres, axes, strict=True))
    else:
        if max(p.pad_low) <= 0 and max(p.pad_high) <= 0:
            return NOWHERE
        centres = tuple(o // 2 for o in p.outputs)
        real = all(c * s - low >= 0 and c * s - low + (k - 1) * d < i for c, (i, _, k, s, d, low) in zip(centres, axes, strict=True))
    ends = zip(p.pad_low, p.pad_high, p.kernel, p.dilation, strict=True)
    blind = any(max(low, high) >= effective_kernel(k, d) for low, high, k, d in ends)
    return Beside(True, centres if real else None, blind)


def finite(w: Array) -> bool:
    flat = w.reshape(-1)
    if flat.size <= FEW:  # squares may be too large where no weight is
        return bool(flat.dot(flat) < inf) or bool(np.isfinite(flat).all())
    return isfinite(flat.min()) and isfinite(flat.max())


def pack(kernel: Kernel, p: ConvProblem, w: Array, machine: Machine) -> Any:
    return NotFinite(w) if beside(p).taps and not finite(w) else kernel.pack(p, w, machine)


def run(kernel: Kernel, p: ConvProblem, arrays: tuple[Any, ...], out: Array, machine: Machine, packed: bool) -> None:
    """A row on arrays as it wants them, but that weights may be plain.  `packed`: they are what `pack` made of them."""
    taps, middle, blind = beside(p)
    if p.direction == "weight_grad":
        kernel.run(p, arrays, out, machine)
        if taps and not (np.isfinite(out[:, :1]).all() and (not blind or np.isfinite(arrays[1]).all())):
            _weights_by_taps(p, (arrays[0], arrays[1]), out)
        return
    x, w, bias = arrays
    if type(w) is NotFinite:
        _images_by_taps(p, x, w.w, bias, out)
        return
    later = taps and not packed and middle is not None and w.size > FEW and p.activation is None
    if taps and not packed and not later and not finite(w):
        _images_by_taps(p, x, w, bias, out)
        return
    ready = w if packed or kernel.takes_plain else kernel.pack(p, w, machine)
    kernel.run(p, (x, ready, bias), out, machine)
    if later and out.size:
        assert middle is not None
        element: Any = (0, *middle) if p.layout == "channels_last" else (0, slice(None), *middle)
        if not np.isfinite(out[element]).all() and not finite(w):
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
