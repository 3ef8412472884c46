"""Gradients: every variant of the catalog against central differences, the convolutions against the oracle."""

from __future__ import annotations

import doctest
from typing import Any

import numba
import numpy as np
import pytest
import reference
from cases import ALL, IDS
from tolerance import assert_within

import numconv as nc
from numconv.catalog import MODES, Case, Variant
from numconv.watching import trace

Array = np.ndarray[Any, Any]
STEP = 1e-6


def inner(a: Array, b: Array) -> float:
    """Re ⟨a, b⟩: complex arrays as vectors of twice as many real numbers."""
    return float(np.vdot(a, b).real)


def random(rng: np.random.Generator, shape: Any, dtype: Any = "float64") -> Array:
    a = rng.standard_normal(shape)
    return (a + 1j * rng.standard_normal(shape)).astype(dtype) if np.dtype(dtype).kind == "c" else a.astype(dtype)


def arguments(case: Case, rng: np.random.Generator, dtype: str) -> tuple[list[Array | None], dict[str, Any]]:
    options = dict(case.options)
    if "mask" in options:
        options["mask"] = random(rng, options["mask"], dtype)
    return [None if s is None else random(rng, s, dtype) for s in case.shapes], options


def check(function: Any, arrays: list[Array | None], options: dict[str, Any], rng: np.random.Generator, rounds: int = 3) -> None:
    """⟨dy, (f(a + hv) − f(a − hv))/2h⟩ = Σ ⟨gradient, v⟩ for random v of all arrays at once, and of each alone."""
    named = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
    rest = {k: v for k, v in options.items() if k not in named}
    y, pullback = nc.vjp(function, *arrays, **options)
    np.testing.assert_array_equal(y, function(*arrays, **options))
    dy = random(rng, y.shape, y.dtype)
    gradients = pullback(dy)
    assert isinstance(gradients, tuple)
    given = [*arrays, *named.values()]
    present = [g for g in gradients if g is not None]
    wanted = [a for a in given if a is not None]
    assert len(present) == len(wanted)
    assert [g is None for g in gradients[: len(arrays)]] == [a is None for a in arrays]
    for g, a in zip(present, wanted, strict=True):
        assert g.shape == a.shape
        assert g.dtype == a.dtype
        assert type(g) is np.ndarray

    def along(directions: list[Array | None], sign: float) -> Array:
        moved = [None if a is None else a if v is None else a + sign * STEP * v for a, v in zip(given, directions, strict=True)]
        return function(*moved[: len(arrays)], **rest, **dict(zip(named, moved[len(arrays) :], strict=True)))

    def compare(directions: list[Array | None]) -> None:
        difference = inner(dy, (along(directions, 1) - along(directions, -1)) / (2 * STEP))
        parts = [
            inner(g, v)
            for g, v in zip(present, [v for a, v in zip(given, directions, strict=True) if a is not None], strict=True)
            if v is not None
        ]
        scale = np.sqrt(dy.size) * (1 + sum(map(abs, parts)))
        assert abs(difference - sum(parts)) <= 1e-6 * scale

    for index, a in enumerate(given):
        if a is not None:
            compare([random(rng, a.shape, a.dtype) if i == index else None for i in range(len(given))])
    for _ in range(rounds):
        compare([None if a is None else random(rng, a.shape, a.dtype) for a in given])
    again = pullback(dy)
    for g, h in zip(gradients, again, strict=True):
        np.testing.assert_array_equal(g, h)


@pytest.mark.parametrize(("variant", "case"), ALL, ids=IDS)
def test_every_variant_against_differences(variant: Variant, case: Case) -> None:
    rng = np.random.default_rng(0)
    check(variant.function, *arguments(case, rng, "float64"), rng)


@pytest.mark.parametrize(("variant", "case"), ALL, ids=IDS)
def test_every_variant_complex(variant: Variant, case: Case) -> None:
    o = case.options
    if variant.name in ("deform_conv2d", "dynamic_attention") or o.get("mode") == "bilinear" or {"activation", "mid_activation"} & o.keys():
        pytest.skip("defined for real numbers only")
    rng = np.random.default_rng(1)
    check(variant.function, *arguments(case, rng, "complex128"), rng, 1)


