"""The bridge to autograd: values, first and second derivatives, training through it."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import numconv as nc
import numconv.torch as bridge
from numconv.catalog import VARIANTS


def tensor(*shape: int, dtype: Any = None, grad: bool = True) -> Any:
    return torch.randn(*shape, dtype=dtype or torch.float64, requires_grad=grad)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


#: each element is a pass back and two forward, where `fast_mode` does not compare along one random direction for all of them
SIZES: tuple[int, ...] = (3, 4, 3)
OPTIONS = [
    {},
    {"stride": 2, "padding": 1, "groups": 2},
    {"dilation": 2, "padding": 2},
]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("transposed", [False, True])
def test_derivatives(rank: int, options: dict[str, Any], dtype: Any, transposed: bool) -> None:
    name = f"conv_transpose{rank}d" if transposed else f"conv{rank}d"
    groups = options.get("groups", 1)
    x = tensor(2, 2, *SIZES[:rank], dtype=dtype)
    w = tensor(2, 2 // groups, *(2, 3, 2)[:rank], dtype=dtype)
    bias = tensor(2, dtype=dtype)

    def function(*arrays: Any) -> Any:
        return getattr(bridge, name)(*arrays, **options)

    torch.testing.assert_close(function(x, w, bias), getattr(torch.nn.functional, name)(x, w, bias, **options))
    assert torch.autograd.gradcheck(function, (x, w, bias), fast_mode=rank > 2)
    if rank < 3:
        assert torch.autograd.gradgradcheck(function, (x, w, bias), fast_mode=rank > 1)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular", "symmetric"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_padding_modes_activations_and_layouts(mode: str, layout: str) -> None:
    x, w, bias = tensor(1, 5, 4, 2) if layout == "channels_last" else tensor(1, 2, 5, 4), tensor(3, 2, 3, 3), tensor(3)
    for activation in ("tanh", "silu", None):
        options = {"padding": ((1, 2), (2, 0)), "padding_mode": mode, "layout": layout, "activation": activation}

        def function(*arrays: Any, options: dict[str, Any] = options) -> Any:
            return bridge.conv2d(*arrays, **options)

        expected = nc.conv2d(*(t.detach().numpy() for t in (x, w, bias)), **options)
        np.testing.assert_allclose(function(x, w, bias).detach().numpy(), expected, rtol=1e-12, atol=1e-12)
        assert torch.autograd.gradcheck(function, (x, w, bias), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (x, w, bias), fast_mode=True)


def test_one_sample_and_mixed_types() -> None:
    x, w = tensor(2, 5, 5, dtype=torch.float32), tensor(3, 2, 3, 3)
    y = bridge.conv2d(x, w)
    assert (y.shape, y.dtype) == ((3, 3, 3), torch.float64)
    y.sum().backward()
    assert (x.grad.dtype, x.grad.shape, w.grad.dtype) == (torch.float32, x.shape, torch.float64)


def test_gradients_that_nobody_wants_are_not_computed() -> None:
    x, w = tensor(1, 2, 5, 5, grad=False), tensor(3, 2, 3, 3)
    bridge.conv2d(x, w).sum().backward()
    assert x.grad is None
    assert w.grad is not None


def test_every_other_operator() -> None:
    x, fc1, fc2 = tensor(2, 4, 5, 4), tensor(2, 4), tensor(3, 2)
    kernels = tensor(3, 2, 4, 3, 3)
    cases = [
        (lambda x: bridge.channel_shuffle(x, 2), (x,)),
        (lambda x: bridge.resize2d(x, scale=2, mode="bilinear"), (x,)),
        (lambda x, w: bridge.depthwise_conv2d(x, w, padding="same"), (x, tensor(4, 1, 3, 3))),
        (lambda x, a, b, c: bridge.depthwise_separable_conv2d(x, a, b, mid_bias=c), (x, tensor(4, 1, 3, 3), tensor(2, 4), tensor(4))),
        (lambda x, a, b, k: bridge.dynamic_conv2d(x, k, bridge.dynamic_attention(x, a, b)), (x, fc1, fc2, kernels)),
        (lambda x, o, w: bridge.deform_conv2d(x, o, w), (x, tensor(2, 18, 3, 2), tensor(3, 4, 3, 3))),
    ]
    for function, arrays in cases:
        assert torch.autograd.gradcheck(function, arrays, fast_mode=True)
    assert {v.name for v in VARIANTS} <= set(dir(bridge))
    with pytest.raises(AttributeError, match=r"numconv\.torch.*'conv4d'"):
        bridge.conv4d  # noqa: B018


def test_refusals() -> None:
    with pytest.raises(TypeError, match=r"numconv\.torch\.conv2d: x must be a torch\.Tensor; got numpy\.ndarray"):
        bridge.conv2d(np.ones((1, 1, 3, 3)), tensor(1, 1, 2, 2))
    with pytest.raises(ValueError, match=r"numconv\.torch\.conv2d: w expects 3 input channels"):
        bridge.conv2d(tensor(1, 2, 4, 4), tensor(1, 3, 2, 2))


def test_a_model_trains() -> None:
    """A filter is found again from what it does."""
    target = torch.tensor([[[[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]]], dtype=torch.float64)
    x = tensor(8, 1, 9, 9, grad=False)
    y = bridge.conv2d(x, target)
    w = torch.zeros_like(target, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.2)
    for _ in range(200):
        optimizer.zero_grad()
        loss = ((bridge.conv2d(x, w) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(w.detach(), target, atol=1e-6, rtol=0)


def test_example_runs() -> None:
    found = doctest.DocTestFinder(recurse=False).find(bridge.apply, globs={"torch": torch, "nc": nc, "apply": bridge.apply})
    assert doctest.DocTestRunner().run(found[0]).failed == 0


@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_signals(name: str, mode: str) -> None:
    function = getattr(bridge, name)
    for sizes in ((7, 3), (3, 7)):
        assert torch.autograd.gradcheck(lambda a, b: function(a, b, mode), tuple(tensor(n) for n in sizes))


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda f, x, w: f.conv2d(x, w, stride="a"), TypeError, "conv2d: stride must be an integer or 2 of them; got 'a'"),
    (lambda f, x, w: f.conv2d(x, w, algorithm="best"), ValueError, "conv2d: unknown algorithm 'best'"),
    (lambda f, x, w: f.conv2d(x, w, algorithm=3), TypeError, "conv2d: algorithm must be a string; got 3"),
    (lambda f, x, w: f.conv2d(x, w, accuracy="best"), ValueError, "conv2d: accuracy must be one of 'any', 'elementwise'; got 'best'"),
    (lambda f, x, w: f.conv2d(x), TypeError, "conv2d: missing a required argument: 'w'"),
    (lambda f, x, w: f.conv2d(x, w, out=x), TypeError, "conv2d: got an unexpected keyword argument 'out'"),
    (lambda f, x, w: f.conv2d(x.to_sparse(), w), TypeError, "conv2d: .*to_dense"),
    (lambda f, x, w: f.conv2d(x.to("meta"), w), TypeError, "conv2d: has no data"),
    (lambda f, x, w: f.conv_transpose2d(x, w, output_size=99), ValueError, "conv_transpose2d: output_size .* is impossible"),
    (lambda f, x, w: f.resize2d(x, scale="a"), TypeError, "resize2d: scale must be a number"),
    (lambda f, x, w: f.resize2d(), TypeError, "resize2d: missing a required argument: 'x'"),
    (lambda f, x, w: f.channel_shuffle(x, 3), ValueError, "channel_shuffle: x has 4 channels"),
    (lambda f, x, w: f.apply(print, x), TypeError, "apply: function must be an operator of numconv; got <built-in function print>"),
])  # fmt: skip
def test_errors_begin_with_the_functions_name(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^numconv.torch.{text}"):
        call(bridge, torch.ones(1, 4, 9, 9), torch.ones(4, 4, 3, 3))
