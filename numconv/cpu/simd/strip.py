"""The micro-kernel of a depthwise convolution: a strip of one plane's outputs, read where the input lies.

`rows` vectors of outputs, at a fixed distance (rows below each other, or pieces of one long row), are summed in registers.  Taps at that
distance as well read each other's vectors: a group of `taps` such taps loads (rows − 1)·advance + taps vectors for rows·taps
multiply-adds.  Lanes that would read beside the plane's rows are masked to zero: the border needs no copy of the input, and which lanes
they are follows from where the strip lies.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .border import Border, FirstTap, View
from .emit import I32, element_type, emit_fma, emit_record, repeated, splat
from .frames import unset
from .masks import lane_mask, masked_load, store_low
from .tiles import INTP
from .vector import Vector


class StripShape(types.Type):
    """`rows` vectors of `lanes` outputs; groups of `taps`; each vector `advance` reads on from the one before; lanes `step` elements apart.

    `flat`: the vectors of a strip follow one another on the axis of the lanes, so each read has a mask of its own.
    `crowded`: the mask of a group is made anew for each of its reads, not held in a register.
    """

    def __init__(self, rows: int, taps: int, advance: int, step: int, lanes: int, flat: int, crowded: int) -> None:
        self.rows, self.taps, self.advance, self.step, self.lanes, self.flat, self.crowded = rows, taps, advance, step, lanes, flat, crowded
        super().__init__(name=f"StripShape({rows}, {taps}, {advance}, {step}, {lanes}, {flat}, {crowded})")


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


@intrinsic(prefer_literal=True)
def strip_shape(typingctx, rows, taps, advance, step, lanes, flat, crowded):  # type: ignore[no-untyped-def]
    """The (dataless) value that carries a strip's shape in its type."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_dummy_value()

    found = StripShape(
        rows.literal_value,
        taps.literal_value,
        advance.literal_value,
        step.literal_value,
        lanes.literal_value,
        flat.literal_value,
        crowded.literal_value,
    )
    return found(rows, taps, advance, step, lanes, flat, crowded), codegen


