"""User values → plain values: integers per axis, paddings, choices; and the form of every refusal.

Errors read `function: what is wrong (what was given)`.  Only the `arguments` modules raise them.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from ..problem import Ints, effective_kernel

LAYOUTS = ("channels_first", "channels_last")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
PRECISIONS = ("highest", "tf32")
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
