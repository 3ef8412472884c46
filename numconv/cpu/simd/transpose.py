"""Squares of a matrix transposed in registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .emit import I32, element_bytes, element_type
from .masks import lane_mask, masked_load, store_first
from .tiles import INTP, TileShape


def _rounds(n: int, within: int) -> Iterator[list[ir.Constant]]:
    """For each round of a transposition the lanes of a‖b that make its two results.

    `within` lanes to 128 bits: first inside of those, then of whole ones.

    Such shuffles need no register that says which lanes: 50 cycles for a square of 16, against 70 with an interleaving across all of it.
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
def transpose_square(typingctx, shape, source, row_pitch, target, target_pitch):  # type: ignore[no-untyped-def]
    """target[k·target_pitch + r] = source[r·row_pitch + k], k, r < lanes; two pointers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        vector = ir.VectorType(element_type(sig.args[1].dtype), tile.lanes)
        align, n = sig.args[1].dtype.bitwidth // 8, tile.lanes
        _, place, row_pitch, out, target_pitch = args
        values = []
        for _ in range(n):
            values.append(builder.load(builder.bitcast(place, vector.as_pointer()), align=align))
            place = builder.gep(place, [row_pitch])
        for value in transposed(builder, values):
            builder.store(value, builder.bitcast(out, vector.as_pointer()), align=align)
            out = builder.gep(out, [target_pitch])
        return context.get_dummy_value()

    return types.void(shape, source, types.intp, target, types.intp), codegen


@intrinsic
def transpose_part(typingctx, shape, source, row_pitch, places, valid, target, target_pitch, count, kept):  # type: ignore[no-untyped-def]
    """target[k·target_pitch + r] = source[row(r)·row_pitch + k], k < count, r < kept; at most a square, nothing beyond is touched.

    row(r) is min(r, valid − 1), or places[that].  Source, target and places (or None) are pointers.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        vector = ir.VectorType(element_type(sig.args[1].dtype), tile.lanes)
        align, n = I32(sig.args[1].dtype.bitwidth // 8), tile.lanes
        _, base, row_pitch, where, valid, place, target_pitch, count, kept = args
        last = builder.sub(valid, INTP(1))
        mask, load = lane_mask(builder, n, count), masked_load(builder, vector)
        values = []
        for r in range(n):
            row = builder.select(builder.icmp_signed("<", INTP(r), last), INTP(r), last)
            if not isinstance(places, types.NoneType):
                row = builder.load(builder.gep(where, [row]))
            line = builder.gep(base, [builder.mul(row, row_pitch)])
            values.append(builder.call(load, [builder.bitcast(line, vector.as_pointer()), align, mask, ir.Constant(vector, None)]))
        for k, value in enumerate(transposed(builder, values)):
            with builder.if_then(builder.icmp_signed("<", INTP(k), count)):
                row = builder.gep(place, [builder.mul(INTP(k), target_pitch)])
                store_first(builder, value, builder.bitcast(row, vector.as_pointer()), sig.args[1].dtype.bitwidth // 8, kept)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(shape, source, intp, places, intp, target, intp, intp, intp), codegen


@intrinsic
def transpose_block(typingctx, shape, source, row_pitch, valid, target):  # type: ignore[no-untyped-def]
    """target[k·rows + r] = source[min(r, valid − 1)·row_pitch + k], k < lanes, r < rows of the tile; two pointers.

    Rows go through registers, a square of lanes × lanes at a time.
    """

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        tile: TileShape = sig.args[0]
        element = element_type(sig.args[1].dtype)
        vector = ir.VectorType(element, tile.lanes)
        align, n = sig.args[1].dtype.bitwidth // 8, tile.lanes
        _, base, row_pitch, valid, out = args
        last = builder.sub(valid, INTP(1))
        for r0 in range(0, tile.rows, n):
            values = []
            for r in range(r0, min(tile.rows, r0 + n)):
                row = builder.select(builder.icmp_signed("<", INTP(r), last), INTP(r), last)
                place = builder.gep(base, [builder.mul(row, row_pitch)])
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

    return types.void(shape, source, types.intp, types.intp, target), codegen
