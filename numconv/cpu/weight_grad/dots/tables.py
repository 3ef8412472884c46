"""For `dot_rows`: the vectors of positions, where each tap reads, and the masks of the lanes that see the input; one for all planes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from ....problem import ConvProblem, Ints
from ...geometry.axes import collapsed, three
from ...simd.dots import Positions

FLAT = 1 << 22  # (position, tap) pairs of which every one is looked at: with more, stretches are rows


@dataclass(frozen=True)
class DotsLayout:
    """A *stretch*: positions that lie one after the other in both arrays, an output's row or more axes where they match."""

    kernel: Ints
    stride: Ints
    shifts: tuple[np.ndarray, ...]  # of each tap, on each axis, in the input
    extent: Ints  # of the input
    outputs: Ints
    phase_pitch: int  # from one stride phase of a row of the input to the next
    inner: int  # axes of a stretch

    @property
    def stretch(self) -> int:
        """Positions of one."""
        return prod(self.outputs[3 - self.inner :])

    @property
    def row_pitch(self) -> int:
        """Of the input, its rows split into phases."""
        return self.stride[2] * self.phase_pitch

    @property
    def volume(self) -> int:
        """Elements of a channel of the input."""
        return self.extent[0] * self.extent[1] * self.row_pitch


@lru_cache(maxsize=512)
def layout(problem: ConvProblem) -> DotsLayout:
    c = collapsed(problem)
    kernel, stride, dilation, low = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.pad_low, 0)
    extent, outputs = three(c.spatial, 1), three(c.outputs, 1)
    shifts = tuple(np.arange(k) * d - lo for k, d, lo in zip(kernel, dilation, low, strict=True))
    inner = 1
    if prod(outputs) * prod(kernel) <= FLAT:
        while inner < 3 and set(stride[3 - inner - 1 :]) == {1} and extent[3 - inner] == outputs[3 - inner]:
            inner += 1
    return DotsLayout(kernel, stride, shifts, extent, outputs, -(-extent[2] // stride[2]), inner)


def vectors_of(a: DotsLayout, lanes: int) -> int:
    """How many there are: a stretch begins with one."""
    return prod(a.outputs) // max(1, a.stretch) * -(-a.stretch // lanes)


def _inside(a: DotsLayout, axis: int, positions: np.ndarray) -> np.ndarray:
    """(position, tap of the axis): whether it sees the input."""
    at = positions[:, None] * a.stride[axis] + a.shifts[axis]
    return (at >= 0) & (at < a.extent[axis])


def _taps(a: DotsLayout, axes: range, coordinates: np.ndarray) -> np.ndarray:
    """(position, tap of the filter): whether it sees the input on these axes; their coordinates are (axis, position)."""
    number = coordinates.shape[1]
    seen = np.ones((number, *a.kernel), bool)
    for axis, at in zip(axes, coordinates, strict=True):
        shape = [a.kernel[axis] if i == axis else 1 for i in range(3)]
        seen &= _inside(a, axis, at).reshape(number, *shape)
    return seen.reshape(number, prod(a.kernel))


def _whole(a: DotsLayout, position: np.ndarray) -> np.ndarray:
    """Of the vectors of a row, those that see the input with every tap: all but some at its ends.  Of longer stretches none is sought."""
    if a.inner > 1:
        return np.zeros(len(position), bool)
    ends = position[:, [0, -1]]
    return _inside(a, 2, ends[:, 0]).all(1) & _inside(a, 2, ends[:, 1]).all(1) & (ends[:, 1] < a.stretch)


def _places(a: DotsLayout, channels: int, rows: int) -> np.ndarray:
    """Of each row (channel, tap) in the input; the last one for those that only fill the last tile."""
    column, phase = np.divmod(a.shifts[2], a.stride[2])
    channel, plane, row = np.arange(channels) * a.volume, a.shifts[0] * a.extent[1] * a.row_pitch, a.shifts[1] * a.row_pitch
    places = (channel[:, None, None, None] + plane[:, None, None] + row[:, None] + phase * a.phase_pitch + column).ravel()
    return np.concatenate([places, np.repeat(places[-1:], rows - places.size)])


def tables_of(a: DotsLayout, lanes: int, channels: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Records of Positions, places, masks; `rows`: (channel, tap) and as many again as fill the last tile.

    A row of masks: which lanes there are, then for each row of the tiles which see the input.
    """
    outer, inner = range(3 - a.inner), range(3 - a.inner, 3)
    outside, each = a.outputs[: 3 - a.inner], -(-a.stretch // lanes)
    stretches = np.indices(outside).reshape(len(outside), prod(outside))
    classes, which = np.unique(_taps(a, outer, stretches), axis=0, return_inverse=True)
    position = np.arange(each * lanes).reshape(each, lanes)
    whole = _whole(a, position)
    some = position[~whole].ravel()
    coordinates = np.array(np.unravel_index(np.minimum(some, a.stretch - 1), a.outputs[3 - a.inner :]))
    seen = _taps(a, inner, coordinates) & (some < a.stretch)[:, None]
    seen = np.concatenate([np.ones((lanes, seen.shape[1]), bool), seen])  # the first row of masks: whole vectors
    there = np.concatenate([np.ones(lanes, bool), some < a.stretch])
    bits = (1 << np.arange(lanes)).astype(np.uint32)

    def packed(flags: np.ndarray) -> np.ndarray:
        return (flags.reshape(-1, lanes, flags.shape[-1]) * bits[:, None]).sum(1, dtype=np.uint32)

    taps = packed(seen)[None] * classes[:, None, :]
    lead = np.broadcast_to(packed(there[:, None])[None], (*taps.shape[:2], 1))
    tile = np.broadcast_to(taps[..., None, :], (*taps.shape[:2], channels, taps.shape[2])).reshape(*taps.shape[:2], -1)
    masks = np.concatenate([lead, tile, np.repeat(tile[..., -1:], rows - tile.shape[2], 2)], 2)
    mask_row = np.where(whole, 0, np.cumsum(~whole))
    steps = np.array([a.stride[0] * a.extent[1] * a.row_pitch, a.stride[1] * a.row_pitch, 1])
    starts = steps[: len(outside)] @ stretches
    vectors = Positions(
        gradient_at=np.arange(starts.size)[:, None] * a.stretch + np.arange(each) * lanes,  # type: ignore[arg-type]  # of all vectors
        source_at=starts[:, None] + np.arange(each) * lanes,  # type: ignore[arg-type]
        masks_at=(which.reshape(-1, 1) * taps.shape[1] + mask_row) * masks.shape[2],
    )
    return np.stack(vectors, -1).astype(np.int64), _places(a, channels, rows), masks.astype(np.uint16)  # type: ignore[arg-type]