@pytest.mark.parametrize(("variant", "case"), ALL, ids=IDS)
def test_every_variant_in_float32(variant: Variant, case: Case) -> None:
    """Close to the gradients in float64, which the differences vouch for."""
    rng = np.random.default_rng(2)
    arrays, options = arguments(case, rng, "float64")
    arrays = [None if a is None else a.astype("float32") for a in arrays]
    options = {k: v.astype("float32") if isinstance(v, np.ndarray) else v for k, v in options.items()}
    y, pullback = nc.vjp(variant.function, *arrays, **options)
    dy = random(rng, y.shape, "float32")
    wide = {k: v.astype("float64") if isinstance(v, np.ndarray) else v for k, v in options.items()}
    _, exact = nc.vjp(variant.function, *[None if a is None else a.astype("float64") for a in arrays], **wide)
    for g, e in zip(pullback(dy), exact(dy), strict=True):
        if g is not None:
            assert g.dtype == np.float32
            np.testing.assert_allclose(g, e, rtol=2e-4, atol=2e-5 * (1 + np.abs(e).max(initial=0)))


GEOMETRIES = [
    # spatial, kernel, stride, pads, dilation, groups
    ((11,), (3,), (2,), ((2, 1),), (2,), 2),
    ((9, 10), (3, 2), (1, 1), ((1, 1), (0, 1)), (1, 1), 1),
    ((9, 8), (3, 3), (2, 3), ((1, 2), (2, 0)), (1, 2), 2),
    ((5, 6, 7), (2, 3, 2), (1, 2, 3), ((1, 0), (2, 1), (0, 2)), (1, 1, 2), 2),
]


@pytest.mark.parametrize("mode", ["zeros", *MODES])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_convolutions_against_the_oracle(geometry: Any, mode: str, dtype: str, layout: str) -> None:
    spatial, kernel, stride, pads, dilation, groups = geometry
    rng = np.random.default_rng(3)
    x, w = random(rng, (2, 4, *spatial), dtype), random(rng, (6, 4 // groups, *kernel), dtype)
    bias = random(rng, 6, dtype)
    given = np.moveaxis(x, 1, -1) if layout == "channels_last" else x
    y, pullback = nc.vjp(
        getattr(nc, f"conv{len(spatial)}d"), given, w, bias, stride, pads, dilation, groups, padding_mode=mode, layout=layout
    )  # fmt: skip
    dy = random(rng, y.shape, dtype)
    first = np.moveaxis(dy, -1, 1) if layout == "channels_last" else dy
    dx, dw, db = pullback(dy)
    dx = np.moveaxis(dx, -1, 1) if layout == "channels_last" else dx
    rest = (stride, pads, dilation, groups, mode)
    wanted = reference.input_grad(first, w.conj(), spatial, *rest)
    assert_within(dx, wanted, reference.input_grad(np.abs(first), np.abs(w), spatial, *rest), 1000)
    wanted = reference.weight_grad(x.conj(), first, kernel, *rest)
    assert_within(dw, wanted, reference.weight_grad(np.abs(x), np.abs(first), kernel, *rest), 1000)
    axes = (0, *range(2, first.ndim))
    assert_within(db, first.astype("complex128" if dtype[0] == "c" else "float64").sum(axes), np.abs(first).sum(axes), 1000)


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "hardswish", "sigmoid", "tanh"])
@pytest.mark.parametrize("function", ["conv2d", "conv_transpose2d", "shuffled_grouped_conv2d", "dynamic_conv2d", "deform_conv2d"])
def test_activations(function: str, activation: str) -> None:
    rng = np.random.default_rng(4)
    x, w = random(rng, (2, 4, 6, 5)), random(rng, (4, 2, 3, 3))
    arrays = {
        "dynamic_conv2d": [x, random(rng, (3, 4, 4, 3, 3)), random(rng, (2, 3)), random(rng, (3, 4))],
        "deform_conv2d": [x, random(rng, (2, 36, 4, 3)), w, random(rng, 4)],
    }.get(function, [x, w, random(rng, 4)])
    options = {"groups": 2} if function not in ("dynamic_conv2d", "deform_conv2d") else {}
    check(getattr(nc, function), arrays, {**options, "activation": activation}, rng, 1)