@intrinsic
def flat(typingctx, shape):  # type: ignore[no-untyped-def]
    """Whether that shape is; compiled in."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return context.get_constant(types.boolean, bool(sig.args[0].flat))

    return types.boolean(shape), codegen


def loads(rows: int, taps: int, advance: int) -> range:
    """Which multiples of the distance a group of taps reads: one for each vector and tap, the same ones once."""
    return range(0, (rows - 1) * advance + taps, advance if taps == 1 else 1)  # groups have no fewer taps than vectors advance


def _where(builder: Any, condition: Any, values: list[Any], make: Any) -> list[Any]:
    """make(values) where the condition holds, else as they are."""
    before = builder.block
    with builder.if_then(condition):
        made, after = make(values), builder.block
    result = []
    for old, new in zip(values, made, strict=True):
        if new is not old:
            phi = builder.phi(old.type)
            phi.add_incoming(old, before)
            phi.add_incoming(new, after)
            new = phi
        result.append(new)
    return result


class _Sums:
    """The sums of a strip: what does not change from one group of taps to the next."""

    def __init__(self, builder: Any, shape: StripShape, dtype: Any, own: bool, x: Any, w: Any, groups: Groups, taps: Any) -> None:
        self.builder, self.shape, self.align, self.own = builder, shape, dtype.bitwidth // 8, own  # `own`: weights of each lane's own
        self.vector = ir.VectorType(element_type(dtype), shape.lanes)
        self.x, self.w, self.groups, self.taps = x, w, groups, taps
        self.pointer = self.vector.as_pointer()

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

    def sweep(self, first: Any, count: Any, taps: int, border: Border | None, values: list[Any]) -> list[Any]:
        """`count` groups of `taps` taps, from number `first` on; `border`: None where all that they read is there."""
        b = self.builder

        def group(i: Any, sums: list[Any]) -> list[Any]:
            tap = emit_record(b, b.gep(self.taps, [b.mul(b.add(first, i), INTP(len(FirstTap._fields)))]), FirstTap)
            if border is None:
                return self.group(tap, taps, None, sums)
            seen, reads = border.group(tap)
            return _where(b, seen, sums, lambda sums: self.group(tap, taps, reads(), sums))

        return repeated(b, count, values, group)

    def group(self, tap: FirstTap, taps: int, read: Any, sums: list[Any]) -> list[Any]:
        """Each vector that the group reads times each of its weights that some sum wants, to those sums; none where no lane is inside."""
        b, shape, groups = self.builder, self.shape, self.groups
        source, weight = b.gep(self.x, [tap.source_at]), b.gep(self.w, [tap.weight_at])

        def filters(place: Any) -> Any:
            return b.load(b.bitcast(place, self.pointer), align=self.align) if self.own else splat(b, b.load(place), shape.lanes)

        weights = [filters(b.gep(weight, [b.mul(groups.tap_pitch, INTP(a))])) for a in range(taps)]
        for s in loads(shape.rows, taps, shape.advance):
            place = b.gep(source, [b.mul(groups.read_pitch, INTP(s))])
            mine = {m: weights[s - m * shape.advance] for m in range(shape.rows) if 0 <= s - m * shape.advance < taps}

            def added(sums: list[Any], place: Any, mine: dict[int, Any], masks: Any) -> list[Any]:
                value = self.load(place, masks and masks())
                return [emit_fma(b, mine[m], value, total) if m in mine else total for m, total in enumerate(sums)]

            if read is None:
                sums = added(sums, place, mine, None)
            else:
                seen, masks = read(s)
                sums = _where(b, seen, sums, partial(added, place=place, mine=mine, masks=masks))
        return sums


@intrinsic
def strip_tile(typingctx, shape, x, w, y, bias, groups, taps, view, clear, last, rows, room):  # type: ignore[no-untyped-def]
    """y[m·target_pitch + lane] = bias + Σ w[…]·x[…], m < rows, lane < room − m·drop.

    x, w, y and taps are pointers, `taps` to records of FirstTap: of each group, then of each tap left over.
    `groups`: Groups in registers; read from a table by each tile, its products are worked out anew (a tenth of a small plane's time).
    `view`: a View; where `clear` is not 0 nothing asks for it: every read is inside, in whole registers.
    last: which lanes of the last of the `rows` vectors to write if all others are written whole; 0 if they are not.
    bias: a number, or a vector, then w too has a value for each lane (`lanes` of them to a tap), and there are `room` lanes.
    """
    own = isinstance(bias, Vector)

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        tile: StripShape = sig.args[0]
        dtype = sig.args[1].dtype
        _, x, w, y, bias, record, taps, view, clear, last, rows, room = args
        groups = Groups(*cgutils.unpack_tuple(builder, record))
        sums = _Sums(builder, tile, dtype, own, x, w, groups, taps)
        start = [bias if own else splat(builder, bias, tile.lanes)] * tile.rows

        def total(border: Border | None) -> list[Any]:
            values = sums.sweep(INTP(0), groups.shared, tile.taps, border, start) if tile.taps > 1 else start
            return sums.sweep(groups.shared, groups.single, 1, border, values)

        with builder.if_else(builder.icmp_signed("!=", clear, INTP(0)), likely=True) as (inner, border):
            with inner:
                unmasked, unmasked_end = total(None), builder.block
            with border:
                there = [lane_mask(builder, tile.lanes, room)] if own else None
                place = View(*cgutils.unpack_tuple(builder, view))
                masked, masked_end = total(Border(builder, tile, sums.vector, place, there)), builder.block
        results = [builder.phi(start[0].type) for _ in range(tile.rows)]
        for phi, a, b in zip(results, unmasked, masked, strict=True):
            phi.add_incoming(a, unmasked_end)
            phi.add_incoming(b, masked_end)
        _deliver(builder, results, y, groups, rows, room, last, dtype.bitwidth // 8)
        return context.get_dummy_value()

    intp = types.intp
    return types.void(shape, x, w, y, bias if own else w.dtype, groups, taps, view, intp, intp, intp, intp), codegen


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
            kept = unset(b, ir.ArrayType(vector, len(values)))
            for m, value in enumerate(values):
                b.store(value, b.gep(kept, [INTP(0), INTP(m)]))
            with cgutils.for_range(b, rows) as loop:
                count = b.sub(room, b.mul(groups.drop, loop.index))
                count = b.select(b.icmp_signed("<", count, INTP(vector.count)), count, INTP(vector.count))
                bits = b.sub(b.shl(INTP(1), count), INTP(1))
                store(b.load(b.gep(kept, [INTP(0), loop.index])), b.gep(y, [b.mul(groups.target_pitch, loop.index)]), b.trunc(bits, lanes))
