"""The micro-kernel of a filter: sums over neighbours of some vectors of targets, in registers, stored in the target's type.

`rows` rows of `vectors` registers are summed at once.  Order MULTIPLY_ADD: taps come in columns, each of `taps` rows that lie `pitch`
apart, so that the rows of targets share what they read: (rows − 1 + taps)·vectors loads for rows·taps·vectors fused multiply-adds.
The other orders are SciPy's own, a product and a sum at a time, for one row: the same bits in each lane as its loops in C.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from .emit import I64, element_type, emit_fma, emit_math, repeated, splat
from .masks import store_first
from .tiles import INTP

#: one fused multiply-add after the other; a product, then a sum; of two neighbours' sum, of their difference (the middle one first)
MULTIPLY_ADD, IN_TURN, EVEN, ODD = range(4)
#: by the number before the weights: nothing; the sum by it; whole sums by it, towards zero, where it is the reciprocal of a whole number
UNDIVIDED, QUOTIENT, WHOLE_QUOTIENT = range(3)
#: what sums are rounded to where they go on as numbers with a point: nothing, or one of these
ROUNDED = ("", "float32", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")


class SumsShape(types.Type):
    """`rows` × `vectors` registers of `lanes` sums, in such an order; `rounded`: number in ROUNDED; `narrow`: they fit in int32.

    `divided`: see UNDIVIDED."""

    def __init__(self, rows: int, vectors: int, lanes: int, order: int, rounded: int, narrow: int, divided: int) -> None:
        self.rows, self.vectors, self.lanes, self.order = rows, vectors, lanes, order
        self.rounded, self.narrow, self.divided = rounded, narrow, divided
        super().__init__(name=f"SumsShape({rows}, {vectors}, {lanes}, {order}, {rounded}, {narrow}, {divided})")


@register_model(SumsShape)
class _SumsShapeModel(models.OpaqueModel):
    pass


@intrinsic(prefer_literal=True)
def sums_shape(typingctx, rows, vectors, lanes, order, rounded, narrow, divided):  # type: ignore[no-untyped-def]
    """The (dataless) value that carries it in its type."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_dummy_value()

    found = SumsShape(
        rows.literal_value,
        vectors.literal_value,
        lanes.literal_value,
        order.literal_value,
        rounded.literal_value,
        narrow.literal_value,
        divided.literal_value,
    )
    return found(rows, vectors, lanes, order, rounded, narrow, divided), codegen


@intrinsic
def as_type_of(typingctx, place, like):  # type: ignore[no-untyped-def]
    """The same place as a pointer of the other's type: for places that are taken only where the types are one."""
    return like(place, like), lambda context, builder, sig, args: builder.bitcast(args[0], args[1].type)


def _integers(builder: Any, value: Any, bits: int, signed: bool, narrow: bool) -> Any:
    """Towards zero, modulo 2^bits, as C does on the machines that SciPy runs on."""
    n, b = value.type.count, builder
    wide = ir.VectorType(I64, n)
    if narrow:
        found = b.fptosi(value, ir.VectorType(ir.IntType(32), n))
        return b.sext(found, wide) if bits > 32 else b.trunc(found, ir.VectorType(ir.IntType(bits), n)) if bits < 32 else found
    if bits < 64 or signed:
        found = b.fptosi(value, wide)
        return b.trunc(found, ir.VectorType(ir.IntType(bits), n)) if bits < 64 else found
    half = ir.Constant(value.type, [2.0**63] * n)
    large = b.fcmp_ordered(">=", value, half)
    low, high = b.fptosi(value, wide), b.fptosi(b.fsub(value, half), wide)
    return b.select(large, b.xor(high, ir.Constant(wide, [-(2**63)] * n)), low)


def _stored(builder: Any, value: Any, kind: Any, narrow: bool) -> Any:
    """A register of sums as one of the target's type."""
    element = element_type(kind)
    if element == value.type.element:
        return value
    to = ir.VectorType(element, value.type.count)
    if isinstance(kind, types.Float):
        return builder.fptrunc(value, to) if kind.bitwidth == 32 else builder.fpext(value, to)
    return _integers(builder, value, kind.bitwidth, kind.signed, narrow)


