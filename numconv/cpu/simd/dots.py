"""The register tile of sums over positions: vectors of the gradient times vectors of the input, both as they lie in memory."""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .emit import I32, element_type, emit_fma, emit_record, is_float
from .masks import lanes_of_bits, masked_load, store_first
from .tiles import INTP, TileShape, _Grid, chain


class Positions(NamedTuple):
    """A vector of positions, in elements."""

    gradient_at: int
    source_at: int
    masks_at: int  # of its row of masks


@intrinsic
def dot_tile(typingctx, shape, y, y_pitch, x, vectors, places, masks, first_mask, c, terms, accumulate):  # type: ignore[no-untyped-def]
    """c[i, j, lane] (+)= Σ_k y[gradient_at(k) + j·y_pitch + lane]·x[source_at(k) + places[i] + lane]; i < rows, j < vectors.

    `vectors`: records of Positions, one for each k < `terms`, at least one; summed in the order of k.  Bit `lane` of masks[masks_at(k)]
    says which lanes there are, of masks[masks_at(k) + first_mask + i] which see the input.  Others count as zeros and are not touched.
    c: (rows, vectors, lanes).  All arrays are pointers; `accumulate`: start from c, not from zero.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        _, gradients, y_pitch, source, table, places, masks, first_mask, sums_at, terms, accumulate = args
        element, align = element_type(sig.args[1].dtype), ir.Constant(I32, sig.args[1].dtype.bitwidth // 8)
        gradients = [builder.gep(gradients, [builder.mul(y_pitch, INTP(j))]) for j in range(tile.vectors)]
        grid = _Grid(builder, tile, element, sums_at, INTP(tile.vectors * tile.lanes))
        load, zero, place = masked_load(builder, grid.vector), ir.Constant(grid.vector, None), grid.vector.as_pointer()
        starts = [builder.gep(source, [builder.load(builder.gep(places, [INTP(i)]))]) for i in range(tile.rows)]

        def some(base: Any, offset: Any, mask: Any) -> Any:
            return builder.call(load, [builder.bitcast(builder.gep(base, [offset]), place), align, mask, zero])

        def add_term(k: Any, sums: list[list[Any]]) -> list[list[Any]]:
            at = emit_record(builder, builder.gep(table, [builder.mul(k, INTP(len(Positions._fields)))]), Positions)
            row = builder.gep(masks, [at.masks_at])

            def mask(offset: Any) -> Any:
                return lanes_of_bits(builder, builder.load(builder.gep(row, [offset])), grid.vector)

            all_lanes = mask(INTP(0))
            gradient = [some(base, at.gradient_at, all_lanes) for base in gradients]
            new = []
            for i, start in enumerate(starts):
                if i % 4 == 0:  # nothing moves over this: held ahead of their use, the masks spill (25 rows: 4 times as long)
                    builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)
                value = some(start, at.source_at, mask(builder.add(first_mask, INTP(i))))
                new.append([emit_fma(builder, gradient[j], value, sums[i][j]) for j in range(tile.vectors)])
            return new

        chain(builder, grid, accumulate, terms, sig.args[1].dtype.bitwidth // 8, add_term)
        return context.get_dummy_value()

    if not (isinstance(shape, TileShape) and x.dtype == y.dtype == c.dtype):
        return None
    intp = types.intp
    return types.void(shape, y, intp, x, vectors, places, masks, intp, c, intp, types.boolean), codegen


@intrinsic
def lane_sums(typingctx, shape, source, pitch, count, target):  # type: ignore[no-untyped-def]
    """target[i] = Σ over lanes of source[i·pitch + lane], i < min(count, lanes): a tree, neighbours first.  Two pointers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        _, base, pitch, count, target = args
        n, align = tile.lanes, sig.args[1].dtype.bitwidth // 8
        vector = ir.VectorType(element_type(sig.args[1].dtype), n)
        last = builder.sub(count, INTP(1))
        values = []
        for i in range(n):
            row = builder.select(builder.icmp_signed("<", INTP(i), last), INTP(i), last)
            values.append(builder.load(builder.bitcast(builder.gep(base, [builder.mul(row, pitch)]), vector.as_pointer()), align=align))
        even, odd = (ir.Constant(ir.VectorType(I32, n), list(range(first, 2 * n, 2))) for first in (0, 1))
        add = builder.fadd if is_float(vector) else builder.add
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [add(builder.shuffle_vector(a, b, even), builder.shuffle_vector(a, b, odd)) for a, b in pairs]
        store_first(builder, values[0], builder.bitcast(target, vector.as_pointer()), align, count)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(shape, source, intp, intp, target), codegen
