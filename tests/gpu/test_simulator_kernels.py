"""Every row of the CUDA table in the simulator, exactly on small integers: types, layouts, padding modes, edges."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import reference
from numba import cuda

from numconv.cuda import costs, device
from numconv.cuda.dense.tensor_cores import rows as tensor_core
from numconv.cuda.depthwise.halo import plan as halo
from numconv.cuda.stages import warp_tiles
from numconv.cuda.stages.implicit_gemm import product as implicit_gemm
from numconv.cuda.weight_grad.tensor_cores import plan as tensor_core_weights
from numconv.plan import make_plan
from numconv.problem import ConvProblem

#: label → spatial, kernel, and what is not the default; for input_grad `spatial` is that of its input
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"spatial": (4, 5), "kernel": (3, 3), "pad": 1},
    "one axis, groups, stride, dilation": {"spatial": (9,), "kernel": (3,), "groups": 2, "stride": 2, "pad": 2, "dilation": 2},
    "three axes, all unequal": {
        "spatial": (2, 3, 4), "kernel": (2, 3, 2), "stride": (1, 2, 1), "pad": ((1, 1), (1, 2), (1, 1)), "dilation": (1, 1, 2),
        "channels": 2, "filters": 3, "batch": 1,
    },
    "channels last, relu": {"spatial": (3, 4), "kernel": (3, 2), "stride": (2, 1), "pad": 1, "layout": "channels_last", "act": "relu"},
    "pointwise, stride, no bias": {"spatial": (3, 4), "kernel": (1, 1), "stride": 2, "bias": False},
    "shuffled groups": {"spatial": (3, 3), "kernel": (3, 2), "groups": 2, "shuffle": 2, "channels": 4, "filters": 4, "pad": 1},
}  # fmt: skip
DEPTHWISE: dict[str, dict[str, Any]] = {
    "plain": {"spatial": (6, 5), "kernel": (3, 3), "pad": 1},
    "multiplier, stride, dilation, relu6, shuffle": {
        "spatial": (7, 5), "kernel": (3, 3), "pad": 2, "stride": (2, 1), "dilation": (1, 2), "filters": 6, "act": "relu6", "shuffle": 3,
    },
    "channels last": {"spatial": (5, 5), "kernel": (2, 3), "pad": 1, "stride": 2, "layout": "channels_last"},
    "one axis": {"spatial": (8,), "kernel": (5,), "pad": 2},
    "three axes": {"spatial": (3, 4, 4), "kernel": (2, 3, 2), "pad": 1, "stride": (2, 1, 2)},
    "three axes, dilation": {"spatial": (5, 3, 4), "kernel": (2, 2, 2), "pad": 1, "dilation": (2, 1, 2)},
    "dilation beyond the window": {"spatial": (9, 4), "kernel": (3, 3), "pad": 9, "dilation": 9},
    "by four": {"spatial": (5, 8), "kernel": (3, 3), "pad": 1, "act": "relu"},
    "by four, stride, dilation": {"spatial": (6, 12), "kernel": (2, 3), "pad": (0, 2), "stride": (1, 3), "dilation": (2, 2), "shuffle": 3},
    "by four, channels last": {"spatial": (4, 5), "kernel": (3, 3), "pad": 1, "layout": "channels_last", "channels": 12, "filters": 12, "groups": 12},
    "multiplier, channels last": {"spatial": (4, 3), "kernel": (3, 2), "pad": 1, "layout": "channels_last", "filters": 6, "dilation": (1, 2)},
    "rows in pieces": {"spatial": (16,), "kernel": (13,), "pad": 24, "dilation": 4},
}  # fmt: skip
TYPES = ("float64", "float16", "bfloat16", "complex64", "complex128", "int8", "uint8", "int64")
NARROW = {"int8": "int32", "uint8": "int32", "int16": "int32"}
FORWARD, TRANSPOSED = ("implicit_gemm", "direct"), ("direct", "gather", "scatter", "matrix", "zero_insertion")


def numpy_type(name: str) -> Any:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    low = 0 if dtype.startswith("u") else -2
    found = rng.integers(low, 3, shape)
    return (found + 1j * rng.integers(low, 3, shape) if dtype.startswith("complex") else found).astype(numpy_type(dtype))


def put(array: Any, layout: str = "channels_first") -> Any:
    if array is None:
        return None
    return cuda.to_device(np.ascontiguousarray(np.moveaxis(array, 1, -1) if layout == "channels_last" else array))


def check(
    row: str, direction: str, spatial: tuple[int, ...], kernel: tuple[int, ...], *, channels: int = 4, filters: int = 6, groups: int = 1,
    batch: int = 2, stride: Any = 1, pad: Any = 0, dilation: Any = 1, bias: bool = True, act: str | None = None, mode: str = "zeros",
    layout: str = "channels_first", shuffle: int = 1, dtype: str = "float32", output_padding: int = 0, precision: str = "highest",
) -> None:  # fmt: skip
    """Run a row on small integers and compare every element with the oracle."""
    rng, rank = np.random.default_rng(0), len(spatial)
    stride, dilation, pads = reference.per_axis(stride, rank), reference.per_axis(dilation, rank), reference.pairs(pad, rank)
    axes = list(zip(spatial, kernel, stride, dilation, pads, strict=True))
    if direction == "input_grad":
        outputs = spatial
        spatial = tuple((o - 1) * s - lo - hi + d * (k - 1) + 1 + output_padding for o, k, s, d, (lo, hi) in axes)
    else:
        outputs = tuple((i + lo + hi - d * (k - 1) - 1) // s + 1 for i, k, s, d, (lo, hi) in axes)
    out_dtype = NARROW.get(dtype, dtype)
    problem = ConvProblem(
        direction, batch, channels, filters, groups, spatial, kernel, tuple(stride), tuple(lo for lo, _ in pads), tuple(dilation), outputs,
        dtype, out_dtype, mode, layout, bias, act, shuffle, precision,
    )  # fmt: skip
    source, target = (filters, channels) if direction == "input_grad" else (channels, filters)
    x = integers(rng, (batch, source, *problem.source[1]), dtype)
    if direction == "weight_grad":
        dy = integers(rng, (batch, filters, *outputs), dtype)
        arrays = put(x, layout), put(dy, layout)
        expected = reference.weight_grad(x, dy, kernel, stride, pads, dilation, groups, mode)
    else:
        w = integers(rng, problem.weight_shape, dtype)
        b = integers(rng, (target,), out_dtype) if bias else None
        arrays = put(x, layout), put(w), put(b)
        if direction == "forward":
            expected = reference.conv(x, w, b, stride, pads, dilation, groups, mode, act)
        else:
            expected = reference.conv_transpose(x, w, b, stride, pads, output_padding, groups, dilation, act)
        expected = reference.shuffle(expected, shuffle) if shuffle > 1 else expected
        expected = np.moveaxis(expected, 1, -1) if layout == "channels_last" else expected
    plan = make_plan(problem, device.machine(), device.table(), row)
    out = device.empty(problem.result_shape, out_dtype, arrays[0])
    device.execute(plan, arrays, out)
    got = out.copy_to_host()
    np.testing.assert_array_equal(got.astype(expected.dtype), expected)


#: what the forms of the implicit GEMM are for: 128-bit reads and stores, reads along channels
FORMS: dict[str, dict[str, Any]] = {
    "pointwise quads": {"spatial": (4, 5), "kernel": (1, 1), "channels": 5, "act": "relu"},
    "pointwise quads, groups": {"spatial": (4, 5), "kernel": (1, 1), "channels": 6, "groups": 2, "shuffle": 2, "bias": False},
    "quad stores": {"spatial": (4, 4), "kernel": (3, 3), "channels": 2, "pad": 1},
    "channels last": {"spatial": (4, 5), "kernel": (3, 3), "channels": 12, "groups": 2, "pad": 1, "stride": 2, "layout": "channels_last"},
}


@pytest.mark.parametrize("label", FORMS)
@pytest.mark.parametrize(("row", "direction"), [("implicit_gemm", "forward"), ("gather", "input_grad")])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_forms(row: str, direction: str, label: str, dtype: str) -> None:
    check(row, direction, **FORMS[label], dtype=dtype, batch=1)


TENSOR_SHAPES: dict[str, dict[str, Any]] = {
    "two chunks, two tiles across": {"spatial": (3, 4), "kernel": (3, 3), "pad": 1, "channels": 10, "filters": 10, "batch": 1},
    "groups, stride, dilation": {
        "spatial": (9,), "kernel": (3,), "groups": 2, "stride": 2, "pad": 2, "dilation": 2, "channels": 8, "filters": 16,
    },
    "three axes, padded channels": {**SHAPES["three axes, all unequal"], "channels": 5},
    "channels last in place": {
        "spatial": (4, 4), "kernel": (3, 2), "stride": (2, 3), "pad": 1, "channels": 16, "filters": 8, "layout": "channels_last",
        "act": "relu", "batch": 1,
    },
    "channels last, padded": {"spatial": (3, 4), "kernel": (1, 1), "channels": 3, "filters": 3, "layout": "channels_last", "bias": False},
}  # fmt: skip


@pytest.mark.parametrize("label", TENSOR_SHAPES)
@pytest.mark.parametrize("direction", ["forward", "input_grad"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_tensor_core(dtype: str, direction: str, label: str) -> None:
    """Small integers are exact in every one of the types, tf32 too."""
    row, precision = ("tensor_core_tf32", "tf32") if dtype == "float32" else ("tensor_core", "highest")
    check(row, direction, **TENSOR_SHAPES[label], dtype=dtype, precision=precision)


#: more positions than a stage has, so that they advance with carries through every axis and sample
MANY_POSITIONS: dict[str, dict[str, Any]] = {
    "two axes": {"spatial": (9, 11), "kernel": (3, 2), "stride": (2, 1), "pad": 1, "channels": 3, "filters": 5},
    "three axes": {"spatial": (3, 4, 5), "kernel": (2, 1, 3), "pad": (1, 0, 1), "channels": 4, "filters": 6, "groups": 2},
    "one axis, channels last": {"spatial": (70,), "kernel": (3,), "channels": 8, "filters": 8, "layout": "channels_last"},
}


@pytest.mark.parametrize(
    ("dtype", "parts", "label"),
    [(dtype, 1, label) for dtype in ("float16", "float32") for label in TENSOR_SHAPES]
    + [(dtype, 3, label) for dtype in ("float16", "float32") for label in MANY_POSITIONS]
    + [("bfloat16", 1, "two axes")],
)
def test_tensor_core_weight_grad(dtype: str, parts: int, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row, precision = ("tensor_core_tf32", "tf32") if dtype == "float32" else ("tensor_core", "highest")
    monkeypatch.setattr(tensor_core_weights, "schedule", forced(parts))
    options = {**TENSOR_SHAPES, **MANY_POSITIONS}[label]
    check(row, "weight_grad", **{**options, "act": None}, dtype=dtype, precision=precision)


def test_tensor_core_weight_grad_of_nothing_is_zero() -> None:
    check("tensor_core", "weight_grad", (4, 4), (2, 2), channels=2, filters=2, batch=0, dtype="float16")


def forced(parts: int) -> Any:
    """A choice of so many parts."""

    def schedule(problem: ConvProblem) -> Any:
        tile = warp_tiles.SIMULATED_WARP_TILES[0]
        total, step = problem.batch * prod(problem.outputs), warp_tiles.stage_terms(tile, problem.dtype)
        length = -(-total // (parts * step)) * step
        return tile, length, -(-total // length)

    return schedule


@pytest.mark.parametrize("label", SHAPES)
@pytest.mark.parametrize("row", FORWARD)
def test_forward(row: str, label: str) -> None:
    check(row, "forward", **SHAPES[label])


@pytest.mark.parametrize("label", SHAPES)
@pytest.mark.parametrize("row", TRANSPOSED)
def test_transposed(row: str, label: str) -> None:
    check(row, "input_grad", **SHAPES[label])


@pytest.mark.parametrize("label", [label for label in SHAPES if "shuffled" not in label])
def test_weight_grad(label: str) -> None:
    check("implicit_gemm", "weight_grad", **{**SHAPES[label], "act": None})


@pytest.mark.parametrize("label", DEPTHWISE)
def test_depthwise(label: str) -> None:
    check("depthwise", "forward", **{"channels": 3, "filters": 3, "groups": 3, "batch": 1, **DEPTHWISE[label]})


@pytest.mark.parametrize("label", [label for label in DEPTHWISE if "four" not in label])
def test_depthwise_by_strips(label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no tile of shared memory holds."""
    monkeypatch.setattr(halo, "form_of", lambda *arguments: None)
    check("depthwise", "forward", **{"channels": 3, "filters": 3, "groups": 3, "batch": 1, **DEPTHWISE[label]})


