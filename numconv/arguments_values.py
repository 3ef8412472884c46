"""User values → plain values: integers per axis, paddings, dtypes; and the form of every refusal.

Errors read `function: what is wrong (what was given)`.  Only the `arguments` modules raise them.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from . import hosts
from .activations import ACTIVATIONS
from .problem import Ints, effective_kernel

LAYOUTS = ("channels_first", "channels_last")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
PRECISIONS = ("highest", "tf32")
INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
HALVES = frozenset({"float16", "bfloat16"})
FLOATS = HALVES | {"float32", "float64"}
COMPLEX = frozenset({"complex64", "complex128"})
LARGEST = 2**31 - 1  # of strides, dilations and pads: kernels count positions in 64 bits, the GPU's in 32

Pairs = tuple[tuple[int, int], ...]


class Spec(NamedTuple):
    """What the arguments need to know about an array."""

    shape: Ints
    dtype: np.dtype[Any]


class Subject(NamedTuple):
    """The call under examination: builds its errors."""

    name: str
    arrays: tuple[tuple[str, Spec | None], ...] = ()

    def _text(self, what: str) -> str:
        given = ", ".join(f"{label} {spec.shape}" for label, spec in self.arrays if spec is not None)
        return f"{self.name}: {what}" + (f" ({given})" if given else "")

    def value(self, what: str) -> ValueError:
        return ValueError(self._text(what))

    def type(self, what: str) -> TypeError:
        return TypeError(self._text(what))

    def memory(self, what: str) -> MemoryError:
        return MemoryError(self._text(what))


def choice(subject: Subject, label: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if value is None and None in allowed:
        return None
    if not isinstance(value, str):
        raise subject.type(f"{label} must be a string{' or None' if None in allowed else ''}; got {value!r}")
    if value not in allowed:
        raise subject.value(f"{label} must be one of {', '.join(map(repr, allowed))}; got {value!r}")
    return value


def integer(subject: Subject, label: str, value: Any, low: int) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise subject.type(f"{label} must be an integer; got {value!r}")
    try:
        found = operator.index(value)
    except TypeError:
        raise subject.type(f"{label} must be an integer; got {value!r}") from None
    if found < low:
        raise subject.value(f"{label} must be at least {low}; got {found}")
    return found


def sequence(value: Any) -> list[Any] | None:
    """The elements of a list, tuple or 1-D integer array, else None."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return list(value)
    return None


def per_axis(subject: Subject, label: str, value: Any, rank: int, low: int) -> Ints:
    """An int for all axes, or one per axis; each from `low` to LARGEST."""
    items = sequence(value)
    if items is None:
        if isinstance(value, str) or (hasattr(value, "__len__") and np.ndim(value) != 0):
            raise subject.type(f"{label} must be an integer or {rank} of them; got {value!r}")
        found = (integer(subject, label, value, low),) * rank
    else:
        if len(items) != rank:
            raise subject.value(f"{label} must be an integer or one for each of the {rank} spatial axes; got {value!r}")
        found = tuple(integer(subject, label, item, low) for item in items)
    if max(found) > LARGEST:
        raise subject.value(f"{label} must be at most {LARGEST}; got {value!r}")
    return found


def padding_pairs(subject: Subject, value: Any, spatial: Ints, kernel: Ints, stride: Ints, dilation: Ints, words: bool = True) -> Pairs:
    """Any form of `padding` as (low, high) pairs."""
    rank = len(spatial)
    if isinstance(value, str):
        if not words or value not in ("valid", "same", "same_lower"):
            forms = "'valid', 'same', 'same_lower', " if words else ""
            raise subject.value(f"padding must be {forms}an integer, one per axis or one (low, high) pair per axis; got {value!r}")
        if value == "valid":
            return ((0, 0),) * rank
        return tuple(same_pair(*axis, lower=value == "same_lower") for axis in zip(spatial, kernel, stride, dilation, strict=True))
    items = sequence(value)
    if items is None and isinstance(value, np.ndarray) and value.ndim == 2:
        items = [list(row) for row in value]
    if items is None:
        return ((integer(subject, "padding", value, 0),) * 2,) * rank
    if len(items) != rank:
        raise subject.value(f"padding must have one entry for each of the {rank} spatial axes; got {value!r}")
    found = []
    for item in items:
        pair = sequence(item)
        if pair is None:
            found.append((integer(subject, "padding", item, 0),) * 2)
        elif len(pair) != 2:
            raise subject.value(f"padding of an axis must be an integer or a (low, high) pair; got {item!r}")
        else:
            found.append((integer(subject, "padding", pair[0], 0), integer(subject, "padding", pair[1], 0)))
    return tuple(found)


def same_pair(size: int, kernel: int, stride: int, dilation: int, lower: bool = False) -> tuple[int, int]:
    """TensorFlow's and JAX's SAME: ⌈size/stride⌉ outputs, the odd element of padding at the high end (or the low one)."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + effective_kernel(kernel, dilation) - size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


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


def parse_dtype(subject: Subject, value: Any) -> str:
    """`out_dtype` (a NumPy dtype, its name, or a torch dtype) as a NumPy name."""
    if type(value).__module__ == "torch":
        value = str(value).removeprefix("torch.")
    try:
        found = hosts.dtype_of(value) if isinstance(value, str) else np.dtype(value)
    except (TypeError, ImportError):
        raise subject.type(f"out_dtype must be a dtype; got {value!r}") from None
    return check_dtype(subject, "out_dtype", Spec((), found))


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


def check_padding_mode(subject: Subject, mode: Any, pairs: Pairs, spatial: Ints) -> str:
    """The mode, or "zeros" where nothing is padded; padding must lie within one reflection or period of the input."""
    found: str = choice(subject, "padding_mode", mode, PADDING_MODES)
    if not any(map(any, pairs)):
        return "zeros"
    if found in ("reflect", "symmetric", "circular"):
        for (low, high), size in zip(pairs, spatial, strict=True):
            if max(low, high) > size - (found == "reflect"):
                limit = "less than" if found == "reflect" else "at most"
                given = f"got padding {(low, high)} of size {size}"
                raise subject.value(f"padding_mode {found!r} needs padding {limit} the input's size; {given}")
    return found
