"""A SIMD register as a Numba type, so that kernels read like Python and compile to LLVM vector IR.

`Vector(dtype, lanes)` has `+ - *` (with scalars too), and the functions below.  LLVM legalises lanes that the machine does not have, so
the number of lanes is a parameter, not a variant.  Loads and stores take a flat C-contiguous array and an index in elements; they know
no wraparound and no bounds: the caller keeps inside the array.
"""

from __future__ import annotations

import operator
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

I32, I64 = ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """`lanes` values of `dtype`."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(name=f"Vector({dtype} x {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Vector) -> None:
        element = dmm.lookup(fe_type.dtype).get_value_type()
        super().__init__(dmm, fe_type, ir.VectorType(element, fe_type.lanes))


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


def emit_fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once for floats, wrapping for integers."""
    if not is_float(a.type):
        return builder.add(builder.mul(a, b), c)
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(a.type, [a.type] * 3), f"llvm.fma.{suffix(a.type)}")
    return builder.call(function, [a, b, c])


def _coerced(context: Any, builder: Any, sig: Any, args: Any, lanes: int, dtype: Any) -> list[Any]:
    out = []
    for value, ty in zip(args, sig.args, strict=True):
        out.append(value if isinstance(ty, Vector) else splat(builder, context.cast(builder, value, ty, dtype), lanes))
    return out


def _operator(op: Any, float_name: str, int_name: str) -> None:
    @infer_global(op)
    class _Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            a, b = args
            if isinstance(a, Vector) and (a == b or isinstance(b, types.Number)):
                return signature(a, a, b)
            if isinstance(b, Vector) and isinstance(a, types.Number):
                return signature(b, a, b)
            return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ty = sig.return_type
        a, b = _coerced(context, builder, sig, args, ty.lanes, ty.dtype)
        return getattr(builder, float_name if is_float(a.type) else int_name)(a, b)

    for pair in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(op, *pair)(lower)


_operator(operator.add, "fadd", "add")
_operator(operator.sub, "fsub", "sub")
_operator(operator.mul, "fmul", "mul")


def array_pointer(context: Any, builder: Any, ty: Any, array: Any, index: Any) -> Any:
    """Address of an element of a flat array, or of what a `pointer` points to."""
    if isinstance(ty, types.CPointer):
        return builder.gep(array, [index])
    data = context.make_array(ty)(context, builder, array).data
    return builder.gep(data, [index])


def lane_mask(builder: Any, lanes: int, count: Any, first: int = 0) -> Any:
    """first + lane < count.  Compared in 32 bits, half the registers of 64, after a clamp that keeps large counts right."""
    limit = ir.Constant(I64, first + lanes)
    count = builder.trunc(builder.select(builder.icmp_signed("<", count, limit), count, limit), I32)
    iota = ir.Constant(ir.VectorType(I32, lanes), list(range(first, first + lanes)))
    return builder.icmp_signed("<", iota, splat(builder, count, lanes))


@cache
def _mask_registers() -> bool:
    import llvmlite.binding as llvm

    return bool(dict(llvm.get_host_cpu_features()).get("avx512vl"))


def lanes_of_bits(builder: Any, bits: Any, vector: ir.VectorType) -> Any:
    """The lanes of such vectors whose bits are set.  Without mask registers by a comparison: of a bitcast LLVM makes five instructions for each bit."""
    n = vector.count
    if _mask_registers():
        return builder.bitcast(builder.trunc(bits, ir.IntType(n)) if n < bits.type.width else bits, ir.VectorType(ir.IntType(1), n))
    wide = I64 if vector.element in (ir.DoubleType(), I64) else I32
    bits = bits if bits.type == wide else (builder.zext if bits.type.width < wide.width else builder.trunc)(bits, wide)
    lanes = ir.Constant(ir.VectorType(wide, n), [1 << lane for lane in range(n)])
    return builder.icmp_signed("==", builder.and_(splat(builder, bits, n), lanes), lanes)


def masked_load(builder: Any, vector: ir.VectorType) -> Any:
    """LLVM's masked load of such vectors."""
    mask = ir.VectorType(ir.IntType(1), vector.count)
    fnty = ir.FunctionType(vector, [vector.as_pointer(), I32, mask, vector])
    return cgutils.get_or_insert_function(builder.module, fnty, f"llvm.masked.load.{suffix(vector)}.p0")


def masked_store(builder: Any, vector: ir.VectorType) -> Any:
    """And its masked store."""
    mask = ir.VectorType(ir.IntType(1), vector.count)
    fnty = ir.FunctionType(ir.VoidType(), [vector, vector.as_pointer(), I32, mask])
    return cgutils.get_or_insert_function(builder.module, fnty, f"llvm.masked.store.{suffix(vector)}.p0")


