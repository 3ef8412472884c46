"""Convolutions of every kind on CPU and GPU, under the names one would look for.

Importing this imports NumPy alone: kernels are compiled when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import forks  # noqa: F401  (its handlers must be there before the first fork)
from .api.channelwise import depthwise_conv2d, grouped_conv2d, pointwise_grouped_conv2d, shuffled_grouped_conv2d
from .api.deformable import deform_conv2d
from .api.dense import conv1d, conv2d, conv3d, dilated_conv2d, pointwise_conv2d
from .api.dynamic import dynamic_attention, dynamic_conv2d
from .api.explain import algorithms, explain
from .api.layers import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .api.patches import fold, unfold
from .api.resize import resize2d, resize_conv2d
from .api.separable import depthwise_separable_conv2d, flattened_conv2d, spatially_separable_conv2d
from .api.shuffle import channel_shuffle
from .api.transposed import conv_transpose1d, conv_transpose2d, conv_transpose3d
from .version import __version__

#: imported when first asked for: they need SciPy, matplotlib, onnx or torch, or most users never need them
_MODULES = ("arithmetic", "catalog", "checkerboard", "grad", "matrix", "ndimage", "onnx", "plot", "separability", "signal", "torch")
_FUNCTIONS = {
    "convolve": "signal",
    "correlate": "signal",
    "cost": "costs",
    "out_of_core": "chunks.outofcore",
    "vjp": "gradients.vjp",
}

if TYPE_CHECKING:
    from . import arithmetic, catalog, checkerboard, grad, matrix, ndimage, separability, signal
    from .chunks.outofcore import out_of_core
    from .costs import cost
    from .gradients.vjp import vjp
    from .signal import convolve, correlate

__all__ = [
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "__version__", "algorithms", "arithmetic",
    "catalog", "channel_shuffle", "checkerboard", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "convolve", "correlate", "cost", "deform_conv2d", "depthwise_conv2d", "depthwise_separable_conv2d", "dilated_conv2d",
    "dynamic_attention", "dynamic_conv2d", "explain", "flattened_conv2d", "fold", "grad", "grouped_conv2d", "matrix", "ndimage",
    "out_of_core", "pointwise_conv2d", "pointwise_grouped_conv2d", "resize2d", "resize_conv2d", "separability", "shuffled_grouped_conv2d",
    "signal", "spatially_separable_conv2d", "unfold", "vjp",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        try:
            value = getattr(importlib.import_module(f".{_FUNCTIONS[name]}", __name__), name)
        except ModuleNotFoundError as error:
            raise AttributeError(f"module 'numconv' has no attribute {name!r} ({error})") from None
    elif name in _MODULES:
        try:
            value = importlib.import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:
            raise AttributeError(f"module 'numconv' has no attribute {name!r} ({error})") from None
    else:
        raise AttributeError(f"module 'numconv' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
