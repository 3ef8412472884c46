"""Gradients of device arrays in the simulator: as those of the same arrays on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import ALL, IDS
from numba import cuda

import numconv as nc
from numconv.catalog import Case, Variant
from numconv.cuda.operators.deformable import backward as deformable_grad

SMALL = [
    (variant, case)
    for variant, case in ALL
    if variant.name not in ("conv1d", "conv3d", "conv_transpose1d", "conv_transpose3d", "conv2d", "conv_transpose2d", "deform_conv2d")
    and case.label != "empty batch"
]


def compare(function: Any, arrays: list[Any], options: dict[str, Any], tolerance: float = 1e-10) -> None:
    y, pullback = nc.vjp(function, *arrays, **options)
    rng = np.random.default_rng(1)
    dy = rng.standard_normal(y.shape).astype(y.dtype)
    z, pull = nc.vjp(function, *(None if a is None else cuda.to_device(a) for a in arrays), **options)
    np.testing.assert_allclose(z.copy_to_host().astype(y.dtype), y, rtol=tolerance, atol=tolerance)
    for ours, expected in zip(pull(cuda.to_device(dy)), pullback(dy), strict=True):
        assert (ours is None) == (expected is None)
        if ours is not None:
            found = ours.copy_to_host()
            assert found.dtype == expected.dtype
            wide = np.complex128 if found.dtype.kind == "c" else np.float64
            np.testing.assert_allclose(found.astype(wide), expected.astype(wide), rtol=tolerance, atol=tolerance)


def some(shapes: tuple[Any, ...], dtype: str = "float64") -> list[Any]:
    rng = np.random.default_rng(0)
    found = [None if s is None else rng.standard_normal(s) for s in shapes]
    return [None if a is None else (a + 1j * a[::-1] if dtype[0] == "c" else a).astype(dtype) for a in found]


@pytest.mark.parametrize(("variant", "case"), SMALL, ids=[i for v, i in zip(ALL, IDS, strict=True) if v in SMALL])
def test_variants(variant: Variant, case: Case) -> None:
    compare(variant.function, some(case.shapes), case.options)


X, W = (1, 2, 4, 5), (2, 2, 3, 2)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular", "symmetric"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_padding_modes(mode: str, layout: str) -> None:
    shape = X if layout == "channels_first" else (1, 4, 5, 2)
    compare(nc.conv2d, some((shape, W, (2,))), {"padding": ((1, 0), (2, 1)), "stride": (1, 2), "padding_mode": mode, "layout": layout})


@pytest.mark.parametrize("activation", ["relu", "relu6", "silu", "hardswish", "sigmoid", "tanh"])
def test_activations(activation: str) -> None:
    compare(nc.conv2d, some((X, W, (2,))), {"activation": activation})


@pytest.mark.parametrize("dtype", ["complex64", "float32", "float16"])
def test_types(dtype: str) -> None:
    compare(nc.conv_transpose2d, some(((1, 2, 2, 3), (2, 2, 2, 2), (2,)), dtype), {"stride": 2}, 1e-2 if dtype == "float16" else 1e-4)


def test_mixed_types_and_empty() -> None:
    compare(nc.conv1d, [some(((1, 2, 5),))[0], some(((2, 2, 2),), "complex128")[0]], {})
    y, pullback = nc.vjp(nc.conv1d, cuda.to_device(np.zeros((0, 2, 5))), cuda.to_device(np.ones((3, 2, 2))))
    dx, dw = pullback(y)
    assert (dx.shape, dw.shape) == ((0, 2, 5), (3, 2, 2))
    np.testing.assert_array_equal(dw.copy_to_host(), 0)


def test_refusals() -> None:
    y, pullback = nc.vjp(nc.channel_shuffle, cuda.to_device(np.ones((1, 2, 3))), 2)
    with pytest.raises(TypeError, match="vjp: dy must be on cuda, as y is; got numpy.ndarray"):
        pullback(np.ones(y.shape))


DEFORMED = [
    (((2, 3, 5, 6), (2, 18, 3, 4), (4, 3, 3, 3), (4,), None), {}),
    (((1, 4, 6, 7), (1, 24, 3, 4), (4, 2, 3, 2), None, (1, 12, 3, 4)), {"stride": 2, "padding": 1, "dilation": (1, 2)}),
    (((3, 2, 4, 4), (3, 16, 3, 3), (2, 2, 2, 2), (2,), (3, 8, 3, 3)), {"activation": "tanh"}),
]


@pytest.mark.parametrize(("shapes", "options"), DEFORMED, ids=["plain", "mask, groups", "two offset groups"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_deformable(shapes: Any, options: dict[str, Any], dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deformable_grad, "MOST_COLUMNS", 2 * 18 * 30 * 8)  # several chunks
    arrays = some(shapes, dtype)
    arrays[1] = (arrays[1] * 2).astype(dtype)
    arrays[1][0, :, 0, 0] = -1  # whole positions
    arrays[1][-1, :, -1, -1] = 40  # off the image

    *first, mask = arrays
    on = [None if a is None else cuda.to_device(a) for a in arrays]
    y, pullback = nc.vjp(nc.deform_conv2d, *first, mask=mask, **options)
    z, pull = nc.vjp(nc.deform_conv2d, *on[:4], mask=on[4], **options)
    tolerance = {"float64": 1e-10, "float32": 1e-4, "float16": 2e-2}[dtype]
    np.testing.assert_allclose(z.copy_to_host(), y, rtol=tolerance, atol=tolerance)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    for ours, expected in zip(pull(cuda.to_device(dy)), pullback(dy), strict=True):
        assert (ours is None) == (expected is None)
        if ours is not None:
            assert ours.dtype == expected.dtype
            np.testing.assert_allclose(ours.copy_to_host(), expected, rtol=tolerance, atol=tolerance * (1 + abs(expected).max()))


def test_names_of_torch_nn_grad() -> None:
    x, w = some((X, W))
    dy = some(((1, 2, 2, 4),))[0]
    on = cuda.to_device
    np.testing.assert_allclose(nc.grad.conv2d_input(X, on(w), on(dy)).copy_to_host(), nc.grad.conv2d_input(X, w, dy), atol=1e-10)
    np.testing.assert_allclose(nc.grad.conv2d_weight(on(x), W, on(dy)).copy_to_host(), nc.grad.conv2d_weight(x, W, dy), atol=1e-10)
