"""The row of direct convolution: no plan beside the table of the convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ...geometry.convolution import lower
from ...runtime.arrays import flat, stream_of
from ...runtime.launch import flat_grid, launch
from ...scalars import ALL
from .. import cost as model
from .kernel import make_direct


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, w, bias = arrays
    low = lower(problem)
    plan = low.plan
    kernel = make_direct(problem.dtype, problem.out_dtype, None if bias is None else bias.dtype.name, problem.activation, problem.rank == 3)
    total = plan.positions * plan.targets * plan.batch * plan.groups * plan.phases
    w_flat = flat(w)
    arguments = flat(x), w_flat, w_flat if bias is None else flat(bias), flat(out), low.table, np.int32(total)
    launch(kernel, *flat_grid(total), stream_of(out), *arguments)


_COMMON: dict[str, Any] = {
    "problem": ConvProblem,
    "run": run,
    "directions": frozenset({"forward", "input_grad"}),
    "dtypes": ALL,
    "honours": frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
}
ROWS = (Kernel(name="direct", cost=model.direct, summary="One thread for each output; taps from a table.", **_COMMON),)
