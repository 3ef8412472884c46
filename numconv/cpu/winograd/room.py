"""Where the numbers of a task of `winograd` lie: in its worker's scratch, in elements from its beginning."""

from __future__ import annotations

from typing import NamedTuple

from ...problem import ConvProblem
from ..geometry.tiles import up
from .axes import frequencies, terms
from .cost import FLOAT, WinogradChoice
from .filters import BESIDE, LINE_ELEMENTS

TILES_TOGETHER = 6  # tiles of a row that are transformed together, channels last: their samples stay in the first cache
SAME_SETS = 1024  # bytes: planes so far apart, or a multiple, share few sets of the first cache; channels first …
SAME_SETS_PIXELS = 256  # … and positions, channels last
INTEGER_ELEMENTS = 2  # elements of an integer in the room
OVERRUN = 64  # elements behind all else, for vectors that overrun


class Spectrum(NamedTuple):
    """V, the transformed source of a box, or M, its products summed: (frequency, plane, position), channels as one of the two says."""

    at: int  # in the room
    pitch: int  # from one frequency to the next
    plane_pitch: int  # from one plane to the next: of V those of a channel, then channels; of M channels, or blocks of them, channels last
    position_pitch: int  # from one position to the next


class PlanesRoom(NamedTuple):
    """Channels first: where rows are taken apart and put together.  Channels last: zeros."""

    phase_pitch: int  # from one phase of A's samples to the next; they begin the room
    strided_at: int  # the samples of one phase of a strided row
    strided_size: int
    split_at: int  # the phases of a row of a dilated W
    split_pitch: int  # from one of them to the next
    merged_at: int  # rows of the target


class PixelsRoom(NamedTuple):
    """Channels last: where tiles of a register of channels are transformed.  Channels first: zeros."""

    together: int  # tiles of a row at a time
    columns_at: int  # their columns, transformed along A; then the targets of one tile


class Chunk(NamedTuple):
    """Filters that a task transforms itself, some input channels at a time."""

    channels: int
    at: int  # U of them
    pitch: int  # from one frequency of it to the next
    turned_at: int  # their weights, output channels in the lanes


class Room(NamedTuple):
    v: Spectrum
    v_size: int  # elements of V
    m: Spectrum
    planes: PlanesRoom
    pixels: PixelsRoom
    chunk: Chunk
    blank_at: int  # from `chunk.turned_at` on: zeros
    turned_size: int  # of the weights of a vector of channels, turned
    size: int  # elements of a worker, without V


def odd_lines(size: int) -> int:
    """An odd number of cache lines: frequencies that lie so far apart do not share a set of the cache."""
    lines = -(-size // LINE_ELEMENTS)
    return LINE_ELEMENTS * (lines if lines % 2 else lines + 1)


def filter_pitch(p: ConvProblem, c: WinogradChoice) -> int:
    """From one frequency to the next of a group's filters, transformed ahead."""
    return odd_lines(-(-p.group_out // c.block_channels) * c.block_channels * terms(p, c.box.axes))


def position_pitch(channels: int, lanes: int) -> int:
    """Channels last, in V: those of a register tile's positions do not share a few sets of the first cache."""
    whole = up(channels, lanes)
    return whole + lanes if whole * FLOAT % SAME_SETS_PIXELS == 0 else whole


def room_of(p: ConvProblem, c: WinogradChoice) -> Room:
    f, n, rows = frequencies(c.box.axes), c.tile.lanes, c.block_channels * (terms(p, c.box.axes) // p.group_in)  # of U, per channel
    v, v_size, m, planes, pixels, chunk_at = (_pixels if c.last else _planes)(p, c)
    pitch = odd_lines(c.super_blocks * c.chunk * rows)
    turned_at = chunk_at + f * pitch
    blank_at = p.taps * (n + BESIDE) * c.block_channels
    size = up(turned_at + blank_at + n, 16) + OVERRUN
    return Room(
        v=v._replace(at=size),
        v_size=v_size,
        m=m,
        planes=planes,
        pixels=pixels,
        chunk=Chunk(c.chunk, chunk_at, pitch, turned_at),
        blank_at=blank_at,
        turned_size=blank_at + n,
        size=size,
    )


Parts = tuple[Spectrum, int, Spectrum, PlanesRoom, PixelsRoom, int]  # V, its size, M, what else the layout has, where U begins


def _planes(p: ConvProblem, c: WinogradChoice) -> Parts:
    n, nr, f, box = c.tile.lanes, c.tile_positions, frequencies(c.box.axes), c.box
    a, w = box.axes.a, box.axes.w
    _, _, si, sw = box.slots
    _, by_a, _, by_w = box.counts
    samples_a = (by_a + a.halo) * a.m + a.frequencies - a.m + a.reach  # of the longest phase
    phase = -(-samples_a // a.m) * box.residues * si * sw + n if a.m > 1 else 0
    phase = phase + n if phase * FLOAT % SAME_SETS < FLOAT * n else phase
    strided_at, strided_size = up(phase * a.m * w.frequencies + 2 * n, n), ((by_w + w.halo) * w.m + w.frequencies - w.m) * w.residues
    split_at, split_pitch = strided_at + up(strided_size, n) + n, up(sw + w.residues, n) + n
    v = Spectrum(at=0, pitch=p.group_in * box.planes * c.pitch + n, plane_pitch=c.pitch, position_pitch=1)
    m = Spectrum(
        at=up(split_at + (0 if w.dense else w.m * split_pitch), n),
        pitch=c.super_blocks * c.block_channels * c.pitch + n,
        plane_pitch=c.pitch,
        position_pitch=1,
    )
    merged_at = up(m.at + f * m.pitch + nr, n)
    room = PlanesRoom(
        phase_pitch=phase,
        strided_at=strided_at,
        strided_size=strided_size,
        split_at=split_at,
        split_pitch=split_pitch,
        merged_at=merged_at,
    )
    v_size = up(f * v.pitch + 2 * nr + box.reach, 16) + OVERRUN
    return v, v_size, m, room, PixelsRoom(0, 0), up(merged_at + w.m * (box.positions + n) + w.residues + 2 * n, n)


def _pixels(p: ConvProblem, c: WinogradChoice) -> Parts:
    n, f, box = c.tile.lanes, frequencies(c.box.axes), c.box
    a, w = box.axes.a, box.axes.w
    _, _, _, by_w = box.counts
    position = position_pitch(p.group_in, n)
    v = Spectrum(at=0, pitch=odd_lines(box.planes * c.pitch * position), plane_pitch=c.pitch * position, position_pitch=position)
    m = Spectrum(
        at=0,
        pitch=odd_lines(c.super_blocks * c.block_channels * c.pitch),
        plane_pitch=c.pitch * c.block_channels,
        position_pitch=c.block_channels,
    )
    together, columns_at = min(TILES_TOGETHER, by_w + w.halo), m.at + f * m.pitch
    v_size = up(f * v.pitch + (c.tile_positions + box.reach) * position, 16) + OVERRUN
    end = columns_at + n * max((together * w.m + w.frequencies - w.m) * a.frequencies, a.m * w.m + 3)
    return v, v_size, m, PlanesRoom(0, 0, 0, 0, 0, 0), PixelsRoom(together, columns_at), end
