"""The row of the depthwise weight gradient."""

from __future__ import annotations

from typing import Any

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ...geometry.convolution import lower
from ...runtime.arrays import allocate, flat, stream_of
from ...runtime.launch import launch
from ...scalars import ALL, scalars
from .. import cost
from ..parts import add
from . import plan
from .kernel import make_depthwise_grad


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, dy = arrays
    count = plan.parts(problem)
    acc = scalars(problem.dtype, problem.out_dtype).name
    direct = count == 1 and acc == problem.out_dtype
    parts = out if direct else allocate((count, problem.out_channels * problem.taps), acc, out)
    kernel = make_depthwise_grad(problem.dtype, problem.out_dtype, plan.FORM)
    table = lower(problem.with_(direction="forward")).table
    launch(kernel, plan.blocks(problem), plan.FORM.threads, stream_of(out), flat(x), flat(dy), flat(parts), table)
    if not direct:
        add(parts, out, count)


def refuse(problem: ConvProblem) -> str | None:
    return None if problem.is_depthwise else "serves one input channel per group (depthwise) only"


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The parts of the positions, where there are several."""
    count = plan.parts(problem)
    return count * problem.out_channels * problem.taps * scalars(problem.dtype, problem.out_dtype).itemsize if count > 1 else 0


ROWS = (
    Kernel(
        name="depthwise",
        problem=ConvProblem,
        run=run,
        cost=cost.depthwise,
        directions=frozenset({"weight_grad"}),
        dtypes=ALL,
        honours=frozenset({"groups", "layout", "precision"}),
        refuse=refuse,
        workspace=workspace,
        summary="A block for each channel and group of taps; threads added by a tree of fixed shape.",
    ),
)
