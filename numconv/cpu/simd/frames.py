"""What a compiled function has to itself: its frame, memory on its stack."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .tiles import INTP


def unset(builder: Any, kind: Any) -> Any:
    """A pointer to such a value on this function's stack.  `alloca_once` sets it to zero, in an inlined function each time around."""
    with builder.goto_entry_block():
        return builder.alloca(kind)


@intrinsic
def called(typingctx):  # type: ignore[no-untyped-def]
    """The function that says so stays one of its own: what it alone needs in registers is not held around the loops of its caller."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        builder.function.attributes.discard("alwaysinline")
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic(prefer_literal=True)
def words(typingctx, count):  # type: ignore[no-untyped-def]
    """A pointer to so many integers on this function's stack, not set."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(unset(builder, ir.ArrayType(INTP, count.literal_value)), INTP.as_pointer())

    return types.CPointer(types.intp)(count), codegen
