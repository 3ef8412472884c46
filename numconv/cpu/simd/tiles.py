"""Register tiles: the micro-kernels, built as LLVM vector IR for any tile shape, vector width and dtype.

A `TileShape(rows, vectors, lanes)` is a Numba type without data, so that one source serves every shape: functions that take one are
compiled anew for it, as C++ templates are.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .emit import I32, element_type, emit_fma, emit_pairs, splat

INTP = ir.IntType(64)


class TileShape(types.Type):
    """`rows` of `vectors` SIMD registers of `lanes` values.

    `step`: how far apart in the input neighbouring rows are, where rows are positions; 0: a distance known when the tile runs.
    `pairs`: 1 where the values that are multiplied are pairs of int16.
    """

    def __init__(self, rows: int, vectors: int, lanes: int, step: int = 1, pairs: int = 0) -> None:
        self.rows, self.vectors, self.lanes, self.step, self.pairs = rows, vectors, lanes, step, pairs
        super().__init__(name=f"TileShape({rows}, {vectors}, {lanes}, {step}, {pairs})")


@register_model(TileShape)
class _TileShapeModel(models.OpaqueModel):
    pass


@intrinsic(prefer_literal=True)
def tile_shape(typingctx, rows, vectors, lanes):  # type: ignore[no-untyped-def]
    """The (dataless) value that carries a tile's shape in its type."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_dummy_value()

    return TileShape(rows.literal_value, vectors.literal_value, lanes.literal_value)(rows, vectors, lanes), codegen


