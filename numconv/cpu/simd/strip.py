"""The micro-kernel of a depthwise convolution: a strip of one plane's outputs, read where the input lies.

`rows` vectors of outputs, at a fixed distance (rows below each other, or pieces of one long row), are summed in registers.  Taps at that
distance as well read each other's vectors: a group of `taps` such taps loads (rows − 1)·advance + taps vectors for rows·taps
multiply-adds.  Lanes that would read beside the plane's rows are masked to zero: the border needs no copy of the input.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .emit import I32, element_type, emit_fma, emit_record, splat
from .masks import lanes_of_bits, masked_load, store_low
from .tiles import INTP
from .vector import Vector


class StripShape(types.Type):
    """`rows` vectors of `lanes` outputs; groups of `taps`; each vector `advance` reads on from the one before; lanes `step` elements apart.

    `apiece`: each read is under a mask of its own; else those of a group have one, but rows beside the image.
    """

    def __init__(self, rows: int, taps: int, advance: int, step: int, lanes: int, apiece: int) -> None:
        self.rows, self.taps, self.advance, self.step, self.lanes, self.apiece = rows, taps, advance, step, lanes, apiece
        super().__init__(name=f"StripShape({rows}, {taps}, {advance}, {step}, {lanes}, {apiece})")


@register_model(StripShape)
class _StripShapeModel(models.OpaqueModel):
    pass


class Groups(NamedTuple):
    """What the taps of a strip are, and how its vectors follow one another; pitches in elements."""

    shared: int  # groups of `taps` taps, which share their reads
    single: int  # taps left over
    read_pitch: int  # in x, from one read of a group to the next
    tap_pitch: int  # in w, from one tap of a group to the next
    target_pitch: int  # in y, from one vector to the next
    drop: int  # of the outputs that there is room for, those that a vector has fewer of than the one before


class FirstTap(NamedTuple):
    """The first tap of a group, or one left over."""

    source_at: int  # in x, seen from the strip's first output
    weight_at: int  # in w


@intrinsic(prefer_literal=True)
def strip_shape(typingctx, rows, taps, advance, step, lanes, apiece):  # type: ignore[no-untyped-def]
    """The (dataless) value that carries a strip's shape in its type."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_dummy_value()

    shape = StripShape(
        rows.literal_value, taps.literal_value, advance.literal_value, step.literal_value, lanes.literal_value, apiece.literal_value
    )
    return shape(rows, taps, advance, step, lanes, apiece), codegen


def loads(rows: int, taps: int, advance: int) -> list[int]:
    """Which multiples of the distance a group of taps reads: one for each vector and tap, the same ones once."""
    return sorted({m * advance + a for m in range(rows) for a in range(taps)})


def entries(reads: int, step: int, apiece: int) -> int:
    """Masks of a group: one for each register of each read; or for each register of all, and whether each read is inside at all."""
    return reads * step if apiece else step + reads


def _rolled(module: Any) -> Any:
    """For the branch that ends a loop: a body of a hundred multiply-adds gains nothing when it stands there several times."""
    hint = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([ir.MetaDataString(module, "loop"), INTP(len(module.metadata))])
    loop.operands = (loop, hint)
    return loop


def _repeat(builder: Any, count: Any, values: list[Any], step: Any) -> list[Any]:
    """values = step(i, values), i < count; kept in registers."""
    before, body, done = builder.block, builder.append_basic_block("strip.body"), builder.append_basic_block("strip.done")
    builder.cbranch(builder.icmp_signed(">", count, INTP(0)), body, done)
    builder.position_at_end(body)
    i = builder.phi(INTP)
    i.add_incoming(INTP(0), before)
    inside = [builder.phi(v.type) for v in values]
    new = step(i, inside)
    last, after = builder.block, builder.add(i, INTP(1))
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


