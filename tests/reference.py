"""The one oracle: every defining sum, written as it is defined, in plain NumPy; it imports nothing of numconv.

Computed in float64 / complex128, integers in int64 (wrapping modulo 2**64, so a cast to any narrower type is exact).
Channels first with a batch axis, any number of spatial axes.  `stride`, `dilation`: an int or one per axis; `pads`: an int,
one int or one (low, high) pair per axis.  A Python loop runs over the filter's taps only; each tap is one strided slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
NUMPY_PAD = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric"}

ACTIVATIONS: dict[str | None, Callable[[Array], Array]] = {
    None: lambda v: v,
    "relu": lambda v: np.where(v < 0, 0, v),  # keeps NaN
    "relu6": lambda v: np.where(v < 0, 0, np.where(v > 6, 6, v)),
    "silu": lambda v: v * sigmoid(v),
    "hardswish": lambda v: v * np.clip(v + 3, 0, 6) / 6,
    "sigmoid": lambda v: sigmoid(v),
    "tanh": np.tanh,
}


def sigmoid(v: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * v))


def exact(a: Any) -> Array:
    """The array in the oracle's own type: int64, float64 or complex128."""
    a = np.asarray(a)
    return a.astype({"i": np.int64, "u": np.int64, "b": np.int64, "c": np.complex128}.get(a.dtype.kind, np.float64))


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return (int(value),) * rank if np.ndim(value) == 0 else tuple(int(v) for v in value)


def pairs(pads: Any, rank: int) -> list[tuple[int, int]]:
    each = [pads] * rank if np.ndim(pads) == 0 else list(pads)
    return [(int(p), int(p)) if np.ndim(p) == 0 else (int(p[0]), int(p[1])) for p in each]


def tap_slices(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], outputs: Sequence[int]) -> Iterator[tuple[Any, Any]]:
    """For each tap r: r, and the slices of the padded input at p·stride + r·dilation for all outputs p."""
    for r in product(*(range(k) for k in kernel)):
        yield r, tuple(slice(a * d, a * d + (o - 1) * s + 1, s) for a, d, s, o in zip(r, dilation, stride, outputs, strict=True))


def pad_spatial(x: Array, pads: Any, padding_mode: str = "zeros") -> Array:
    p = pairs(pads, x.ndim - 2)
    return np.pad(x, [(0, 0), (0, 0), *p], mode=NUMPY_PAD[padding_mode]) if any(map(any, p)) else x  # type: ignore[call-overload,no-any-return]


def finish(y: Array, bias: Any, activation: str | None) -> Array:
    if bias is not None:
        y = y + exact(bias).reshape(1, -1, *[1] * (y.ndim - 2))
    return ACTIVATIONS[activation](y)


