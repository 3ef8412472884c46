"""Stores past the caches: a line written whole need not be read first, and results that no cache can hold push nothing out of them."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .emit import I32, I64, array_pointer
from .vector import lanes_of


@intrinsic(prefer_literal=True)
def to_boundary(typingctx, array, index, lanes):  # type: ignore[no-untyped-def]
    """How many elements from `index` to the next multiple of a whole vector's size in memory."""
    n = lanes_of(lanes)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        size = sig.args[0].dtype.bitwidth // 8
        address = builder.ptrtoint(array_pointer(context, builder, sig.args[0], args[0], args[1]), I64)
        return builder.sdiv(builder.and_(builder.neg(address), I64(n * size - 1)), I64(size))

    return types.intp(array, types.intp, lanes), codegen


@intrinsic
def store_past(typingctx, array, index, vector):  # type: ignore[no-untyped-def]
    """Write a vector at `index`, which is on a boundary of its size."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.bitcast(array_pointer(context, builder, sig.args[0], args[0], args[1]), args[2].type.as_pointer())
        stored = builder.store(args[2], place, align=args[2].type.count * args[2].type.element.get_abi_size(context.target_data))
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(I32, 1)]))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


@intrinsic
def fence(typingctx):  # type: ignore[no-untyped-def]
    """Such stores wait for no other; from here on every thread sees them."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen
