"""Which reads of a strip lie in the image, and which of their lanes: it follows from where the strip lies."""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir

from .emit import I32
from .masks import lanes_inside, lanes_of_bits
from .tiles import INTP


class FirstTap(NamedTuple):
    """The first tap of a group, or one left over, seen from the first tap of all."""

    source_at: int  # in x
    weight_at: int  # in w
    outer: int  # on the axes of View
    across: int
    seen_at: int  # in View.reads, where groups that read alike on the axis along have what they see in common


class View(NamedTuple):
    """Where a strip lies: what the first tap reads for its first output, perhaps outside, and how long the axes are.

    *along*: the axis on which its vectors follow one another.  *across*: the other one of the plane's two; of planes cut in strips of whole
    rows the lanes are on it.
    """

    outer: int
    across: int
    outer_extent: int
    across_extent: int
    reads: Any  # pointer to words: of groups that read alike a bit for each read in the image; of flat strips a word a read, of its lanes


class Border:
    """What the groups of a strip of such a shape see."""

    def __init__(self, builder: Any, shape: Any, vector: ir.VectorType, view: View, held: Any) -> None:
        self.builder, self.shape, self.vector, self.view = builder, shape, vector, view
        self.held = held  # the mask of each register of any read; None where it depends on the tap

    def masks(self, first: Any, end: Any) -> list[Any]:
        """Of the registers of a read whose first lane is there, on the axis of the lanes."""
        return lanes_inside(self.builder, first, end, self.shape.lanes, self.shape.step)

    def lanes(self, word: Any) -> list[Any]:
        """The same from the bits of the read's lanes."""
        b, n = self.builder, self.shape.lanes
        return [lanes_of_bits(b, b.lshr(word, ir.Constant(I32, j * n)) if j else word, self.vector) for j in range(self.shape.step)]

    def some(self, first: Any, end: Any) -> Any:
        """Whether a lane is inside: the last one not before the image, the first one not behind it."""
        b, span = self.builder, INTP((self.shape.lanes - 1) * self.shape.step)
        return b.icmp_unsigned("<", b.add(first, span), b.add(end, span))

    def group(self, tap: FirstTap) -> tuple[Any, Any]:
        """Whether the group sees the image at all; () -> (number of a read) -> whether that one does, () -> its masks."""
        b, shape, view = self.builder, self.shape, self.view
        across = b.add(view.across, tap.across)
        seen = b.icmp_unsigned("<", b.add(view.outer, tap.outer), view.outer_extent)  # nor is a negative one less

        by_lane = not shape.flat and self.held is None
        seen = b.and_(seen, self.some(across, view.across_extent) if by_lane else b.icmp_unsigned("<", across, view.across_extent))
        place = b.gep(view.reads, [tap.seen_at])
        if shape.flat:

            def piece(s: int) -> tuple[Any, Any]:
                word = b.load(b.gep(place, [INTP(s)]))
                return b.icmp_unsigned("!=", word, word.type(0)), lambda: self.lanes(word)

            return seen, lambda: piece
        reads = b.load(place)
        seen = b.and_(seen, b.icmp_unsigned("!=", reads, INTP(0)))

        def rows() -> Any:
            held = self.held or (None if shape.crowded else self.masks(across, view.across_extent))

            def row(s: int) -> tuple[Any, Any]:
                return b.icmp_unsigned("!=", b.and_(reads, INTP(1 << s)), INTP(0)), lambda: held or self.masks(across, view.across_extent)

            return row

        return seen, rows
