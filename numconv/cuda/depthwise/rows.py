"""The rows of depthwise convolution and of separable filters: by the halo kernel, and where no tile fits shared memory by strips.

The input gradient at stride 1 is the depthwise convolution of dy with the taps reversed and the padding d·(k − 1) − lo.

`one_pass` serves `spatially_separable_conv2d`, and the vertical and horizontal steps of `flattened_conv2d`: what lies between column and
row stays in shared memory.  Where it declines, or two kernels are predicted to be quicker, the steps run one after the other.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...kernel import Kernel, Machine
from ...problem import ConvProblem, SeparableProblem
from ..adapt.layout import INDEX_LIMIT
from ..geometry.image import three
from ..runtime.arrays import flat, stream_of
from ..runtime.launch import flat_grid, launch
from ..scalars import ALL, COMPLEX
from . import cost
from .halo import plan as halo
from .halo.kernel import make_halo
from .strips import plan as strips
from .strips.kernel import make_strips


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    _compute(problem, arrays, out, flip=False)


def run_input(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    _compute(mirrored(problem), arrays, out, flip=True)


def run_separable(problem: SeparableProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, column, row, bias = arrays
    conv = problem.conv
    count = max(1, (INDEX_LIMIT - 1) // largest(conv))
    for first in range(0, conv.batch, count):
        part, image, result = conv.with_(batch=min(count, conv.batch - first)), x[first : first + count], out[first : first + count]
        form = halo.form_of(part, image, result, separable=True)
        assert form is not None, "refused"
        _by_halo(part, form, (image, row, column, bias), result, flip=False)


def _compute(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, flip: bool) -> None:
    """`flip`: the taps of w in reverse."""
    x, w, bias = arrays
    form = halo.form_of(problem, x, out)
    if form is None:
        _by_strips(problem, arrays, out, flip)
    else:
        _by_halo(problem, form, (x, w, None, bias), out, flip)


def _by_halo(problem: ConvProblem, form: halo.HaloForm, arrays: tuple[Any, ...], out: Any, flip: bool) -> None:
    """`arrays`: x, w or the weights of the row pass, those of the column pass, bias."""
    x, w, column, bias = arrays
    kernel = make_halo(problem.dtype, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation, form)
    plan, blocks = halo.plan_of(problem, form, flip)
    w_flat = flat(w)
    column_flat, bias_flat = (w_flat if array is None else flat(array) for array in (column, bias))
    launch(kernel, blocks, halo.sizes(form).threads, stream_of(out), flat(x), w_flat, column_flat, bias_flat, flat(out), plan)


def _by_strips(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, flip: bool) -> None:
    x, w, bias = arrays
    form = strips.form_of(problem)
    kernel = make_strips(problem.dtype, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation, form)
    plan, total = strips.plan_of(problem, form.rows, flip)
    w_flat = flat(w)
    bias_flat = w_flat if bias is None else flat(bias)
    launch(kernel, *flat_grid(total), stream_of(out), flat(x), w_flat, bias_flat, flat(out), plan, np.int32(total))


def mirrored(problem: ConvProblem) -> ConvProblem:
    """The forward problem that the input gradient at stride 1 is, of reversed taps."""
    low = tuple(d * (k - 1) - lo for d, k, lo in zip(problem.dilation, problem.kernel, problem.pad_low, strict=True))
    return problem.with_(direction="forward", spatial=problem.outputs, outputs=problem.spatial, pad_low=low)


def largest(conv: ConvProblem) -> int:
    """Elements of one sample, of its image or of its result."""
    return max(1, conv.in_channels * prod(conv.spatial), conv.out_channels * prod(conv.outputs))


def refuse(problem: ConvProblem) -> str | None:
    if not problem.is_depthwise:
        return "serves one input channel per group (depthwise) only"
    taps = three(problem.kernel, 1).h
    if taps > strips.MOST_TAPS and halo.form_of(problem, None, None) is None:
        return f"holds at most 32 taps along the second last axis where the image's tile is too large for shared memory, got {taps}"
    return None


def refuse_input(problem: ConvProblem) -> str | None:
    if not problem.is_depthwise or problem.group_out != 1:
        return "serves one channel per group on both sides only"
    if max(problem.stride) > 1:
        return "serves stride 1 only; at other strides `gather` and `direct` go by stride phases"
    return refuse(mirrored(problem))


def refuse_separable(problem: SeparableProblem) -> str | None:
    conv = problem.conv
    if conv.padding_mode != "zeros":
        return "pads with zeros only"
    if largest(conv) >= INDEX_LIMIT:
        return "serves arrays within 32-bit indices"
    return None if halo.form_of(conv, None, None, separable=True) else "holds a tile and its column pass in 48 KB of shared memory"


def seconds(problem: ConvProblem, machine: Machine) -> float:
    return (cost.strips if halo.form_of(problem, None, None) is None else cost.halo)(problem, machine)


ROWS = (
    Kernel(
        name="depthwise",
        problem=ConvProblem,
        run=run,
        cost=seconds,
        dtypes=ALL,
        honours=frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
        refuse=refuse,
        summary="Input tile with its halo in shared memory, four neighbours to a thread; strips of rows where it does not fit.",
    ),
    Kernel(
        name="depthwise",
        problem=ConvProblem,
        run=run_input,
        cost=seconds,
        directions=frozenset({"input_grad"}),
        dtypes=ALL,
        honours=frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
        refuse=refuse_input,
        summary="At stride 1: the depthwise kernel with its taps reversed.",
    ),
    Kernel(
        name="one_pass",
        problem=SeparableProblem,
        run=run_separable,
        cost=cost.separable,
        dtypes=ALL - COMPLEX,
        refuse=refuse_separable,
        summary="Column pass into shared memory, row pass out of it; nothing between in global memory.",
    ),
)
