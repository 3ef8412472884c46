"""ONNX's operators by numconv, in the form in which ONNX's reference evaluator takes them.

What numconv has no kernel for (four axes and more, boolean columns, cubic resizing) goes by the reference's own operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops import load_op

from ..api import deformable, dense, layers, patches, resize, transposed

Array = np.ndarray[Any, Any]

RANKS = range(1, 4)  # spatial axes of numconv's kernels


class Kind(NamedTuple):
    """Functions and layers, by the number of spatial axes."""

    functions: dict[int, Any]
    layers: dict[int, Any]


CONVOLUTION = Kind(
    {1: dense.conv1d, 2: dense.conv2d, 3: dense.conv3d},
    {1: layers.Conv1d, 2: layers.Conv2d, 3: layers.Conv3d},
)
TRANSPOSED = Kind(
    {1: transposed.conv_transpose1d, 2: transposed.conv_transpose2d, 3: transposed.conv_transpose3d},
    {1: layers.ConvTranspose1d, 2: layers.ConvTranspose2d, 3: layers.ConvTranspose3d},
)
RESIZE_BY_MODES = 11  # the version of the operators from which Resize says where its samples lie
SAME = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower"}


class Operator(OpRun):
    """An operator that the reference evaluator has too."""

    _layer: Any = None  # of weights that are constants, packed once

    def _reference(self, *inputs: Any) -> tuple[Any, ...]:
        """By the evaluator's own operator of the model's version."""
        node = type(self.onnx_node)()
        node.CopyFrom(self.onnx_node)
        for i in reversed(range(len(node.attribute))):
            if node.attribute[i].name in ("frozen", "activation"):
                del node.attribute[i]
        theirs = load_op("", node.op_type, self.run_params["opsets"][""])
        found: tuple[Any, ...] = theirs(node, self.run_params).run(*inputs)
        return found

    def _convolve(self, kind: Kind, x: Array, weights: Callable[[], tuple[Any, Any]], frozen: int, options: dict[str, Any]) -> Array:
        """By a layer that is made at the first call, or a function where the weights are not constants."""
        rank = x.ndim - 2
        if frozen and self._layer is None:
            self._layer = kind.layers[rank](*weights(), **options)
        found: Array = self._layer(x) if frozen else kind.functions[rank](x, *weights(), **options)
        return found


def pairs(pads: Sequence[int] | None, rank: int) -> list[tuple[int, int]]:
    """(low, high) of each axis: ONNX lists all the lows first."""
    given = list(pads or [0] * (2 * rank))
    return list(zip(given[:rank], given[rank:], strict=True))


def _padding(auto_pad: str | None, pads: Sequence[int] | None, rank: int) -> Any:
    if auto_pad in SAME:
        return SAME[auto_pad]
    return 0 if auto_pad == "VALID" else pairs(pads, rank)


def _served(x: Array) -> bool:
    return x.ndim - 2 in RANKS and x.size > 0


class Conv(Operator):
    def _run(
        self, x: Array, w: Array, bias: Array | None = None, *, auto_pad: Any, dilations: Any, group: Any, kernel_shape: Any, pads: Any,
        strides: Any, activation: str | None = None, frozen: int = 0,
    ) -> tuple[Any, ...]:  # fmt: skip
        if self._layer is not None and x.size:  # which has all that the rest works out; small layers took twice as long with it
            return (self._layer(x),)
        if not _served(x) or min(pads or [0]) < 0:
            return self._reference(x, w, bias)
        options = {
            "stride": strides or 1, "padding": _padding(auto_pad, pads, x.ndim - 2), "dilation": dilations or 1, "groups": group or 1,
            "activation": activation,
        }  # fmt: skip
        return (self._convolve(CONVOLUTION, x, lambda: (w, bias), frozen, options),)


class ConvTranspose(Operator):
    def _run(
        self, x: Array, w: Array, bias: Array | None = None, *, auto_pad: Any, dilations: Any, group: Any, kernel_shape: Any,
        output_padding: Any, output_shape: Any, pads: Any, strides: Any, activation: str | None = None, frozen: int = 0,
    ) -> tuple[Any, ...]:  # fmt: skip
        rank = x.ndim - 2
        if not _served(x):
            return self._reference(x, w, bias)
        stride, dilation, extra = strides or [1] * rank, dilations or [1] * rank, output_padding or [0] * rank
        padding = pairs(pads, rank)
        fixed = output_shape or auto_pad in SAME
        if fixed:
            size = list(output_shape or [n * s for n, s in zip(x.shape[2:], stride, strict=True)])[-rank:]
            whole = [
                s * (n - 1) + d * (k - 1) + 1 + e for s, n, d, k, e in zip(stride, x.shape[2:], dilation, w.shape[2:], extra, strict=True)
            ]
            padding = [_halves(total - wanted, auto_pad == "SAME_UPPER") for total, wanted in zip(whole, size, strict=True)]
        extra = [e - min(high, 0) for e, (_, high) in zip(extra, padding, strict=True)]
        most = [max(s, d) - 1 for s, d in zip(stride, dilation, strict=True)]  # what numconv computes beyond the last stamp
        empty = [(max(-low, 0), max(e - m, 0)) for (low, _), e, m in zip(padding, extra, most, strict=True)]
        options = {
            "stride": stride, "padding": [(max(low, 0), max(high, 0)) for low, high in padding],
            "output_padding": [min(e, m) for e, m in zip(extra, most, strict=True)], "groups": group or 1, "dilation": dilation,
            "activation": activation,
        }  # fmt: skip
        y = self._convolve(TRANSPOSED, x, lambda: (w, bias), frozen and not fixed, options)
        return (_surrounded(y, empty, bias) if any(map(any, empty)) else y,)


def _surrounded(y: Array, empty: list[tuple[int, int]], bias: Array | None) -> Array:
    """With elements around it that no stamp reaches: they are the bias."""
    shape = [n + low + high for n, (low, high) in zip(y.shape[2:], empty, strict=True)]
    found = np.zeros((*y.shape[:2], *shape), y.dtype)
    if bias is not None:
        found += bias.reshape(-1, *(1,) * len(shape))
    inside: Any = (slice(low, low + n) for n, (low, _) in zip(y.shape[2:], empty, strict=True))
    found[(..., *inside)] = y
    return found


def _halves(total: int, more_at_the_end: bool) -> tuple[int, int]:
    less = total // 2
    return (less, total - less) if more_at_the_end else (total - less, less)


def _shifted(values: Array, zero: Array | None) -> Array:
    """8-bit integers minus their zero point (one, or one per output channel), as 16-bit ones, which hold all differences."""
    found = values.astype("int16")
    if zero is None:
        return found
    tail = (1,) * (values.ndim - 1) if zero.size > 1 else ()
    return found - zero.astype("int16").reshape(-1, *tail) if zero.size > 1 else found - zero.astype("int16").reshape(())


class _Quantised(Operator):
    """Sums of products of 8-bit integers less their zero points, in int32, wrapping."""

    def _sums(self, x: Array, w: Array, zeros: tuple[Any, Any], given: dict[str, Any], frozen: int) -> Array:
        options = {
            "stride": given["strides"] or 1, "padding": _padding(given["auto_pad"], given["pads"], x.ndim - 2),
            "dilation": given["dilations"] or 1, "groups": given["group"] or 1, "out_dtype": "int32",
        }  # fmt: skip
        return self._convolve(CONVOLUTION, _shifted(x, zeros[0]), lambda: (_shifted(w, zeros[1]), None), frozen, options)


class ConvInteger(_Quantised):
    def _run(
        self, x: Array, w: Array, x_zero: Array | None = None, w_zero: Array | None = None, *, frozen: int = 0, **given: Any
    ) -> tuple[Any, ...]:
        return (self._sums(x, w, (x_zero, w_zero), given, frozen),) if _served(x) else self._reference(x, w, x_zero, w_zero)


class QLinearConv(_Quantised):
    def _run(
        self, x: Array, x_scale: Array, x_zero: Array, w: Array, w_scale: Array, w_zero: Array, y_scale: Array, y_zero: Array,
        bias: Array | None = None, *, frozen: int = 0, **given: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        if not _served(x):
            return self._reference(x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias)
        channel = (-1,) + (1,) * (x.ndim - 2)
        sums = self._sums(x, w, (x_zero, w_zero), given, frozen)
        if bias is not None:
            sums += bias.reshape(channel)
        scale = np.asarray(x_scale * w_scale / y_scale, "float64")
        scaled = sums * (scale.reshape(channel) if scale.size > 1 else scale.reshape(()))
        y = np.rint(scaled, out=scaled)
        y += y_zero.astype("float64").reshape(())
        limits = np.iinfo(y_zero.dtype)
        return (np.clip(y, limits.min, limits.max, out=y).astype(y_zero.dtype),)


class DeformConv(Operator):
    def _run(
        self, x: Array, w: Array, offset: Array, bias: Array | None = None, mask: Array | None = None, *, dilations: Any, group: Any,
        kernel_shape: Any, offset_group: Any, pads: Any, strides: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        if x.ndim != 4:
            return self._reference(x, w, offset, bias, mask)
        return (deformable.deform_conv2d(x, offset, w, bias, strides or 1, pairs(pads, 2), dilations or 1, mask),)


class Col2Im(Operator):
    def _run(self, x: Array, image_shape: Array, block_shape: Array, *, dilations: Any, pads: Any, strides: Any) -> tuple[Any, ...]:
        rank = len(image_shape)
        if rank not in RANKS or x.dtype.kind not in "iufc" or x.dtype.itemsize > 8 + 8 * (x.dtype.kind == "c"):
            return self._reference(x, image_shape, block_shape)
        size, block = (tuple(map(int, v)) for v in (image_shape, block_shape))
        return (patches.fold(x, size, block, strides or 1, pairs(pads, rank), dilations or 1).astype(x.dtype, copy=False),)


class Resize(Operator):
    """Nearest by whole factors, or bilinear, over the last two axes of four; all else by the reference."""

    def _run(self, x: Array, *inputs: Any, **given: Any) -> tuple[Any, ...]:
        roi, scales, sizes = [*(inputs if len(inputs) > 1 else (None, *inputs)), None, None, None][:3]
        found = None if self.run_params["opsets"][""] < RESIZE_BY_MODES else self._by_numconv(x, scales, sizes, given)
        return self._reference(x, *inputs) if found is None else (found,)

    def _by_numconv(self, x: Array, scales: Any, sizes: Any, given: dict[str, Any]) -> Array | None:
        if x.ndim != 4 or x.dtype.kind != "f" or not x.size or given.get("antialias") or given.get("axes") is not None:
            return None
        if scales is not None and len(scales):
            if tuple(scales[:2]) != (1, 1) or (given.get("keep_aspect_ratio_policy") or "stretch") != "stretch":
                return None
            options: dict[str, Any] = {"scale": tuple(map(float, scales[2:]))}
            size = tuple(int(n * s) for n, s in zip(x.shape[2:], options["scale"], strict=True))
        else:
            if sizes is None or tuple(sizes[:2]) != x.shape[:2] or (given.get("keep_aspect_ratio_policy") or "stretch") != "stretch":
                return None
            size = tuple(map(int, sizes[2:]))
            options = {"size": size}
        where = given.get("coordinate_transformation_mode") or "asymmetric"
        mode = given.get("mode") or "nearest"
        if mode == "nearest":
            whole = all(new % old == 0 for new, old in zip(size, x.shape[2:], strict=True))
            floor = where == "asymmetric" and given.get("nearest_mode") in ("floor", None)
            halves = where == "half_pixel" and str(given.get("nearest_mode")).startswith("round")
            return resize.resize2d(x, **options) if whole and (floor or halves) else None
        if mode != "linear" or x.dtype.itemsize < 4 or 1 in size:
            return None
        if where == "align_corners" and "size" in options:
            return resize.resize2d(x, **options, mode="bilinear", align_corners=True)
        return resize.resize2d(x, **options, mode="bilinear") if where in ("half_pixel", "pytorch_half_pixel") else None


OPERATORS = [Conv, ConvTranspose, ConvInteger, QLinearConv, DeformConv, Col2Im, Resize]
