"""LLVM IR that every micro-kernel is made of: element types, one value in all lanes, fused multiply-adds, addresses."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

I32, I64 = ir.IntType(32), ir.IntType(64)


def element_type(dtype: Any) -> ir.Type:
    """LLVM type of a Numba scalar type."""
    if isinstance(dtype, types.Float):
        return ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
    return ir.IntType(dtype.bitwidth)


def element_bytes(element: ir.Type) -> int:
    return element.width // 8 if isinstance(element, ir.IntType) else 4 if isinstance(element, ir.FloatType) else 8


def is_float(vector: ir.Type) -> bool:
    return isinstance(vector.element, (ir.FloatType, ir.DoubleType))


def suffix(vector: ir.VectorType) -> str:
    """As in the names of LLVM's intrinsics: v16f32."""
    element = vector.element
    letter = "f32" if isinstance(element, ir.FloatType) else "f64" if isinstance(element, ir.DoubleType) else f"i{element.width}"
    return f"v{vector.count}{letter}"


def splat(builder: Any, value: Any, lanes: int) -> Any:
    vector = ir.VectorType(value.type, lanes)
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def emit_math(builder: Any, name: str, *values: Any) -> Any:
    """LLVM's function of that name, of values of one type."""
    kind = values[0].type
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(values)), f"llvm.{name}.{suffix(kind)}")
    return builder.call(function, values)


def emit_fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once for floats, wrapping for integers."""
    if not is_float(a.type):
        return builder.add(builder.mul(a, b), c)
    return emit_math(builder, "fma", a, b, c)


def emit_pairs(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """c + both products, of vectors whose elements are pairs of int16.  LLVM knows it for vpdpwssd, or vpmaddwd and an add."""
    n = a.type.count
    halves, wide = ir.VectorType(ir.IntType(16), 2 * n), ir.VectorType(I32, 2 * n)
    one, other = (builder.sext(builder.bitcast(v, halves), wide) for v in (a, b))
    products = builder.mul(one, other)
    even, odd = (ir.Constant(ir.VectorType(I32, n), list(range(first, 2 * n, 2))) for first in (0, 1))
    undefined = ir.Constant(wide, ir.Undefined)
    both = builder.add(builder.shuffle_vector(products, undefined, even), builder.shuffle_vector(products, undefined, odd))
    return builder.add(both, c)


def array_pointer(context: Any, builder: Any, ty: Any, array: Any, index: Any) -> Any:
    """Address of an element of a flat array, or of what a `pointer` points to."""
    if isinstance(ty, types.CPointer):
        return builder.gep(array, [index])
    data = context.make_array(ty)(context, builder, array).data
    return builder.gep(data, [index])


def emit_prefetch(builder: Any, place: Any) -> None:
    """Ask for the line of an address into the second cache.  The address may lie outside of any array: nothing is read."""
    place = builder.bitcast(place, ir.IntType(8).as_pointer())
    fnty = ir.FunctionType(ir.VoidType(), [place.type, I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, fnty, "llvm.prefetch.p0")
    builder.call(function, [place, I32(0), I32(2), I32(1)])  # to read, locality 2, data


def emit_record(builder: Any, place: Any, kind: Any) -> Any:
    """The integers of such a NamedTuple, which lie one after the other at `place`."""
    place = builder.bitcast(place, I64.as_pointer())
    return kind(*(builder.load(builder.gep(place, [I64(i)])) for i in range(len(kind._fields))))


def _rolled(module: Any) -> Any:
    """For the branch that ends a loop: a body of a hundred multiply-adds gains nothing when it stands there several times."""
    hint = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([ir.MetaDataString(module, "loop"), I64(len(module.metadata))])
    loop.operands = (loop, hint)
    return loop


def repeated(builder: Any, count: Any, values: list[Any], step: Any) -> list[Any]:
    """values = step(i, values), i < count; kept in registers."""
    before, body, done = builder.block, builder.append_basic_block("repeated.body"), builder.append_basic_block("repeated.done")
    builder.cbranch(builder.icmp_signed(">", count, I64(0)), body, done)
    builder.position_at_end(body)
    i = builder.phi(I64)
    i.add_incoming(I64(0), before)
    inside = [builder.phi(v.type) for v in values]
    new = step(i, inside)
    last, after = builder.block, builder.add(i, I64(1))
    i.add_incoming(after, last)
    again = builder.cbranch(builder.icmp_signed("<", after, count), body, done)
    again.set_metadata("llvm.loop", _rolled(builder.module))
    builder.position_at_end(done)
    result = [builder.phi(v.type) for v in values]
    for old, phi, value, final in zip(values, inside, new, result, strict=True):
        phi.add_incoming(old, before)
        phi.add_incoming(value, last)
        final.add_incoming(old, before)
        final.add_incoming(value, last)
    return result
