"""The rules of types: which arrays meet, in what their sums are made, and what `out_dtype` may ask for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import hosts
from ..activations import ACTIVATIONS
from .values import Spec, Subject, choice, shown

INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
HALVES = frozenset({"float16", "bfloat16"})
FLOATS = HALVES | {"float32", "float64"}
COMPLEX = frozenset({"complex64", "complex128"})


def check_dtype(subject: Subject, label: str, spec: Spec) -> str:
    name = spec.dtype.name
    if name not in INTEGERS and name not in FLOATS and name not in COMPLEX:
        raise subject.type(f"{label} has dtype {spec.dtype}, which is not an integer, real or complex type that numconv computes in")
    return name


def promote(subject: Subject, *dtypes: np.dtype[Any]) -> str:
    try:
        return check_dtype(subject, "the common type", Spec((), np.result_type(*dtypes)))
    except TypeError:
        raise subject.type(f"no common type for {', '.join(str(d) for d in dtypes)} that numconv computes in") from None


def parse_dtype(subject: Subject, value: Any, label: str = "out_dtype") -> str:
    """`out_dtype` (a NumPy dtype, its name, or a torch dtype) as a NumPy name."""
    if type(value).__module__ == "torch":
        value = str(value).removeprefix("torch.")
    try:
        found = hosts.dtype_of(value) if isinstance(value, str) else np.dtype(value)
    except Exception:  # NumPy has several ways of refusing one
        raise subject.type(f"{label} must be a dtype; got {shown(value)}") from None
    return check_dtype(subject, label, Spec((), found))


class Types(NamedTuple):
    """dtype of the operands, of the result, and of the bias, which joins the sum of integers in the result's type."""

    operand: str
    result: str
    bias: str


def types(subject: Subject, operands: tuple[np.dtype[Any], ...], bias: np.dtype[Any] | None, out_dtype: Any) -> Types:
    """The rules of the types: promotion, exact integers, and what `out_dtype` may ask for."""
    dtype = promote(subject, *operands)
    if bias is not None and not (dtype in INTEGERS and bias.kind in "iu"):
        dtype = promote(subject, hosts.dtype_of(dtype), bias)
    asked = None if out_dtype is None else parse_dtype(subject, out_dtype)
    if dtype in INTEGERS:
        if asked is None:
            asked = "int32" if hosts.dtype_of(dtype).itemsize <= 2 else "int64"
        if asked in INTEGERS:
            return Types(dtype, asked, asked)
        if asked in HALVES:
            raise subject.type(f"out_dtype {asked} cannot hold sums of {dtype}")
        return Types(asked, asked, asked)
    if asked is None or asked == dtype:
        return Types(dtype, dtype, dtype)
    if asked in INTEGERS or (dtype in COMPLEX and asked not in COMPLEX):
        raise subject.type(f"out_dtype {asked} cannot hold sums of {dtype}")
    if dtype in HALVES and asked == "float32":
        return Types(dtype, asked, dtype)  # accumulated in float32 anyway
    if promote(subject, hosts.dtype_of(dtype), hosts.dtype_of(asked)) != asked:
        raise subject.type(f"out_dtype {asked} is narrower than {dtype}, in which the sums are computed")
    return Types(asked, asked, asked)


def accumulator(dtype: str) -> str:
    """The type in which a composition keeps what lies between its steps: half types would round it."""
    return "float32" if dtype in HALVES else dtype


def check_activation(subject: Subject, activation: Any, result: str) -> str | None:
    found = choice(subject, "activation", activation, tuple(ACTIVATIONS))
    if found is not None and (result in COMPLEX or (result in INTEGERS and found not in ("relu", "relu6"))):
        raise subject.type(f"activation {found!r} is not defined for {result}")
    return found  # type: ignore[no-any-return]
