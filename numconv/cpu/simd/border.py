"""Which reads of a strip lie in the image, and which of their lanes: it follows from where the strip lies."""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir

from .emit import emit_record
from .masks import lanes_inside
from .tiles import INTP


class FirstTap(NamedTuple):
    """The first tap of a group, or one left over, seen from the first tap of all."""

    source_at: int  # in x
    weight_at: int  # in w
    outer: int  # on the axes of View
    across: int
    along: int
    chain: int  # number among the groups that differ on the axis along: of its word of View.reads


class View(NamedTuple):
    """Where a strip lies: what the first tap reads for its first output, perhaps outside, and how long the axes are.

    *along*: the axis on which its vectors follow one another.  *across*: the other one of the plane's two; of planes cut in strips of whole
    rows the lanes are on it.
    """

    outer: int
    across: int
    along: int
    outer_extent: int
    across_extent: int
    along_extent: int
    reads: Any  # pointer to a Seen of each chain


class Seen(NamedTuple):
    """What the groups of a chain see on the axis along: a bit for each read."""

    some: int  # whether a lane of it is in the image
    whole: int  # whether all that its registers hold is; of strips whose lanes are on another axis not said


class Border:
    """What the groups of a strip of such a shape see."""

    def __init__(self, builder: Any, shape: Any, view: View, read_step: Any, held: Any) -> None:
        self.builder, self.shape, self.view, self.read_step = builder, shape, view, read_step
        self.held = held  # the mask of each register of any read; None where it depends on the tap

    def masks(self, first: Any, end: Any) -> list[Any]:
        """Of the registers of a read whose first lane is there, on the axis of the lanes."""
        return lanes_inside(self.builder, first, end, self.shape.lanes, self.shape.step)

    def unless(self, whole: Any, first: Any, end: Any) -> list[Any]:
        """Those masks, worked out unless all lanes are inside: most are."""
        b, shape = self.builder, self.shape
        every = ir.Constant(ir.VectorType(ir.IntType(1), shape.lanes), [1] * shape.lanes)
        before = b.block
        with b.if_then(b.not_(whole)):
            found, after = self.masks(first, end), b.block
        masks = []
        for mask in found:
            phi = b.phi(every.type)
            phi.add_incoming(every, before)
            phi.add_incoming(mask, after)
            masks.append(phi)
        return masks

    def some(self, first: Any, end: Any) -> Any:
        """Whether a lane is inside: the last one not before the image, the first one not behind it."""
        b, span = self.builder, INTP((self.shape.lanes - 1) * self.shape.step)
        return b.icmp_unsigned("<", b.add(first, span), b.add(end, span))

    def group(self, tap: FirstTap) -> tuple[Any, Any]:
        """Whether the group sees the image at all; () -> (number of a read) -> whether that one does, () -> its masks."""
        b, shape, view = self.builder, self.shape, self.view
        across = b.add(view.across, tap.across)
        seen = b.icmp_unsigned("<", b.add(view.outer, tap.outer), view.outer_extent)  # nor is a negative one less

        def bit(word: Any, s: int) -> Any:
            return b.icmp_unsigned("!=", b.and_(word, INTP(1 << s)), INTP(0))

        by_lane = not shape.flat and self.held is None
        seen = b.and_(seen, self.some(across, view.across_extent) if by_lane else b.icmp_unsigned("<", across, view.across_extent))
        reads = emit_record(b, b.gep(view.reads, [b.mul(tap.chain, INTP(len(Seen._fields)))]), Seen)
        seen = b.and_(seen, b.icmp_unsigned("!=", reads.some, INTP(0)))
        if shape.flat:
            along = b.add(view.along, tap.along)

            def piece(s: int) -> tuple[Any, Any]:
                at = b.add(along, b.mul(self.read_step, INTP(s)))
                return bit(reads.some, s), lambda: self.unless(bit(reads.whole, s), at, view.along_extent)

            return seen, lambda: piece

        def rows() -> Any:
            held = self.held or (None if shape.crowded else self.masks(across, view.across_extent))

            def row(s: int) -> tuple[Any, Any]:
                return bit(reads.some, s), lambda: held or self.masks(across, view.across_extent)

            return row

        return seen, rows