def _quotient(builder: Any, value: Any, by: Any, whole: bool) -> Any:
    """Whole: half a unit further from zero, so that no error of product and reciprocal leads past a whole number; ten times as fast."""
    if not whole:
        return builder.fdiv(value, by)
    half = ir.Constant(value.type, [0.5] * value.type.count)
    return builder.fmul(builder.fadd(value, emit_math(builder, "copysign", half, value)), by)


def _rounded(builder: Any, value: Any, shape: SumsShape) -> Any:
    """Through that type and back; a mean of numbers of a type is within it."""
    if shape.divided == WHOLE_QUOTIENT:
        return emit_math(builder, "trunc", value)
    name = ROUNDED[shape.rounded]
    kind = getattr(types, name)
    found = _stored(builder, value, kind, bool(shape.narrow))
    if isinstance(kind, types.Float):
        return builder.fpext(found, value.type)
    return (builder.sitofp if kind.signed else builder.uitofp)(found, value.type)


class _Neighbours:
    """What a tile reads, and how it adds it up."""

    def __init__(self, builder: Any, shape: SumsShape, element: Any, x: Any, weights: Any, places: Any) -> None:
        self.b, self.shape, self.x, self.weights, self.places = builder, shape, x, weights, places
        self.vector = ir.VectorType(element, shape.lanes)
        self.align = 4 if isinstance(element, ir.FloatType) else 8

    def read(self, place: Any) -> list[Any]:
        b, n = self.b, self.shape.lanes
        pieces = [b.bitcast(b.gep(place, [INTP(v * n)]), self.vector.as_pointer()) for v in range(self.shape.vectors)]
        return [b.load(piece, align=self.align) for piece in pieces]

    def weight(self, place: Any) -> Any:
        return splat(self.b, self.b.load(place), self.shape.lanes)

    def at(self, i: Any) -> Any:
        return self.b.gep(self.x, [self.b.load(self.b.gep(self.places, [i]))])

    def fused(self, count: Any, taps: Any, pitch: Any) -> list[Any]:
        """Σ over the columns: rows of x come in turn, and each goes to the rows of targets that it is a neighbour of."""
        b, shape, rows = self.b, self.shape, self.shape.rows
        zeros = [ir.Constant(self.vector, None)] * (rows * shape.vectors)

        def row(sums: list[Any], place: Any, weights: dict[int, Any]) -> list[Any]:
            values, sums = self.read(place), list(sums)
            for m, where in weights.items():
                w = self.weight(where)
                for v, value in enumerate(values):
                    at = m * shape.vectors + v
                    sums[at] = emit_fma(b, w, value, sums[at])
            return sums

        def column(i: Any, sums: list[Any]) -> list[Any]:
            place, w = self.at(i), b.gep(self.weights, [b.mul(i, taps)])
            if rows == 1:
                return repeated(b, taps, sums, lambda s, sums: row(sums, b.gep(place, [b.mul(s, pitch)]), {0: b.gep(w, [s])}))
            for s in range(rows - 1):
                sums = row(sums, b.gep(place, [b.mul(INTP(s), pitch)]), {m: b.gep(w, [INTP(s - m)]) for m in range(s + 1)})

            def whole(s: Any, sums: list[Any]) -> list[Any]:
                at = b.add(s, INTP(rows - 1))
                return row(sums, b.gep(place, [b.mul(at, pitch)]), {m: b.gep(w, [b.sub(at, INTP(m))]) for m in range(rows)})

            sums = repeated(b, b.sub(taps, INTP(rows - 1)), sums, whole)
            for s in range(rows - 1):
                at = b.add(taps, INTP(s))
                sums = row(sums, b.gep(place, [b.mul(at, pitch)]), {m: b.gep(w, [b.sub(at, INTP(m))]) for m in range(s + 1, rows)})
            return sums

        if rows == 1:  # a column of one tap each

            def tap(i: Any, sums: list[Any]) -> list[Any]:
                return row(sums, self.at(i), {0: b.gep(self.weights, [i])})

            return repeated(b, count, zeros, tap)
        return repeated(b, count, zeros, column)

    def in_turn(self, count: Any) -> list[Any]:
        """From −0, to which a first product adds without a trace."""
        b = self.b

        def tap(i: Any, sums: list[Any]) -> list[Any]:
            values, w = self.read(self.at(i)), self.weight(b.gep(self.weights, [i]))
            return [b.fadd(total, b.fmul(value, w)) for total, value in zip(sums, values, strict=True)]

        return repeated(b, count, [ir.Constant(self.vector, [-0.0] * self.shape.lanes)] * self.shape.vectors, tap)

    def pairs(self, count: Any) -> list[Any]:
        """The middle, then pairs of neighbours."""
        b, both = self.b, self.b.fadd if self.shape.order == EVEN else self.b.fsub
        middle = self.weight(self.weights)
        start = [b.fmul(value, middle) for value in self.read(self.at(INTP(0)))]

        def pair(i: Any, sums: list[Any]) -> list[Any]:
            at = b.add(b.mul(i, INTP(2)), INTP(1))
            one, other, w = (
                self.read(self.at(at)),
                self.read(self.at(b.add(at, INTP(1)))),
                self.weight(b.gep(self.weights, [b.add(i, INTP(1))])),
            )
            return [b.fadd(total, b.fmul(both(p, q), w)) for total, p, q in zip(sums, one, other, strict=True)]

        return repeated(b, count, start, pair)


