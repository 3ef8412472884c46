"""Parts of a SIMD register: which lanes are meant, loads and stores of those alone.

Machines with mask registers (AVX-512) do both as fast as of whole registers.  Elsewhere a masked load is a comparison dearer, but a masked
store costs a dozen cycles (`vmaskmovps` on Zen) or is taken apart lane by lane: there the first lanes are stored in halves.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from .emit import I32, I64, splat, suffix


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


def _table(module: Any, lanes: int, wide: ir.IntType) -> Any:
    """For each number of so many bits a vector whose lanes are −1 where a bit is set, else 0."""
    name = f"numconv.lanes.{lanes}.{wide.width}"
    if name in module.globals:
        return module.globals[name]
    row = ir.VectorType(wide, lanes)
    kind = ir.ArrayType(row, 1 << lanes)
    table = ir.GlobalVariable(module, kind, name)
    table.initializer = ir.Constant(kind, [ir.Constant(row, [-(bits >> lane & 1) for lane in range(lanes)]) for bits in range(1 << lanes)])
    table.linkage, table.global_constant, table.align = "private", True, row.count * wide.width // 8
    return table


def lanes_of_bits(builder: Any, bits: Any, vector: ir.VectorType) -> Any:
    """The lanes of such vectors whose bits are set.

    Without mask registers out of a table, or, of many lanes, by a comparison: of a bitcast LLVM makes five instructions for each bit.
    """
    n = vector.count
    if _mask_registers():
        return builder.bitcast(builder.trunc(bits, ir.IntType(n)) if n < bits.type.width else bits, ir.VectorType(ir.IntType(1), n))
    wide = I64 if vector.element in (ir.DoubleType(), I64) else I32
    if n <= 8:
        row = builder.gep(_table(builder.module, n, wide), [I32(0), builder.zext(builder.and_(bits, bits.type((1 << n) - 1)), I64)])
        return builder.icmp_signed("<", builder.load(row), ir.Constant(ir.VectorType(wide, n), None))
    bits = bits if bits.type == wide else (builder.zext if bits.type.width < wide.width else builder.trunc)(bits, wide)
    lanes = ir.Constant(ir.VectorType(wide, n), [1 << lane for lane in range(n)])
    return builder.icmp_signed("==", builder.and_(splat(builder, bits, n), lanes), lanes)


def lanes_inside(builder: Any, first: Any, end: Any, lanes: int, registers: int) -> list[Any]:
    """Of elements first + i, in so many registers one after the other, those in [0, end); first and end fit into 32 bits.

    Two comparisons: a single one, unsigned, LLVM would make again before every load that it masks.
    """
    b = builder
    start, stop = (splat(b, b.trunc(n, I32), lanes) for n in (first, end))
    at = [b.add(start, ir.Constant(start.type, list(range(r * lanes, (r + 1) * lanes)))) for r in range(registers)]
    return [b.and_(b.icmp_signed(">=", n, ir.Constant(n.type, None)), b.icmp_signed("<", n, stop)) for n in at]


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


def store_first(builder: Any, value: Any, place: Any, align: int, count: Any) -> None:
    """The first `count` lanes of a vector to `place`, a pointer to such vectors; nothing beyond is touched."""
    n = value.type.count
    if _mask_registers():
        builder.call(masked_store(builder, value.type), [value, place, ir.Constant(I32, align), lane_mask(builder, n, count)])
        return
    with builder.if_else(builder.icmp_signed(">=", count, I64(n))) as (whole, part):
        with whole:
            builder.store(value, place, align=align)
        with part:
            left = builder.select(builder.icmp_signed("<", count, I64(0)), I64(0), count)
            _store_halves(builder, value, builder.bitcast(place, value.type.element.as_pointer()), align, left)


def store_low(builder: Any, value: Any, place: Any, align: int, bits: Any) -> None:
    """The lanes whose bits are set, the lowest ones, and not all."""
    if _mask_registers():
        mask = lanes_of_bits(builder, bits, value.type)
        builder.call(masked_store(builder, value.type), [value, place, ir.Constant(I32, align), mask])
        return
    count = builder.call(
        cgutils.get_or_insert_function(builder.module, ir.FunctionType(I64, [I64]), "llvm.ctpop.i64"), [builder.zext(bits, I64)]
    )
    _store_halves(builder, value, builder.bitcast(place, value.type.element.as_pointer()), align, count)


def _store_halves(builder: Any, value: Any, place: Any, align: int, left: Any) -> None:
    """The first `left` lanes, fewer than there are: half of them if that many are left, then the same with what remains."""
    size = value.type.count // 2
    while size >= 1:
        low, high = (
            builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(I32, size), list(range(first, first + size))))
            for first in (0, size)
        )
        half = builder.icmp_unsigned("!=", builder.and_(left, I64(size)), I64(0))
        with builder.if_then(half):
            builder.store(low, builder.bitcast(place, low.type.as_pointer()), align=align)
        if size > 1:
            value, place = builder.select(half, high, low), builder.select(half, builder.gep(place, [I64(size)]), place)
        size //= 2


def store_every_other(builder: Any, value: Any, base: Any, align: int, count: Any) -> None:
    """base[2·i] = lane i, i < count; the elements between are not touched."""
    n = value.type.count
    if not _mask_registers():
        for lane in range(n):
            with builder.if_then(builder.icmp_signed("<", I64(lane), count)):
                builder.store(builder.extract_element(value, I32(lane)), builder.gep(base, [I64(2 * lane)]), align=align)
        return
    even = ir.Constant(ir.VectorType(ir.IntType(1), n), [1 - lane % 2 for lane in range(n)])
    for half in range(2):
        order = ir.Constant(ir.VectorType(I32, n), [half * n // 2 + lane // 2 for lane in range(n)])
        iota = ir.Constant(ir.VectorType(I64, n), [half * n // 2 + lane // 2 for lane in range(n)])
        mask = builder.and_(even, builder.icmp_signed("<", iota, splat(builder, count, n)))
        place = builder.bitcast(builder.gep(base, [I64(half * n)]), value.type.as_pointer())
        builder.call(masked_store(builder, value.type), [builder.shuffle_vector(value, value, order), place, ir.Constant(I32, align), mask])
