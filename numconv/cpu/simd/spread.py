"""The register tile turned round: lanes are output channels, each input value is spread over them.

Positions can lie anywhere at a fixed step, so narrow images, strides and unpadded inputs need neither copy nor idle lanes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .emit import I32, element_type, emit_fma, emit_pairs, emit_prefetch, splat
from .masks import lane_mask, masked_load
from .tiles import INTP, TileShape, _Grid, chain, line_of
from .transpose import transposed

FEW_PLACES = 6  # rows of which the places fit in registers beside all else


@intrinsic
def spread_tile(typingctx, shape, x, offsets, w, c, terms, accumulate, places, ahead, slope):  # type: ignore[no-untyped-def]
    """c[i, j] (+)= Σ_k x[offsets[k] + places[i]] · w[k, j], i < rows, j < columns = vectors·lanes; in the order of k.

    Pointers: x, offsets, w (terms, columns), c (rows, columns).  `accumulate`: start from c, not from zero.  `terms` is 1 or more.
    `places`: a pointer to where the rows lie, anywhere, or, of a tile whose step is 0, multiples of one distance; None: rows are the tile's
    step apart.  The caller keeps x + offsets[k] + places[i] inside the array.
    `ahead`: what a later tile reads is asked for, for each term the line of x[offsets[k] + ahead + slope·k], which may lie outside (`slope`
    where the tile's step is 0); None: nothing.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        _, source, where, filters, sums_at, terms, accumulate, table, ask, slope_of = args
        dtype = sig.args[4].dtype
        element, align, width = element_type(dtype), dtype.bitwidth // 8, tile.vectors * tile.lanes
        grid, product = _Grid(builder, tile, element, sums_at, INTP(width)), emit_pairs if tile.pairs else emit_fma
        table = None if isinstance(places, types.NoneType) else table

        few = (
            table is not None and tile.step == 0 and tile.rows <= FEW_PLACES
        )  # loading each place costs as much as each value: with 6×2 on AVX2 a quarter of the time
        step = builder.load(builder.gep(table, [INTP(1)])) if few and tile.rows > 1 else None

        def add_term(k: Any, sums: list[list[Any]]) -> list[list[Any]]:
            row, line = builder.gep(filters, [builder.mul(k, INTP(width))]), line_of(builder, source, where, k)
            if not isinstance(ahead, types.NoneType):
                on = ask if tile.step else builder.add(ask, builder.mul(slope_of, k))
                emit_prefetch(builder, builder.gep(line, [on]))
            weights = [
                builder.load(builder.bitcast(builder.gep(row, [INTP(j * tile.lanes)]), grid.vector.as_pointer()), align=align)
                for j in range(tile.vectors)
            ]
            if (
                table and not few
            ):  # nothing moves over this: held in registers, the places would crowd out the order of the loads (a quarter of the speed)
                builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)
            new = []
            for i in range(tile.rows):
                if few:
                    place = builder.mul(step, INTP(i)) if i else INTP(0)
                else:
                    place = builder.load(builder.gep(table, [INTP(i)])) if table else INTP(i * tile.step)
                value = splat(builder, builder.load(builder.gep(line, [place])), tile.lanes)
                new.append([product(builder, value, weights[j], sums[i][j]) for j in range(tile.vectors)])
            return new

        chain(builder, grid, accumulate, terms, align, add_term)
        return context.get_dummy_value()

    if not (isinstance(shape, TileShape) and x.dtype == w.dtype == c.dtype):
        return None
    return types.void(shape, x, offsets, w, c, types.intp, types.boolean, places, ahead, types.intp), codegen


@intrinsic
def transpose_to(typingctx, shape, source, row_pitch, valid, count, target, target_pitch, places):  # type: ignore[no-untyped-def]
    """target[places[k]·target_pitch + r] = source[min(r, valid − 1)·row_pitch + k], k < count ≤ lanes, r < columns of the tile."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        dtype = sig.args[1].dtype
        vector = ir.VectorType(element_type(dtype), tile.lanes)
        align, n = dtype.bitwidth // 8, tile.lanes
        _, base, row_pitch, valid, count, out, target_pitch, where = args
        last = builder.sub(valid, INTP(1))
        mask = lane_mask(builder, n, count)
        load = masked_load(builder, vector)
        squares = []
        for r0 in range(0, tile.vectors * n, n):
            values = []
            for r in range(r0, r0 + n):
                row = builder.select(builder.icmp_signed("<", INTP(r), last), INTP(r), last)
                place = builder.bitcast(builder.gep(base, [builder.mul(row, row_pitch)]), vector.as_pointer())
                values.append(builder.call(load, [place, ir.Constant(I32, align), mask, ir.Constant(vector, None)]))
            squares.append(transposed(builder, values))
        for k in range(n):
            with builder.if_then(builder.icmp_signed("<", INTP(k), count)):
                line = builder.mul(builder.load(builder.gep(where, [INTP(k)])), target_pitch)
                for j, values in enumerate(squares):
                    place = builder.bitcast(builder.gep(out, [builder.add(line, INTP(j * n))]), vector.as_pointer())
                    builder.store(values[k], place, align=align)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(shape, source, intp, intp, intp, target, intp, places), codegen
