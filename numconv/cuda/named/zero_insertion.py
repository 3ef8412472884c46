"""Transposed convolution by zero insertion: the image with stride − 1 zeros between its elements, then a convolution at stride 1."""

from __future__ import annotations

from math import prod
from typing import Any

from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from .. import costs
from ..adapt.padding import insert_zeros
from ..geometry.convolution import inserted, lower
from ..scalars import ALL
from ..stages.implicit_gemm import product
from . import cost as model


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    y, w, bias = arrays
    stuffed = insert_zeros(y, problem.stride) if max(problem.stride) > 1 else y
    product.compute(problem, (stuffed, w, bias), out, machine, lower(problem, zero_inserted=True))


def workspace(problem: ConvProblem, machine: Machine) -> int:
    """The image with its zeros."""
    return problem.batch * problem.out_channels * prod(inserted(problem)) * costs.itemsize(problem.dtype)


def cost(problem: ConvProblem, machine: Machine) -> float:
    return model.zero_insertion(problem, machine, product.cost(problem, machine))


ROWS = (
    Kernel(
        name="zero_insertion",
        problem=ConvProblem,
        run=run,
        cost=cost,
        workspace=workspace,
        directions=frozenset({"input_grad"}),
        dtypes=ALL,
        honours=frozenset({"groups", "activation", "shuffle", "precision"}),
        automatic=False,
        summary="Zeros between the elements, then a convolution at stride 1.",
    ),
)