@pytest.mark.parametrize(("layout", "tile"), [("channels_first", (2, 2, 4, 4)), ("channels_last", (8, 2, 4, 4))])
def test_depthwise_with_several_strips_and_threads_across(layout: str, tile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halo, "HALO_TILES", dict.fromkeys((False, True), (halo.HaloTile(*tile),)))
    halo._with_tile.cache_clear()
    check("depthwise", "forward", (9, 12), (3, 3), channels=8, filters=8, groups=8, stride=(2, 1), pad=1, layout=layout, batch=1)
    halo._with_tile.cache_clear()


def test_tiles_are_chosen_by_waste_and_shared_memory() -> None:
    def form(spatial: Any, kernel: Any, dilation: int = 1, layout: str = "channels_first") -> Any:
        tiles = {False: halo.FIRST_HALO_TILES, True: halo.LAST_HALO_TILES}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(halo, "HALO_TILES", tiles)
            halo._with_tile.cache_clear()
            pads = tuple(dilation * (k // 2) for k in kernel)
            p = ConvProblem(
                "forward", 32, 256, 256, 256, spatial, kernel, (1, 1), pads, (dilation,) * 2, spatial, "float32", "float32", layout=layout
            )
            found = halo.form_of(p, None, None)
        halo._with_tile.cache_clear()
        return found

    assert form((7, 7), (3, 3)).tile == halo.HaloTile(16, 2, 2, 4) and not form((7, 7), (3, 3)).quad_loads
    assert form((112, 112), (3, 3)).quad_loads and form((112, 112), (3, 3)).shift == 3
    for layout in ("channels_first", "channels_last"):
        large = form((56, 56), (31, 31), layout=layout)
        assert halo.sizes(large).elements * 4 <= halo.UNASKED_SHARED
        assert form((512, 512), (7, 7), 96, layout) is None


@pytest.mark.parametrize("label", DEPTHWISE)
def test_depthwise_weight_grad(label: str) -> None:
    options = {"channels": 3, "filters": 3, "groups": 3, "batch": 2, **DEPTHWISE[label], "act": None, "shuffle": 1}
    check("depthwise", "weight_grad", **options)


@pytest.mark.parametrize("label", [label for label in DEPTHWISE if "stride" not in DEPTHWISE[label] and "multiplier" not in label])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_depthwise_transposed(label: str, dtype: str) -> None:
    spatial = DEPTHWISE[label]["spatial"]
    small = {"pad": 1, "dilation": 1} if "dilation" in label else {}
    check(
        "depthwise",
        "input_grad",
        **{"channels": 3, "filters": 3, "groups": 3, **DEPTHWISE[label], **small, "spatial": spatial},
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("row", FORWARD)
def test_types_forward(row: str, dtype: str) -> None:
    check(row, "forward", (4, 3), (2, 2), channels=2, filters=4, groups=2, stride=(2, 1), pad=1, batch=1, dtype=dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("row", TRANSPOSED)
def test_types_transposed(row: str, dtype: str) -> None:
    check(row, "input_grad", (2, 3), (2, 2), channels=2, filters=4, groups=2, stride=(2, 1), pad=1, batch=1, dtype=dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_types_weight_grad(dtype: str) -> None:
    check("implicit_gemm", "weight_grad", (4, 3), (2, 2), channels=2, filters=4, groups=2, stride=(2, 1), pad=1, batch=1, dtype=dtype)


@pytest.mark.parametrize("dtype", TYPES)
def test_types_depthwise(dtype: str) -> None:
    check("depthwise", "forward", (4, 3), (2, 2), channels=2, filters=4, groups=2, stride=(2, 1), pad=1, batch=1, dtype=dtype)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "symmetric"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_padding_modes(mode: str, layout: str) -> None:
    pads = ((2, 1), (1, 2))
    check("direct", "forward", (4, 3), (3, 3), channels=2, filters=2, pad=pads, mode=mode, stride=2, layout=layout, batch=1)
    check("implicit_gemm", "weight_grad", (4, 3), (3, 3), channels=2, filters=2, pad=pads, mode=mode, stride=2, layout=layout, batch=1)


@pytest.mark.parametrize(
    ("row", "direction", "options"),
    [
        ("implicit_gemm", "forward", {"channels": 16, "filters": 3, "act": "relu"}),
        (
            "implicit_gemm",
            "forward",
            {"channels": 32, "filters": 4, "groups": 2, "shuffle": 2, "layout": "channels_last", "dtype": "float16"},
        ),
        ("gather", "input_grad", {"channels": 3, "filters": 32, "stride": 2}),
        ("tensor_core", "forward", {"channels": 128, "filters": 4, "dtype": "float16"}),
    ],
)
def test_split_k_adds_its_parts(row: str, direction: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Few outputs and a long sum, tiles and parts chosen for a card so slow that a second launch costs nothing beside the sums."""
    chosen = []
    gemm = costs.gemm
    monkeypatch.setattr(costs, "H100", replace(costs.H100, flops=1e9))
    monkeypatch.setattr(costs, "gemm", lambda *a: chosen.append(gemm(*a)) or chosen[-1])
    for module in (implicit_gemm, tensor_core):
        monkeypatch.setattr(module, "schedule", module.schedule.__wrapped__)  # what is cached was chosen for another card
    spatial = (2, 2) if direction == "input_grad" else (4, 3)
    check(row, direction, spatial, (3, 3), pad=1, batch=1, **options)
    assert max(found.parts for found in chosen) > 1


@pytest.mark.parametrize("row", TRANSPOSED)
def test_stride_beyond_the_kernel_leaves_holes_at_the_bias(row: str) -> None:
    check(row, "input_grad", (2, 2), (2, 1), stride=3, output_padding=2, channels=2, filters=2, batch=1)


@pytest.mark.parametrize("act", ["silu", "sigmoid", "tanh", "hardswish"])
def test_activations_let_nan_and_infinity_through(act: str) -> None:
    from numconv.cuda.scalars import activation

    function = activation(act, "float32")
    values = np.array([-1000.0, -3.5, -1.0, -0.0, 0.5, 3.5, 1000.0, np.inf, np.nan], np.float32)
    got = np.array([function(v) for v in values])
    expected = reference.finish(values.reshape(1, 1, -1).astype(np.float64), None, act).reshape(-1)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
