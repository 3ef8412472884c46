"""The CPU's kernels: every row, in the order in which they are listed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module

from ..kernel import Kernel
from ..problem import ConvProblem
from .lowering import COMPLEX, HALF, INTEGERS, lower

#: one file per kernel family; each defines ROWS
FAMILIES = ("direct", "spread", "depthwise", "winograd", "shuffle", "resize", "dynamic", "patches", "weight_grad", "deformable", "fft", "transposed")


@cache
def table() -> tuple[Kernel, ...]:
    return tuple(_adapted(row) for family in FAMILIES for row in import_module(f"{__package__}.{family}").ROWS)


def _adapted(row: Kernel) -> Kernel:
    """With what `device.execute` does around every row: storage types, complex numbers, layout, padding, shuffle."""
    dtypes = (HALF if "float32" in row.dtypes else frozenset()) | (INTEGERS if "int64" in row.dtypes else frozenset())
    if row.problem is not ConvProblem:
        return replace(row, adapted_dtypes=dtypes - row.dtypes)
    if {"float32", "float64"} <= row.dtypes:
        dtypes = dtypes | COMPLEX.keys()
    return replace(
        row, adapted=frozenset({"layout", "padding_mode", "shuffle", "precision"}), adapted_dtypes=dtypes - row.dtypes,
        refuse=lambda problem: row.refuse(lower(problem)),  # a complex depthwise problem has two real channels to a group
        cost=lambda problem, machine: row.cost(lower(problem), machine), workspace=lambda problem, machine: row.workspace(lower(problem), machine),
    )  # fmt: skip
