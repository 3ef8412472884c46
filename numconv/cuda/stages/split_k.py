"""Split-K: where one sample gives too few blocks to fill the card, the sum over k is cut into parts and added in a fixed order.

The parts lie in a workspace (parts, *result), in float32 or the accumulator's type; `finish` adds them in ascending order, then bias,
activation and store.  The number of parts comes from the geometry of one sample and the model of one card (`costs`), so that neither batch
nor card changes a bit.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32

from ...problem import ConvProblem
from ..ptx import idiv, imul
from ..runtime.arrays import flat, stream_of
from ..runtime.launch import flat_grid, inlined, jit, kernel_factory, launch
from ..scalars import activation, bias_loader, loader, scalars, storer


@inlined
def part_of(terms, part, parts, step):
    """(first, count): the terms of a part, whole steps but for the last, as even as may be."""
    length = int32(idiv(int32(idiv(int32(terms + step - int32(1)), step) + parts - int32(1)), parts) * step)
    first = min(imul(part, length), terms)
    return first, min(length, int32(terms - first))


@kernel_factory
def make_finish(acc: str, out_dtype: str, bias_dtype: str | None, act: str | None) -> Any:
    """out[i] = act(Σ_part parts[part, i] + bias[channel of i])."""
    kind, store, load = scalars(acc, acc).kind, storer(out_dtype, acc), loader(acc, acc)
    load_bias, apply = bias_loader(bias_dtype, acc), activation(act, acc)

    def finish(parts, bias, out, count, size, inner, channels, shuffle):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < size:
            total = kind(0)
            at = i
            for _ in range(count):
                total = kind(total + load(parts, at))
                at = int32(at + size)
            q = idiv(i, inner)
            c = int32(q - imul(idiv(q, channels), channels))
            j = idiv(c, shuffle)  # stored at j·g + i, computed at i·n + j
            c = int32(imul(int32(c - imul(j, shuffle)), idiv(channels, shuffle)) + j)
            store(out, i, apply(kind(total + load_bias(bias, c))))
            i = int32(i + step)

    return jit(finish)


def finish(problem: ConvProblem, parts: Any, bias: Any, out: Any, count: int, acc: str) -> None:
    channels, spatial = problem.target
    size = problem.batch * channels * prod(spatial)
    inner = 1 if problem.layout == "channels_last" else prod(spatial)
    kernel = make_finish(acc, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation)
    flat_parts = flat(parts)
    sizes = [np.int32(v) for v in (count, size, inner, channels, problem.shuffle)]
    launch(kernel, *flat_grid(size), stream_of(out), flat_parts, flat_parts if bias is None else flat(bias), flat(out), *sizes)
