"""User values → plain values: integers per axis, paddings, choices; and the form of every refusal.

Errors read `function: what is wrong (what was given)`.  Only the `arguments` modules raise them.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from .. import hosts
from ..problem import Ints, effective_kernel

LAYOUTS = ("channels_first", "channels_last")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
PRECISIONS = ("highest", "tf32")
AXES = 64  # more entries than any array has axes: of an endless sequence no more are looked at
SHOWN = 200  # characters of a value in an error
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


def shown(value: Any) -> str:
    """A value as an error shows it: in short, and whatever it is."""
    try:
        text = repr(value)
    except Exception:  # an integer beyond the digits that Python writes, or an object that cannot say what it is
        if isinstance(value, int):
            return f"an integer of {value.bit_length()} bits"
        if type(value) in (list, tuple) and len(value) <= 8:
            return f"{type(value).__name__} of {', '.join(shown(v) if type(v) is not type(value) else '…' for v in value)}"
        return f"an object of type {type(value).__module__}.{type(value).__qualname__}"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def choice(subject: Subject, label: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if value is None and None in allowed:
        return None
    if not isinstance(value, str):
        raise subject.type(f"{label} must be a string{' or None' if None in allowed else ''}; got {shown(value)}")
    if value not in allowed:
        raise subject.value(f"{label} must be one of {', '.join(map(repr, allowed))}; got {shown(value)}")
    return value


def integer(subject: Subject, label: str, value: Any, low: int) -> int:
    """From `low` to the largest that a size in bytes may be."""
    if isinstance(value, (bool, np.bool_)):
        raise subject.type(f"{label} must be an integer; got {shown(value)}")
    try:
        found = operator.index(value)
    except Exception:  # whatever an object's own `__index__` raises
        raise subject.type(f"{label} must be an integer; got {shown(value)}") from None
    if found < low:
        raise subject.value(f"{label} must be at least {low}; got {shown(found)}")
    if found > sys.maxsize:
        raise subject.value(f"{label} must be at most {sys.maxsize}; got {shown(found)}")
    return found


def number(subject: Subject, label: str, value: Any, form: str = "a number") -> float:
    """A real number, which may be infinite or NaN."""
    if isinstance(value, (bool, np.bool_, str, bytes, bytearray)) or not hasattr(value, "__float__") or getattr(value, "ndim", 0) != 0:
        raise subject.type(f"{label} must be {form}; got {shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise subject.value(f"{label} must be {form} that float64 can hold; got {shown(value)}") from None
    except Exception:
        raise subject.type(f"{label} must be {form}; got {shown(value)}") from None


def flag(subject: Subject, label: str, value: Any) -> bool:
    """True or False, or 1 or 0."""
    if isinstance(value, (bool, np.bool_)) or (type(value) is int and value in (0, 1)):
        return bool(value)
    raise subject.type(f"{label} must be True or False; got {shown(value)}")


def host_array(subject: Subject, label: str, value: Any) -> np.ndarray[Any, Any]:
    """Any array on the host, of any type, as an ndarray."""
    try:
        return hosts.adopt(value)
    except MemoryError:
        raise
    except hosts.Refusal as error:
        raise subject.type(f"{label} {error}") from None
    except Exception as error:
        raise subject.type(f"{label} is not an array: {error}") from error


def sequence(value: Any) -> list[Any] | None:
    """The elements of a sequence or of a 1-D array or tensor, else None; texts and buffers are no sequences of numbers."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, np.ndarray) or hosts.is_torch(value):
        dense = isinstance(value, np.ndarray) or hosts.is_dense(value)
        return list(value[:AXES]) if dense and value.ndim == 1 else None
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        return list(islice(value, AXES))
    return None


def per_axis(subject: Subject, label: str, value: Any, rank: int, low: int) -> Ints:
    """An int for all axes, or one per axis; each from `low` to LARGEST."""
    items = sequence(value)
    if items is None:
        try:
            found = (integer(subject, label, value, low),) * rank
        except TypeError:
            if type(value) is int or isinstance(value, (bool, float)):
                raise
            raise subject.type(f"{label} must be an integer or {rank} of them; got {shown(value)}") from None
    else:
        if len(items) != rank:
            raise subject.value(f"{label} must be an integer or one for each of the {rank} spatial axes; got {shown(value)}")
        found = tuple(integer(subject, label, item, low) for item in items)
    if max(found) > LARGEST:
        raise subject.value(f"{label} must be at most {LARGEST}; got {shown(value)}")
    return found


def padding_pairs(subject: Subject, value: Any, spatial: Ints, kernel: Ints, stride: Ints, dilation: Ints, words: bool = True) -> Pairs:
    """Any form of `padding` as (low, high) pairs."""
    rank = len(spatial)
    if isinstance(value, str):
        if not words or value not in ("valid", "same", "same_lower"):
            forms = "'valid', 'same', 'same_lower', " if words else ""
            raise subject.value(f"padding must be {forms}an integer, one per axis or one (low, high) pair per axis; got {shown(value)}")
        if value == "valid":
            return ((0, 0),) * rank
        return tuple(same_pair(*axis, lower=value == "same_lower") for axis in zip(spatial, kernel, stride, dilation, strict=True))
    items = sequence(value)
    if items is None and isinstance(value, np.ndarray) and value.ndim == 2:
        items = [list(row[:AXES]) for row in value[:AXES]]
    if items is None:
        return ((integer(subject, "padding", value, 0),) * 2,) * rank
    if len(items) != rank:
        raise subject.value(f"padding must have one entry for each of the {rank} spatial axes; got {shown(value)}")
    found = []
    for item in items:
        pair = sequence(item)
        if pair is None:
            found.append((integer(subject, "padding", item, 0),) * 2)
        elif len(pair) != 2:
            raise subject.value(f"padding of an axis must be an integer or a (low, high) pair; got {shown(item)}")
        else:
            found.append((integer(subject, "padding", pair[0], 0), integer(subject, "padding", pair[1], 0)))
    return tuple(found)


def same_pair(size: int, kernel: int, stride: int, dilation: int, lower: bool = False) -> tuple[int, int]:
    """TensorFlow's and JAX's SAME: ⌈size/stride⌉ outputs, the odd element of padding at the high end (or the low one)."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + effective_kernel(kernel, dilation) - size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


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
