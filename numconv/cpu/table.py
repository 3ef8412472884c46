"""The CPU's kernels: every row, in the order in which they are listed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module

from .. import forks
from ..kernel import Kernel
from ..memory import kept
from ..problem import ConvProblem, one_of
from .adapt.cost import turning_seconds, with_adaptation
from .adapt.lowering import COMPLEX, FLOATS, HALF, INTEGERS, lower, plain

#: the modules that define ROWS, in the order in which they are listed
FAMILIES = (
    "dense.rows",
    "depthwise.rows",
    "winograd.rows",
    "filters.rows",
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


def asked_of(row: Kernel, problem: ConvProblem) -> ConvProblem:
    """What a row is asked for; the problem itself where the device does nothing around it."""
    usual = problem.layout == "channels_first" and problem.padding_mode == "zeros" and problem.shuffle == 1
    return problem if usual and problem.dtype in FLOATS and problem.dtype == problem.out_dtype else _asked_of(problem, row.honours)


@kept
def _asked_of(problem: ConvProblem, honours: frozenset[str]) -> ConvProblem:
    inner = lower(plain(problem, honours), honours)
    return inner if inner is problem else one_of(inner)


def _adapted(row: Kernel) -> Kernel:
    """With what `device.execute` does around every row: storage types, complex numbers, layout, padding, shuffle."""
    dtypes = (HALF if "float32" in row.dtypes else frozenset()) | (INTEGERS if "int64" in row.dtypes else frozenset())
    if row.problem is not ConvProblem:
        return replace(row, scratch=row.workspace, adapted_dtypes=dtypes - row.dtypes)
    if {"float32", "float64"} <= row.dtypes:
        dtypes = dtypes | COMPLEX.keys()

    def seen(problem: ConvProblem) -> ConvProblem:
        """A complex depthwise problem has two real channels to a group."""
        return asked_of(row, problem)

    def turned(problem: ConvProblem) -> bool:
        return seen(problem).layout != problem.layout

    return replace(
        row,
        adapted=frozenset({"layout", "padding_mode", "shuffle", "precision"}),
        adapted_dtypes=dtypes - row.dtypes,
        refuse=lambda problem: row.refuse(seen(problem)),
        error_size=lambda problem: row.error_size(seen(problem)),
        cost=lambda problem, machine: row.cost(seen(problem), machine) + (turning_seconds(problem, machine) if turned(problem) else 0.0),
        floor=lambda problem, machine: row.floor(seen(problem), machine) + (turning_seconds(problem, machine) if turned(problem) else 0.0),
        workspace=lambda problem, machine: with_adaptation(row, problem, row.workspace(seen(problem), machine)),
        scratch=lambda problem, machine: row.workspace(seen(problem), machine) if row.keeps_scratch else 0,
    )