def _deliver(builder: Any, shape: SumsShape, values: list[Any], y: Any, pitch: Any, rows: Any, columns: Any, align: int) -> None:
    """`rows` rows of `columns` values."""
    b, n, kind = builder, shape.lanes, values[0].type

    def store(whole: bool) -> None:
        done = b.append_basic_block("sums.stored")
        for m in range(shape.rows):
            if m:
                further = b.append_basic_block("sums.row")
                b.cbranch(b.icmp_signed(">", rows, INTP(m)), further, done)
                b.position_at_end(further)
            for v in range(shape.vectors):
                value, at = values[m * shape.vectors + v], b.add(b.mul(pitch, INTP(m)), INTP(v * n))
                place = b.bitcast(b.gep(y, [at]), kind.as_pointer())
                if whole:
                    b.store(value, place, align=align)
                else:
                    store_first(b, value, place, align, b.sub(columns, INTP(v * n)))
        b.branch(done)
        b.position_at_end(done)

    with b.if_else(b.icmp_signed(">=", columns, INTP(shape.vectors * n)), likely=True) as (all_there, some):
        with all_there:
            store(True)
        with some:
            store(False)


@intrinsic
def sums_tile(typingctx, shape, x, weights, places, count, taps, pitch, y, y_pitch, rows, columns):  # type: ignore[no-untyped-def]
    """y[m·y_pitch + lane] = Σ_i Σ_s weights[i·taps + s] · x[places[i] + (m + s)·pitch + lane], m < rows, lane < columns.

    All but the counts are pointers, x and weights of one type, in which sums are made.  MULTIPLY_ADD of several rows: `count` columns of
    `taps` taps, no fewer than the shape has rows; of one row, and IN_TURN: `count` taps; EVEN, ODD: the middle, then `count` pairs.
    Reads whole registers of all the shape's rows, beyond `rows` and `columns` too.
    """

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        tile: SumsShape = sig.args[0]
        _, x, weights, places, count, taps, pitch, y, y_pitch, rows, columns = args
        kind = sig.args[7].dtype
        sums = _Neighbours(builder, tile, element_type(sig.args[1].dtype), x, weights, places)
        if tile.order == MULTIPLY_ADD:
            values = sums.fused(count, taps, pitch)
        else:
            values = sums.in_turn(count) if tile.order == IN_TURN else sums.pairs(count)
        if tile.divided:
            by = sums.weight(builder.gep(weights, [INTP(-1)]))
            values = [_quotient(builder, v, by, tile.divided == WHOLE_QUOTIENT) for v in values]
        if tile.rounded:
            values = [_rounded(builder, v, tile) for v in values]
        values = [_stored(builder, v, kind, bool(tile.narrow)) for v in values]
        _deliver(builder, tile, values, y, y_pitch, rows, columns, kind.bitwidth // 8)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(shape, x, weights, places, intp, intp, intp, y, intp, intp, intp), codegen


def _constant(name: str, of: Any) -> Any:
    @intrinsic
    def constant(typingctx, shape):  # type: ignore[no-untyped-def]
        return types.intp(shape), lambda context, builder, sig, args: INTP(of(sig.args[0]))

    constant.__name__ = name
    return constant


rows_of = _constant("rows_of", lambda shape: shape.rows)
columns_of = _constant("columns_of", lambda shape: shape.vectors * shape.lanes)
