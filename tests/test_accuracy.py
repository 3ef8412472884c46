"""Every kernel keeps to the bound that it states, on data that is hard on sums; and who asks for element-wise sums gets them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from exact import KINDS, WIDE, Array, Geometry, around, convolved, hard

import numconv as nc
from numconv.bounds import ELEMENT, SIGNAL, TILE, amplification, of_sums
from numconv.catalog import VARIANTS
from numconv.cpu import device
from numconv.kernel import Kernel
from numconv.plan import make_plan
from numconv.problem import ConvProblem

GEOMETRIES = {
    "dense": Geometry((1, 8, 20, 24), (8, 8, 3, 3), padding=1),
    "depthwise": Geometry((1, 16, 13, 18), (16, 1, 3, 3), padding=1, groups=16),
    "stride 2, groups": Geometry((2, 8, 17, 15), (12, 4, 3, 2), stride=2, padding=1, groups=2),
    "dilated": Geometry((1, 8, 19, 26), (8, 8, 3, 3), padding=2, dilation=2),
    "one axis": Geometry((1, 8, 70), (8, 8, 7), padding=3),
    "volume": Geometry((1, 4, 7, 8, 9), (4, 4, 3, 3, 3), padding=1),
}
SLOW = ("stride 2, groups", "dilated", "one axis", "volume")
ROWS = [
    (row, direction) for row in device.table() if row.problem is ConvProblem for direction in sorted(row.directions)
]  # fmt: skip


def problem(g: Geometry, direction: str, dtype: str, layout: str) -> ConvProblem:
    rank = len(g.outputs)
    return ConvProblem(
        direction=direction, batch=g.x[0], in_channels=g.x[1], out_channels=g.w[0], groups=g.groups, spatial=g.x[2:], kernel=g.w[2:],
        stride=(g.stride,) * rank, pad_low=(g.padding,) * rank, dilation=(g.dilation,) * rank, outputs=g.outputs, dtype=dtype,
        out_dtype=dtype, layout=layout,
    )  # fmt: skip


def run(row: Kernel, p: ConvProblem, first: Array, second: Array) -> Array:
    """Channels first in and out."""
    last = p.layout == "channels_last"
    images = 2 if p.direction == "weight_grad" else 1
    arrays = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) if last and i < images else a for i, a in enumerate((first, second))]
    plan = make_plan(p, device.machine(), (row,), row.name)
    out = np.empty(p.result_shape, p.out_dtype)
    device.execute(plan, tuple(arrays) if images == 2 else (*arrays, None), out)
    return np.moveaxis(out, -1, 1) if last and images == 1 else out


def operands(g: Geometry, direction: str, kind: str, dtype: str) -> tuple[Array, Array]:
    rng = np.random.default_rng(7)
    shape = g.y if direction == "input_grad" else g.x
    first = hard(kind, shape, dtype, rng)
    second = rng.standard_normal(g.y if direction == "weight_grad" else g.w).astype(dtype)
    if kind == "cancelling" and direction != "weight_grad":
        odd = second[1::2] if direction == "input_grad" else second[:, 1::2]
        even = second[::2] if direction == "input_grad" else second[:, ::2]
        odd[...] = even[: odd.shape[0], : odd.shape[1]]
    return first, second


def allowed(row: Kernel, p: ConvProblem, g: Geometry, first: Array, second: Array, y: Array) -> Array:
    """The row's bound, for each element; below the smallest normal number each rounding is absolute."""
    bound, magnitudes = row.bound(p), [np.nan_to_num(abs(a.astype(WIDE)), nan=0, posinf=0, neginf=0) for a in (first, second)]
    sums = convolved(g, p.direction, *magnitudes)
    if bound.goes_with == TILE:
        goes_with = around(g, p.direction, first, second, 4 * g.dilation * g.stride + g.dilation * max(g.w[2:]))
    elif bound.goes_with == SIGNAL:
        norms = [np.sqrt((a.reshape(*a.shape[:2], -1) ** 2).sum(-1)) for a in magnitudes]
        shape = (*norms[0].shape, *(1 for _ in g.outputs))
        each = norms[1].reshape(g.groups, g.w[0] // g.groups, -1)
        if not np.isfinite(first).all():  # such samples are handed to a row of sums
            return allowed(replace(row, error_of=ELEMENT, error_size=of_sums), p, g, first, second, y)
        goes_with = np.einsum("ngc,gkc->ngk", norms[0].reshape(len(norms[0]), g.groups, -1), each).reshape(shape[0], -1, *shape[2:])
    else:
        goes_with = sums
    terms = int(np.prod(g.w)) * (int(np.prod(g.y)) if p.direction == "weight_grad" else 1)
    least = WIDE(np.finfo(p.dtype).smallest_subnormal) * terms * (1000 if bound.goes_with == TILE else 1)
    return WIDE(1.001) * bound.factor * goes_with + bound.stored * abs(np.nan_to_num(y)) + least


def check(row: Kernel, direction: str, g: Geometry, kind: str, dtype: str = "float32", layout: str = "channels_first") -> None:
    p = problem(g, direction, dtype, layout)
    reason = row.refuses(p)
    if reason is not None:
        pytest.skip(reason)
    first, second = operands(g, direction, kind, dtype)
    y, exact = run(row, p, first, second), convolved(g, direction, first, second)
    known = np.isfinite(exact)
    if row.error_of == TILE:  # a tile shares what one of its samples is
        far = np.isfinite(_reached(g, direction, first, second))
        assert np.isfinite(y[far]).all()
        known &= far
    else:
        np.testing.assert_array_equal(np.isnan(y), np.isnan(exact))
        np.testing.assert_array_equal(y[np.isinf(exact)], exact[np.isinf(exact)].astype(dtype))
    error = np.where(known, abs(np.where(known, y, 0).astype(WIDE) - np.where(known, exact, 0)), 0)
    limit = np.broadcast_to(allowed(row, p, g, first, second, y), y.shape)
    worst = np.unravel_index(np.argmax(error / limit), y.shape)
    assert (error <= limit).all(), f"{error[worst]:.3g} at {worst}, allowed {limit[worst]:.3g}: {row.bound(p)}"


def _reached(g: Geometry, direction: str, first: Array, second: Array) -> Array:
    """NaN wherever the tile of an element may have seen a sample that is not finite."""
    reach = 4 * g.dilation * g.stride + g.dilation * max(g.w[2:])
    marks = [np.where(np.isfinite(a), WIDE(0), WIDE(1)) for a in (first, second)]
    if direction == "weight_grad":
        seen = around(g, direction, marks[0], np.ones(g.y), reach)
    else:
        seen = around(g, direction, marks[0], np.ones(g.w), reach)
    return np.where(seen > 0, np.nan, 0)


def _marked(name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("geometry", [_marked(name) for name in GEOMETRIES])
@pytest.mark.parametrize(("row", "direction"), ROWS, ids=[f"{row.name}-{direction}" for row, direction in ROWS])
def test_rows_keep_to_their_bound(row: Kernel, direction: str, geometry: str, kind: str) -> None:
    check(row, direction, GEOMETRIES[geometry], kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("geometry", ["dense", "depthwise", "stride 2, groups"])
@pytest.mark.parametrize(("row", "direction"), ROWS, ids=[f"{row.name}-{direction}" for row, direction in ROWS])
def test_rows_keep_to_their_bound_channels_last(row: Kernel, direction: str, geometry: str, kind: str) -> None:
    check(row, direction, GEOMETRIES[geometry], kind, layout="channels_last")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("geometry", ["dense", "depthwise"])
@pytest.mark.parametrize(("row", "direction"), ROWS, ids=[f"{row.name}-{direction}" for row, direction in ROWS])
def test_rows_keep_to_their_bound_in_float64(row: Kernel, direction: str, geometry: str, kind: str) -> None:
    check(row, direction, GEOMETRIES[geometry], kind, dtype="float64")


#: of which rows read zeros beside the image, or leave out some rows there
BESIDE = {"dense": GEOMETRIES["dense"], "depthwise": GEOMETRIES["depthwise"], "many": Geometry((1, 64, 9, 9), (64, 64, 3, 3), padding=1)}


@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("geometry", [*BESIDE])
@pytest.mark.parametrize("name", ["direct", "spread", "depthwise", "depthwise_last", "winograd", "fft"])
def test_zeros_of_the_padding_are_multiplied(name: str, geometry: str, bad: float, activation: str | None) -> None:
    """A weight that is not finite makes NaN of the elements for which its tap is over padding, in all kernels; packed or not."""
    g, rng = BESIDE[geometry], np.random.default_rng(1)
    x, w = rng.uniform(0.5, 1, g.x).astype("f4"), rng.standard_normal(g.w).astype("f4")
    w[0, 0, 0, 2] = w[-1, 0, 1, 0] = bad
    options: dict[str, Any] = {"padding": g.padding, "groups": g.groups, "activation": activation, "algorithm": name}
    last = name.endswith("_last")
    image = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x
    options |= {"layout": "channels_last"} if last else {}
    try:
        plan = nc.explain(nc.conv2d, image, w, **options).plan
    except ValueError as error:
        pytest.skip(str(error))
    exact = convolved(g, "forward", x, w)
    assert np.isnan(exact[0, 0, 0]).all() and np.isnan(exact[0, -1, :, 0]).all()
    exact = np.where(exact < 0, 0, exact) if activation else exact
    for y in (nc.conv2d(image, w, **options), nc.Conv2d(w, **options)(image)):
        y = np.moveaxis(y, -1, 1) if last else y
        np.testing.assert_array_equal(np.isnan(y), np.isnan(exact), plan.kernel.name)
        np.testing.assert_allclose(y, exact.astype("f4"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", ["gather", "spread", "winograd", "scatter", "zero_insertion", "matrix"])
def test_nothing_beyond_the_source_is_multiplied(name: str, stride: int) -> None:
    g, rng = Geometry((1, 8, 12, 11), (8, 8, 3, 3), stride=stride), np.random.default_rng(1)
    y, w = rng.uniform(0.5, 1, g.y).astype("f4"), rng.standard_normal(g.w).astype("f4")
    w[3, 2, 0, 1] = np.inf
    options: dict[str, Any] = {"stride": stride, "algorithm": name, "output_size": g.x[2:]}
    try:
        nc.explain(nc.conv_transpose2d, y, w, **options)
    except ValueError as error:
        pytest.skip(str(error))
    np.testing.assert_allclose(nc.conv_transpose2d(y, w, **options), convolved(g, "input_grad", y, w).astype("f4"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("row", [row for row, direction in ROWS if direction == "weight_grad"], ids=lambda row: row.name)
@pytest.mark.parametrize("geometry", ["dense", "depthwise"])
def test_gradients_of_padding(row: Kernel, geometry: str) -> None:
    """dy is infinite where some taps are over padding: their gradients are NaN, those of taps on the image infinite."""
    g, rng = GEOMETRIES[geometry], np.random.default_rng(1)
    p = problem(g, "weight_grad", "float32", "channels_first")
    if row.refuses(p):
        pytest.skip(row.refuses(p))
    x, y = rng.uniform(0.5, 1, g.x).astype("f4"), rng.standard_normal(g.y).astype("f4")
    y[0, 2, 0, 5] = np.inf
    exact = convolved(g, "weight_grad", x, y)
    assert np.isnan(exact[2, 0, 0]).all() and np.isinf(exact[2, 0, 1:]).all()
    np.testing.assert_allclose(run(row, p, x, y), exact.astype("f4"), rtol=1e-4, atol=1e-3)


def hidden(rng: np.random.Generator) -> tuple[Array, Array]:
    """An image of which one pixel is large, and filters, for which `auto` takes Winograd in all three directions."""
    x, w = rng.standard_normal((1, 64, 56, 56)).astype("f4"), rng.standard_normal((64, 64, 3, 3)).astype("f4")
    x[0, :, 28, 28] *= 1e5
    return x, w


def ratio(y: Any, exact: Array, magnitude: Array, terms: int) -> float:
    """Error by the bound of a plain sum, at its worst."""
    u = 2.0**-24
    return float((abs(np.asarray(y) - exact) / (terms * u / (1 - terms * u) * magnitude)).max())


def test_elementwise_is_for_all_ways_of_a_call() -> None:
    x, w = hidden(np.random.default_rng(0))
    dy = x[:, :, ::-1].copy()
    g = Geometry(x.shape, w.shape, padding=1)
    exact = {d: convolved(g, d, *a).astype("f8") for d, a in {"forward": (x, w), "input_grad": (dy, w)}.items()}
    sizes = {d: convolved(g, d, *map(abs, a)).astype("f8") for d, a in {"forward": (x, w), "input_grad": (dy, w)}.items()}

    def off(direction: str, y: Any) -> float:
        return ratio(y, exact[direction], sizes[direction], 577)

    ways: dict[str, Any] = {
        "forward": lambda **o: nc.conv2d(x, w, padding=1, **o),
        "forward of a layer": lambda **o: nc.Conv2d(w, padding=1, **o)(x),
        "forward of an operator": lambda **o: (nc.matrix.conv_operator(w, x.shape[1:], padding=1, **o) @ x.ravel()).reshape(x.shape),
        "input_grad, transposed": lambda **o: nc.conv_transpose2d(dy, w, padding=1, **o),
        "input_grad of a layer": lambda **o: nc.ConvTranspose2d(w, padding=1, **o)(dy),
        "input_grad by vjp": lambda **o: nc.vjp(nc.conv2d, x, w, padding=1, **o)[1](dy)[0],
        "input_grad by vjp of a layer": lambda **o: nc.vjp(nc.Conv2d(w, padding=1, **o), x)[1](dy)[0],
        "input_grad by its name": lambda **o: nc.grad.conv2d_input(x.shape, w, dy, padding=1, **o),
    }
    for name, way in ways.items():
        direction = name.split()[0].rstrip(",")
        assert off(direction, way()) > 2, f"{name}: Winograd was not taken, and this test shows nothing"
        assert off(direction, way(accuracy="elementwise")) <= 1, name


def test_elementwise_weight_gradients() -> None:
    """Of a column of dy that is 0: its taps' sums are small, beside those of a large column."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1, 64, 56, 56)).astype("f4"), np.zeros((1, 64, 56, 56), "f4")
    x[..., 30] *= 1e5
    y[..., 28] = rng.standard_normal((1, 64, 56))
    g = Geometry(x.shape, (64, 64, 3, 3), padding=1)
    exact, size = (convolved(g, "weight_grad", *a).astype("f8") for a in ((x, y), (abs(x), abs(y))))
    assert ratio(nc.grad.conv2d_weight(x, g.w, y, padding=1), exact, size, 3136) > 2
    assert ratio(nc.grad.conv2d_weight(x, g.w, y, padding=1, accuracy="elementwise"), exact, size, 3136) <= 1
    _, pullback = nc.vjp(nc.conv2d, x, np.zeros(g.w, "f4"), padding=1, accuracy="elementwise")
    assert ratio(pullback(y)[1], exact, size, 3136) <= 1


def test_elementwise_in_torch() -> None:
    torch = pytest.importorskip("torch")
    import numconv.torch as nt

    x, w = map(torch.from_numpy, hidden(np.random.default_rng(0)))
    g, dy = Geometry(tuple(x.shape), tuple(w.shape), padding=1), x.flip(2).contiguous()
    exact, size = (convolved(g, "input_grad", *a).astype("f8") for a in ((dy.numpy(), w.numpy()), (abs(dy.numpy()), abs(w.numpy()))))
    for accuracy, holds in (("any", False), ("elementwise", True)):
        leaf = x.clone().requires_grad_()
        nt.conv2d(leaf, w, padding=1, accuracy=accuracy).backward(dy)
        assert (ratio(leaf.grad, exact, size, 577) <= 1) == holds


def test_one_nan_reaches_nine() -> None:
    x, w = hidden(np.random.default_rng(0))
    x[0, 0, 28, 28] = np.nan
    assert np.isnan(nc.conv2d(x, w, padding=1, accuracy="elementwise")).any(1).sum() == 9
    assert np.isnan(nc.conv2d(x, w, padding=1)).any(1).sum() > 9  # or this test shows nothing


def test_transforms_overflow_before_sums_do() -> None:
    """What docs/accuracy.md says of samples beyond 2·10³⁷: infinite or NaN by Winograd, right by element-wise sums."""
    rng = np.random.default_rng(0)
    x, w = (rng.uniform(-6e37, 6e37, (1, 64, 56, 56))).astype("f4"), (1e-3 * rng.standard_normal((64, 64, 3, 3))).astype("f4")
    g = Geometry(x.shape, w.shape, padding=1)
    assert not np.isfinite(nc.conv2d(x, w, padding=1)).all()
    y = nc.conv2d(x, w, padding=1, accuracy="elementwise")
    assert ratio(y.astype("f8"), convolved(g, "forward", x, w).astype("f8"), convolved(g, "forward", abs(x), abs(w)).astype("f8"), 577) <= 1


def test_every_convolution_takes_it() -> None:
    rng = np.random.default_rng(0)
    served = 0
    for variant in VARIANTS:
        if "accuracy" not in variant.function.__kwdefaults__ if variant.function.__kwdefaults__ else True:
            assert "algorithm" not in (variant.function.__kwdefaults__ or {}), f"{variant.name} has algorithms, and no accuracy"
            continue
        for case in variant.cases:
            if any(shape is not None and 0 in shape for shape in case.shapes):
                continue
            options = {k: np.ones(v, "f4") if k == "mask" else v for k, v in case.options.items()}
            found = nc.explain(variant.function, *case.arrays(rng), accuracy="elementwise", **options)
            assert {plan.kernel.error_of for plan in found.plans} == {ELEMENT}
            served += 1
    assert served > 60


@pytest.mark.parametrize(("options", "error", "text"), [
    ({"accuracy": "best"}, ValueError, "accuracy must be one of 'any', 'elementwise'; got 'best'"),
    ({"accuracy": 1}, TypeError, "accuracy must be a string; got 1"),
    ({"accuracy": "elementwise", "algorithm": "winograd"}, ValueError, "algorithm 'winograd' has no bound by elements"),
    ({"accuracy": "elementwise", "algorithm": "fft"}, ValueError, "algorithm 'fft' has no bound by elements"),
])  # fmt: skip
def test_refusals(options: dict[str, Any], error: type[Exception], text: str) -> None:
    x, w = np.ones((1, 8, 9, 9), "f4"), np.ones((8, 8, 3, 3), "f4")
    for call, name in (
        (lambda: nc.conv2d(x, w, **options), "conv2d"),
        (lambda: nc.Conv2d(w, **options)(x), "Conv2d"),
        (lambda: nc.explain(nc.conv2d, x, w, **options), "(explain: )?conv2d"),
    ):
        with pytest.raises(error, match=f"^{name}: .*{text}"):
            call()


def test_explain_states_bounds() -> None:
    x, w = np.ones((1, 64, 56, 56), "f4"), np.ones((64, 64, 3, 3), "f4")
    found = nc.explain(nc.conv2d, x, w, np.ones(64, "f4"), algorithm="direct")
    assert found.bound.goes_with == "element"
    assert found.bound.factor == 577 * 2.0**-24 / (1 - 577 * 2.0**-24)
    assert "error: at most 3.4e-05 · Σ|x||w| of the element itself" in str(found)
    assert nc.explain(nc.conv2d, x, w, algorithm="winograd").bound.goes_with == "tile"
    assert "0.0051 tile" in str(nc.explain(nc.conv2d, x, w))
    assert nc.explain(nc.conv2d, x.astype("i2"), w.astype("i2")).bound.factor == 0
    assert nc.explain(nc.conv2d, x.astype("f2"), w.astype("f2")).bound.stored == 2.0**-11
    layer = nc.Conv2d(w, padding=1, accuracy="elementwise")
    assert nc.explain(layer, x).bound.goes_with == "element"


def test_how_much_transforms_amplify() -> None:
    """By hand, for F(2, 3): |Aᵀ||G|… of its textbook matrices."""
    b = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    g = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    a = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
    assert amplification(4, 3) == (abs(a) @ (abs(b).sum(1) * abs(g).sum(1))).max()
    assert amplification(4, 3, "weight_grad") == (abs(g).T @ (abs(b).sum(1) * abs(a).sum(0))).max()
