"""The CPU's kernels: every row, in the order in which they are listed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module
from math import prod

from ..hosts import dtype_of
from ..kernel import Kernel, Machine
from ..problem import ConvProblem
from .adapt.lowering import COMPLEX, HALF, INTEGERS, framed, lower, plain

#: the modules that define ROWS, in the order in which they are listed
FAMILIES = (
    "dense.positions.kernel", "dense.channels.rows", "depthwise.planes", "depthwise.pixels", "winograd.rows", "operators.shuffle", "operators.resize",
    "operators.dynamic", "operators.patches", "weight_grad.rows", "operators.deformable.forward", "named.fft", "named.scatter", "named.zero_insertion", "named.matrix",
)  # fmt: skip

TURN, TURN_FAR, TURN_FEW = 2.4e-10, 6e-10, 1e-9  # seconds per element whose layout is changed; beyond the second cache; of few channels


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

    def seen(problem: ConvProblem) -> ConvProblem:
        """A complex depthwise problem has two real channels to a group."""
        return lower(plain(problem, row.honours))

    def turned(problem: ConvProblem) -> bool:
        return plain(problem, row.honours).layout != problem.layout

    return replace(
        row, adapted=frozenset({"layout", "padding_mode", "shuffle", "precision"}), adapted_dtypes=dtypes - row.dtypes,
        refuse=lambda problem: row.refuse(seen(problem)),
        cost=lambda problem, machine: row.cost(seen(problem), machine) + (_turning(problem, machine) if turned(problem) else 0.0),
        workspace=lambda problem, machine: row.workspace(seen(problem), machine) + _around(row, problem),
    )  # fmt: skip


def _around(row: Kernel, problem: ConvProblem) -> int:
    """Bytes of the images, weights and results that `device.execute` makes in another type, layout or frame."""
    real = lower(problem)
    converted = real is not problem
    images = [problem.batch * channels * prod(spatial) for channels, spatial in (real.source, real.target)]
    weights = prod(real.weight_shape)
    if problem.direction == "weight_grad":
        source, result, given = sum(images), weights, 0
    else:
        source, result, given = *images, weights
    inner = plain(problem, row.honours)
    elements = (
        converted * given + (converted or inner.layout != problem.layout) * (source + result) + (inner.shuffle != problem.shuffle) * result
    )
    if inner.padding_mode != problem.padding_mode:
        elements += problem.batch * real.in_channels * prod(framed(problem))
    return elements * dtype_of(real.dtype).itemsize


def _images(problem: ConvProblem) -> int:
    """Bytes of both."""
    return (
        problem.batch
        * sum(channels * prod(spatial) for channels, spatial in (problem.source, problem.target))
        * dtype_of(problem.dtype).itemsize
    )


def _turning(problem: ConvProblem, machine: Machine) -> float:
    """Seconds for both there and back, of one sample."""
    far = TURN if _images(problem) <= machine.l2 else TURN_FAR
    return sum(channels * prod(spatial) * (far if channels >= 8 else TURN_FEW) for channels, spatial in (problem.source, problem.target))
