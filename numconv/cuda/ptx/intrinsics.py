"""Inline PTX and LLVM primitives for numba-cuda (`@intrinsic`).  Imported through `ptx` only.

Integer helpers exist because Numba promotes int32 op int32 to int64, which turns divisions into 64-bit subroutine calls.
"""

from __future__ import annotations

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic
from numba.cuda.np.numpy_support import from_dtype
from numba.cuda.typing import signature

I32, I64, F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
U32 = types.uint32


def _asm(builder, results, argument_types, arguments, text, constraints, side_effect=False):
    result = results[0] if len(results) == 1 else ir.LiteralStructType(results)
    asm = ir.InlineAsm(ir.FunctionType(result, argument_types), text, constraints, side_effect=side_effect)
    return builder.call(asm, arguments)


def _element_pointer(context, builder, array_type, array, index):
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _integer(op):
    @intrinsic
    def operation(typingctx, a, b):
        def codegen(context, builder, sig, args):
            left, right = (context.cast(builder, v, t, types.int32) for v, t in zip(args, sig.args, strict=True))
            return getattr(builder, op)(left, right)

        return signature(types.int32, a, b), codegen

    return operation


#: 32-bit arithmetic without promotion; operands of idiv and imod must not be negative
idiv, imod, imul = _integer("udiv"), _integer("urem"), _integer("mul")


def record_at(layout):
    """A record of this NumPy layout in a table of int32: nothing is loaded before a field is named."""
    record = from_dtype(layout)

    @intrinsic
    def at(typingctx, table, index):
        def codegen(context, builder, sig, args):
            place = context.cast(builder, args[1], sig.args[1], types.intp)
            pointer = _element_pointer(context, builder, sig.args[0], args[0], place)
            return builder.bitcast(pointer, context.get_value_type(sig.return_type))

        return signature(record, table, index), codegen

    return at


def quad_at(kind):
    """A NamedTuple of four from a table of int32 by one 128-bit load."""

    @intrinsic
    def at(typingctx, table, index):
        def codegen(context, builder, sig, args):
            place = context.cast(builder, args[1], sig.args[1], types.intp)
            pointer = _element_pointer(context, builder, sig.args[0], args[0], place)
            loaded = builder.load(builder.bitcast(pointer, ir.PointerType(ir.VectorType(I32, 4))), align=16)
            return context.make_tuple(builder, sig.return_type, [builder.extract_element(loaded, ir.Constant(I32, i)) for i in range(4)])

        return signature(types.NamedUniTuple(types.int32, 4, kind), table, index), codegen

    return at


@intrinsic
def f32_bits(typingctx, x):
    """The bit pattern of a float32 as uint32."""

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[0], I32)

    return signature(U32, types.float32), codegen


@intrinsic
def f32_from_bits(typingctx, x):
    """The float32 of a uint32 bit pattern."""

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[0], F32)

    return signature(types.float32, U32), codegen


@intrinsic
def cvt_rna_tf32(typingctx, x):
    """Round a float32 to tf32 (nearest, ties away), as the bits that `mma` takes."""

    def codegen(context, builder, sig, args):
        return _asm(builder, [I32], [F32], args, "cvt.rna.tf32.f32 $0, $1;", "=r,f")

    return signature(U32, types.float32), codegen


def _mma(instruction, a_registers, b_registers):
    """D (4 float32) = A · B + C, fragments spread over a warp as the PTX ISA lays them out."""
    registers = a_registers + b_registers
    names = [f"${i}" for i in range(4 + registers + 4)]
    groups = [names[:4], names[4 : 4 + a_registers], names[4 + a_registers : 4 + registers], names[4 + registers :]]
    text = instruction + " " + ", ".join("{" + ",".join(g) + "}" for g in groups) + ";"
    constraints = ",".join(["=f"] * 4 + ["r"] * registers + ["f"] * 4)

    @intrinsic
    def mma(typingctx, a, b, c):
        result = types.UniTuple(types.float32, 4)

        def codegen(context, builder, sig, args):
            counts = (a_registers, b_registers, 4)
            operands = [builder.extract_value(v, i) for v, n in zip(args, counts, strict=True) for i in range(n)]
            out = _asm(builder, [F32] * 4, [I32] * registers + [F32] * 4, operands, text, constraints, side_effect=True)
            return context.make_tuple(builder, sig.return_type, [builder.extract_value(out, i) for i in range(4)])

        return signature(result, types.UniTuple(U32, a_registers), types.UniTuple(U32, b_registers), result), codegen

    return mma