def output_sizes(padded: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    return tuple(max(0, (i - d * (k - 1) - 1) // s + 1) for i, k, s, d in zip(padded, kernel, stride, dilation, strict=True))


def conv(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, pads: Any = 0, dilation: Any = 1, groups: int = 1,
    padding_mode: str = "zeros", activation: str | None = None,
) -> Array:  # fmt: skip
    """y[n, k, p] = Σ_{c, r} x[n, c, p·s − lo + r·d] · w[k, c, r]; x (N, C, *spatial), w (C_out, C/groups, *kernel)."""
    x, w = exact(x), exact(w)
    rank = x.ndim - 2
    s, d, kernel = per_axis(stride, rank), per_axis(dilation, rank), w.shape[2:]
    x = pad_spatial(x, pads, padding_mode)
    outputs = output_sizes(x.shape[2:], kernel, s, d)
    xg = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    wg = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    y = np.zeros((x.shape[0], groups, wg.shape[1], *outputs), np.result_type(x, w))
    if y.size:
        for r, window in tap_slices(kernel, s, d, outputs):
            y += np.einsum("ngc...,gkc->ngk...", xg[(..., *window)], wg[(..., *r)])
    return finish(y.reshape(x.shape[0], w.shape[0], *outputs), bias, activation)


def scatter(y: Array, w: Array, padded: Sequence[int], s: Sequence[int], d: Sequence[int], groups: int) -> Array:
    """x[n, c, p·s + r·d] += y[n, k, p] · w[k, c, r] into zeros (N, C, *padded)."""
    yg = y.reshape(y.shape[0], groups, y.shape[1] // groups, *y.shape[2:])
    wg = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    x = np.zeros((y.shape[0], groups, wg.shape[2], *padded), np.result_type(y, w))
    if y.size:
        for r, window in tap_slices(w.shape[2:], s, d, y.shape[2:]):
            x[(..., *window)] += np.einsum("ngk...,gkc->ngc...", yg, wg[(..., *r)])
    return x.reshape(y.shape[0], groups * wg.shape[2], *padded)


def conv_transpose(
    x: Any, w: Any, bias: Any = None, stride: Any = 1, pads: Any = 0, output_padding: Any = 0, groups: int = 1,
    dilation: Any = 1, activation: str | None = None,
) -> Array:  # fmt: skip
    """Scatter-add: every x[n, c, p] stamps x·w[c] at p·s + r·d; then `pads` are cut off and `output_padding` added at the end.

    x (N, C_in, *spatial), w (C_in, C_out/groups, *kernel); size (i−1)·s − lo − hi + d(k−1) + 1 + output_padding.
    """
    x, w = exact(x), exact(w)
    rank = x.ndim - 2
    s, d, extra, p = per_axis(stride, rank), per_axis(dilation, rank), per_axis(output_padding, rank), pairs(pads, rank)
    full = [(i - 1) * a + b * (k - 1) + 1 for i, a, b, k in zip(x.shape[2:], s, d, w.shape[2:], strict=True)]
    sizes = [f - lo - hi + e for f, (lo, hi), e in zip(full, p, extra, strict=True)]
    before = [max(0, -lo) for lo, _ in p]  # a negative pad adds zeros in front
    room = [max(f, lo + o) for f, (lo, _), o in zip(full, p, sizes, strict=True)]
    y = scatter(x, w, room, s, d, groups)
    y = np.pad(y, [(0, 0), (0, 0), *((b, 0) for b in before)])
    cut = tuple(slice(lo + b, lo + b + o) for (lo, _), b, o in zip(p, before, sizes, strict=True))
    return finish(y[(..., *cut)], bias, activation)


def weight_grad(
    x: Any, dy: Any, kernel: Sequence[int], stride: Any = 1, pads: Any = 0, dilation: Any = 1, groups: int = 1, padding_mode: str = "zeros"
) -> Array:
    """w[k, c, r] = Σ_{n, p} dy[n, k, p] · x[n, c, p·s − lo + r·d]  (no conjugate)."""
    x, dy = exact(x), exact(dy)
    rank = x.ndim - 2
    x = pad_spatial(x, pads, padding_mode)
    xg = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    yg = dy.reshape(dy.shape[0], groups, dy.shape[1] // groups, *dy.shape[2:])
    w = np.zeros((groups, yg.shape[2], xg.shape[2], *kernel), np.result_type(x, dy))
    if dy.size:
        for r, window in tap_slices(kernel, per_axis(stride, rank), per_axis(dilation, rank), dy.shape[2:]):
            w[(..., *r)] = np.einsum("ngcz,ngkz->gkc", flat(xg[(..., *window)], 3), flat(yg, 3))
    return w.reshape(dy.shape[1], xg.shape[2], *kernel)


def flat(a: Array, keep: int) -> Array:
    """All axes from `keep` on as one."""
    return a.reshape(*a.shape[:keep], -1)


def input_grad(
    dy: Any, w: Any, spatial: Sequence[int], stride: Any = 1, pads: Any = 0, dilation: Any = 1, groups: int = 1, padding_mode: str = "zeros"
) -> Array:
    """x[n, c, q] = Σ dy[n, k, p] · w[k, c, r] over all (p, r) that read q, through the padding too  (no conjugate)."""
    dy, w = exact(dy), exact(w)
    rank = dy.ndim - 2
    p = pairs(pads, rank)
    padded = [i + lo + hi for i, (lo, hi) in zip(spatial, p, strict=True)]
    g = scatter(dy, w, padded, per_axis(stride, rank), per_axis(dilation, rank), groups)
    for axis, (i, (lo, hi)) in enumerate(zip(spatial, p, strict=True), start=2):
        if padding_mode == "zeros":
            g = np.take(g, range(lo, lo + i), axis=axis)
        else:  # where each padded position came from
            source = np.pad(np.arange(i), (lo, hi), mode=NUMPY_PAD[padding_mode])  # type: ignore[call-overload]
            folded = np.zeros((i, *np.moveaxis(g, axis, 0).shape[1:]), g.dtype)
            np.add.at(folded, source, np.moveaxis(g, axis, 0))
            g = np.moveaxis(folded, 0, axis)
    return g


def resize(x: Any, size: Any = None, scale: Any = None, mode: str = "nearest", align_corners: bool = False) -> Array:
    """Each axis in turn.  nearest: x[floor(p·in/out)]; bilinear: (p + ½)·in/out − ½ clamped, or corners on corners.

    With `scale` the size is floor(in·scale) and the step 1/scale, as in torch.
    """
    y = exact(x)
    rank = y.ndim - 2
    scales = [None] * rank if scale is None else [float(v) for v in (np.broadcast_to(scale, rank))]
    sizes = [int(i * f) for i, f in zip(y.shape[2:], scales, strict=True)] if size is None else per_axis(size, rank)  # type: ignore[operator]
    for axis, (out, factor) in enumerate(zip(sizes, scales, strict=True), start=2):
        count = y.shape[axis]
        step = count / out if factor is None else 1 / factor
        p = np.arange(out)
        if mode == "nearest":
            source = p * count // out if factor is None else np.floor(p * step).astype(int)
            y = np.take(y, np.minimum(source, count - 1), axis=axis)
            continue
        corners = (count - 1) / (out - 1) if out > 1 else 0.0
        at = p * corners if align_corners else np.maximum((p + 0.5) * step - 0.5, 0)
        low = np.minimum(np.floor(at).astype(int), count - 1)
        high = np.minimum(low + 1, count - 1)
        weight = (at - low).reshape(-1, *[1] * (y.ndim - axis - 1))
        y = np.take(y, low, axis=axis) * (1 - weight) + np.take(y, high, axis=axis) * weight
    return y


def shuffle(x: Any, groups: int) -> Array:
    """out[:, j·groups + i] = x[:, i·n + j], n = C/groups."""
    x = np.asarray(x)
    n = x.shape[1] // groups
    out = np.empty_like(x)
    for i in range(groups):
        for j in range(n):
            out[:, j * groups + i] = x[:, i * n + j]
    return out


def attention(x: Any, fc1: Any, fc2: Any, bias1: Any = None, bias2: Any = None, temperature: float = 1.0) -> Array:
    """softmax((fc2 · relu(fc1 · mean(x) + bias1) + bias2) / temperature) → (N, K)."""
    x = exact(x)
    pooled = flat(x, 2).mean(axis=-1)
    hidden = np.maximum(pooled @ exact(fc1).T + (0 if bias1 is None else exact(bias1)), 0)
    z = (hidden @ exact(fc2).T + (0 if bias2 is None else exact(bias2))) / temperature
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def mix(attention: Any, values: Any) -> Array:
    """out[n, …] = Σ_k attention[n, k] · values[k, …]."""
    return np.tensordot(exact(attention), exact(values), axes=1)


def dynamic_conv(
    x: Any, kernels: Any, attention: Any, bias: Any = None, stride: Any = 1, pads: Any = 0, dilation: Any = 1, groups: int = 1,
    padding_mode: str = "zeros", activation: str | None = None,
) -> Array:  # fmt: skip
    """Σ_k attention[n, k] · (conv(x[n], kernels[k]) + bias[k]): K whole convolutions, so nothing is shared with the fast way."""
    a = exact(attention)
    y = None
    for k in range(a.shape[1]):
        part = conv(x, kernels[k], None if bias is None else bias[k], stride, pads, dilation, groups, padding_mode)
        part = part * a[:, k].reshape(-1, *[1] * (part.ndim - 1))
        y = part if y is None else y + part
    assert y is not None
    return ACTIVATIONS[activation](y)


def bilinear_at(image: Array, y: Array, x: Array) -> Array:
    """image (C, H, W) at the real positions (y, x), zero outside, each corner weighted by 1 − its distance per axis."""
    height, width = image.shape[1:]
    total = np.zeros((image.shape[0], *y.shape), image.dtype)
    for dy, dx in product((0, 1), (0, 1)):
        r, c = np.floor(y).astype(int) + dy, np.floor(x).astype(int) + dx
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        weight = (1 - abs(y - r)) * (1 - abs(x - c)) * inside
        total += weight * image[:, np.clip(r, 0, height - 1), np.clip(c, 0, width - 1)]
    return total


def deform_conv2d(
    x: Any, offset: Any, w: Any, bias: Any = None, stride: Any = 1, pads: Any = 0, dilation: Any = 1, mask: Any = None
) -> Array:
    """y[n, k, p] = Σ_{c, r} w[k, c, r] · m[n, r, p] · x[n, c, p·s − lo + r·d + offset[n, r, p]], bilinear, zero outside.

    offset (N, 2·G·kh·kw, oh, ow): (Δy, Δx) per tap; mask (N, G·kh·kw, oh, ow); input channels in G offset groups.
    """
    x, w, offset = exact(x), exact(w), exact(offset)
    n, channels, (kh, kw), (oh, ow) = x.shape[0], x.shape[1], w.shape[2:], offset.shape[2:]
    (sh, sw), (dh, dw), ((top, _), (left, _)) = per_axis(stride, 2), per_axis(dilation, 2), pairs(pads, 2)
    groups, offset_groups = channels // w.shape[1], offset.shape[1] // (2 * kh * kw)
    shifts = offset.reshape(n, offset_groups, kh, kw, 2, oh, ow)
    scale = np.ones((n, offset_groups, kh, kw, oh, ow)) if mask is None else exact(mask).reshape(n, offset_groups, kh, kw, oh, ow)
    rows, cols = np.arange(oh)[:, None] * sh - top, np.arange(ow)[None, :] * sw - left
    part = channels // offset_groups
    y = np.zeros((n, groups, w.shape[0] // groups, oh, ow), np.result_type(x, w))
    wg = w.reshape(groups, -1, *w.shape[1:])
    for b, r, s in product(range(n), range(kh), range(kw)):
        sampled = [
            scale[b, g, r, s]
            * bilinear_at(x[b, g * part : (g + 1) * part], rows + r * dh + shifts[b, g, r, s, 0], cols + s * dw + shifts[b, g, r, s, 1])
            for g in range(offset_groups)
        ]
        y[b] += np.einsum("gkc,gchw->gkhw", wg[:, :, :, r, s], np.concatenate(sampled).reshape(groups, -1, oh, ow))
    return finish(y.reshape(n, w.shape[0], oh, ow), bias, None)


def unfold(x: Any, kernel: Sequence[int], stride: Any = 1, pads: Any = 0, dilation: Any = 1) -> Array:
    """cols[n, (c, r), l]: the value under tap r of window l; (N, C·prod(kernel), L), row-major, as torch's."""
    x = np.asarray(x)
    rank = x.ndim - 2
    s, d = per_axis(stride, rank), per_axis(dilation, rank)
    x = pad_spatial(x, pads)
    outputs = output_sizes(x.shape[2:], kernel, s, d)
    columns = [flat(x[(..., *window)], 2) for _, window in tap_slices(kernel, s, d, outputs)]
    return np.stack(columns, axis=2).reshape(x.shape[0], -1, int(np.prod(outputs)))


def fold(cols: Any, output_size: Sequence[int], kernel: Sequence[int], stride: Any = 1, pads: Any = 0, dilation: Any = 1) -> Array:
    """The adjoint of `unfold`: overlapping windows are summed."""
    cols = exact(cols)
    rank = len(output_size)
    s, d, p = per_axis(stride, rank), per_axis(dilation, rank), pairs(pads, rank)
    padded = [i + lo + hi for i, (lo, hi) in zip(output_size, p, strict=True)]
    outputs = output_sizes(padded, kernel, s, d)
    each = cols.reshape(cols.shape[0], -1, int(np.prod(kernel)), *outputs)
    x = np.zeros((*each.shape[:2], *padded), cols.dtype)
    for tap, (_, window) in enumerate(tap_slices(kernel, s, d, outputs)):
        x[(..., *window)] += each[:, :, tap]
    return x[(..., *(slice(lo, lo + i) for i, (lo, _) in zip(output_size, p, strict=True)))]
