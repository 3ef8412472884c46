"""Every s-th element of a row, in vectors: s registers loaded, one kept; or, for a wide step, a gather."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .emit import I32, array_pointer, splat, suffix
from .tiles import INTP, TileShape
from .vector import Vector


@intrinsic(prefer_literal=True)
def stepping(typingctx, shape, registers):  # type: ignore[no-untyped-def]
    """A shape of the same lanes for a copy by the step `registers`, a literal; 0 for any step."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_dummy_value()

    return TileShape(1, registers.literal_value, shape.lanes)(shape, registers), codegen


def _kept(builder: Any, registers: list[Any]) -> Any:
    """Lane j: element j·s of the s registers one after the other."""
    result, n, s = registers[0], registers[0].type.count, len(registers)
    for i in range(1, s):
        order = [lane if lane * s // n != i else n + lane * s % n for lane in range(n)]
        if i == 1:
            order = [lane * s if lane * s < 2 * n else lane for lane in range(n)]
        result = builder.shuffle_vector(result, registers[i], ir.Constant(ir.VectorType(I32, n), order))
    return result


def _masked(builder: Any, what: str, place: Any, vector: Any, align: int, mask: Any) -> Any:
    """A masked load from an address, or a gather from a vector of them."""
    fnty = ir.FunctionType(vector, [place.type, I32, mask.type, vector])
    over = "p0" if what == "load" else f"v{vector.count}p0"
    function = cgutils.get_or_insert_function(builder.module, fnty, f"llvm.masked.{what}.{suffix(vector)}.{over}")
    return builder.call(function, [place, I32(align), mask, ir.Constant(vector, None)])


@intrinsic
def load_every(typingctx, shape, array, index, step, low, high):  # type: ignore[no-untyped-def]
    """Elements index + lane·step for low ≤ lane < high, zeros in the other lanes; only what lies between the two ends is read.

    Without bounds (`low` is None) all lanes, and all step·lanes elements from `index` may be read.
    """
    s, n = shape.vectors, shape.lanes
    bounded = not isinstance(low, types.NoneType)

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        vector = context.get_value_type(sig.return_type)
        base = array_pointer(context, builder, sig.args[1], args[1], args[2])
        align = vector.element.get_abi_size(context.target_data)

        def mask(first: int, factor: int) -> Any:
            lane = ir.Constant(ir.VectorType(I32, n), list(range(first, first + n)))
            if not bounded:
                return ir.Constant(ir.VectorType(ir.IntType(1), n), [1] * n)
            low, high = builder.trunc(args[4], I32), builder.trunc(args[5], I32)
            low, high = builder.mul(low, I32(factor)), builder.sub(builder.mul(high, I32(factor)), I32(factor - 1))
            low, high = splat(builder, low, n), splat(builder, high, n)
            return builder.and_(builder.icmp_signed(">=", lane, low), builder.icmp_signed("<", lane, high))

        if s == 0:
            apart = splat(builder, builder.mul(args[3], INTP(align)), n)
            lane = ir.Constant(ir.VectorType(INTP, n), list(range(n)))
            places = builder.add(splat(builder, builder.ptrtoint(base, INTP), n), builder.mul(lane, apart))
            places = builder.inttoptr(places, ir.VectorType(base.type, n))
            return _masked(builder, "gather", places, vector, align, mask(0, 1))
        values = []
        for i in range(s):
            place = builder.bitcast(builder.gep(base, [INTP(i * n)]), vector.as_pointer())
            values.append(_masked(builder, "load", place, vector, align, mask(i * n, s)) if bounded else builder.load(place, align=align))
        return _kept(builder, values)

    bound = types.intp if bounded else types.none
    return Vector(array.dtype, n)(shape, array, types.intp, types.intp, bound, bound), codegen
