"""`numconv.torch.replace`: values, training, packed weights that follow the parameters, and that a model stays what it was."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `torch`")

import numconv as nc
from numconv import torch_modules

nn = torch.nn


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(45)


class Net(nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self, rank: int, dtype: Any) -> None:
        super().__init__()
        conv, transposed, norm = (getattr(nn, f"{name}{rank}d") for name in ("Conv", "ConvTranspose", "BatchNorm"))
        self.body = nn.Sequential(
            conv(2, 4, 3, padding=1, padding_mode="reflect"), norm(4), nn.ReLU(), conv(4, 4, 3, stride=2, groups=2, dilation=2, padding=2),
            nn.ModuleList([transposed(4, 3, 3, stride=2, output_padding=1, bias=False)])[0],
        )  # fmt: skip
        self.head = conv(3, 2, 1, padding="same")
        self.to(dtype)

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x))


def net(rank: int = 2, dtype: Any = torch.float64) -> tuple[Any, Any]:
    """A model as torch has it, and the same one replaced."""
    plain = Net(rank, dtype)
    return plain, nc.torch.replace(copy.deepcopy(plain))


def image(rank: int = 2, dtype: Any = torch.float64, batch: int = 2, grad: bool = False) -> Any:
    return torch.randn(batch, 2, *(7, 6, 5)[:rank], dtype=dtype, requires_grad=grad)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients(rank: int, training: bool) -> None:
    plain, ours = net(rank)
    plain.train(training), ours.train(training)
    x = image(rank, grad=True)
    expected, got = plain(x), ours(x)
    torch.testing.assert_close(got, expected)
    g = torch.randn_like(expected)
    theirs = torch.autograd.grad(expected, [x, *plain.parameters()], g)
    torch.testing.assert_close(torch.autograd.grad(got, [x, *ours.parameters()], g), theirs)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), plain(x))
        torch.testing.assert_close(ours(x[0, None]), plain(x[0, None]))


@pytest.mark.parametrize("rank", [1, 2])
def test_gradcheck(rank: int) -> None:
    ours = net(rank)[1].eval()
    names = [name for name, _ in ours.named_parameters()]

    def function(x: Any, *parameters: Any) -> Any:
        return torch.func.functional_call(ours, dict(zip(names, parameters, strict=True)), (x,))

    parameters = [p.detach().clone().requires_grad_() for p in ours.parameters()]
    assert torch.autograd.gradcheck(function, (image(rank, batch=1, grad=True), *parameters), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (image(rank, batch=1, grad=True), *parameters), fast_mode=True)


def test_the_model_stays_what_it_was() -> None:
    plain, ours = net()
    kept = dict(plain.named_modules())
    state = plain.state_dict()
    assert nc.torch.replace(plain) is plain
    assert dict(plain.named_modules()) == kept  # the very objects
    assert list(plain.state_dict()) == list(state) == list(ours.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), state.values(), strict=True))
    assert isinstance(plain.head, nn.Conv2d) and repr(plain.head).startswith("Conv2d(3, 2")
    ours.load_state_dict(Net(2, torch.float64).state_dict())
    alone = nn.Conv2d(2, 3, 3)
    assert nc.torch.replace(alone) is alone and type(alone) is torch_modules.Conv2d


def changes() -> dict[str, Callable[[Any], Any]]:
    def step(conv: Any) -> None:
        with torch.enable_grad():
            optimizer = torch.optim.SGD(conv.parameters(), 0.1)
            conv(torch.ones(1, 2, 5, 5, dtype=torch.float64)).sum().backward()
            optimizer.step()

    def reassigned(conv: Any) -> None:
        conv.weight = nn.Parameter(conv.weight * 2)

    def data(conv: Any) -> None:
        conv.weight.data = conv.weight.data * 3

    def geometry(conv: Any) -> None:
        conv.padding = (2, 1)

    return {
        "in place": lambda conv: conv.weight.mul_(2), "bias": lambda conv: conv.bias.add_(1), "an optimizer": step, "another": reassigned,
        "other data": data, "state": lambda conv: conv.load_state_dict(nn.Conv2d(2, 3, 3).double().state_dict()), "geometry": geometry,
        "type": lambda conv: conv.float().double(),
    }  # fmt: skip


@pytest.mark.parametrize("change", changes())
def test_packed_weights_follow_the_parameters(change: str) -> None:
    conv = nc.torch.replace(nn.Conv2d(2, 3, 3).double())
    x = image()
    with torch.no_grad():
        before = conv(x)
        layer = conv._packed.layer
        assert torch.equal(conv(x), before) and conv._packed.layer is layer  # packed once
        changes()[change](conv)
        expected = nn.functional.conv2d(x, conv.weight, conv.bias, padding=conv.padding)
        assert not torch.equal(expected, before) or change == "type"
        torch.testing.assert_close(conv(x), expected)


def test_copies_and_files_hold_no_packed_weights() -> None:
    conv = nc.torch.replace(nn.Conv2d(2, 3, 3).double())
    x = image()
    with torch.no_grad():
        expected = conv(x)
        twin = copy.deepcopy(conv)
        assert twin._packed is None and torch.equal(twin(x), expected)
        twin.weight.zero_()
        assert torch.equal(conv(x), expected) and not torch.equal(twin(x), expected)
        file = io.BytesIO()
        torch.save(conv, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        assert loaded._packed is None and torch.equal(loaded(x), expected)


def test_what_is_torchs_own_business(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = nc.torch.replace(nn.Conv2d(2, 3, 3))
    x = image(dtype=torch.float32)
    calls = []
    monkeypatch.setattr(torch_modules._Convolution, "_convolve", lambda self, x: calls.append(x))
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            assert conv(x).dtype == torch.bfloat16
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, which is still there
            assert torch.jit.trace(conv, x, check_trace=False)(x).shape == (2, 3, 5, 4)
        assert torch.export.export(conv, (x,)).module()(x).shape == (2, 3, 5, 4)
        assert torch.fx.symbolic_trace(conv)(x).shape == (2, 3, 5, 4)
        with pytest.raises(RuntimeError, match="same|dtype|type"):
            conv(x.double())
        transposed = nc.torch.replace(nn.ConvTranspose2d(2, 3, 3, stride=2))
        assert transposed(x, output_size=(16, 14)).shape == (2, 3, 16, 14)
    assert not calls

    class Own(nn.Conv2d):  # type: ignore[misc,name-defined]
        def forward(self, x: Any) -> Any:
            return x

    assert type(nc.torch.replace(Own(1, 1, 1))) is Own


def test_half_numbers_inference_tensors_and_views() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.complex64):
        conv = nc.torch.replace(nn.Conv2d(2, 3, 3, dtype=dtype))
        x = image(dtype=dtype)
        with torch.no_grad():
            wide = nn.functional.conv2d(
                *(t.to(torch.complex128 if dtype.is_complex else torch.float64) for t in (x, conv.weight, conv.bias))
            )
            torch.testing.assert_close(conv(x), wide.to(dtype))
    with torch.inference_mode():
        conv = nc.torch.replace(nn.Conv2d(2, 3, 3))
        x = image(dtype=torch.float32)
        for _ in range(2):
            torch.testing.assert_close(conv(x), nn.functional.conv2d(x, conv.weight, conv.bias))
            conv.weight.mul_(2)  # which torch does not count
    with torch.no_grad():
        conv = nc.torch.replace(nn.Conv2d(2, 3, 3))
        x = image(dtype=torch.float32).to(memory_format=torch.channels_last)[..., ::2, :]
        torch.testing.assert_close(conv(x), nn.functional.conv2d(x, conv.weight, conv.bias))
        assert conv(x[0]).shape == (3, 2, 4)
    batched = torch.func.vmap(conv)(torch.stack([x, 2 * x]))
    torch.testing.assert_close(batched[1], nn.functional.conv2d(2 * x, conv.weight, conv.bias))


def test_a_small_model_learns() -> None:
    """Stripes along one axis or the other: told apart after some steps, in training through our convolutions."""
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(0, 2, 64))
    phase = torch.from_numpy(rng.uniform(0, 6, (64, 1, 1)).astype("float32"))
    wave = torch.sin(torch.arange(8) * 1.5 + phase).expand(64, 8, 8)
    x = torch.where(labels.bool()[:, None, None], wave, wave.transpose(1, 2))[:, None]
    model = nc.torch.replace(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2)))
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    with torch.no_grad():
        assert (model.eval()(x).argmax(1) == labels).float().mean() == 1


def test_no_module() -> None:
    with pytest.raises(TypeError, match=r"numconv\.torch\.replace: module must be a torch\.nn\.Module; got 3"):
        nc.torch.replace(3)