class _Sums:
    """The sums of a strip: what does not change from one group of taps to the next."""

    def __init__(
        self, builder: Any, shape: StripShape, dtype: Any, own: bool, x: Any, w: Any, groups: Groups, taps: Any, masks: Any
    ) -> None:
        self.builder, self.shape, self.align, self.own = builder, shape, dtype.bitwidth // 8, own  # `own`: weights of each lane's own
        self.vector = ir.VectorType(element_type(dtype), shape.lanes)
        self.x, self.w, self.groups, self.taps, self.masks = x, w, groups, taps, masks
        self.pointer = self.vector.as_pointer()

    def lanes(self, masks: Any) -> list[Any]:
        """The masks of `step` registers, from that place in the table."""
        b = self.builder
        return [lanes_of_bits(b, b.zext(b.load(b.gep(masks, [INTP(j)])), I32), self.vector) for j in range(self.shape.step)]

    def load(self, place: Any, masks: list[Any] | None) -> Any:
        """The lanes, out of `step` consecutive registers, each under its mask."""
        b, n, parts = self.builder, self.shape.lanes, []
        for j in range(self.shape.step):
            source = b.bitcast(b.gep(place, [INTP(j * n)]), self.pointer)
            if masks is None:
                parts.append(b.load(source, align=self.align))
                continue
            parts.append(
                b.call(masked_load(b, self.vector), [source, ir.Constant(I32, self.align), masks[j], ir.Constant(self.vector, None)])
            )
        if len(parts) == 1:
            return parts[0]
        return b.shuffle_vector(*parts, ir.Constant(ir.VectorType(I32, n), [2 * lane for lane in range(n)]))

    def sweep(self, first: Any, count: Any, taps: int, mask0: Any, values: list[Any]) -> list[Any]:
        """`count` groups of `taps` taps, from number `first` on; `mask0`: of their first mask, or None for none."""
        b, shape = self.builder, self.shape
        reads = loads(shape.rows, taps, shape.advance)

        def filters(place: Any) -> Any:
            return b.load(b.bitcast(place, self.pointer), align=self.align) if self.own else splat(b, b.load(place), shape.lanes)

        def group(i: Any, sums: list[Any]) -> list[Any]:
            tap = emit_record(b, b.gep(self.taps, [b.mul(b.add(first, i), INTP(len(FirstTap._fields)))]), FirstTap)
            source, weight = b.gep(self.x, [tap.source_at]), b.gep(self.w, [tap.weight_at])
            weights = [filters(b.gep(weight, [b.mul(self.groups.tap_pitch, INTP(a))])) for a in range(taps)]
            masks = (
                None if mask0 is None else b.gep(self.masks, [b.add(mask0, b.mul(i, INTP(entries(len(reads), shape.step, shape.apiece))))])
            )
            common = None if masks is None or shape.apiece else self.lanes(masks)
            for n, s in enumerate(reads):
                place = b.gep(source, [b.mul(self.groups.read_pitch, INTP(s))])
                mine = [(m, weights[s - m * shape.advance]) for m in range(shape.rows) if 0 <= s - m * shape.advance < taps]
                own = None if masks is None else b.gep(masks, [INTP(n * shape.step if shape.apiece else shape.step + n)])
                sums = self.add(sums, mine, place, own, common)
            return sums

        return _repeat(b, count, values, group)

    def add(self, sums: list[Any], mine: list[tuple[int, Any]], place: Any, masks: Any, common: list[Any] | None) -> list[Any]:
        """The vector at `place` times each weight of `mine`, to its sum; nothing where no lane is inside, as in a row beside the image.

        `masks`: None for none, or where its own are in the table; with `common` ones, whether it is inside.
        """
        b, sums = self.builder, list(sums)
        if masks is None:
            value = self.load(place, None)
            for m, weight in mine:
                sums[m] = emit_fma(b, weight, value, sums[m])
            return sums
        bits = [b.load(b.gep(masks, [INTP(j)])) for j in range(1 if common else self.shape.step)]
        before = b.block
        with b.if_then(b.icmp_unsigned("!=", bits[0] if len(bits) == 1 else b.or_(*bits), bits[0].type(0))):
            value = self.load(place, common or self.lanes(masks))
            new = [emit_fma(b, weight, value, sums[m]) for m, weight in mine]
            inside = b.block
        for (m, _), added in zip(mine, new, strict=True):
            phi = b.phi(added.type)
            phi.add_incoming(sums[m], before)
            phi.add_incoming(added, inside)
            sums[m] = phi
        return sums


