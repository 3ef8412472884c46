"""The CPU's kernels: every row, in the order in which they are listed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module

from .. import forks
from ..kernel import Kernel
from ..problem import ConvProblem
from .adapt.cost import around_bytes, turning_seconds
from .adapt.lowering import COMPLEX, HALF, INTEGERS, lower, plain

#: the modules that define ROWS, in the order in which they are listed
FAMILIES = (
    "dense.rows",
    "depthwise.rows",
    "winograd.rows",
    "operators.shuffle",
    "operators.resize",
    "operators.dynamic",
    "operators.patches",
    "weight_grad.rows",
    "operators.deformable.forward",
    "named.fft",
    "named.scatter",
    "named.zero_insertion",
    "named.matrix",
)


@cache
def table() -> tuple[Kernel, ...]:
    with forks.importing:
        return tuple(_adapted(row) for family in FAMILIES for row in import_module(f"{__package__}.{family}").ROWS)


def _adapted(row: Kernel) -> Kernel:
    """With what `device.execute` does around every row: storage types, complex numbers, layout, padding, shuffle."""
    dtypes = (HALF if "float32" in row.dtypes else frozenset()) | (INTEGERS if "int64" in row.dtypes else frozenset())
    if row.problem is not ConvProblem:
        return replace(row, adapted_dtypes=dtypes - row.dtypes)
    if {"float32", "float64"} <= row.dtypes:
        dtypes = dtypes | COMPLEX.keys()

    def seen(problem: ConvProblem) -> ConvProblem:
        """A complex depthwise problem has two real channels to a group."""
        return lower(plain(problem, row.honours))

    def turned(problem: ConvProblem) -> bool:
        return plain(problem, row.honours).layout != problem.layout

    return replace(
        row,
        adapted=frozenset({"layout", "padding_mode", "shuffle", "precision"}),
        adapted_dtypes=dtypes - row.dtypes,
        refuse=lambda problem: row.refuse(seen(problem)),
        cost=lambda problem, machine: row.cost(seen(problem), machine) + (turning_seconds(problem, machine) if turned(problem) else 0.0),
        workspace=lambda problem, machine: row.workspace(seen(problem), machine) + around_bytes(row, problem),
    )
