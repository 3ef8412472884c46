"""Two small integers in one element, as `emit_pairs` multiplies them."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .emit import I32
from .vector import Vector


@intrinsic
def pairs_of(typingctx, low, high):  # type: ignore[no-untyped-def]
    """Vectors of at most 16 bits as one of int32: the low halves and the high ones."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide, half = (ir.VectorType(ir.IntType(bits), low.lanes) for bits in (32, 16))
        extend = builder.sext if low.dtype.signed else builder.zext
        one, other = args if low.dtype.bitwidth == 16 else [extend(v, half) for v in args]
        return builder.or_(builder.zext(one, wide), builder.shl(builder.zext(other, wide), ir.Constant(wide, [I32(16)] * low.lanes)))

    return Vector(types.int32, low.lanes)(low, high), codegen