@intrinsic
def strip_tile(typingctx, shape, x, w, y, bias, groups, taps, masks, mask, last, rows, room):  # type: ignore[no-untyped-def]
    """y[m·target_pitch + lane] = bias + Σ w[…]·x[…], m < rows, lane < room − m·drop.

    x, w, y, taps and masks are pointers, `taps` to records of FirstTap: of each group, then of each tap left over.
    `groups`: Groups in registers; read from a table by each tile, its products are worked out anew (a tenth of a small plane's time).
    masks[mask …]: `entries` of each group, in that order; mask < 0: all lanes are read, and must be there.
    last: which lanes of the last of the `rows` vectors to write if all others are written whole; 0 if they are not.
    bias: a number, or a vector, then w too has a value for each lane (`lanes` of them to a tap).
    """
    own = isinstance(bias, Vector)

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        tile: StripShape = sig.args[0]
        dtype = sig.args[1].dtype
        _, x, w, y, bias, record, taps, masks, mask, last, rows, room = args
        groups = Groups(*cgutils.unpack_tuple(builder, record))
        sums = _Sums(builder, tile, dtype, own, x, w, groups, taps, masks)
        start = [bias if own else splat(builder, bias, tile.lanes)] * tile.rows

        def total(mask: Any) -> list[Any]:
            values = start
            if tile.taps > 1:
                values = sums.sweep(INTP(0), groups.shared, tile.taps, mask, values)
                if mask is not None:
                    each = entries(len(loads(tile.rows, tile.taps, tile.advance)), tile.step, tile.apiece)
                    mask = builder.add(mask, builder.mul(groups.shared, INTP(each)))
            return sums.sweep(groups.shared, groups.single, 1, mask, values)

        with builder.if_else(builder.icmp_signed("<", mask, INTP(0)), likely=True) as (inner, border):
            with inner:
                unmasked, unmasked_end = total(None), builder.block
            with border:
                masked, masked_end = total(mask), builder.block
        results = [builder.phi(start[0].type) for _ in range(tile.rows)]
        for phi, a, b in zip(results, unmasked, masked, strict=True):
            phi.add_incoming(a, unmasked_end)
            phi.add_incoming(b, masked_end)
        _deliver(builder, results, y, groups, rows, room, last, dtype.bitwidth // 8)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(shape, x, w, y, bias if own else w.dtype, groups, taps, masks, intp, intp, intp, intp), codegen


def _deliver(builder: Any, values: list[Any], y: Any, groups: Groups, rows: Any, room: Any, last: Any, align: int) -> None:
    """The first `rows` values; all but the last whole where there is room: what they write beyond a row, the next row's overwrite."""
    b, vector = builder, values[0].type
    lanes = ir.IntType(vector.count)

    def store(value: Any, place: Any, bits: Any) -> None:
        with b.if_else(b.icmp_signed("==", bits, lanes(-1)), likely=True) as (whole, part):
            with whole:
                b.store(value, b.bitcast(place, vector.as_pointer()), align=align)
            with part:
                store_low(b, value, b.bitcast(place, vector.as_pointer()), align, bits)

    place = y
    with b.if_else(b.icmp_signed("!=", last, INTP(0)), likely=True) as (whole, part):
        with whole:
            done = b.append_basic_block("strip.stored")
            for m, value in enumerate(values):
                final, further = b.append_basic_block("strip.last"), b.append_basic_block("strip.next")
                b.cbranch(b.icmp_signed("==", rows, INTP(m + 1)) if m + 1 < len(values) else ir.Constant(ir.IntType(1), 1), final, further)
                b.position_at_end(final)
                store(value, place, b.trunc(last, lanes))
                b.branch(done)
                b.position_at_end(further)
                b.store(value, b.bitcast(place, vector.as_pointer()), align=align)
                place = b.gep(place, [groups.target_pitch])
            b.branch(done)
            b.position_at_end(done)
        with part:
            kept = cgutils.alloca_once(b, ir.ArrayType(vector, len(values)))
            for m, value in enumerate(values):
                b.store(value, b.gep(kept, [INTP(0), INTP(m)]))
            with cgutils.for_range(b, rows) as loop:
                count = b.sub(room, b.mul(groups.drop, loop.index))
                count = b.select(b.icmp_signed("<", count, INTP(vector.count)), count, INTP(vector.count))
                bits = b.sub(b.shl(INTP(1), count), INTP(1))
                store(b.load(b.gep(kept, [INTP(0), loop.index])), b.gep(y, [b.mul(groups.target_pitch, loop.index)]), b.trunc(bits, lanes))
