"""torch's convolution modules on numconv's kernels: weights packed once in inference, autograd through them in training."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from . import torch as bridge
from .api import layers
from .arguments.edge import edge
from .arguments.values import shown

Tensor = Any  # torch.Tensor: torch is no dependency of the type checker's

#: of which there are kernels; modules of other types are torch's own business
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128)


class _Packed(NamedTuple):
    """A layer, and what it was made of: kept alive, so that nothing else can take its place in memory."""

    layer: Any
    tensors: tuple[Tensor | None, ...]  # weight and bias, sharing memory with those of the module
    versions: tuple[int, ...]  # of each, as torch counts changes in place
    geometry: tuple[Any, ...]


def _same(kept: Tensor | None, now: Tensor | None) -> bool:
    if kept is None or now is None:
        return kept is now
    return kept.data_ptr() == now.data_ptr() and kept.dtype == now.dtype and kept.shape == now.shape and kept.stride() == now.stride()


class _Convolution:
    """What our modules have beyond torch's own, before which they come."""

    _function: Any
    _layer: Any
    _packed: _Packed | None = None

    def _geometry(self) -> dict[str, Any]:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: what is packed is found again."""
        return {name: value for name, value in vars(self).items() if name != "_packed"}

    def _is_ours(self, x: Any) -> bool:
        """A plain tensor on the CPU, of the weights' type, that nobody traces, compiles or casts."""
        weight: Tensor = self.weight  # type: ignore[attr-defined]
        if type(x) not in (torch.Tensor, nn.Parameter) or x.device.type != "cpu" or weight.device.type != "cpu":
            return False
        if x.dtype != weight.dtype or x.dtype not in DTYPES or torch.is_autocast_enabled("cpu"):
            return False
        return not (torch.compiler.is_compiling() or torch.jit.is_tracing())

    def _convolve(self, x: Tensor) -> Tensor:
        weight, bias, geometry = self.weight, self.bias, self._geometry()  # type: ignore[attr-defined]
        tensors = [t for t in (x, weight, bias) if t is not None]
        trained = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        if trained or any(t.is_inference() for t in tensors[1:]) or any(map(torch._C._functorch.is_functorch_wrapped_tensor, tensors)):
            return self._function(x, weight, bias, **geometry)
        return self._inference_layer(weight, bias, geometry)(x.detach())

    def _inference_layer(self, weight: Tensor, bias: Tensor | None, geometry: dict[str, Any]) -> Any:
        """The layer of the weights as they are now."""
        versions = tuple(t._version for t in (weight, bias) if t is not None)
        kept, options = self._packed, tuple(geometry.values())
        if kept is not None and kept.versions == versions and kept.geometry == options and all(map(_same, kept.tensors, (weight, bias))):
            return kept.layer
        alive = (weight.detach(), None if bias is None else bias.detach())
        self._packed = _Packed(self._layer(*alive, **geometry), alive, versions, options)
        return self._packed.layer


class _Conv(_Convolution):
    def _geometry(self) -> dict[str, Any]:
        own: Any = self
        return {
            "stride": own.stride, "padding": own.padding, "dilation": own.dilation, "groups": own.groups, "padding_mode": own.padding_mode
        }  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        return self._convolve(input) if self._is_ours(input) else super().forward(input)  # type: ignore[misc]


class _ConvTranspose(_Convolution):
    def _geometry(self) -> dict[str, Any]:
        own: Any = self
        return {
            "stride": own.stride, "padding": own.padding, "output_padding": own.output_padding, "groups": own.groups,
            "dilation": own.dilation,
        }  # fmt: skip

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        if output_size is not None or not self._is_ours(input):
            return super().forward(input, output_size)  # type: ignore[misc]
        return self._convolve(input)


class Conv1d(_Conv, nn.Conv1d):
    """`torch.nn.Conv1d` on numconv's kernels."""

    _function, _layer = staticmethod(bridge.conv1d), layers.Conv1d


class Conv2d(_Conv, nn.Conv2d):
    """`torch.nn.Conv2d` on numconv's kernels."""

    _function, _layer = staticmethod(bridge.conv2d), layers.Conv2d


class Conv3d(_Conv, nn.Conv3d):
    """`torch.nn.Conv3d` on numconv's kernels."""

    _function, _layer = staticmethod(bridge.conv3d), layers.Conv3d


class ConvTranspose1d(_ConvTranspose, nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d` on numconv's kernels."""

    _function, _layer = staticmethod(bridge.conv_transpose1d), layers.ConvTranspose1d


class ConvTranspose2d(_ConvTranspose, nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d` on numconv's kernels."""

    _function, _layer = staticmethod(bridge.conv_transpose2d), layers.ConvTranspose2d


class ConvTranspose3d(_ConvTranspose, nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` on numconv's kernels."""

    _function, _layer = staticmethod(bridge.conv_transpose3d), layers.ConvTranspose3d


OURS = {ours.__mro__[3]: ours for ours in (Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)}


@edge("numconv.torch.replace")
def replace(module: Any) -> Any:
    """Let a model's convolutions run on numconv's kernels: `Conv1d` … `ConvTranspose3d`, wherever they are in it.

    Modules stay the objects they are, with their parameters, names, hooks and `state_dict`; only how they compute changes.  Without
    gradients the weights are packed once, and again after they have changed; with gradients autograd goes through `numconv.torch`.

    Parameters
    ----------
    module : torch.nn.Module
        Subclasses of torch's convolutions, which may compute something else, are left as they are.

    Returns
    -------
    torch.nn.Module
        The same module.

    Raises
    ------
    TypeError
        It is no module.

    Notes
    -----
    Changes are seen by torch's own count of them.  What goes around it (`weight.data.mul_(2)`, NumPy views) is not: call `replace`
    again, which packs anew.  Tensors on a GPU, of other types than the weights, under autocast, `torch.compile` or tracing are
    computed by torch.

    Examples
    --------
    >>> model = replace(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()))
    >>> with torch.no_grad():
    ...     model(torch.ones(1, 3, 8, 8)).shape
    torch.Size([1, 8, 6, 6])
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"numconv.torch.replace: module must be a torch.nn.Module; got {shown(module)}")
    for part in module.modules():
        if type(part) in OURS:
            part.__class__ = OURS[type(part)]
        elif isinstance(part, _Convolution):
            part._packed = None
    return module