mma_m16n8k8_tf32 = _mma("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", 4, 2)
mma_m16n8k16_f16 = _mma("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 4, 2)
mma_m16n8k16_bf16 = _mma("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 4, 2)


@intrinsic
def load4(typingctx, array, index):
    """array.flat[index : index + 4] as a tuple by one vector load; the address must be aligned to four elements."""
    result = types.UniTuple(array.dtype, 4)

    def codegen(context, builder, sig, args):
        index_value = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _element_pointer(context, builder, sig.args[0], args[0], index_value)
        element = pointer.type.pointee
        vector = ir.VectorType(element, 4)
        size = sig.args[0].dtype.bitwidth // 8
        loaded = builder.load(builder.bitcast(pointer, ir.PointerType(vector)), align=min(16, 4 * size))
        return context.make_tuple(builder, sig.return_type, [builder.extract_element(loaded, ir.Constant(I32, i)) for i in range(4)])

    return signature(result, array, index), codegen


@intrinsic
def store4(typingctx, array, index, values):
    """array.flat[index : index + 4] = values by one vector store; the address must be aligned to four elements."""

    def codegen(context, builder, sig, args):
        index_value = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _element_pointer(context, builder, sig.args[0], args[0], index_value)
        vector = ir.VectorType(pointer.type.pointee, 4)
        value = ir.Constant(vector, ir.Undefined)
        for i in range(4):
            value = builder.insert_element(value, builder.extract_value(args[2], i), ir.Constant(I32, i))
        size = sig.args[0].dtype.bitwidth // 8
        builder.store(value, builder.bitcast(pointer, ir.PointerType(vector)), align=min(16, 4 * size))
        return context.get_dummy_value()

    return signature(types.void, array, index, types.UniTuple(array.dtype, 4)), codegen


@intrinsic
def load_pair(typingctx, array, index):
    """Two neighbouring 16-bit elements as one uint32 (index even)."""

    def codegen(context, builder, sig, args):
        index_value = context.cast(builder, args[1], sig.args[1], types.intp)
        pointer = _element_pointer(context, builder, sig.args[0], args[0], index_value)
        return builder.load(builder.bitcast(pointer, ir.PointerType(I32)), align=4)

    return signature(U32, array, index), codegen


def _ldmatrix(form):
    """Four 8 × 8 matrices of 16-bit elements from shared memory.

    Lane l names the 16 bytes of row l mod 8 of matrix l div 8, and gets a word of each.
    """

    @intrinsic
    def ldmatrix(typingctx, shared, index):
        def codegen(context, builder, sig, args):
            where = context.cast(builder, args[1], sig.args[1], types.intp)
            pointer = _element_pointer(context, builder, sig.args[0], args[0], where)
            address = builder.ptrtoint(builder.addrspacecast(pointer, ir.PointerType(pointer.type.pointee, addrspace=3)), I32)
            text = f"ldmatrix.sync.aligned.m8n8.x4{form}.shared.b16 {{$0,$1,$2,$3}}, [$4];"
            out = _asm(builder, [I32] * 4, [I32], [address], text, "=r,=r,=r,=r,r,~{memory}", side_effect=True)
            return context.make_tuple(builder, sig.return_type, [builder.extract_value(out, i) for i in range(4)])

        return signature(types.UniTuple(U32, 4), shared, index), codegen

    return ldmatrix


ldmatrix4, ldmatrix4_trans = _ldmatrix(""), _ldmatrix(".trans")


@intrinsic
def cp_async16(typingctx, shared, shared_index, source, source_index, count):
    """Start copying 16 bytes from global to shared memory; bytes from `count` on are zeros.  Both addresses 16-byte aligned."""

    def codegen(context, builder, sig, args):
        s_type, si_type, g_type, gi_type, n_type = sig.args
        si = context.cast(builder, args[1], si_type, types.intp)
        gi = context.cast(builder, args[3], gi_type, types.intp)
        n = context.cast(builder, args[4], n_type, types.uint32)
        sp = _element_pointer(context, builder, s_type, args[0], si)
        gp = _element_pointer(context, builder, g_type, args[2], gi)
        address = builder.ptrtoint(builder.addrspacecast(sp, ir.PointerType(sp.type.pointee, addrspace=3)), I32)
        text = "cp.async.cg.shared.global [$0], [$1], 16, $2;"
        _asm(builder, [ir.VoidType()], [I32, I64, I32], [address, builder.ptrtoint(gp, I64), n], text, "r,l,r,~{memory}", side_effect=True)
        return context.get_dummy_value()

    return signature(types.void, shared, shared_index, source, source_index, count), codegen


@intrinsic
def cp_async_commit(typingctx):
    """Close the group of copies started since the last commit."""

    def codegen(context, builder, sig, args):
        _asm(builder, [ir.VoidType()], [], [], "cp.async.commit_group;", "~{memory}", side_effect=True)
        return context.get_dummy_value()

    return signature(types.void), codegen


def make_cp_async_wait(pending):
    """A wait until at most `pending` groups of copies are under way."""

    @intrinsic
    def wait(typingctx):
        def codegen(context, builder, sig, args):
            _asm(builder, [ir.VoidType()], [], [], f"cp.async.wait_group {pending};", "~{memory}", side_effect=True)
            return context.get_dummy_value()

        return signature(types.void), codegen

    return wait
