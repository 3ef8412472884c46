"""Gradients against torch, where it has the operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_gradients import random

import numconv as nc


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_against_torch_nn_grad(rank: int, groups: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(13)
    x, w = random(rng, (2, 4, 9, 8, 7)[: rank + 2]), random(rng, (6, 4 // groups, 3, 2, 3)[: rank + 2])
    options = {"stride": 2, "padding": 1, "dilation": (1, 2, 1)[:rank], "groups": groups}
    dy = random(rng, getattr(nc, f"conv{rank}d")(x, w, **options).shape)
    theirs, ours = torch.nn.grad, nc.grad
    tx, tw, tdy = map(torch.from_numpy, (x, w, dy))
    np.testing.assert_allclose(
        getattr(ours, f"conv{rank}d_input")(x.shape, w, dy, **options),
        getattr(theirs, f"conv{rank}d_input")(x.shape, tw, tdy, **options), rtol=1e-10, atol=1e-10,
    )  # fmt: skip
    np.testing.assert_allclose(
        getattr(ours, f"conv{rank}d_weight")(x, w.shape, dy, **options),
        getattr(theirs, f"conv{rank}d_weight")(tx, w.shape, tdy, **options), rtol=1e-10, atol=1e-10,
    )  # fmt: skip


TORCH = [
    ("conv2d", ((2, 4, 9, 8), (6, 2, 3, 3), (6,)), {"stride": 2, "padding": 1, "groups": 2}),
    ("conv_transpose2d", ((2, 4, 5, 6), (4, 3, 3, 3), (6,)), {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2}),
    ("conv_transpose3d", ((1, 2, 3, 4, 3), (2, 3, 2, 3, 2), (3,)), {"stride": 2}),
    ("unfold", ((2, 3, 7, 8),), {"kernel": (3, 2), "stride": 2, "padding": 1}),
]


@pytest.mark.parametrize(("name", "shapes", "options"), TORCH, ids=lambda v: v if isinstance(v, str) else None)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_against_torch(name: str, shapes: Any, options: dict[str, Any], dtype: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(14)
    arrays = [random(rng, s, dtype) for s in shapes]
    y, pullback = nc.vjp(getattr(nc, name), *arrays, **options)
    dy = random(rng, y.shape, dtype)
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    theirs = {"kernel_size" if k == "kernel" else k: v for k, v in options.items()}
    getattr(torch.nn.functional, name)(*tensors, **theirs).backward(torch.from_numpy(dy))
    for ours, tensor in zip(pullback(dy), tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [{"mode": "nearest", "scale": 1.7}, {"mode": "bilinear", "size": (9, 5)}, {"mode": "bilinear", "size": (3, 11), "align_corners": True}],
)
def test_resize_against_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(15)
    x = random(rng, (2, 3, 6, 7))
    y, pullback = nc.vjp(nc.resize2d, x, **options)
    dy = random(rng, y.shape)
    tensor = torch.tensor(x, requires_grad=True)
    theirs = {"scale_factor" if k == "scale" else k: v for k, v in options.items()}
    torch.nn.functional.interpolate(tensor, **theirs).backward(torch.from_numpy(dy))
    np.testing.assert_allclose(pullback(dy)[0], tensor.grad.numpy(), rtol=1e-10, atol=1e-10)