def lanes_of(ty: Any) -> int:
    """From a literal int, or from anything typed with lanes (a Vector, a TileShape)."""
    return int(ty.lanes if hasattr(ty, "lanes") else ty.literal_value)


@intrinsic
def pointer(typingctx, array):  # type: ignore[no-untyped-def]
    """Address of a flat array's first element.  Kernels work on these: an array would be counted, atomically, at every call."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic(prefer_literal=True)
def load(typingctx, array, index, lanes):  # type: ignore[no-untyped-def]
    """`lanes` consecutive elements from `index`."""
    ty = Vector(array.dtype, lanes_of(lanes))

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        pointer = array_pointer(context, builder, sig.args[0], args[0], args[1])
        vector = context.get_value_type(sig.return_type)
        return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=vector.element.get_abi_size(context.target_data))

    return ty(array, types.intp, lanes), codegen


@intrinsic
def store(typingctx, array, index, vector):  # type: ignore[no-untyped-def]
    """Write a vector at `index`."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        pointer = array_pointer(context, builder, sig.args[0], args[0], args[1])
        align = args[2].type.element.get_abi_size(context.target_data)
        builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer()), align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), codegen


@intrinsic
def prefetch(typingctx, array, index):  # type: ignore[no-untyped-def]
    """Ask for the line of array[index] into the second cache; the index may lie outside, nothing is read."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        place = builder.bitcast(array_pointer(context, builder, sig.args[0], args[0], args[1]), ir.IntType(8).as_pointer())
        fnty = ir.FunctionType(ir.VoidType(), [place.type, I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, fnty, "llvm.prefetch.p0")
        builder.call(function, [place, ir.Constant(I32, 0), ir.Constant(I32, 2), ir.Constant(I32, 1)])  # to read, locality 2, data
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@intrinsic(prefer_literal=True)
def load_n(typingctx, array, index, count, lanes):  # type: ignore[no-untyped-def]
    """The first `count` elements from `index`, zeros in the other lanes; nothing beyond `count` is touched."""
    ty = Vector(array.dtype, lanes_of(lanes))

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        vector = context.get_value_type(sig.return_type)
        pointer = builder.bitcast(array_pointer(context, builder, sig.args[0], args[0], args[1]), vector.as_pointer())
        mask = lane_mask(builder, vector.count, args[2])
        align = vector.element.get_abi_size(context.target_data)
        return builder.call(masked_load(builder, vector), [pointer, ir.Constant(I32, align), mask, ir.Constant(vector, None)])

    return ty(array, types.intp, types.intp, lanes), codegen


@intrinsic(prefer_literal=True)
def load_between(typingctx, array, index, low, high, lanes):  # type: ignore[no-untyped-def]
    """Elements index + lane for low ≤ lane < high, zeros in the other lanes; only those elements are touched."""
    ty = Vector(array.dtype, lanes_of(lanes))

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        vector = context.get_value_type(sig.return_type)
        pointer = builder.bitcast(array_pointer(context, builder, sig.args[0], args[0], args[1]), vector.as_pointer())
        iota = ir.Constant(ir.VectorType(I32, vector.count), list(range(vector.count)))
        low, high = (splat(builder, builder.trunc(a, I32), vector.count) for a in args[2:4])
        mask = builder.and_(builder.icmp_signed(">=", iota, low), builder.icmp_signed("<", iota, high))
        align = vector.element.get_abi_size(context.target_data)
        return builder.call(masked_load(builder, vector), [pointer, ir.Constant(I32, align), mask, ir.Constant(vector, None)])

    return ty(array, types.intp, types.intp, types.intp, lanes), codegen


@intrinsic
def store_n(typingctx, array, index, vector, count):  # type: ignore[no-untyped-def]
    """Write the first `count` lanes at `index`; nothing beyond is touched."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        value = args[2]
        pointer = builder.bitcast(array_pointer(context, builder, sig.args[0], args[0], args[1]), value.type.as_pointer())
        mask = lane_mask(builder, value.type.count, args[3])
        align = value.type.element.get_abi_size(context.target_data)
        builder.call(masked_store(builder, value.type), [value, pointer, ir.Constant(I32, align), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), codegen


@intrinsic(prefer_literal=True)
def broadcast(typingctx, value, lanes):  # type: ignore[no-untyped-def]
    """The scalar in every lane."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return splat(builder, args[0], sig.return_type.lanes)

    return Vector(value, lanes_of(lanes))(value, lanes), codegen


@intrinsic
def filled(typingctx, like, value):  # type: ignore[no-untyped-def]
    """A vector of the type of `like` with the number in every lane."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        ty = sig.return_type
        return splat(builder, context.cast(builder, args[1], sig.args[1], ty.dtype), ty.lanes)

    return like(like, value), codegen


@intrinsic
def fma(typingctx, a, b, c):  # type: ignore[no-untyped-def]
    """a·b + c, rounded once; scalars are spread."""
    ty = next(t for t in (a, b, c) if isinstance(t, Vector))

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return emit_fma(builder, *_coerced(context, builder, sig, args, ty.lanes, ty.dtype))

    return ty(a, b, c), codegen


def _compare_select(name: str, condition: str) -> Any:
    @intrinsic
    def pick(typingctx, a, b):  # type: ignore[no-untyped-def]
        def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
            ty = sig.return_type
            x, y = _coerced(context, builder, sig, args, ty.lanes, ty.dtype)
            compare = builder.fcmp_ordered if is_float(x.type) else builder.icmp_signed
            return builder.select(compare(condition, x, y), y, x)

        return a(a, b), codegen

    pick.__name__ = name
    return pick


#: max(a, b) and min(a, b) that keep a NaN in `a`
at_least = _compare_select("at_least", "<")
at_most = _compare_select("at_most", ">")


@intrinsic
def divide(typingctx, a, b):  # type: ignore[no-untyped-def]
    """a / b, floats."""
    ty = a if isinstance(a, Vector) else b

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.fdiv(*_coerced(context, builder, sig, args, ty.lanes, ty.dtype))

    return ty(a, b), codegen


@intrinsic(prefer_literal=True)
def interleave(typingctx, a, b, high):  # type: ignore[no-untyped-def]
    """a0 b0 a1 b1 … of the low half of the lanes, or of the high half."""
    start = a.lanes // 2 if high.literal_value else 0
    order = [lane for i in range(start, start + a.lanes // 2) for lane in (i, a.lanes + i)]

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.shuffle_vector(args[0], args[1], ir.Constant(ir.VectorType(I32, len(order)), order))

    return a(a, b, high), codegen


@intrinsic(prefer_literal=True)
def deinterleave(typingctx, a, b, odd):  # type: ignore[no-untyped-def]
    """The even lanes of a‖b, or the odd ones."""
    order = [2 * i + odd.literal_value for i in range(a.lanes)]

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.shuffle_vector(args[0], args[1], ir.Constant(ir.VectorType(I32, len(order)), order))

    return a(a, b, odd), codegen


@intrinsic
def get(typingctx, array, index):  # type: ignore[no-untyped-def]
    """array[index] without wraparound: plain loops over it vectorise."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.load(array_pointer(context, builder, sig.args[0], args[0], args[1]))

    return array.dtype(array, types.intp), codegen


@intrinsic
def put(typingctx, array, index, value):  # type: ignore[no-untyped-def]
    """array[index] = value without wraparound."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        value = context.cast(builder, args[2], sig.args[2], sig.args[0].dtype)
        builder.store(value, array_pointer(context, builder, sig.args[0], args[0], args[1]))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def zero_of(typingctx, array):  # type: ignore[no-untyped-def]
    """Zero of an array's dtype."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_constant_null(sig.return_type)

    return array.dtype(array), codegen


@intrinsic
def store_alternate(typingctx, array, index, vector, count):  # type: ignore[no-untyped-def]
    """array[index + 2·i] = vector[i], i < count; the elements between are not touched."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        value, n = args[2], args[2].type.count
        align = value.type.element.get_abi_size(context.target_data)
        base = array_pointer(context, builder, sig.args[0], args[0], args[1])
        mask_type = ir.VectorType(ir.IntType(1), n)
        fnty = ir.FunctionType(ir.VoidType(), [value.type, value.type.as_pointer(), I32, mask_type])
        function = cgutils.get_or_insert_function(builder.module, fnty, f"llvm.masked.store.{suffix(value.type)}.p0")
        even = ir.Constant(mask_type, [1 - lane % 2 for lane in range(n)])
        for half in range(2):
            order = ir.Constant(ir.VectorType(I32, n), [half * n // 2 + lane // 2 for lane in range(n)])
            spread = builder.shuffle_vector(value, value, order)
            iota = ir.Constant(ir.VectorType(I64, n), [half * n // 2 + lane // 2 for lane in range(n)])
            mask = builder.and_(even, builder.icmp_signed("<", iota, splat(builder, args[3], n)))
            place = builder.bitcast(builder.gep(base, [I64(half * n)]), value.type.as_pointer())
            builder.call(function, [spread, place, ir.Constant(I32, align), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), codegen
