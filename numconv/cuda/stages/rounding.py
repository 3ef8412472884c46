"""What tensor cores multiply, and what they round: the rows of that name, forward and back, of every family."""

from __future__ import annotations

from typing import NamedTuple

from ...bounds import of_sums
from ...problem import ConvProblem


class Rounding(NamedTuple):
    """One choice of types, and the row that makes it."""

    row: str
    dtypes: frozenset[str]
    error_factor: float  # over the bound of sums in the problem's own type


ROUNDINGS = (
    Rounding("tensor_core", frozenset({"float16", "bfloat16"}), 1.0),
    Rounding("tensor_core_tf32", frozenset({"float32"}), 2.0**12),
)


TF32 = 2.0**-10  # of a product whose factors are rounded to 11 bits


def error_size(problem: ConvProblem) -> float:
    return of_sums(problem) + (TF32 if problem.dtype == "float32" else 0.0)


def refuse(problem: ConvProblem) -> str | None:
    if problem.dtype == "float32" and problem.precision != "tf32":
        return "rounds float32 to tf32: ask for it with precision='tf32'"
    if problem.out_dtype in ("float64", "complex64", "complex128"):
        return f"stores no {problem.out_dtype}"
    return None
