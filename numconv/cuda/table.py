"""All rows of the CUDA device.  A new kernel is one file with its ROWS, and one name here."""

from __future__ import annotations

from dataclasses import replace

from ..kernel import Kernel
from ..problem import ConvProblem
from . import (
    deformable,
    depthwise,
    depthwise_grad,
    direct,
    dynamic,
    implicit_gemm,
    matrix,
    patches,
    resize,
    scatter,
    separable,
    shuffle,
    tensor_core,
    tensor_core_weights,
    transposed,
    weight_grad,
    winograd,
)

#: what `device.execute` brings about by a copy where a convolution's row does not honour it
ADAPTED = frozenset({"layout", "padding_mode"})

_KERNELS: tuple[Kernel, ...] = (
    *implicit_gemm.ROWS,
    *tensor_core.ROWS,
    *winograd.ROWS,
    *depthwise.ROWS,
    *depthwise_grad.ROWS,
    *direct.ROWS,
    *transposed.ROWS,
    *scatter.ROWS,
    *matrix.ROWS,
    *weight_grad.ROWS,
    *tensor_core_weights.ROWS,
    *shuffle.ROWS,
    *resize.ROWS,
    *dynamic.ROWS,
    *deformable.ROWS,
    *separable.ROWS,
    *patches.ROWS,
)
ROWS: tuple[Kernel, ...] = tuple(replace(k, adapted=ADAPTED) if k.problem is ConvProblem else k for k in _KERNELS)
