"""A square of a matrix transposed in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .tiles import INTP, TileShape
from .vector import I32, array_pointer, element_type, lane_mask, masked_load, masked_store


def transposed(builder: Any, values: list[Any]) -> list[Any]:
    """The columns of a square given by its rows: log2(lanes) rounds of interleaving."""
    n = len(values)
    low = ir.Constant(ir.VectorType(I32, n), [lane for i in range(n // 2) for lane in (i, n + i)])
    high = ir.Constant(ir.VectorType(I32, n), [lane for i in range(n // 2, n) for lane in (i, n + i)])
    for _ in range(n.bit_length() - 1):
        pairs = zip(values[: n // 2], values[n // 2 :], strict=True)
        values = [builder.shuffle_vector(a, b, order) for a, b in pairs for order in (low, high)]
    return values


@intrinsic
def transpose_square(typingctx, shape, source, s, row_pitch, target, t, target_pitch):  # type: ignore[no-untyped-def]
    """target[t + k·target_pitch + r] = source[s + r·row_pitch + k], k, r < lanes."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        vector = ir.VectorType(element_type(sig.args[1].dtype), tile.lanes)
        align, n = sig.args[1].dtype.bitwidth // 8, tile.lanes
        place = array_pointer(context, builder, sig.args[1], args[1], args[2])
        values = []
        for _ in range(n):
            values.append(builder.load(builder.bitcast(place, vector.as_pointer()), align=align))
            place = builder.gep(place, [args[3]])
        values = transposed(builder, values)
        place = array_pointer(context, builder, sig.args[4], args[4], args[5])
        for value in values:
            builder.store(value, builder.bitcast(place, vector.as_pointer()), align=align)
            place = builder.gep(place, [args[6]])
        return context.get_dummy_value()

    return types.void(shape, source, types.intp, types.intp, target, types.intp, types.intp), codegen


@intrinsic
def transpose_part(typingctx, shape, source, s, row_pitch, places, p, valid, target, t, target_pitch, count, kept):  # type: ignore[no-untyped-def]
    """target[t + k·target_pitch + r] = source[s + row(r)·row_pitch + k], k < count, r < kept; at most a square, nothing beyond is touched.

    row(r) is min(r, valid − 1), or places[p + that].
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        vector = ir.VectorType(element_type(sig.args[1].dtype), tile.lanes)
        align, n = I32(sig.args[1].dtype.bitwidth // 8), tile.lanes
        base = array_pointer(context, builder, sig.args[1], args[1], args[2])
        last, count = builder.sub(args[6], INTP(1)), args[10]
        mask, load, store = lane_mask(builder, n, count), masked_load(builder, vector), masked_store(builder, vector)
        values = []
        for r in range(n):
            row = builder.select(builder.icmp_signed("<", INTP(r), last), INTP(r), last)
            if not isinstance(places, types.NoneType):
                row = builder.load(builder.gep(array_pointer(context, builder, sig.args[4], args[4], args[5]), [row]))
            place = builder.gep(base, [builder.mul(row, args[3])])
            values.append(builder.call(load, [builder.bitcast(place, vector.as_pointer()), align, mask, ir.Constant(vector, None)]))
        place, mask = array_pointer(context, builder, sig.args[7], args[7], args[8]), lane_mask(builder, n, args[11])
        for k, value in enumerate(transposed(builder, values)):
            with builder.if_then(builder.icmp_signed("<", INTP(k), count)):
                row = builder.gep(place, [builder.mul(INTP(k), args[9])])
                builder.call(store, [value, builder.bitcast(row, vector.as_pointer()), align, mask])
        return context.get_dummy_value()

    intp = types.intp
    return types.void(shape, source, intp, intp, places, intp, intp, target, intp, intp, intp, intp), codegen
