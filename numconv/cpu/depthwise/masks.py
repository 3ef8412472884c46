"""Where the strips of `depthwise` read, and under which masks: of all kinds of strip, each kind once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..simd.strip import loads

if TYPE_CHECKING:
    from .cut import Cut


class Reads(NamedTuple):
    """Of each read of a strip: where its first lane is, as seen from the strip's first output, and its number in the group."""

    at: np.ndarray
    number: np.ndarray


def reads_of(c: Cut) -> Reads:
    reads = [(tap, s) for tap in c.shared for s in loads(c.rows, c.taps, c.advance)]
    reads += [(tap, s * c.advance) for tap in c.single for s in range(c.rows)]
    at = [[tap[i] * a.dilation + (s * c.read_step if i == c.along else 0) - a.low for i, a in enumerate(c.axes)] for tap, s in reads]
    return Reads(np.array(at), np.array([s for _, s in reads]))


class Masks:
    """The masks of all kinds of strip, each kind once."""

    def __init__(self, c: Cut) -> None:
        self.cut, self.reads, self.size = c, reads_of(c), 0
        self.found: dict[tuple[int, bytes, bytes], int] = {}
        self.kinds: dict[bytes, int] = {}
        self.parts: list[np.ndarray] = []

    def begin(self, first: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Per strip and column: where its masks begin, −1 where it needs none."""
        c, (at, number) = self.cut, self.reads
        extents = np.array([a.spatial for a in c.axes])
        where = (first * [a.stride for a in c.axes])[:, None, :] + at  # (strips, reads, axes)
        rows_in = ((where[..., :-1] >= 0) & (where[..., :-1] < extents[:-1])).all(-1)
        idle = number > (rows[:, None] - 1) * c.advance + c.taps - 1  # only vectors that are not stored read it
        flat = where @ pitches(extents.tolist())
        step, width, result = c.axes[-1].stride, int(extents[-1]), np.empty((len(first), len(c.columns)), np.int64)
        for j, (column, lanes) in enumerate(c.columns):
            used = lanes if c.flat else min(lanes, c.axes[-1].outputs - column)
            left, place = where[..., -1] + column * step, flat + column * step
            inside = (place >= 0) & (place + lanes * step <= extents.prod())  # of the plane: then a whole register can be read
            whole = inside & (idle | (rows_in & (left >= 0) & (left + (used - 1) * step < width)))
            result[:, j] = np.where(whole.all(1) & ((rows == c.rows) | (not c.flat)), -1, 0)
            for i in np.flatnonzero(result[:, j] == 0):
                result[i, j] = self._find(j, lanes, rows_in[i] & ~idle[i], left[i], width)
        return result

    def _find(self, j: int, lanes: int, rows_in: np.ndarray, left: np.ndarray, width: int) -> int:
        key = (j, rows_in.tobytes(), left.tobytes() if self.cut.flat else b"")
        if key not in self.found:
            bits = self._entries(lanes, rows_in, left, width)
            self.found[key] = self.kinds.setdefault(bits.tobytes(), self.size)
            if self.found[key] == self.size:
                self.parts.append(bits)
                self.size += bits.size
        return self.found[key]

    def _entries(self, lanes: int, rows_in: np.ndarray, left: np.ndarray, width: int) -> np.ndarray:
        """What simd.strip.entries counts, of all groups."""
        c, step = self.cut, self.cut.axes[-1].stride
        if c.apiece:
            return _bits(np.where(rows_in, left, width), width, lanes, step).ravel()
        found, begin = [], 0
        for groups, reads in ((len(c.shared), len(loads(c.rows, c.taps, c.advance))), (len(c.single), c.rows)):
            end = begin + groups * reads
            inside, first = rows_in[begin:end].reshape(groups, reads), left[begin:end].reshape(groups, reads)[:, 0]
            begin = end
            bits = _bits(first, width, lanes, step)
            found.append(np.concatenate([bits, inside & bits.any(1, keepdims=True)], 1, dtype=np.uint16).ravel())
        return np.concatenate(found)


def pitches(extents: Sequence[int]) -> np.ndarray:
    """Elements from one to the next on each axis of a contiguous array."""
    return np.cumprod([1, *extents[:0:-1]])[::-1]


def _bits(left: np.ndarray, width: int, lanes: int, step: int) -> np.ndarray:
    """Of lanes at left + i·step those inside [0, width): (read, mask of each of the `step` registers that they come in)."""
    total = lanes * step
    low, high = np.clip(-left, 0, total), np.clip(width - left, 0, total)
    one = np.int64(1)
    bits = ((one << high) - 1) & ~((one << low) - 1) & sum(1 << i for i in range(0, total, step))
    return np.stack([bits >> (j * lanes) & ((1 << lanes) - 1) for j in range(step)], 1).astype(np.uint16)
