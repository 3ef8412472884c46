"""Plans as kernels read them: a NamedTuple on the host, a record of int32 in the kernel's table, under the same names.

    class Axis(NamedTuple):  # one of t, h, w
        taps: int  # of the kernel
        stride: int  # of the user, in elements

    class Plan(NamedTuple):
        groups: int
        h: Axis
        terms_at: int  # where in the table the terms begin

    plan_at, term_at = reader(Plan), reader(Term)

    # on the host: the record first, what it points to after it
    Table(table(Plan(groups=2, h=Axis(taps=3, stride=1), terms_at=slots(Plan)), terms, offsets))

    # in the kernel: nothing is loaded before a field is named
    plan = plan_at(tab, 0)
    term = term_at(tab, plan.terms_at + k * slots(Term))       # slots(Term) as a constant of the factory
    ... imul(t, plan.h.stride) ...

A field is an int or a record; it compiles to the one int32 load that `tab[33]` was.  A loop reads a field anew after each store: what an
inner loop needs goes into a local before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, get_type_hints

import numpy as np

from ..ptx import quad_at, record_at

Layout = dict[str, "int | tuple[int, Layout]"]


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


@lru_cache(maxsize=64)
def layout_of(kind: type) -> np.dtype[Any]:
    """The fields of a NamedTuple as 32-bit integers, records within it as records."""
    return np.dtype([(name, layout_of(of) if _is_record(of) else np.int32) for name, of in get_type_hints(kind).items()], align=True)


def slots(kind: type) -> int:
    """The int32 elements of the table that a record takes."""
    return layout_of(kind).itemsize // 4


def _values(part: Any) -> Iterator[int]:
    for value in part:
        if isinstance(value, tuple):
            yield from _values(value)
        else:
            yield value


def table(*parts: Any) -> np.ndarray[Any, Any]:
    """Records, lists of records and lists of integers as one int32 array, one after the other; what `launch.Table` takes."""
    flat = []
    for part in parts:
        if _is_record(type(part)):
            values = list(_values(part))
            if len(values) != slots(type(part)):
                raise TypeError(f"{type(part).__name__}: a field is an int or a record")
            flat.append(np.array(values, np.int64))
        elif len(part) and isinstance(part[0], tuple):
            flat.append(table(*part).astype(np.int64))
        else:
            flat.append(np.asarray(part, np.int64).ravel())
    whole = np.concatenate(flat) if flat else np.zeros(0, np.int64)
    if whole.size and (whole.max() >= 2**31 or whole.min() < -(2**31)):
        raise ValueError("an image of 2³¹ elements or more is beyond the GPU kernels' 32-bit indices")
    return whole.astype(np.int32)


def reader(kind: type) -> Callable[[Any, Any], Any]:
    """For kernels: `plan_at(table, at)` is the record that lies there."""
    return record_at(layout_of(kind))  # type: ignore[no-any-return]


def quad_reader(kind: type) -> Callable[[Any, Any], Any]:
    """For kernels: a record of four ints by one 128-bit load; `at` is a multiple of four."""
    if slots(kind) != 4:
        raise TypeError(f"{kind.__name__} has {slots(kind)} fields, not four")
    return quad_at(kind)  # type: ignore[no-any-return]
