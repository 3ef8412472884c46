"""A SIMD register as a Numba type, so that kernels read like Python and compile to LLVM vector IR.

`Vector(dtype, lanes)` has `+ - *` (with scalars too), and the functions below.  LLVM legalises lanes that the machine does not have, so
the number of lanes is a parameter, not a variant.  Loads and stores take a flat C-contiguous array and an index in elements; they know
no wraparound and no bounds: the caller keeps inside the array.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from .emit import I32, array_pointer, emit_fma, emit_prefetch, is_float, splat
from .masks import lane_mask, masked_load, store_every_other, store_first


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


def lanes_of(ty: Any) -> int:
    """From a literal int, or from anything typed with lanes (a Vector, a TileShape)."""
    return int(ty.lanes if hasattr(ty, "lanes") else ty.literal_value)


@intrinsic
def pointer(typingctx, array):  # type: ignore[no-untyped-def]
    """Address of a flat array's first element; None of None, a tuple of a tuple.

    Kernels work on these: an array would be counted, atomically, at every call.
    """

    def kind(ty: Any) -> Any:
        if isinstance(ty, types.BaseTuple):
            return types.Tuple([kind(t) for t in ty])
        return ty if isinstance(ty, types.NoneType) else types.CPointer(ty.dtype)

    def address(context: Any, builder: Any, ty: Any, value: Any) -> Any:
        if isinstance(ty, types.BaseTuple):
            parts = [address(context, builder, t, builder.extract_value(value, i)) for i, t in enumerate(ty)]
            return context.make_tuple(builder, kind(ty), parts)
        return value if isinstance(ty, types.NoneType) else context.make_array(ty)(context, builder, value).data

    return kind(array)(array), lambda context, builder, sig, args: address(context, builder, sig.args[0], args[0])


@intrinsic
def moved(typingctx, place, by):  # type: ignore[no-untyped-def]
    """A pointer to the element `by` further on than `place` points to; None of None."""
    if isinstance(place, types.NoneType):
        return place(place, types.intp), lambda context, builder, sig, args: args[0]
    return place(place, types.intp), lambda context, builder, sig, args: builder.gep(args[0], [args[1]])


@intrinsic(prefer_literal=True)
def integers(typingctx, place, bits):  # type: ignore[no-untyped-def]
    """The same place as a pointer to integers of so many bits: a part of scratch memory that holds numbers of places."""
    kind = types.CPointer(types.Integer.from_bitwidth(bits.literal_value, signed=True))
    return kind(place, bits), lambda context, builder, sig, args: builder.bitcast(args[0], context.get_value_type(sig.return_type))


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
        emit_prefetch(builder, array_pointer(context, builder, sig.args[0], args[0], args[1]))
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
        store_first(builder, value, pointer, value.type.element.get_abi_size(context.target_data), args[3])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), codegen


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
def get(typingctx, array, index):  # type: ignore[no-untyped-def]
    """array[index] without wraparound: plain loops over it vectorise."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.load(array_pointer(context, builder, sig.args[0], args[0], args[1]))

    return array.dtype(array, types.intp), codegen


@intrinsic
def pointed_to(typingctx, place):  # type: ignore[no-untyped-def]
    """The value that a pointer, or a flat array, begins with."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.load(array_pointer(context, builder, sig.args[0], args[0], ir.Constant(ir.IntType(64), 0)))

    return place.dtype(place), codegen


@intrinsic
def put(typingctx, array, index, value):  # type: ignore[no-untyped-def]
    """array[index] = value without wraparound."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        value = context.cast(builder, args[2], sig.args[2], sig.args[0].dtype)
        builder.store(value, array_pointer(context, builder, sig.args[0], args[0], args[1]))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), codegen


@intrinsic
def compact(typingctx):  # type: ignore[no-untyped-def]
    """First in a `device_function` that runs once in a while: compiled as one small function; LLVM would unroll its loops in place."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        attributes = builder.function.attributes
        attributes.discard("alwaysinline")  # which an `inlined` body hands on
        for attribute in ("noinline", "minsize", "optsize"):
            attributes.add(attribute)
        return context.get_dummy_value()

    return types.void(), codegen


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
        align = args[2].type.element.get_abi_size(context.target_data)
        store_every_other(builder, args[2], array_pointer(context, builder, sig.args[0], args[0], args[1]), align, args[3])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), codegen
