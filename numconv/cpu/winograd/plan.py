"""Axes, boxes and register tile of `winograd`: what a task covers, where its numbers lie, what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from ...activations import ACTIVATIONS
from ...kernel import Machine
from ...problem import ConvProblem
from ..adapt.mirror import forward_of
from ..geometry.tiles import CYCLES_PER_STEP, term_cycles
from .axes import Axes, Box, boxes_of, choices, frequencies, terms
from .cost import deliver_cycles, deliver_pixels_cycles, fill_cycles, fill_pixels_cycles, filter_cycles, samples

#: rows × vectors, by number of SIMD registers: rows are output channels, or, channels last, positions
TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((12, 2), (8, 3), (4, 6), (24, 1)), 16: ((6, 2), (4, 3), (12, 1))}
PIXEL_TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((14, 2), (12, 2), (9, 3), (24, 1)), 16: ((6, 2), (4, 3), (12, 1))}
HEAD, PER_AXIS = 39, 16  # integers of the geometry: before the axes, of an axis
WIDE = 6  # tiles of a row that are transformed together, channels last: their samples stay in the first cache
BESIDE = 4  # channels whose transformed filters lie side by side: their rows fill vectors
FUSED, AGAIN = (
    2,
    50_000,
)  # boxes for which weights are transformed on the way; or weights that are transformed once more than needed: what one more parallel loop costs
SHARE = 20000.0  # cycles, of all workers of a V in common: another start, and waiting for the slowest
SPILLS = 1.5  # times the cycles of transforms, where sixteen registers do not hold them; channels first, channels last was not measured (decision 32)
CLOCK = 0.93  # of the cycles below by those of `direct`'s model, over the 3×3, 1-D and 3-D layers; Zen 4, 2026-11


@dataclass(frozen=True, eq=False)
class Blocking:
    tile: tuple[int, int, int]
    last: bool  # channels are in the lanes
    box: Box
    tasks: int  # per sample
    splits: int
    split_blocks: int
    super_blocks: int
    chunk: int  # channels whose weights are transformed at a time
    pitch: int  # of a channel in V and M; channels last, positions of a plane
    cycles: float  # of one sample
    pack_cycles: float  # of transforming the weights apart

    @property
    def kinds(self) -> tuple[int, int]:
        """Frequencies of A and W."""
        return self.box.axes[1].frequencies, self.box.axes[3].frequencies

    @property
    def rows(self) -> int:
        """Output channels of a block of weights."""
        return self.tile[1] * self.tile[2] if self.last else self.tile[0]

    @property
    def columns(self) -> int:
        """Positions of a register tile."""
        return self.tile[0] if self.last else self.tile[1] * self.tile[2]


def _odd(size: int) -> int:
    """An odd number of cache lines: frequencies that lie so far apart do not share a set of the cache."""
    lines = -(-size // 16)
    return 16 * (lines if lines % 2 else lines + 1)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _apart(channels: int, lanes: int) -> int:
    """From one position to the next, channels last."""
    whole = _up(channels, lanes)
    return whole + lanes if whole * 4 % 256 == 0 else whole  # those of a tile do not share a few sets of the first cache


def _candidate(p: ConvProblem, machine: Machine, tile: tuple[int, int], box: Box, splits: int) -> Blocking:
    n = machine.vector_bytes // 4
    last = p.layout == "channels_last"
    mr, nr = (tile[1] * n, tile[0]) if last else (tile[0], tile[1] * n)
    blocks = -(-p.group_out // mr)
    split_blocks = -(-blocks // splits)
    splits = -(-blocks // split_blocks)
    panels = -(-box.positions // nr)
    so, sa, si, sw = box.slots
    planes, plane = box.planes, sa * si * sw
    if last:
        channels, pitch, start = _apart(p.group_in, n), max(panels * nr, so * plane), 0.15 * (nr * tile[1]) ** 2
    else:
        end = (so - 1) * plane + _up(plane, n) if box.axes[1].m > 1 else so * plane - sw + _up(sw, n)  # whole vectors are written
        channels, pitch, start = p.group_in, max(panels * nr, _up(end, n)), 30.0
        pitch += n if pitch * 4 % 1024 == 0 else 0
    f, t = frequencies(box.axes), terms(p, box.axes)
    super_blocks = max(1, min(split_blocks, machine.l2 // 4 // (4 * f * mr * pitch), max(64, 384 // f) // mr))
    chunk = machine.l2 // 4 // (4 * f * super_blocks * mr * (t // p.group_in)) // n * n
    chunk = min(p.group_in, max(n, chunk))
    multiply = f * panels * split_blocks * (t * term_cycles(*tile, machine, 0.0, CYCLES_PER_STEP) / CYCLES_PER_STEP + start)
    v_bytes, u_bytes = 4 * f * channels * planes * pitch, 4 * f * t * split_blocks * mr
    passes, m_bytes = -(-split_blocks // super_blocks), 4 * f * super_blocks * mr * pitch
    beyond = v_bytes + m_bytes > machine.l2 * 7 // 8  # V is then written to, and for each superblock read from, the shared cache; so is M
    streams = (v_bytes * (passes + 2) + m_bytes * 3 * passes) / 20 if beyond else 0.0
    filters = split_blocks * filter_cycles(p, box.axes, mr, n)
    fused = on_the_way(p, prod(box.boxes))
    produced = min(p.group_out, split_blocks * mr)
    if last:
        fill, deliver = -(-p.group_in // n) * fill_pixels_cycles(box), -(-produced // n) * deliver_pixels_cycles(box)
    else:
        more = SPILLS if machine.registers < 32 else 1.0
        fill, deliver = p.group_in * fill_cycles(box, n) * more, produced * deliver_cycles(box, n) * more
    if splits > 1:  # a V in common
        fill += SHARE + v_bytes * (splits - 1) / 20
    cycles = multiply + streams + fill / splits + deliver + 400
    cycles += filters + 4 * p.group_in * p.taps * split_blocks * mr / 8 if fused else u_bytes / 24
    pack_cycles = 0.0 if fused else p.groups * splits * (filters + u_bytes / 4)
    tasks = p.groups * prod(box.boxes) * splits
    return Blocking((*tile, n), last, box, tasks, splits, split_blocks, super_blocks, chunk, pitch, tasks * cycles, pack_cycles)


def on_the_way(p: ConvProblem, boxes: int) -> bool:
    """Whether filters, given plain, are transformed on the way in each of so many boxes and never written to memory."""
    return boxes <= FUSED or (boxes - 1) * p.groups * p.group_in * p.group_out * p.taps <= AGAIN


def _best(p: ConvProblem, machine: Machine, workers: int, x: Axes, tile: tuple[int, int], plain: bool = False) -> Blocking:
    """The cheapest; `plain`: with what it takes to transform the filters ahead."""
    limit = 8 << 20  # bytes of a worker: a share of the last cache
    found: list[tuple[float, float, int, Blocking]] = []
    for box in boxes_of(x):
        for splits in {1, workers}:
            b = _candidate(p, machine, tile, box, splits)
            idle = -(-p.batch * b.tasks // workers) * workers / (p.batch * b.tasks)
            at = Layout(p, b)
            size = 4 * (at.total + at.v_size * (p.batch * b.tasks / (b.splits * workers) if b.splits > 1 else 1))
            found.append((size / limit if size > limit else 0.0, b.cycles * idle + plain * b.pack_cycles, len(found), b))
    return min(found)[3]


@lru_cache(maxsize=1024)
def chosen(p: ConvProblem, machine: Machine) -> Blocking:
    """The tile and the transforms: from one sample and one worker, whatever the call has, since bits depend on the latter."""
    one = p.with_(batch=1)
    tiles = (PIXEL_TILES if p.layout == "channels_last" else TILES)[32 if machine.registers >= 32 else 16]
    return min((_best(one, machine, 1, x, tile) for x in choices(one) for tile in tiles), key=lambda b: b.cycles + b.pack_cycles)


@lru_cache(maxsize=1024)
def blocking(p: ConvProblem, machine: Machine, workers: int, plain: bool = False) -> Blocking:
    b = chosen(p.with_(batch=1), machine)
    return _best(p, machine, workers, b.box.axes, b.tile[:2], plain)


def _reach(box: Box) -> int:
    """The furthest shift of a term, in positions."""
    return box.shift(tuple(max(x.pieces, key=lambda piece: piece.shift) for x in box.axes))


class Layout:
    """Where a worker's numbers lie in its scratch: phases, a row of one phase, M, rows of the result, U of a chunk of channels.

    Channels last: M, pixels that are transformed, U of a chunk.  V lies beside that, since workers may have one in common.
    """

    def __init__(self, p: ConvProblem, b: Blocking) -> None:
        n, f = b.tile[2], frequencies(b.box.axes)
        _, sa, si, sw = b.box.slots
        self.plane = sa * si * sw
        (self._pixels if b.last else self._planes)(p, b)
        rows = b.rows * (terms(p, b.box.axes) // p.group_in)  # of U, per channel
        self.c_pitch = _odd(b.super_blocks * b.chunk * rows)
        self.u_pitch = _odd(-(-p.group_out // b.rows) * p.group_in * rows)
        self.room = self.u0 + f * self.c_pitch
        self.blank = p.taps * (n + BESIDE) * b.rows  # in the room: zeros for the taps that a short piece lacks
        self.room_size = self.blank + n
        self.total = _up(self.room + self.room_size, 16) + 64

    def _planes(self, p: ConvProblem, b: Blocking) -> None:
        n, nr, f = b.tile[2], b.columns, frequencies(b.box.axes)
        _, a, _, w = b.box.axes
        _, _, si, sw = b.box.slots
        phase = -(-max(a.samples(b.box.counts[1], phase) for phase in a.phases) // a.m) * b.box.residues * si * sw + n if a.m > 1 else 0
        self.phase = phase + n if phase * 4 % 1024 < 4 * n else phase
        self.channel, self.position = b.box.planes * b.pitch, 1
        self.v_pitch = p.group_in * self.channel + n
        self.m_pitch = b.super_blocks * b.rows * b.pitch + n
        row0 = _up(self.phase * a.m * w.frequencies + 2 * n, n)
        row_size = samples(w, b.box.counts[3] + w.halo)
        room0 = row0 + _up(row_size, n) + n  # of the phases of a row under a dilation that shuffles do not serve
        room_phase = _up(sw + w.residues, n) + n
        self.more = row0, row_size, room0, room_phase
        self.v_size = _up(f * self.v_pitch + 2 * nr + _reach(b.box), 16) + 64
        self.m0 = _up(room0 + (0 if w.plain else w.m * room_phase), n)
        self.o0 = _up(self.m0 + f * self.m_pitch + nr, n)
        self.u0 = _up(self.o0 + w.m * (b.box.positions + n) + w.residues + 2 * n, n)

    def _pixels(self, p: ConvProblem, b: Blocking) -> None:
        n, f = b.tile[2], frequencies(b.box.axes)
        _, a, _, w = b.box.axes
        self.phase, self.channel, self.position, self.m0 = 0, 1, _apart(p.group_in, n), 0
        self.more = self.position, min(WIDE, b.box.counts[3] + w.halo), 0, 0
        self.v_pitch = _odd(b.box.planes * b.pitch * self.position)
        self.m_pitch = _odd(b.super_blocks * b.rows * b.pitch)
        self.v_size = _up(f * self.v_pitch + (b.columns + _reach(b.box)) * self.position, 16) + 64
        self.o0 = self.m0 + f * self.m_pitch
        self.u0 = self.o0 + n * max((self.more[1] * w.m + w.frequencies - w.m) * a.frequencies, a.m * w.m + 3)


@lru_cache(maxsize=1024)
def prepared(problem: ConvProblem, machine: Machine, workers: int, plain: bool = False) -> tuple[Blocking, Layout, np.ndarray]:
    """With the integers that the kernel reads: sizes, the four axes, where planes begin, the places of a channel's terms in its weights and in V.

    An input gradient is the convolution that gives the same; its weights are read in the other order, and taps backwards.
    """
    p, turned = forward_of(problem), problem.direction != "forward"
    b = blocking(p, machine, workers, plain)
    at, box, x = Layout(p, b), b.box, b.box.axes
    o, a, i, w = x
    _, _, si, sw = box.slots
    pieces = list(product(*(axis.pieces for axis in x)))
    plane = [((by[0].plane * len(i.planes) + by[2].plane) * len(w.planes) + by[3].plane) * len(a.planes) + by[1].plane for by in pieces]
    inside = (np.array(plane) * b.pitch + np.array([box.shift(by) for by in pieces])) * at.position
    n, channel = b.tile[2], np.arange(p.group_in) * at.channel
    offsets = [
        v for c in range(0, p.group_in, BESIDE) for v in np.add.outer(inside, channel[c : c + BESIDE]).ravel()
    ]  # as `filters` has them
    spots = np.add.outer(np.arange(n), (n + BESIDE) * np.arange(p.taps)).ravel()  # of a channel's taps in the room
    taps = [sum(piece.tap * axis.tap_step for piece, axis in zip(by, x, strict=True)) for by in pieces]
    places = [v for by, tap in zip(pieces, taps, strict=True) for v in (p.taps - 1 - tap if turned else tap, by[1].live, by[3].live)]
    on = -1 if turned else 1
    steps = (
        (p.taps, p.group_out * p.taps) if turned else (p.group_in * p.taps, p.taps)
    )  # in the weights, from one channel of the result or the sum to the next
    phases = (
        list(a.planes) if b.last else [v for start, ks in a.phases for v in (start, a.samples(box.counts[1], (start, ks)), len(ks), *ks)]
    )
    begins = [list(o.planes), phases, list(i.planes), list(w.planes)]
    start = HEAD + 4 * PER_AXIS
    lists = start + sum(map(len, begins))
    integers = [
        p.group_in, p.group_out, p.groups, b.splits, b.split_blocks, b.super_blocks, terms(p, x), b.pitch, at.v_pitch, at.m_pitch, at.v_size, at.m0,
        at.o0, b.chunk, lists + len(places) + spots.size, int(p.bias), ACTIVATIONS[p.activation], at.phase, at.plane, si, sw, at.u_pitch, frequencies(x),
        p.taps, on * a.tap_step * a.every, on * w.tap_step * w.every, len(pieces), lists, at.u0, at.c_pitch, at.room, at.blank, *at.more,
        *steps, lists + len(places),
    ]  # fmt: skip
    for axis, count, boxes, begin in zip(x, box.counts, box.boxes, begins, strict=True):
        residues = box.residues if axis is a else axis.residues
        integers += [
            axis.extent, axis.outputs, axis.low, axis.residues, axis.halo, axis.frequencies, axis.row_in, axis.row_out, count, residues, boxes, axis.count,
            axis.stride, start, len(axis.phases) if axis is a and not b.last else len(axis.planes), len(axis.planes),
        ]  # fmt: skip
        start += len(begin)
    near = [i * at.position for i in range(b.columns)] if b.last else []  # of a register tile, behind all else
    return b, at, np.array([*integers, *(v for begin in begins for v in begin), *places, *spots, *offsets, *near], np.int64)
