"""What `unchanged.py` computes: calls of public functions and convolutions by row, each under a label that names row and case.

Data are real numbers from the label alone, so that the order of a sum shows, and a case that is left out changes no other.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from inspect import signature
from itertools import product
from typing import Any

import layers
import numpy as np

Computed = Callable[[], Any]  # the arrays whose bits count
Named = tuple[str, str, Computed]  # row or "auto", the rest of the label, what to run
DIRECTIONS, LAYOUTS = ("forward", "input_grad", "weight_grad"), ("channels_first", "channels_last")
NARROW = {"avx2": (32, 16), "neon": (16, 32)}

#: what compiles the main kernels: row → function of numconv, shapes, keywords
COMPILED: dict[str, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    "spread": ("conv2d", ((1, 64, 28, 28), (64, 64, 3, 3), (64,)), {"padding": 1}),
    "direct": ("conv2d", ((1, 3, 56, 56), (16, 3, 3, 3), (16,)), {"padding": 1, "stride": 2}),
    "gather": ("conv_transpose2d", ((1, 16, 14, 14), (16, 3, 4, 4)), {"padding": 1, "stride": 2}),
    "depthwise": ("conv2d", ((1, 32, 28, 28), (32, 1, 3, 3)), {"padding": 1, "groups": 32}),
    "depthwise_last": ("conv2d", ((1, 28, 28, 32), (32, 1, 3, 3)), {"padding": 1, "groups": 32, "layout": "channels_last"}),
    "winograd": ("conv2d", ((1, 64, 28, 28), (64, 64, 3, 3)), {"padding": 1}),
    "winograd, channels last": ("conv2d", ((1, 28, 28, 64), (64, 64, 3, 3)), {"padding": 1, "layout": "channels_last"}),
    "fft": ("conv2d", ((1, 8, 28, 28), (8, 8, 9, 9)), {"padding": 4}),
    "scatter": ("conv_transpose2d", ((1, 16, 14, 14), (16, 8, 4, 4)), {"padding": 1, "stride": 2}),
    "matrix": ("conv_transpose2d", ((1, 4, 8, 8), (4, 3, 3, 3)), {}),
    "outer_product": ("weight_grad2d", ((1, 32, 14, 14), (32, 32, 3, 3)), {"padding": 1}),
    "dot_rows": ("weight_grad2d", ((1, 3, 28, 28), (8, 3, 3, 3)), {"padding": 1}),
    "winograd_weights": ("weight_grad2d", ((1, 64, 28, 28), (64, 64, 3, 3)), {"padding": 1}),
    "interpolate": ("resize2d", ((1, 8, 14, 14),), {"scale": 2, "mode": "bilinear"}),
    "permute": ("channel_shuffle", ((1, 8, 14, 14),), {"groups": 2}),
    "attention": ("dynamic_attention", ((2, 8, 9, 9), (4, 8), (3, 4)), {}),
    "patches": ("unfold", ((1, 3, 14, 14),), {"kernel": 3}),
    "columns": ("deform_conv2d", ((1, 8, 14, 14), (1, 18, 12, 12), (8, 8, 3, 3)), {}),
}


def number(label: str) -> int:
    """The same in every process."""
    return zlib.crc32(label.encode())


def random(label: str, shape: Any, dtype: str) -> Any:
    rng = np.random.default_rng(number(label))
    if np.dtype(dtype).kind in "iu":
        return rng.integers(-50, 50, shape).astype(dtype)
    real = rng.standard_normal(shape)
    return (real + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else real).astype(dtype)


def wanted(row: str, rows: list[str]) -> bool:
    return not rows or row in rows


def catalog(rows: list[str]) -> Iterator[Named]:
    """Every case of the catalog × layout × type × named row; other types, and gradients, as `auto` does them."""
    from numconv import algorithms, catalog

    for variant in catalog.VARIANTS:
        names = ("auto", *algorithms(variant.function))
        for case in variant.cases:
            for layout, dtype, name in _catalog_choices(variant, case, names):
                if wanted(name, rows):
                    where = f"{variant.name}: {case.label}, {dtype} {layout}".rstrip()
                    yield name, where, _call(variant.function, case, where, dtype, layout, name)
                    if dtype in ("float32", "float64", "complex64"):
                        yield name, f"{where}, gradients", _gradients(variant.function, case, where, dtype, layout, name)


def _catalog_choices(variant: Any, case: Any, names: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    parameters = signature(variant.function).parameters
    layouts = LAYOUTS if "layout" in parameters else ("",)
    only = names[-1] if len(names) == 2 and "algorithm" not in parameters else "auto"  # such a case belongs to its kernel's family
    for layout in layouts:
        for dtype in ("float32", "float64", "int32"):
            for name in names if "algorithm" in parameters else (only,):
                yield layout, dtype, name
        for dtype in ("float16", "int8", "complex64"):
            yield layout, dtype, only


def _given(function: Any, case: Any, label: str, dtype: str, layout: str, name: str) -> tuple[list[Any], dict[str, Any]]:
    """Arguments and keywords of a case, its image turned to the layout asked for."""
    arrays: list[Any] = [None if s is None else random(f"{label}{i}", s, dtype) for i, s in enumerate(case.shapes)]
    options = dict(case.options)
    if "mask" in options:
        options["mask"] = random(f"{label} mask", options["mask"], dtype)
    before = options.get("layout", "channels_first")
    if layout and layout != before:
        rank = next((int(c) for c in function.__name__ if c.isdigit()), 2)
        channels = arrays[0].ndim - rank - 1
        arrays[0] = np.ascontiguousarray(np.moveaxis(arrays[0], *((channels, -1) if before == "channels_first" else (-1, channels))))
        options["layout"] = layout
    return arrays, options | ({"algorithm": name} if name != "auto" and "algorithm" in signature(function).parameters else {})


def _call(function: Any, case: Any, label: str, dtype: str, layout: str, name: str) -> Computed:
    def run() -> Any:
        arrays, options = _given(function, case, label, dtype, layout, name)
        return [function(*arrays, **options)]

    return run


def _gradients(function: Any, case: Any, label: str, dtype: str, layout: str, name: str) -> Computed:
    def run() -> Any:
        from numconv import vjp

        arrays, options = _given(function, case, label, dtype, layout, name)
        y, pullback = vjp(function, *arrays, **options)
        dy = random(f"{label} dy", y.shape, y.dtype.name)
        return [*pullback(dy), *pullback(dy)]  # the second packs the weights

    return run


def modules(rows: list[str]) -> Iterator[Named]:
    """Layers, whose weights are packed once."""
    import numconv as nc

    for variant in nc.catalog.VARIANTS:
        digit = variant.name[-2:]
        made: Any = getattr(nc, {"conv": "Conv", "conv_transpose": "ConvTranspose"}.get(variant.name[:-2], "-") + digit, None)
        for case in variant.cases if made else ():
            for name in nc.algorithms(variant.function):
                if wanted(name, rows):
                    label = f"{made.__name__}: {case.label}, float32"
                    yield name, label, _module(made, variant.function, case, label, name)


def _module(made: Any, function: Any, case: Any, label: str, name: str) -> Computed:
    def run() -> Any:
        arrays, options = _given(function, case, label, "float32", "", name)
        layer = made(*arrays[1:], **options)
        return [layer(arrays[0]), layer(arrays[0])]

    return run


def drawn(seed: int) -> Any:
    """A geometry that has all three directions: outputs first, then the input that they leave room for."""
    from numconv.problem import ConvProblem

    rng = np.random.default_rng(seed)
    rank = int(rng.choice((1, 2, 2, 3)))

    def draw(low: int, high: int) -> Any:
        return tuple(int(v) for v in rng.integers(low, high, rank))

    groups = int(rng.choice((1, 1, 2, 3)))
    channels, filters = groups * int(rng.integers(1, 40)), groups * int(rng.integers(1, 50))
    kind = rng.integers(6)
    if kind == 0:
        groups = channels = filters = int(rng.integers(2, 40))
    kernel, stride, dilation, low, outputs = draw(1, 6), draw(1, 4), draw(1, 4), draw(0, 4), draw(2, (0, 120, 24, 9)[rank])
    if rng.integers(2):
        stride = (1,) * rank
    if rng.integers(2):
        dilation = (1,) * rank
    if kind == 1:  # Winograd's ground
        kernel, stride, low = (3,) * rank, (1,) * rank, (1,) * rank
    each = zip(outputs, stride, kernel, dilation, low, draw(0, 4), draw(0, 3), strict=True)
    spatial = tuple(max(1, (o - 1) * s + d * (k - 1) + 1 - lo - hi + extra % s) for o, s, k, d, lo, hi, extra in each)
    outputs = tuple(
        min(o, (i + lo + 3 - d * (k - 1) - 1) // s + 1)
        for o, i, s, k, d, lo in zip(outputs, spatial, stride, kernel, dilation, low, strict=True)
    )
    outputs = tuple(max(1, o) for o in outputs)
    dtype = str(rng.choice(("float32",) * 12 + ("float64", "int32", "complex64", "float16")))
    return ConvProblem(
        "forward", int(rng.integers(1, 3)), channels, filters, groups, spatial, kernel, stride, low, dilation, outputs, dtype, dtype
    )


def _dressed(problem: Any, direction: str, layout: str, seed: int) -> Any:
    """In a direction, with bias, activation, shuffle or a padding mode where it may have them."""
    rng = np.random.default_rng((seed, DIRECTIONS.index(direction)))
    p = problem.with_(direction=direction, layout=layout)
    if direction == "weight_grad":
        return p
    real = np.dtype(p.dtype).kind == "f"
    activation = rng.choice(("relu", "relu6", "silu", "sigmoid", "tanh", "hardswish")) if real and rng.integers(2) else None
    shuffle = p.groups if rng.integers(3) == 0 and p.target[0] % p.groups == 0 else 1
    p = p.with_(bias=bool(rng.integers(2)), activation=activation and str(activation), shuffle=shuffle)
    pads = zip(p.spatial, p.pad_low, p.pad_high, strict=True)
    if direction == "forward" and rng.integers(4) == 0 and all(n > max(lo, hi) for n, lo, hi in pads):
        p = p.with_(padding_mode=str(rng.choice(("reflect", "replicate", "circular", "symmetric"))))
    return p


def described(p: Any) -> str:
    size, kernel, out = ("×".join(map(str, v)) for v in (p.spatial, p.kernel, p.outputs))
    more = "".join(f" {k}={v}" for k, v in (("bias", p.bias), ("act", p.activation), ("shuffle", p.shuffle), ("mode", p.padding_mode)))
    shape = f"{p.batch}×{p.in_channels}→{p.out_channels} g{p.groups} {size}→{out} k{kernel} s{p.stride} d{p.dilation} low{p.pad_low}"
    return f"{p.direction} {p.layout} {p.dtype} {shape}{more}"


def by_rows(name: str, problem: Any, rows: list[str], machine: Any, packed: bool) -> Iterator[Named]:
    """A convolution by every row that takes it, straight through the device; packed beforehand too."""
    from numconv import devices

    for row in devices.device("cpu").table():
        if wanted(row.name, rows) and row.refuses(problem) is None:  # a row of another operator refuses too
            yield row.name, f"{name}: {described(problem)}", _execute(problem, row, machine, False)
            if packed and problem.direction != "weight_grad":
                yield row.name, f"{name}, packed: {described(problem)}", _execute(problem, row, machine, True)


def _execute(p: Any, row: Any, machine: Any, packed: bool) -> Computed:
    def run() -> Any:
        from numconv import devices, plan
        from numconv.problem import image_shape

        device, label = devices.device("cpu"), described(p)
        chosen = plan.make_plan(p, machine, (row,), row.name)
        channels, extents = p.source
        x = random(f"{label} x", image_shape(p.batch, channels, extents, p.layout), p.dtype)
        out = device.empty(p.result_shape, p.out_dtype, x)
        if p.direction == "weight_grad":
            device.execute(chosen, (x, random(f"{label} y", image_shape(p.batch, p.out_channels, p.outputs, p.layout), p.dtype)), out)
            return [out]
        w = random(f"{label} w", p.weight_shape, p.dtype)
        bias = random(f"{label} bias", p.target[0], p.dtype) if p.bias else None
        device.execute(chosen, (x, device.pack(chosen, w) if packed else w, bias), out, packed)
        return [out]

    return run


def layer_problem(layer: layers.Layer) -> Any:
    """The layer as the package sees it, without its arrays."""
    import numconv as nc

    function = getattr(nc, f"conv{'_transpose' if layer.transposed else ''}{layer.rank}d")
    arrays = [np.broadcast_to(np.float32(0), shape) for shape in (layer.x_shape, layer.w_shape, (layer.out_channels,))]
    options: dict[str, Any] = {"output_padding": layer.output_padding} if layer.transposed else {}
    options |= {"stride": layer.stride, "padding": layer.pads, "dilation": layer.dilation, "groups": layer.groups}
    return nc.explain(function, *arrays, **options).plan.problem


def fuzz(rows: list[str], count: int) -> Iterator[Named]:
    from numconv import devices

    machine = devices.device("cpu").machine()
    for seed, direction, layout in product(range(count), DIRECTIONS, LAYOUTS):
        yield from by_rows(f"fuzz {seed}", _dressed(drawn(seed), direction, layout, seed), rows, machine, seed % 3 == 0)


def narrow(rows: list[str], count: int) -> Iterator[Named]:
    """The same kernels as an AVX2 and a NEON machine would run them."""
    from numconv import devices

    for seed, (name, (width, registers)), direction in product(range(count), NARROW.items(), DIRECTIONS):
        machine = replace(devices.device("cpu").machine(), vector_bytes=width, registers=registers)
        problem = drawn(1000 + seed).with_(dtype="float32", out_dtype="float32")
        yield from by_rows(f"{name} {seed}", _dressed(problem, direction, LAYOUTS[seed % 2], seed), rows, machine, False)


def named_layers(rows: list[str], every: int, most: float = 1.2e8) -> Iterator[Named]:
    """Layers of networks, small ones: several blocks of terms, several tasks."""
    from numconv import devices

    small = [layer for layer in layers.load() if layer.multiplications < most][::every]
    for layer, direction, layout in product(small, DIRECTIONS, LAYOUTS):
        problem = layer_problem(layer).with_(direction=direction, layout=layout)
        problem = problem.with_(bias=False) if direction == "weight_grad" else problem
        yield from by_rows(f"layer {layer.index}", problem, rows, devices.device("cpu").machine(), False)


def everything(rows: list[str]) -> Iterator[Named]:
    yield from catalog(rows)
    yield from modules(rows)
    yield from fuzz(rows, 64)
    yield from named_layers(rows, 4)
    yield from narrow(rows, 4)


def to_compile(case: str) -> list[Computed]:
    """What compiles the kernels of a case, and its packer."""
    import numconv as nc
    from numconv import devices
    from numconv.problem import ConvProblem

    function, shapes, keywords = COMPILED[case]
    arrays = [random(case, s, "float32") for s in shapes]
    called = getattr(nc, function.replace("weight_grad", "conv"))
    problem = nc.explain(called, *arrays, **keywords).plans[0].problem
    if not isinstance(problem, ConvProblem):
        return [lambda: [called(*arrays, **keywords)]]
    problem = problem if called.__name__ == function else problem.with_(direction="weight_grad")
    return [run for _, _, run in by_rows(case, problem, [case.partition(",")[0]], devices.device("cpu").machine(), True)]
