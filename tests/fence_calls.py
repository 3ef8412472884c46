"""Random calls and what they should give, on small integers: of every row of the table by itself, of the public functions, and of gradients.

`draw(seed, number, …)` is the same call whenever it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import cases
import numba
import numpy as np
import reference
import scipy.ndimage
from fences import Drawn

import numconv as nc
from numconv.cpu.machine import detect
from numconv.cpu.table import table
from numconv.kernel import DEFAULTS
from numconv.problem import ConvProblem

Rng = np.random.Generator
MODES = ("reflect", "replicate", "circular", "symmetric")
MACHINES = ((32, 16), (16, 32))  # bytes of a register, registers: AVX2, NEON
ROUNDED = 0.3  # of transforms


def one(rng: Rng, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


class Geometry:
    """A convolution of random extents; `outputs` fit, or `possible` is False.

    `ALIKE`: of few extents, for which plans have few tiles, so that a run which may compile few kernels still has calls for them.
    """

    ALIKE = False

    def __init__(self, rng: Rng) -> None:
        self.rank = r = one(rng, 1, 1, 2, 2, 2, 3)
        self.batch = int(rng.integers(1, 4))
        self.groups = one(rng, 1, 1, 1, 2, 3)
        self.inputs, self.produced = (self.groups * int(rng.integers(1, high)) for high in one(rng, (6, 8), (20, 30), (4, 70)))
        self.kernel, self.stride, self.dilation = (
            self.ints(rng, one(rng, 1, 1, 1, 3, 5, 5)),
            self.ints(rng, one(rng, 2, 2, 3, 5)),
            self.ints(rng, one(rng, 2, 2, 4)),
        )
        if one(rng, True, True, False):
            self.kernel = (one(rng, 1, 2, 3, 3, 4, 5),) * r
        self.spatial = tuple(int(n) for n in rng.integers(1, {1: 300, 2: 34, 3: 11}[r], r))
        if self.ALIKE:
            self.rank = r = one(rng, 2, 2, 2, 2, 1, 3)
            self.groups = one(rng, 1, 2)
            self.inputs, self.produced = self.groups * 5, self.groups * 13
            self.kernel, self.stride, self.dilation = self.ints(rng, 3), self.ints(rng, 2), self.ints(rng, 2)
            if one(rng, True, True, False):
                self.kernel, self.stride = (3,) * r, (1,) * r
            self.spatial = {1: (40,), 2: (11, 21), 3: (5, 6, 21)}[r]
            if rng.integers(4) == 0:  # several boxes on one axis or another
                self.spatial = {1: (9000,), 2: one(rng, (5, 1500), (110, 90)), 3: one(rng, (3, 3, 700), (3, 40, 40), (30, 9, 21))}[r]
        if rng.integers(5) == 0:  # depthwise
            self.groups = self.inputs
            self.produced = self.inputs * int(rng.integers(1, 3))
            if self.ALIKE:  # its kernels are compiled for taps and strides
                self.kernel, self.stride, self.dilation = (3,) * r, (1,) * r, (one(rng, 1, 1, 2),) * r
        most = one(rng, 1, 2, 4, 7)
        self.pads = [(int(a), int(b)) for a, b in rng.integers(0, most, (r, 2))]
        self.low = tuple(lo for lo, _ in self.pads)
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        padded = [i + lo + hi for i, (lo, hi) in zip(self.spatial, self.pads, strict=True)]
        self.possible = all(n >= e for n, e in zip(padded, reach, strict=True))
        self.outputs = tuple((n - e) // s + 1 for n, e, s in zip(padded, reach, self.stride, strict=True))
        self.reflects = min(i - max(p) for i, p in zip(self.spatial, self.pads, strict=True)) > 0
        self.terms = self.inputs // self.groups * prod(self.kernel)

    def ints(self, rng: Rng, high: int) -> tuple[int, ...]:
        return tuple(int(v) for v in rng.integers(1, high + 1, self.rank))

    @property
    def sum(self) -> dict[str, Any]:
        return {"stride": self.stride, "pads": self.pads, "dilation": self.dilation, "groups": self.groups}

    @property
    def options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": tuple(self.pads), "dilation": self.dilation, "groups": self.groups}

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.produced, self.inputs // self.groups, *self.kernel)

    def __str__(self) -> str:
        return (
            f"{self.batch}x{self.inputs}->{self.produced}/{self.groups} {self.spatial} k{self.kernel} s{self.stride} "
            f"p{self.pads} d{self.dilation}"
        )


def numbers(rng: Rng, shape: Any, dtype: Any) -> np.ndarray:
    kind = np.dtype(dtype)
    a = rng.integers(0 if kind.kind == "u" else -2, 3, shape)
    return (a + 1j * rng.integers(-2, 3, shape)).astype(kind) if kind.kind == "c" else a.astype(kind)


def last(a: Any) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(a, 1, -1))


def threads(rng: Rng) -> None:
    """Mostly one: every kernel in parallel too would be twice as many to compile."""
    numba.set_num_threads(min(one(rng, *(1,) * (12 if Geometry.ALIKE else 3), 2), numba.config.NUMBA_NUM_THREADS))


# a row by itself


def _row_sum(p: ConvProblem, g: Geometry, arrays: tuple[Any, ...]) -> np.ndarray:
    x, w, bias = arrays
    if p.direction == "weight_grad":
        y = reference.weight_grad(x, w, g.kernel, g.stride, g.pads, g.dilation, g.groups)
    elif p.direction == "input_grad":
        y = reference.finish(reference.input_grad(x, w, g.spatial, **g.sum), bias, p.activation)
    else:
        y = reference.conv(x, w, bias, padding_mode=p.padding_mode, activation=p.activation, **g.sum)
        y = reference.shuffle(y, p.shuffle) if p.shuffle > 1 else y
    return last(y) if p.layout == "channels_last" else y


def of_a_row(rng: Rng, names: tuple[str, ...], wide: bool) -> Drawn | None:
    g = Geometry(rng)
    if not g.possible:
        return None
    direction = one(rng, "forward", "forward", "input_grad", "weight_grad")
    dtype = one(rng, *("float32",) * (12 if g.ALIKE else 3), "float64", "int32", "int64")
    p = ConvProblem(
        direction, g.batch, g.inputs, g.produced, g.groups, g.spatial, g.kernel, g.stride, g.low, g.dilation, g.outputs, dtype, dtype
    )  # fmt: skip
    if direction != "weight_grad":
        p = p.with_(
            bias=bool(rng.integers(2)), activation=one(rng, None, "relu", "relu6"), layout=one(rng, "channels_first", "channels_last")
        )
    if direction == "forward" and g.reflects and rng.integers(4) == 0:
        p = p.with_(padding_mode=one(rng, *MODES))
    if direction == "forward" and g.groups > 1 and rng.integers(4) == 0:
        p = p.with_(shuffle=g.groups)
    rows = [
        row
        for row in table()
        if row.problem is ConvProblem and (not names or row.name in names)
        and all(getattr(p, name) == default or name in row.honours for name, default in DEFAULTS.items() if name != "groups")
        and dtype in row.dtypes and row.refuses(p) is None
    ]  # fmt: skip
    if not rows:
        return None
    row, plain, machine = one(rng, *rows), rng.integers(2) == 0, detect()
    if wide and rng.integers(3) == 0:
        machine = replace(machine, **dict(zip(("vector_bytes", "registers"), one(rng, *MACHINES), strict=True)))
    x = numbers(rng, (g.batch, p.source[0], *p.source[1]), dtype)
    w = numbers(rng, (g.batch, g.produced, *g.outputs) if direction == "weight_grad" else g.weight_shape, dtype)
    bias = numbers(rng, p.target[0], dtype) if p.bias else None
    threads(rng)

    def call() -> tuple[Any, ...]:
        out = np.full(p.result_shape, 99, dtype)
        image = last(x) if p.layout == "channels_last" else x
        if direction == "weight_grad":
            row.run(p, (image, w), out, machine)
        else:
            weights = w if plain and row.takes_plain else row.pack(p, w, machine)
            row.run(p, (image, weights, bias), out, machine)
        return (out,)

    tolerance = 0 if row.error_factor <= 1 or dtype[0] == "i" else ROUNDED
    name = f"{row.name} {direction} {dtype} {g} {p.layout} {p.padding_mode} {p.activation} bias={p.bias} {machine.vector_bytes}"
    return Drawn(name, call, lambda: (_row_sum(p, g, (x, w, bias)),), tolerance)


# public functions


def odd(rng: Rng, a: np.ndarray) -> np.ndarray:
    """The same numbers, lying otherwise: backwards, with gaps, one byte off, in the other order of bytes."""
    way = one(rng, 0, 0, 0, 1, 2, 3, 4)
    if way == 1:
        return a[::-1].copy()[::-1]
    if way == 2:
        return np.repeat(a, 2, -1)[..., ::2]
    if way == 3:
        raw = np.empty(a.nbytes + 1, np.uint8)[1:]
        raw[:] = np.frombuffer(a.tobytes(), np.uint8)
        return raw.view(a.dtype).reshape(a.shape)
    return a.astype(a.dtype.newbyteorder(">")) if way == 4 else a


def _conv(rng: Rng, gradient: bool) -> Drawn | None:
    g, transposed = Geometry(rng), rng.integers(3) == 0
    if not g.possible:
        return None
    kinds = ("f4", "f4", "f8", "c8") if gradient else ("f4", "f4", "f8", "i1", "u1", "i2", "i4", "i8", "c8", "f2")
    dtype = np.dtype(one(rng, *kinds))
    if dtype == np.float16 and 4 * g.terms * g.batch > 2000:  # beyond what halves count by ones
        return None
    function = getattr(nc, f"conv{'_transpose' if transposed else ''}{g.rank}d")
    order = one(rng, "channels_first", "channels_last")
    options: dict[str, Any] = {**g.options, "layout": order}
    mode = one(rng, *MODES) if not transposed and g.reflects and rng.integers(4) == 0 else "zeros"
    activation = one(rng, None, "relu") if dtype.kind != "c" and not gradient else None
    if transposed:
        extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(g.stride, g.dilation, strict=True))
        options["output_padding"] = extra
        x = numbers(rng, (g.batch, g.produced, *g.outputs), dtype)
        sizes = [
            (i - 1) * s - lo - hi + d * (k - 1) + 1 + e
            for i, s, (lo, hi), d, k, e in zip(g.outputs, g.stride, g.pads, g.dilation, g.kernel, extra, strict=True)
        ]
        if min(sizes) < 1:
            return None
    else:
        options["padding_mode"] = mode
        x = numbers(rng, (g.batch, g.inputs, *g.spatial), dtype)
    options["activation"] = activation
    w = numbers(rng, g.weight_shape, dtype)
    bias = numbers(rng, g.inputs if transposed else g.produced, dtype) if rng.integers(2) else None
    image, weights = odd(rng, last(x) if order == "channels_last" else x), odd(rng, w)
    algorithm, tolerance = "auto", ROUNDED
    if not gradient:
        rows = nc.explain(function, image, weights, bias, **options).candidates
        algorithm = one(rng, "auto", *(c.kernel.name for c in rows if c.reason is None))
    as_layer = not gradient and rng.integers(3) == 0
    threads(rng)

    def forward() -> Any:
        if transposed:
            return reference.conv_transpose(x, w, bias, output_padding=extra, activation=activation, **g.sum)
        return reference.conv(x, w, bias, padding_mode=mode, activation=activation, **g.sum)

    def there(y: Any) -> Any:
        return last(y) if order == "channels_last" else y

    name = f"{function.__name__} {dtype} {g} {order} {mode} {activation} bias={bias is not None} {algorithm}"
    if not gradient:

        def call() -> tuple[Any, ...]:
            if as_layer:
                layer = getattr(nc, f"Conv{'Transpose' if transposed else ''}{g.rank}d")(weights, bias, algorithm=algorithm, **options)
                return layer(image), layer(image)
            return (function(image, weights, bias, algorithm=algorithm, **options),)

        return Drawn(f"{name}{' layer' if as_layer else ''}", call, lambda: (there(forward()),) * (2 if as_layer else 1), tolerance)
    dy_shape = (g.batch, g.inputs, *sizes) if transposed else (g.batch, g.produced, *g.outputs)
    dy = numbers(rng, dy_shape, dtype)

    def back() -> tuple[Any, ...]:
        y, pullback = nc.vjp(function, image, weights, bias, **options)
        dx, dw, *rest = pullback(there(dy))
        return y, dx, dw, *rest[: bias is not None]

    def expected() -> tuple[Any, ...]:
        if transposed:
            whole = [(0, 0), (0, 0), *((0, max(0, d)) for d in _missing(g, sizes))]
            dx = reference.conv(np.pad(dy, whole), w.conj(), **g.sum)[(..., *(slice(n) for n in g.outputs))]
            dw = reference.weight_grad(np.pad(dy, whole), x.conj(), g.kernel, g.stride, g.pads, g.dilation, g.groups)
        else:
            dx = reference.input_grad(dy, w.conj(), g.spatial, padding_mode=mode, **g.sum)
            dw = reference.weight_grad(x.conj(), dy, g.kernel, g.stride, g.pads, g.dilation, g.groups, mode)
        db = reference.exact(dy).sum((0, *range(2, dy.ndim)))
        return there(forward()), there(dx), dw, *((db,) if bias is not None else ())

    return Drawn(f"vjp {name}", back, expected, tolerance)


def _missing(g: Geometry, sizes: list[int]) -> list[int]:
    """What a transposed result lacks at its end of what the last taps reach."""
    return [
        (o - 1) * s + d * (k - 1) + 1 - lo - hi - n
        for o, s, d, k, (lo, hi), n in zip(g.outputs, g.stride, g.dilation, g.kernel, g.pads, sizes, strict=True)
    ]


def of_a_function(rng: Rng, names: tuple[str, ...], wide: bool) -> Drawn | None:
    return _conv(rng, False)


def of_a_gradient(rng: Rng, names: tuple[str, ...], wide: bool) -> Drawn | None:
    return _conv(rng, True)


def _image(rng: Rng, channels: int, dtype: str = "float32") -> np.ndarray:
    return numbers(rng, (int(rng.integers(1, 3)), channels, *rng.integers(5, 24, 2)), dtype)


def _patches(rng: Rng, name: str, channels: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    rank = int(rng.integers(1, 4))
    size, k, s = (tuple(int(n) for n in rng.integers(1, high, rank)) for high in ({1: 60, 2: 20, 3: 8}[rank], 4, 4))
    size = tuple(n + kk for n, kk in zip(size, k, strict=True))
    if name == "unfold":
        return (numbers(rng, (2, channels, *size), "f4"),), {"kernel": k, "stride": s, "padding": int(rng.integers(0, 3))}
    places = prod((n - kk) // st + 1 for n, kk, st in zip(size, k, s, strict=True))
    return (numbers(rng, (2, channels * prod(k), places), one(rng, "f4", "f8", "i4")),), {"output_size": size, "kernel": k, "stride": s}


def _operator(rng: Rng, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arrays and options of one that is no convolution alone."""
    g, c, k = int(rng.integers(1, 4)), int(rng.integers(1, 9)), tuple(int(n) for n in rng.integers(1, 4, 2))
    s, d = (tuple(int(n) for n in rng.integers(1, high, 2)) for high in (4, 3))
    order = {"layout": one(rng, "channels_first", "channels_last")}
    x = _image(rng, g * c)
    image = last(x) if order["layout"] == "channels_last" else x
    if name == "channel_shuffle":
        return (image.astype(one(rng, "f4", "f8", "i1", "c16", "u2")),), {"groups": g, **order}
    if name in ("unfold", "fold"):
        return _patches(rng, name, c)
    if name == "resize2d":
        mode = one(rng, "nearest", "bilinear")
        corners = {"align_corners": True} if mode == "bilinear" and rng.integers(2) else {}
        return (image,), {"size": tuple(int(n) for n in rng.integers(1, 40, 2)), "mode": mode, **corners, **order}
    if name == "dynamic_attention":
        hidden, kernels = (int(n) for n in rng.integers(1, 9, 2))
        return (x, numbers(rng, (hidden, g * c), "f4"), numbers(rng, (kernels, hidden), "f4")), {}
    if name == "dynamic_conv2d":
        kernels = int(rng.integers(1, 5))
        w = numbers(rng, (kernels, g * int(rng.integers(1, 5)), c, *k), "f4")
        return (image, w, numbers(rng, (len(x), kernels), "f4")), {"groups": g, "stride": s, "padding": 1, "dilation": d, **order}
    if name == "deform_conv2d":
        p = 2
        outputs = [(n + 2 * p - dd * (kk - 1) - 1) // st + 1 for n, kk, st, dd in zip(x.shape[2:], k, s, d, strict=True)]
        offset = rng.integers(-9, 10, (len(x), 2 * g * prod(k), *outputs)).astype("f4") / 2
        w = numbers(rng, (int(rng.integers(1, 9)), g * c, *k), "f4")
        mask = {"mask": numbers(rng, (len(x), g * prod(k), *outputs), "f4")} if rng.integers(2) else {}
        bias = (numbers(rng, len(w), "f4"),) if rng.integers(2) else ()
        more = {"activation": "relu"} if rng.integers(2) else {}
        return (x, offset, w, *bias), {"stride": s, "padding": p, "dilation": d, **mask, **more}
    if name == "spatially_separable_conv2d":
        n = g * int(rng.integers(1, 5))
        return (image, numbers(rng, (n, c, k[0]), "f4"), numbers(rng, (n, c, k[1]), "f4")), {
            "stride": s,
            "padding": 1,
            "dilation": d,
            **order,
        }
    if name == "shuffled_grouped_conv2d":
        return (image, numbers(rng, (g * int(rng.integers(1, 9)), c, *k), "f4")), {"groups": g, "stride": s, "padding": 1, **order}
    shapes = rng.integers(1, {1: 60, 2: 14, 3: 7}[rank := int(rng.integers(1, 4))], (2, rank))
    kind = one(rng, "f4", "f8", "i4", "c8")
    return tuple(numbers(rng, shape, kind) for shape in shapes), {"mode": one(rng, "full", "same")}


OPERATORS = (
    "channel_shuffle", "unfold", "fold", "resize2d", "dynamic_attention", "dynamic_conv2d", "deform_conv2d", "spatially_separable_conv2d",
    "shuffled_grouped_conv2d", "convolve", "correlate",
)  # fmt: skip
REAL_ONLY_BACK = frozenset({"f", "c"})


def of_an_operator(rng: Rng, names: tuple[str, ...], wide: bool) -> Drawn | None:
    name = one(rng, *(n for n in OPERATORS if not names or n in names))
    arrays, options = _operator(rng, name)
    if name in ("unfold", "dynamic_conv2d", "spatially_separable_conv2d", "deform_conv2d", "shuffled_grouped_conv2d"):
        assert min(arrays[0].shape) > 0
    function, backward = getattr(nc, name), rng.integers(2) == 0 and all(a.dtype.kind in REAL_ONLY_BACK for a in arrays)
    threads(rng)

    def forward() -> Any:
        y = cases.MEANING[name](*arrays, **options)
        if name == "deform_conv2d":  # whose oracle has no activation
            y = reference.ACTIVATIONS[options.get("activation")](y)
        return last(y) if options.get("layout") == "channels_last" else y

    def call() -> tuple[Any, ...]:
        if not backward:
            return (function(*arrays, **options),)
        y, pullback = nc.vjp(function, *arrays, **options)
        return y, *(g for g in pullback(np.sign(y)) if g is not None)

    count = 1 + len(arrays) + ("mask" in options) if backward else 1
    shown = " ".join(
        [name, *(f"{a.dtype}{a.shape}" for a in arrays), *(f"{k}={v if k != 'mask' else v.shape}" for k, v in options.items())]
    )
    tolerance = 1e-3 if name == "dynamic_attention" else ROUNDED
    return Drawn(f"{'vjp ' if backward else ''}{shown}", call, lambda: (forward(), *[None] * (count - 1)), tolerance)


def of_a_filter(rng: Rng, names: tuple[str, ...], wide: bool) -> Drawn:
    """SciPy's filters beside SciPy's own, of few forms of integers."""
    name = one(rng, "correlate", "convolve1d", "sobel", "uniform_filter", "gaussian_filter")
    shape = one(rng, (300,), (23, 41), (50, 700), (5, 6, 21), (30, 40, 3))
    dtype = one(rng, "float32", "uint8", "float64")
    x = rng.integers(0, 9, shape).astype(dtype)
    kind = {"mode": one(rng, "reflect", "mirror", "nearest", "wrap", "constant")}
    weights: dict[str, tuple[Any, ...]] = {
        "correlate": (rng.integers(1, 4, (3,) * len(shape)),),
        "convolve1d": (rng.integers(1, 4, 3), 0),
        "sobel": (),
        "uniform_filter": (4,),
        "gaussian_filter": (1.0,),
    }
    threads(rng)
    tolerance = 1e-4 if dtype == "float32" and name in ("uniform_filter", "gaussian_filter") else 1e-12
    call, theirs = getattr(nc.ndimage, name), getattr(scipy.ndimage, name)
    given = (x, *weights[name])
    return Drawn(f"{name} {dtype}{shape} {kind['mode']}", lambda: (call(*given, **kind),), lambda: (theirs(*given, **kind),), tolerance)


def draw(seed: int, number: int, names: tuple[str, ...] = (), wide: bool = False) -> Drawn | None:
    """None: the numbers drawn make no call."""
    rng = np.random.default_rng((seed, number))
    makers: list[Callable[[Rng, tuple[str, ...], bool], Drawn | None]] = []
    if not names or set(names) - set(OPERATORS) - {"functions", "gradients", "filters"}:
        makers += [of_a_row] * 6
    if not names or "functions" in names:
        makers += [of_a_function] * 3
    if not names or "gradients" in names:
        makers += [of_a_gradient] * 2
    if not names or set(names) & set(OPERATORS):
        makers += [of_an_operator] * 3
    if not names or "filters" in names:
        makers += [of_a_filter] * 3
    return one(rng, *makers)(rng, names, wide)
