"""Plans as kernels read them: a NamedTuple on the host, a record over one int64 table in the kernel, under the same names.

    class Axis(NamedTuple):
        box: int  # targets of a task
        step: int  # in the source, from one target to the next

    class Plan(NamedTuple):
        h: Axis
        w: Axis
        jobs_at: int  # where the jobs begin in the table

    plan_at = reader(Plan)                                   # once, at module level
    numbers = table(Plan(h=Axis(8, 1), w=Axis(16, 2), jobs_at=size_of(Plan)), [3, 4])
    …
    plan = plan_at(tables, 0)                                # in a kernel; `tables` points to `numbers`
    plan.w.step, get(moved(tables, plan.jobs_at), 1)

A record in a kernel is an address: reading a field is one load, as reading a table by number was.  A NamedTuple of fifty integers as an
argument costs 9 µs a call and 40 % more code; one table costs 0.1 µs.  LLVM reads a field again after a store: take it into a local
before an inner loop.  Fields that are compiled in (tile shapes, None) are no part of a record: they are types, or arguments.
"""

from __future__ import annotations

from functools import cache
from typing import Any, get_type_hints

import numpy as np
from numba import types
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from ..simd.emit import array_pointer


@cache
def layout_of(kind: type) -> np.dtype[Any]:
    """The fields of a NamedTuple class as 64-bit integers, records within it as records."""
    return np.dtype([(name, layout_of(of) if issubclass(of, tuple) else np.int64) for name, of in get_type_hints(kind).items()])


def size_of(kind: type) -> int:
    """Integers of a record of that class."""
    return layout_of(kind).itemsize // 8


def _append(part: Any, integers: list[Any]) -> list[Any]:
    """Those of a record, of records within it and of lists of records."""
    for field in part:
        if isinstance(field, tuple):
            _append(field, integers)
        else:
            integers.append(field)
    return integers


def _array(part: Any) -> np.ndarray:
    if not isinstance(part, np.ndarray):
        return np.array(_append(part, []), np.int64)
    if part.dtype == np.uint16:  # masks of lanes, four to an integer: `masks_at` reads them
        return np.concatenate([part.ravel(), np.zeros(-part.size % 4, np.uint16)]).view(np.int64)
    return part.ravel()


def table(*parts: Any) -> np.ndarray:
    """Records, lists of records, arrays or lists of integers, arrays of masks, one after the other."""
    return np.concatenate([_array(p) for p in parts], dtype=np.int64)


def reader(kind: type) -> Any:
    """For kernels: `plan_at(tables, at)` is the record that begins `at` integers on."""
    record = from_dtype(layout_of(kind))

    @intrinsic
    def record_at(typingctx, tables, at):  # type: ignore[no-untyped-def]
        def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
            place = array_pointer(context, builder, sig.args[0], args[0], args[1])
            return builder.bitcast(place, context.get_value_type(sig.return_type))

        return record(tables, types.intp), codegen

    return record_at


@intrinsic
def integers_at(typingctx, room, at):  # type: ignore[no-untyped-def]
    """For kernels: a pointer to the 64-bit integers that begin `at` elements on in scratch of whatever type."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        place = array_pointer(context, builder, sig.args[0], args[0], args[1])
        return builder.bitcast(place, context.get_value_type(sig.return_type))

    return types.CPointer(types.int64)(room, types.intp), codegen


@intrinsic
def masks_at(typingctx, tables, at):  # type: ignore[no-untyped-def]
    """For kernels: a pointer to the masks of lanes, 16 bits each, that begin `at` integers on."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        place = array_pointer(context, builder, sig.args[0], args[0], args[1])
        return builder.bitcast(place, context.get_value_type(sig.return_type))

    return types.CPointer(types.uint16)(tables, types.intp), codegen
