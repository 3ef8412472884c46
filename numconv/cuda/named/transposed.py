"""Transposed convolution (the input gradient map) four ways: gather, scatter, zero insertion, and the matrix Cᵀ.

gather          one implicit GEMM for each stride phase, in one launch: no multiplication by an inserted zero, no overlap
zero_insertion  the image with stride − 1 zeros between its elements, then a convolution at stride 1 with the flipped kernel
scatter, matrix in `scatter.py` and `matrix.py`
"""

from __future__ import annotations

from math import prod
from typing import Any

from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from .. import costs
from ..adapt.padding import insert_zeros
from ..dense.cuda_cores import plan as implicit_gemm
from ..geometry.axes import inserted, lower
from . import cost as model


def run_zero_insertion(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    y, w, bias = arrays
    stuffed = insert_zeros(y, problem.stride) if max(problem.stride) > 1 else y
    implicit_gemm.compute(problem, (stuffed, w, bias), out, machine, lower(problem, zero_inserted=True))


def zero_insertion_workspace(problem: ConvProblem, machine: Machine) -> int:
    return problem.batch * problem.out_channels * prod(inserted(problem)) * costs.itemsize(problem.dtype)


def zero_insertion_cost(problem: ConvProblem, machine: Machine) -> float:
    return model.zero_insertion(problem, machine, implicit_gemm.cost(problem, machine))


_BACKWARD: dict[str, Any] = {**implicit_gemm.COMMON, "directions": frozenset({"input_grad"})}
ROWS = (
    Kernel(name="gather", run=implicit_gemm.run, cost=implicit_gemm.cost, summary="One implicit GEMM for each stride phase.", **_BACKWARD),
    Kernel(
        name="zero_insertion",
        run=run_zero_insertion,
        cost=zero_insertion_cost,
        workspace=zero_insertion_workspace,
        automatic=False,
        summary="Zeros between the elements, then a convolution at stride 1.",
        **{**_BACKWARD, "honours": _BACKWARD["honours"] - {"layout"}},
    ),
)