@intrinsic(prefer_literal=True)
def strided_shape(typingctx, rows, vectors, lanes, step, pairs):  # type: ignore[no-untyped-def]
    """The same with a step, and of pairs or not."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_dummy_value()

    shape = TileShape(*(number.literal_value for number in (rows, vectors, lanes, step, pairs)))
    return shape(rows, vectors, lanes, step, pairs), codegen


@intrinsic
def upright(typingctx, shape):  # type: ignore[no-untyped-def]
    """A shape whose columns are the rows of another, in whole registers."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_dummy_value()

    return TileShape(1, -(-shape.rows // shape.lanes), shape.lanes)(shape), codegen


@intrinsic
def narrowed(typingctx, shape):  # type: ignore[no-untyped-def]
    """The shape of a tile with as many rows, one register wide."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_dummy_value()

    return TileShape(shape.rows, 1, shape.lanes, pairs=shape.pairs)(shape), codegen


def _constant(name: str, of: Any) -> Any:
    @intrinsic
    def constant(typingctx, shape):  # type: ignore[no-untyped-def]
        def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
            return ir.Constant(INTP, of(sig.args[0]))

        return types.intp(shape), codegen

    constant.__name__ = name
    return constant


rows = _constant("rows", lambda shape: shape.rows)
columns = _constant("columns", lambda shape: shape.vectors * shape.lanes)
lanes = _constant("lanes", lambda shape: shape.lanes)


class _Grid:
    """rows × vectors values in registers, and where they lie in C."""

    def __init__(self, builder: Any, shape: TileShape, element: ir.Type, base: Any, pitch: Any) -> None:
        self.builder, self.shape = builder, shape
        self.vector = ir.VectorType(element, shape.lanes)
        pointer = self.vector.as_pointer()
        self.places = [
            [
                builder.bitcast(builder.gep(base, [builder.add(builder.mul(pitch, INTP(i)), INTP(j * shape.lanes))]), pointer)
                for j in range(shape.vectors)
            ]
            for i in range(shape.rows)
        ]

    def phis(self) -> list[list[Any]]:
        return [[self.builder.phi(self.vector) for _ in row] for row in self.places]

    def load(self, align: int) -> list[list[Any]]:
        return [[self.builder.load(p, align=align) for p in row] for row in self.places]

    def store(self, values: list[list[Any]], align: int) -> None:
        for places, row in zip(self.places, values, strict=True):
            for place, value in zip(places, row, strict=True):
                self.builder.store(value, place, align=align)


def _incoming(phis: list[list[Any]], values: list[list[Any]], block: Any) -> None:
    for row, new in zip(phis, values, strict=True):
        for phi, value in zip(row, new, strict=True):
            phi.add_incoming(value, block)


def chain(builder: Any, grid: _Grid, accumulate: Any, terms: Any, align: int, add_term: Any) -> None:
    """The loop of a register tile: from zero, or from what the grid's places hold, `add_term(k, sums)` for k < terms, then stored there."""
    shape, zero = grid.shape, ir.Constant(grid.vector, None)
    entry = builder.block
    resume, head, body, done = (builder.append_basic_block(n) for n in ("tile.resume", "tile.head", "tile.body", "tile.done"))
    builder.cbranch(accumulate, resume, head)
    builder.position_at_end(resume)
    old = grid.load(align)
    builder.branch(head)
    builder.position_at_end(head)
    start = grid.phis()
    _incoming(start, [[zero] * shape.vectors for _ in range(shape.rows)], entry)
    _incoming(start, old, resume)
    builder.branch(body)
    builder.position_at_end(body)
    k = builder.phi(INTP)
    k.add_incoming(INTP(0), head)
    sums = grid.phis()
    _incoming(sums, start, head)
    new = add_term(k, sums)
    after = builder.add(k, INTP(1))
    k.add_incoming(after, body)
    _incoming(sums, new, body)
    builder.cbranch(builder.icmp_signed("<", after, terms), body, done)
    builder.position_at_end(done)
    grid.store(new, align)


def line_of(builder: Any, x: Any, offsets: Any, k: Any) -> Any:
    """Address of x[offsets[k]]."""
    offset = builder.load(builder.gep(offsets, [k]))
    return builder.gep(x, [offset if offset.type == INTP else builder.sext(offset, INTP)])


@intrinsic
def gemm_tile(typingctx, shape, a, x, offsets, c, terms, pitch, accumulate):  # type: ignore[no-untyped-def]
    """c[i, j] (+)= Σ_k a[k, i] · x[offsets[k] + j], i < rows, j < vectors·lanes; the sum runs in the order of k.

    a: packed weights, (terms, rows); c: rows of `pitch` elements.  `accumulate`: start from c, not from zero.
    Reads x at offsets[k] … + columns − 1 for each k: the caller keeps that inside the array.  All four are pointers.
    """

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        tile: TileShape = sig.args[0]
        _, a, x, offsets, c, terms, pitch, accumulate = args
        dtype = sig.args[4].dtype
        align = dtype.bitwidth // 8
        grid, product = _Grid(builder, tile, element_type(dtype), c, pitch), emit_pairs if tile.pairs else emit_fma

        def add_term(k: Any, sums: list[list[Any]]) -> list[list[Any]]:
            row, line = builder.gep(a, [builder.mul(k, INTP(tile.rows))]), line_of(builder, x, offsets, k)
            values = [
                builder.load(builder.bitcast(builder.gep(line, [INTP(j * tile.lanes)]), grid.vector.as_pointer()), align=align)
                for j in range(tile.vectors)
            ]
            new = []
            for i in range(tile.rows):
                weight = splat(builder, builder.load(builder.gep(row, [INTP(i)])), tile.lanes)
                new.append([product(builder, weight, values[j], sums[i][j]) for j in range(tile.vectors)])
            return new

        chain(builder, grid, accumulate, terms, align, add_term)
        return context.get_dummy_value()

    if not (isinstance(shape, TileShape) and a.dtype == x.dtype == c.dtype):
        return None
    return types.void(shape, a, x, offsets, c, types.intp, types.intp, types.boolean), codegen


def emit_exponential(builder: Any, x: Any, minus_one: bool) -> Any:
    """exp(x), or exp(x) − 1 without cancellation: x = n·ln 2 + r, a Taylor polynomial in r, then scaled by 2ⁿ.  NaN stays NaN."""
    vector = x.type
    single = isinstance(vector.element, ir.FloatType)
    integer = ir.VectorType(I32 if single else ir.IntType(64), vector.count)
    bits, bias = (23, 127) if single else (52, 1023)
    high, low = (0.693359375, -2.12194440e-4) if single else (0.693147180369123816490, 1.90821492927058770002e-10)
    limit = 88.0 if single else 709.0

    def constant(value: float) -> Any:
        return ir.Constant(vector, [value] * vector.count)

    for condition, bound in (("<", -limit), (">", limit)):
        x = builder.select(builder.fcmp_ordered(condition, x, constant(bound)), constant(bound), x)
    name = f"llvm.rint.v{vector.count}{'f32' if single else 'f64'}"
    rint = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), name)
    n = builder.call(rint, [builder.fmul(x, constant(1.4426950408889634))])
    r = emit_fma(builder, n, constant(-high), x)
    r = emit_fma(builder, n, constant(-low), r)
    degree = 8 if single else 13
    factorial = [1.0]
    for i in range(1, degree + 1):
        factorial.append(factorial[-1] * i)
    p = constant(1.0 / factorial[degree])
    for i in range(degree - 1, 0, -1):
        p = emit_fma(builder, p, r, constant(1.0 / factorial[i]))
    p = builder.fmul(p, r)  # exp(r) − 1
    whole = builder.fptosi(builder.select(builder.fcmp_ordered("ord", n, n), n, constant(0.0)), integer)
    exponent = builder.add(whole, ir.Constant(integer, [bias] * vector.count))
    scale = builder.bitcast(builder.shl(exponent, ir.Constant(integer, [bits] * vector.count)), vector)
    return emit_fma(builder, p, scale, builder.fsub(scale, constant(1.0)) if minus_one else scale)


def _exponential(minus_one: bool) -> Any:
    @intrinsic
    def exponential(typingctx, x):  # type: ignore[no-untyped-def]
        def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
            if not isinstance(sig.args[0].dtype, types.Float):
                return args[0]  # integers are refused such activations before; the branch is only compiled
            return emit_exponential(builder, args[0], minus_one)

        return x(x), codegen

    return exponential


exp, expm1 = _exponential(False), _exponential(True)


@intrinsic
def quotient(typingctx, a, b):  # type: ignore[no-untyped-def]
    """a / b of two vectors (floats; of integers only compiled, never run)."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.fdiv(*args) if isinstance(sig.args[0].dtype, types.Float) else args[0]

    return a(a, b), codegen
