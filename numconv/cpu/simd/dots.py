"""The register tile of sums over positions: vectors of the gradient times vectors of the input, both as they lie in memory."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .emit import I32, array_pointer, element_type, emit_fma, is_float
from .masks import lanes_of_bits, masked_load, store_first
from .tiles import INTP, TileShape, _Grid, chain

VECTOR = 3  # integers to a vector: its place in y, its place in x, the row of its masks


@intrinsic
def dot_tile(
    typingctx, shape, y, y_index, y_pitch, x, x_index, vectors, v_index, places, p_index, masks, m_index, c, c_index, terms, accumulate
):  # type: ignore[no-untyped-def]
    """c[i, j, lane] (+)= Σ_k y[y(k) + j·y_pitch + lane]·x[x(k) + places[i] + lane], i < rows, j < vectors of the tile; in the order of k.

    Of each k the table of vectors has y(k), x(k) and m(k): bit `lane` of masks[m(k)] says which lanes there are, of masks[m(k) + m_index + i]
    which see the input.  Others count as zeros and are not touched.  c: (rows, vectors, lanes) from c_index.  `terms` is 1 or more.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        element, align = element_type(sig.args[1].dtype), ir.Constant(I32, sig.args[1].dtype.bitwidth // 8)
        y_ptr, x_ptr, v_ptr, p_ptr, c_ptr = (array_pointer(context, builder, sig.args[i], args[i], args[i + 1]) for i in (1, 4, 6, 8, 12))
        y_ptr = [builder.gep(y_ptr, [builder.mul(args[3], INTP(j))]) for j in range(tile.vectors)]
        m_ptr = array_pointer(context, builder, sig.args[10], args[10], INTP(0))
        grid = _Grid(builder, tile, element, c_ptr, INTP(tile.vectors * tile.lanes))
        load, zero, place = masked_load(builder, grid.vector), ir.Constant(grid.vector, None), grid.vector.as_pointer()
        starts = [builder.gep(x_ptr, [builder.load(builder.gep(p_ptr, [INTP(i)]))]) for i in range(tile.rows)]

        def some(base: Any, offset: Any, mask: Any) -> Any:
            return builder.call(load, [builder.bitcast(builder.gep(base, [offset]), place), align, mask, zero])

        def add_term(k: Any, sums: list[list[Any]]) -> list[list[Any]]:
            row = builder.gep(v_ptr, [builder.mul(k, INTP(VECTOR))])
            at_y, at_x, at_m = (builder.load(builder.gep(row, [INTP(i)])) for i in range(VECTOR))
            line = builder.gep(m_ptr, [at_m])

            def mask(offset: Any) -> Any:
                return lanes_of_bits(builder, builder.load(builder.gep(line, [offset])), grid.vector)

            all_lanes = mask(INTP(0))
            gradient = [some(base, at_y, all_lanes) for base in y_ptr]
            new = []
            for i, start in enumerate(starts):
                if i % 4 == 0:  # nothing moves over this: held ahead of their use, the masks spill (25 rows: 4 times as long)
                    builder.asm(ir.FunctionType(ir.VoidType(), []), "", "~{memory}", [], True)
                value = some(start, at_x, mask(builder.add(args[11], INTP(i))))
                new.append([emit_fma(builder, gradient[j], value, sums[i][j]) for j in range(tile.vectors)])
            return new

        chain(builder, grid, args[15], args[14], sig.args[1].dtype.bitwidth // 8, add_term)
        return context.get_dummy_value()

    if not (isinstance(shape, TileShape) and x.dtype == y.dtype == c.dtype):
        return None
    intp = types.intp
    return types.void(shape, y, intp, intp, x, intp, vectors, intp, places, intp, masks, intp, c, intp, intp, types.boolean), codegen


@intrinsic
def lane_sums(typingctx, shape, source, s, pitch, count, target, t):  # type: ignore[no-untyped-def]
    """target[t + i] = Σ over lanes of source[s + i·pitch + lane], i < min(count, lanes): a tree, neighbours first."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        tile: TileShape = sig.args[0]
        n, align = tile.lanes, sig.args[1].dtype.bitwidth // 8
        vector = ir.VectorType(element_type(sig.args[1].dtype), n)
        base = array_pointer(context, builder, sig.args[1], args[1], args[2])
        last = builder.sub(args[4], INTP(1))
        values = []
        for i in range(n):
            row = builder.select(builder.icmp_signed("<", INTP(i), last), INTP(i), last)
            values.append(builder.load(builder.bitcast(builder.gep(base, [builder.mul(row, args[3])]), vector.as_pointer()), align=align))
        even, odd = (ir.Constant(ir.VectorType(I32, n), list(range(first, 2 * n, 2))) for first in (0, 1))
        add = builder.fadd if is_float(vector) else builder.add
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [add(builder.shuffle_vector(a, b, even), builder.shuffle_vector(a, b, odd)) for a, b in pairs]
        place = builder.bitcast(array_pointer(context, builder, sig.args[5], args[5], args[6]), vector.as_pointer())
        store_first(builder, values[0], place, align, args[4])
        return context.get_dummy_value()

    intp = types.intp
    return types.void(shape, source, intp, intp, intp, target, intp), codegen
