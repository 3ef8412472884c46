"""Squares of a matrix transposed in registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .emit import I32, array_pointer, element_bytes, element_type
from .masks import lane_mask, masked_load, store_first
from .tiles import INTP, TileShape


def _rounds(n: int, within: int) -> Iterator[list[ir.Constant]]:
    """For each round of a transposition the lanes of a‖b that make its two results; `within` lanes to 128 bits: first inside of those, then of whole ones.

    Such shuffles need no register that says which lanes: 50 cycles for a square of 16, against 70 with an interleaving across the whole register.
    """
    lanes, size, blocks = np.arange(2 * n), 1, n // within
    while size < within or blocks > 1:
        if size < within:
            orders = np.moveaxis(lanes.reshape(2, blocks, 2, within // size // 2, size), (2, 0), (0, 3))
            size *= 2
        else:
            orders = np.moveaxis(lanes.reshape(-1, 2, within), 1, 0)
            blocks //= 2
        yield [ir.Constant(ir.VectorType(I32, n), order.ravel().tolist()) for order in orders]


def transposed(builder: Any, values: list[Any]) -> list[Any]:
    """The columns of a square given by its rows: in each of log2(lanes) rounds neighbours exchange halves."""
    n = len(values)
    within = min(n, 16 // element_bytes(values[0].type.element))
    found = [[v] for v in values]
    for orders in _rounds(n, within):
        pairs = zip(found[::2], found[1::2], strict=True)
        found = [[builder.shuffle_vector(a, b, order) for order in orders for a, b in zip(x, y, strict=True)] for x, y in pairs]
    places = [0]
    while len(places) < within:  # the first rounds give the columns of 128 bits with the bits of their numbers reversed
        places = [2 * i + odd for odd in (0, 1) for i in places]
    return [found[0][c - c % within + places[c % within]] for c in range(n)]


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
        mask, load = lane_mask(builder, n, count), masked_load(builder, vector)
        values = []
        for r in range(n):
            row = builder.select(builder.icmp_signed("<", INTP(r), last), INTP(r), last)
            if not isinstance(places, types.NoneType):
                row = builder.load(builder.gep(array_pointer(context, builder, sig.args[4], args[4], args[5]), [row]))
            place = builder.gep(base, [builder.mul(row, args[3])])
            values.append(builder.call(load, [builder.bitcast(place, vector.as_pointer()), align, mask, ir.Constant(vector, None)]))
        place = array_pointer(context, builder, sig.args[7], args[7], args[8])
        for k, value in enumerate(transposed(builder, values)):
            with builder.if_then(builder.icmp_signed("<", INTP(k), count)):
                row = builder.gep(place, [builder.mul(INTP(k), args[9])])
                store_first(builder, value, builder.bitcast(row, vector.as_pointer()), sig.args[1].dtype.bitwidth // 8, args[11])
        return context.get_dummy_value()

    intp = types.intp
    return types.void(shape, source, intp, intp, places, intp, intp, target, intp, intp, intp, intp), codegen


@intrinsic
def transpose_block(typingctx, shape, source, s, row_pitch, valid, target, t):  # type: ignore[no-untyped-def]
    """target[t + k·rows + r] = source[s + min(r, valid − 1)·row_pitch + k], k < lanes, r < rows of the tile.

    Rows go through registers, a square of lanes × lanes at a time.
    """

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        tile: TileShape = sig.args[0]
        element = element_type(sig.args[1].dtype)
        vector = ir.VectorType(element, tile.lanes)
        align, n = sig.args[1].dtype.bitwidth // 8, tile.lanes
        base = array_pointer(context, builder, sig.args[1], args[1], args[2])
        out = array_pointer(context, builder, sig.args[5], args[5], args[6])
        last = builder.sub(args[4], INTP(1))
        for r0 in range(0, tile.rows, n):
            values = []
            for r in range(r0, min(tile.rows, r0 + n)):
                row = builder.select(builder.icmp_signed("<", INTP(r), last), INTP(r), last)
                place = builder.gep(base, [builder.mul(row, args[3])])
                values.append(builder.load(builder.bitcast(place, vector.as_pointer()), align=align))
            count = len(values)
            values = transposed(builder, values + [ir.Constant(vector, ir.Undefined)] * (n - count))
            for k, value in enumerate(values):
                place = builder.bitcast(builder.gep(out, [INTP(k * tile.rows + r0)]), vector.as_pointer())
                if count == n:
                    builder.store(value, place, align=align)
                else:
                    store_first(builder, value, place, align, INTP(count))
        return context.get_dummy_value()

    return types.void(shape, source, types.intp, types.intp, types.intp, target, types.intp), codegen
