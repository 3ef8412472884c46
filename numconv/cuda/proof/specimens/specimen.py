"""A kernel to be compiled, and words for the types of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Specimen:
    """A kernel to be made, and its arguments' types: "float32[]" is a flat array, "int32" a scalar, {class: words} a NamedTuple."""

    label: str
    family: str
    make: Callable[[], Any]
    arguments: tuple[str | dict[type, tuple[str, ...]], ...]
    threads: int = 256
    least: tuple[int, int] = (7, 5)  # compute capability
    wanted: tuple[str, ...] = ()  # instructions that its PTX must hold
    doubles: bool = False  # whether float64 arithmetic is meant
    registers: int = 255  # budget for each thread
    dynamic: int = 0  # bytes of shared memory asked for at launch


def _storage(dtype: str) -> str:
    return "uint16" if dtype == "bfloat16" else dtype


def arrays(*dtypes: str) -> tuple[str, ...]:
    return tuple(f"{_storage(d)}[]" for d in dtypes)


def fields(kind: type, real: str = "float32") -> dict[type, tuple[str, ...]]:
    """A NamedTuple of whole numbers and of `real` ones."""
    return {kind: tuple(real if of is float else "int32" for of in get_type_hints(kind).values())}


def conv(dtype: str, out: str | None = None) -> tuple[str, ...]:
    out = out or dtype
    return (*arrays(dtype, dtype, out, out), "int32[]")


def has_doubles(*dtypes: str) -> bool:
    return any(d in ("float64", "complex128") for d in dtypes)
