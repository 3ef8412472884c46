"""Dynamic convolution: kernels mixed for each sample by an attention."""

from __future__ import annotations

from typing import Any

from ..arguments_composites import dynamic
from ..arguments_operators import attention as attention_arguments
from ..dispatch import Session, call
from ..problem import image_shape


def dynamic_attention(
    x: Any, fc1: Any, fc2: Any, bias1: Any = None, bias2: Any = None, temperature: float = 1.0, *, out: Any = None, precision: str = "highest"
) -> Any:
    """The attention over K kernels: softmax((fc2 · relu(fc1 · mean(x) + bias1) + bias2) / temperature)."""
    labels = ("x", "fc1", "fc2", "bias1", "bias2")
    return call("dynamic_attention", attention_arguments, labels, (x, fc1, fc2, bias1, bias2), (temperature, precision), out)


def _mix_then_convolve(run: Session, arrays: tuple[Any, ...], problems: tuple[Any, ...], out: Any) -> Any:
    """One grouped convolution over the batch folded into the channels: no loop over samples."""
    x, kernels, attention, bias = arrays
    one, folded, mix, mix_bias, back = problems
    batch, last = mix.batch, back.layout == "channels_last"
    w = run.reshape(run(mix, (attention, kernels)), folded.weight_shape)
    b = None if bias is None else run.reshape(run(mix_bias, (attention, bias)), (folded.out_channels,))
    if last:
        x = run.transpose(x, (0, 3, 1, 2))
    x = run.reshape(x, (1, folded.in_channels, *folded.spatial))
    target = None if last or out is None else run.reshape(out, folded.result_shape)
    y = run(folded, (x, w, b), target, plan_as=one)
    y = run.reshape(y, image_shape(batch, one.out_channels, one.outputs, "channels_first"))
    return run(back, (run.transpose(y, (0, 2, 3, 1)),), out) if last else y


def dynamic_conv2d(
    x: Any, kernels: Any, attention: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, *,
    padding_mode: str = "zeros", layout: str = "channels_first", activation: str | None = None, out: Any = None, out_dtype: Any = None,
    algorithm: str = "auto", precision: str = "highest",
) -> Any:  # fmt: skip
    """2-D convolution of each sample with its own mixture of K kernels."""
    options = (stride, padding, dilation, groups, padding_mode, layout, activation, out_dtype, precision)
    labels = ("x", "kernels", "attention", "bias")
    return call("dynamic_conv2d", dynamic, labels, (x, kernels, attention, bias), options, out, algorithm, _mix_then_convolve)
