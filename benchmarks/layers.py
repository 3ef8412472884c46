"""The named layers: shapes from published networks, what they cost, how each library runs one, and whether a result is right.

`layers.json` is a list of layers; every one of its flops and bytes is known, so that a time can be turned into a share of a roof.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a script from a checkout that is not installed
    sys.path.insert(0, str(ROOT))

Ints = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One row of layers.json.  `batch` overrides what it says (1)."""

    index: int
    name: str
    kind: str
    batch: int
    in_channels: int
    out_channels: int
    groups: int
    spatial: Ints
    kernel: Ints
    stride: Ints
    pads: tuple[tuple[int, int], ...]
    dilation: Ints
    output_padding: Ints
    outputs: Ints
    transposed: bool
    multiplications: int  # of the whole batch

    @property
    def rank(self) -> int:
        return len(self.spatial)

    @property
    def flops(self) -> int:
        return 2 * self.multiplications

    @property
    def x_shape(self) -> Ints:
        return (self.batch, self.in_channels, *self.spatial)

    @property
    def w_shape(self) -> Ints:
        if self.transposed:
            return (self.in_channels, self.out_channels // self.groups, *self.kernel)
        return (self.out_channels, self.in_channels // self.groups, *self.kernel)

    @property
    def y_shape(self) -> Ints:
        return (self.batch, self.out_channels, *self.outputs)

    def bytes(self, itemsize: int = 4) -> int:
        """Moved at least: input and weights read once, output written once."""
        return itemsize * (prod(self.x_shape) + prod(self.w_shape) + prod(self.y_shape))

    @cached_property
    def shape(self) -> str:
        """One short line: channels, extents, kernel, and what is not plain."""
        parts = [f"{self.in_channels}→{self.out_channels}", "×".join(map(str, self.spatial)), "k" + "×".join(map(str, self.kernel))]
        parts += [f"s{max(self.stride)}"] if max(self.stride) > 1 else []
        parts += [f"d{max(self.dilation)}"] if max(self.dilation) > 1 else []
        parts += [f"g{self.groups}"] if self.groups > 1 else []
        return " ".join(parts)

    def arrays(self, dtype: str = "float32") -> tuple[Any, Any, Any]:
        """Input, weights and bias, the same at every call."""
        rng = np.random.default_rng(self.index)
        x, w, bias = (rng.standard_normal(s, "float32").astype(dtype) for s in (self.x_shape, self.w_shape, (self.out_channels,)))
        return x, w, bias


def load(
    batch: int | None = None, kinds: list[str] | None = None, indices: list[int] | None = None, path: Path | None = None
) -> list[Layer]:
    """Layers of the file, of these kinds and indices (all by default)."""
    rows = json.loads((path or ROOT / "benchmarks" / "layers.json").read_text())
    layers = []
    for index, row in enumerate(rows):
        if (kinds and row["kind"] not in kinds) or (indices and index not in indices):
            continue
        n = batch or row["n"]
        layers.append(Layer(
            index, row["name"], row["kind"], n, row["ic"], row["oc"], row["groups"], tuple(row["in"]), tuple(row["k"]), tuple(row["stride"]),
            tuple((lo, hi) for lo, hi in row["pad"]), tuple(row["dilation"]), tuple(row["output_padding"]), tuple(row["out"]),
            row["transposed"], n * row["macs_per_image"],
        ))  # fmt: skip
    return layers


def ours(layer: Layer, x: Any, w: Any, bias: Any, layout: str = "channels_first", prepacked: bool = False, algorithm: str = "auto") -> Any:
    """A function of no arguments that runs the layer with numconv."""
    import numconv as nc

    options: dict[str, Any] = {
        "stride": layer.stride, "padding": layer.pads, "dilation": layer.dilation, "groups": layer.groups, "layout": layout, "algorithm": algorithm,
    }  # fmt: skip
    if layer.transposed:
        options["output_padding"] = layer.output_padding
    if prepacked:
        made = getattr(nc, f"Conv{'Transpose' if layer.transposed else ''}{layer.rank}d")(w, bias, **options)
        return lambda: made(x)
    function = getattr(nc, f"conv{'_transpose' if layer.transposed else ''}{layer.rank}d")
    return lambda: function(x, w, bias, **options)


def algorithm(layer: Layer, x: Any, w: Any, bias: Any, layout: str = "channels_first") -> tuple[str, float, int]:
    """(name, error factor, workspace bytes) of what `auto` takes."""
    import numconv as nc

    function = getattr(nc, f"conv{'_transpose' if layer.transposed else ''}{layer.rank}d")
    options: dict[str, Any] = {"output_padding": layer.output_padding} if layer.transposed else {}
    found = nc.explain(
        function,
        x,
        w,
        bias,
        stride=layer.stride,
        padding=layer.pads,
        dilation=layer.dilation,
        groups=layer.groups,
        layout=layout,
        **options,
    )
    return found.algorithm, found.plan.kernel.error_factor, found.workspace


def with_torch(layer: Layer, x: Any, w: Any, bias: Any) -> Any:
    """The same with torch: tensors in, tensor out; asymmetric padding by F.pad inside the call, as a user would."""
    import torch.nn.functional as F

    pads = [lo for lo, _ in layer.pads]
    uneven = any(lo != hi for lo, hi in layer.pads)
    if layer.transposed:
        if uneven:
            raise NotImplementedError("torch has no transposed convolution with uneven padding")
        function = getattr(F, f"conv_transpose{layer.rank}d")
        return lambda: function(x, w, bias, layer.stride, pads, layer.output_padding, layer.groups, layer.dilation)
    function = getattr(F, f"conv{layer.rank}d")
    if uneven:
        around = [p for pair in reversed(layer.pads) for p in pair]
        return lambda: function(F.pad(x, around), w, bias, layer.stride, 0, layer.dilation, layer.groups)
    return lambda: function(x, w, bias, layer.stride, pads, layer.dilation, layer.groups)


def check(layer: Layer, actual: Any, wanted: Any, magnitude: Any, dtype: str, factor: float) -> float:
    """Largest error as a share of the bound (4 + √n)·u·conv(|x|, |w|) of both; an AssertionError beyond 1."""
    terms = layer.multiplications / max(1, prod(layer.x_shape if layer.transposed else layer.y_shape))
    unit = float(np.finfo(dtype).eps) / 2
    bound = (4 + terms**0.5) * unit * (factor + 1) * magnitude + np.finfo(dtype).tiny
    worst = float(np.max(np.abs(np.asarray(actual, "float64") - wanted) / bound)) if actual.size else 0.0
    if not worst <= 1:
        raise AssertionError(f"layer {layer.index} {layer.name}: error {worst:.3g} times the bound")
    return worst