@pytest.mark.parametrize("mode", MODES)
def test_padding_modes_of_composites(mode: str) -> None:
    rng = np.random.default_rng(5)
    x, options = random(rng, (2, 3, 7, 6)), {"padding": ((2, 1), (1, 2)), "padding_mode": mode, "stride": 2}
    check(nc.depthwise_conv2d, [x, random(rng, (6, 1, 3, 3)), random(rng, 6)], options, rng, 1)
    check(nc.depthwise_separable_conv2d, [x, random(rng, (3, 1, 3, 3)), random(rng, (4, 3)), random(rng, 4)], options, rng, 1)
    check(nc.spatially_separable_conv2d, [x, random(rng, (4, 3, 3)), random(rng, (4, 3, 3))], options, rng, 1)
    check(nc.flattened_conv2d, [x, random(rng, (4, 3)), random(rng, (4, 3)), random(rng, (4, 3)), random(rng, 4)], options, rng, 1)
    check(nc.dynamic_conv2d, [x, random(rng, (2, 4, 3, 3, 3)), random(rng, (2, 2))], options, rng, 1)


def test_arrays_given_by_keyword_come_last() -> None:
    rng = np.random.default_rng(6)
    x, depthwise, pointwise, mid = random(rng, (1, 3, 5, 5)), random(rng, (3, 1, 3, 3)), random(rng, (2, 3)), random(rng, 3)
    y, pullback = nc.vjp(nc.depthwise_separable_conv2d, x, depthwise, pointwise, mid_bias=mid, mid_activation="tanh")
    gradients = pullback(np.ones_like(y))
    assert [None if g is None else g.shape for g in gradients] == [x.shape, depthwise.shape, pointwise.shape, None, mid.shape]
    check(nc.depthwise_separable_conv2d, [x, depthwise, pointwise, random(rng, 2)], {"mid_bias": mid, "mid_activation": "silu"}, rng)


def test_one_array_given_twice() -> None:
    x = np.arange(9.0).reshape(1, 1, 3, 3) + 1
    y, pullback = nc.vjp(nc.conv2d, x, x)
    dx, dw = pullback(np.ones_like(y))
    np.testing.assert_array_equal(dx, x)
    np.testing.assert_array_equal(dw, x)
    assert dx is not dw


@pytest.mark.parametrize("make", [nc.Conv2d, nc.ConvTranspose2d])
def test_layers(make: Any) -> None:
    rng = np.random.default_rng(7)
    x, w = random(rng, (2, 3, 6, 6), "float32"), random(rng, (3, 3, 3, 3), "float32")
    y, pullback = nc.vjp(make(w, stride=2), x)
    function = nc.conv2d if make is nc.Conv2d else nc.conv_transpose2d
    z, expected = nc.vjp(function, x, w, None, 2)
    np.testing.assert_array_equal(y, z)
    np.testing.assert_array_equal(pullback(y)[0], expected(y)[0])


