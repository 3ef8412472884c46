"""Transposed convolution by zero insertion: stride − 1 zeros between the inputs, then a forward convolution with the flipped filters."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...kernel import Kernel, Machine
from ...plan import Plan, make_plan
from ...problem import ConvProblem, effective_kernel
from ..adapt.lowering import FLOATS, INTEGERS
from ..adapt.mirror import flipped
from .cost import zero_insertion_seconds


def _stretched(c: ConvProblem) -> tuple[list[int], list[int]]:
    """Per axis: the forward problem's pad_low (negative: that much of y is cut off), and the extent with zeros inserted."""
    low = [effective_kernel(k, d) - 1 - p for k, d, p in zip(c.kernel, c.dilation, c.pad_low, strict=True)]
    return low, [(o - 1) * s + 1 for o, s in zip(c.outputs, c.stride, strict=True)]


def _run(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    y, w, bias = arrays
    if not out.size:
        return
    plan = _plan(c, machine)
    problem: Any = plan.problem
    cut = [max(0, -p) for p in _stretched(c)[0]]
    stretched = np.zeros((c.batch, c.out_channels, *problem.spatial), y.dtype)
    first = [-(-k // s) for k, s in zip(cut, c.stride, strict=True)]  # of y that is not cut off
    inside: list[Any] = [slice(f * s - k, None, s) for f, s, k in zip(first, c.stride, cut, strict=True)]
    kept = y[(..., *(slice(f, None) for f in first))]
    if kept.size:
        stretched[(..., *inside)] = kept
    device().execute(plan, (stretched, flipped(c, w), bias), out)


def device() -> Any:
    """Imported when it is asked for: its table holds this row."""
    from .. import device as found

    return found


def _plan(c: ConvProblem, machine: Machine) -> Plan:
    """Whatever serves the forward problem."""
    low, extents = _stretched(c)
    spatial = tuple(max(1, e + min(p, 0)) for e, p in zip(extents, low, strict=True))  # cut beyond y: one zero stands for nothing
    problem = c.with_(
        direction="forward",
        in_channels=c.out_channels,
        out_channels=c.in_channels,
        spatial=spatial,
        stride=(1,) * c.rank,
        pad_low=tuple(max(0, p) for p in low),
        outputs=c.spatial,
    )
    return make_plan(problem, machine, tuple(row for row in device().table() if row.error_factor <= 1))  # as exact as this row says it is


def _workspace(c: ConvProblem, machine: Machine) -> int:
    plan = _plan(c, machine)
    problem: Any = plan.problem
    made = c.batch * c.out_channels * prod(problem.spatial) + prod(c.weight_shape)
    return np.dtype(c.dtype).itemsize * made + plan.kernel.workspace(problem, machine)


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="zero_insertion",
        problem=ConvProblem,
        run=_run,
        cost=zero_insertion_seconds,
        workspace=_workspace,
        automatic=False,
        directions=frozenset({"input_grad"}),
        dtypes=FLOATS | INTEGERS,
        honours=frozenset({"groups", "activation", "precision"}),
        summary="zeros between the inputs, then a forward convolution with the flipped filters",
    ),
)
