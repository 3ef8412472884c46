"""Around kernels that add up over samples and positions: sums of nothing, and the type that sums are in."""

from __future__ import annotations

from functools import wraps
from math import prod
from typing import Any

from ...kernel import Machine
from ...problem import ConvProblem


def summed(run: Any) -> Any:
    """Zeros where there is nothing to add up; else `run`, with both arrays in the type of the sums."""

    @wraps(run)
    def whole(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
        if not out.size or not c.batch or not prod(c.outputs):
            out[...] = 0
        else:
            run(c, tuple(a.astype(out.dtype, copy=False) for a in arrays), out, machine)

    return whole