@pytest.mark.parametrize("function", [nc.conv2d, nc.conv_transpose2d])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize(
    "side", [6, 40]
)  # the input gradient as it is; as the convolution that it also is, by Winograd's or another kernel
def test_weights_are_packed_for_the_second_call(monkeypatch: pytest.MonkeyPatch, function: Any, dtype: str, side: int) -> None:
    from numconv.cpu import device

    packed, pack = [], device.pack
    monkeypatch.setattr(device, "pack", lambda *arguments: packed.append(1) or pack(*arguments))
    rng = np.random.default_rng(8)
    x, w = random(rng, (1, 8, side, side), dtype), random(rng, (8, 8, 3, 3), dtype)
    y, pullback = nc.vjp(function, x, w, padding=1)
    gradients = []
    for count in (0, 1, 1):
        gradients.append(pullback(y))
        assert len(packed) == count
    for again in gradients[1:]:
        for a, b in zip(again, gradients[0], strict=True):
            np.testing.assert_array_equal(a, b)
    other = random(rng, y.shape, dtype)
    for a, b in zip(pullback(other), nc.vjp(function, x, w, padding=1)[1](other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [nc.Conv2d, nc.ConvTranspose2d])
def test_a_layer_packs_once(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    from numconv.cpu import device

    packed, pack = [], device.pack
    monkeypatch.setattr(device, "pack", lambda *arguments: packed.append(1) or pack(*arguments))
    rng = np.random.default_rng(9)
    layer, x = (
        make(random(rng, (4, 4, 3, 3), "float32"), random(rng, (4,), "float32"), activation="silu"),
        random(rng, (1, 4, 6, 6), "float32"),
    )
    for _ in range(3):
        y, pullback = nc.vjp(layer, x)
        pullback(y)
        assert len(packed) == 2  # for the convolution, for its input gradient


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    ("function", "shapes", "options"),
    [
        (nc.conv2d, ((2, 3, 6, 6), (4, 3, 3, 3), (4,)), {"padding": 1, "activation": "silu", "padding_mode": "reflect"}),
        (nc.depthwise_separable_conv2d, ((2, 3, 6, 6), (3, 1, 3, 3), (4, 3), (4,)), {}),
        (nc.dynamic_attention, ((2, 3, 6, 6), (2, 3), (4, 2)), {}),
        (nc.resize2d, ((2, 3, 4, 4),), {"scale": 2, "mode": "bilinear"}),
        (nc.deform_conv2d, ((1, 2, 5, 5), (1, 18, 3, 3), (2, 2, 3, 3)), {}),
        (nc.dynamic_conv2d, ((2, 3, 6, 6), (4, 2, 3, 3, 3), (2, 4)), {}),
    ],
)
def test_half_types(function: Any, shapes: Any, options: Any, dtype: str) -> None:
    kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else np.float16
    rng = np.random.default_rng(8)
    arrays = [rng.standard_normal(s).astype(kind) for s in shapes]
    y, pullback = nc.vjp(function, *arrays, **options)
    assert y.dtype == kind
    dy = rng.standard_normal(y.shape).astype(kind)
    _, exact = nc.vjp(function, *(a.astype(np.float32) for a in arrays), **options)
    for g, e, a in zip(pullback(dy), exact(dy.astype(np.float32)), arrays, strict=True):
        assert g.dtype == a.dtype
        np.testing.assert_allclose(g.astype(np.float32), e, rtol=0.05, atol=0.03 * np.abs(e).max())


def test_mixed_types() -> None:
    rng = np.random.default_rng(9)
    x, w = random(rng, (1, 2, 6, 6), "float32"), random(rng, (3, 2, 3, 3), "complex128")
    y, pullback = nc.vjp(nc.conv2d, x, w)
    dy = random(rng, y.shape, "complex128")
    dx, dw = pullback(dy)
    assert (dx.dtype, dw.dtype) == (np.float32, np.complex128)
    np.testing.assert_allclose(dx, reference.input_grad(dy, w.conj(), (6, 6)).real, rtol=1e-5, atol=1e-5)


def test_strided_and_read_only_arrays() -> None:
    rng = np.random.default_rng(10)
    x, w = random(rng, (6, 6, 3, 2)).transpose(3, 2, 0, 1)[..., ::-1], random(rng, (4, 3, 3, 3))
    w.flags.writeable = False
    check(nc.conv2d, [x, w], {"padding": 1}, rng, 1)
    y, pullback = nc.vjp(nc.conv2d, x, w)
    dx, _ = pullback(np.broadcast_to(np.float64(1), y.shape))
    assert dx.flags.writeable


def test_bits_do_not_depend_on_threads() -> None:
    rng = np.random.default_rng(11)
    x, w = random(rng, (2, 8, 20, 20), "float32"), random(rng, (8, 8, 3, 3), "float32")
    offset = random(rng, (2, 18, 18, 18), "float32")
    before = numba.get_num_threads()
    found = []
    try:
        for count in (1, before):
            numba.set_num_threads(count)
            y, pullback = nc.vjp(nc.conv2d, x, w, padding=1, padding_mode="reflect")
            z, pull = nc.vjp(nc.deform_conv2d, x, offset, w)
            found.append([*pullback(y), *pull(z)])
    finally:
        numba.set_num_threads(before)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_kept_outside_vjp() -> None:
    x, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
    with pytest.raises(ValueError, match="conv2d: "):
        nc.vjp(nc.conv2d, x, np.ones((1, 2, 3, 3)))
    y, _ = nc.vjp(nc.conv2d, x, w)
    np.testing.assert_array_equal(nc.conv2d(x, w), y)
    with trace() as steps:
        nc.conv2d(x, w)
    assert len(steps) == 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, w: nc.vjp(np.sin, x), TypeError, "vjp: function must be an operator of numconv .*; got <ufunc 'sin'>"),
        (lambda x, w: nc.vjp(nc.conv2d, x.astype(int), w), TypeError, "vjp: gradients are of floating .*; x of conv2d has dtype int64"),
        (lambda x, w: nc.vjp(nc.conv2d, x, w, out=np.empty((1, 1, 2, 2))), TypeError, "vjp: .*out is not supported"),
        (lambda x, w: nc.vjp(nc.conv2d, x, w)[1](x), ValueError, r"vjp: dy must have the shape of y, \(1, 1, 2, 2\); got \(1, 1, 4, 4\)"),
        (lambda x, w: nc.vjp(nc.conv2d, x, w)[1](np.ones((1, 1, 2, 2), complex)), TypeError, "vjp: dy must be real, as y is; got dtype complex128"),
        (lambda x, w: nc.grad.conv2d_input((1, 1, 5, 4), w, np.ones((1, 1, 2, 2))), ValueError, r"grad.conv2d_input: grad_output must have"),
        (lambda x, w: nc.grad.conv2d_weight(x, (1, 1, 2, 3), np.ones((1, 1, 2, 2))), ValueError, r"grad.conv2d_weight: grad_output must have"),
        (lambda x, w: nc.grad.conv2d_weight(x, (1, 3), np.ones((1, 1, 2, 2))), ValueError, r"grad.conv2d_weight: weight_size must list"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)))


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_names_of_torch_nn_grad(geometry: Any, dtype: str) -> None:
    spatial, kernel, stride, pads, dilation, groups = geometry
    rank, rng = len(spatial), np.random.default_rng(12)
    x, w = random(rng, (2, 4, *spatial), dtype), random(rng, (6, 4 // groups, *kernel), dtype)
    dy = random(rng, reference.conv(x, w, None, stride, pads, dilation, groups).shape, dtype)
    dx = getattr(nc.grad, f"conv{rank}d_input")(x.shape, w, dy, stride, pads, dilation, groups)
    dw = getattr(nc.grad, f"conv{rank}d_weight")(x, w.shape, dy, stride, pads, dilation, groups)
    rest = (stride, pads, dilation, groups)
    assert_within(dx, reference.input_grad(dy, w.conj(), spatial, *rest), reference.input_grad(np.abs(dy), np.abs(w), spatial, *rest), 1000)
    assert_within(dw, reference.weight_grad(x.conj(), dy, kernel, *rest), reference.weight_grad(np.abs(x), np.abs(dy), kernel, *rest), 1000)
    one = getattr(nc.grad, f"conv{rank}d_input")(x.shape[1:], w, dy[0], stride, pads, dilation, groups)
    np.testing.assert_allclose(one, dx[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["vjp", "conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"])
def test_examples_run(name: str) -> None:
    found = doctest.DocTestFinder(recurse=False).find(getattr(nc.grad, name), globs={"np": np, "nc": nc})
    assert found
    assert found[0].examples
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(found[0]).failed == 0
