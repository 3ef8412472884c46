"""Axes, boxes and register tile of `winograd`: what a task covers, where its numbers lie, what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from ..kernel import Machine
from ..problem import ConvProblem
from .epilogue import ACTIVATIONS
from .winograd_axes import Axes, Axis, Piece, choices, frequencies

#: rows × vectors, by number of SIMD registers
TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((12, 2), (8, 3), (4, 6), (24, 1)), 16: ((6, 2), (4, 3), (12, 1))}
HEAD, PER_AXIS = 36, 16  # integers of the geometry: before the axes, of an axis
FUSED = 2  # boxes for which weights are transformed on the way
CLOCK = 0.93  # of the cycles below by those of `direct`'s model, over the 3×3, 1-D and 3-D layers; Zen 4, 2026-11


@dataclass(frozen=True)
class Box:
    """How much of each axis a task takes: outputs, or tiles of `residues` residues."""

    axes: Axes
    counts: tuple[int, int, int, int]
    residues: int  # of A

    @property
    def slots(self) -> tuple[int, int, int, int]:
        """Positions of a box along each axis, those included that only taps reach."""
        o, a, i, w = (c + x.halo for c, x in zip(self.counts, self.axes, strict=True))
        return o, a * self.residues, i, w * self.axes[3].residues

    @property
    def planes(self) -> int:
        """Of a channel."""
        return prod(len(x.planes) for x in self.axes)

    def shift(self, pieces: tuple[Piece, ...]) -> int:
        """Of a term, in positions."""
        _, a, i, w = self.slots
        by_o, by_a, by_i, by_w = (piece.shift for piece in pieces)
        return ((by_o * a + by_a * self.residues) * i + by_i) * w + by_w * self.axes[3].residues

    @property
    def boxes(self) -> tuple[int, int, int, int]:
        """Those of A times those of its residues."""
        o, a, i, w = (-(-x.count // c) for c, x in zip(self.counts, self.axes, strict=True))
        return o, a * -(-self.axes[1].residues // self.residues), i, w

    @property
    def positions(self) -> int:
        """From the first output of a box to its last, in one row of V."""
        _, a, i, w = self.slots
        o1, a1, i1, w1 = self.counts
        return (((o1 - 1) * a + a1 * self.residues - 1) * i + i1 - 1) * w + w1 * self.axes[3].residues


def _parts(count: int) -> list[int]:
    return sorted({-(-count // k) for k in range(1, min(count, 256) + 1)}, reverse=True)


def _boxes(x: Axes) -> list[Box]:
    """Whole images, then parts of the outermost axis that is not one position yet, the residues of a dilated axis before its tiles."""
    o, a, i, w = x
    found = [Box(x, (c, a.count, i.count, w.count), a.residues) for c in _parts(o.count)]
    found += [Box(x, (1, a.count, i.count, w.count), r) for r in _parts(a.residues)]
    found += [Box(x, (1, c, i.count, w.count), 1) for c in _parts(a.count)]
    found += [Box(x, (1, 1, c, w.count), 1) for c in _parts(i.count)]
    if a.m > 1 and a.count > 1 and i.count > 1:
        found += [Box(x, (1, a.count, c, w.count), 1) for c in _parts(i.count)]
    found += [Box(x, (1, 1, 1, c), 1) for c in _parts(w.count) if c * w.residues >= 64]
    return list(dict.fromkeys(found))


@dataclass(frozen=True, eq=False)
class Blocking:
    tile: tuple[int, int, int]
    box: Box
    tasks: int  # per sample
    splits: int
    split_blocks: int
    super_blocks: int
    chunk: int  # channels whose weights are transformed at a time
    pitch: int  # of a channel in V and M
    cycles: float  # of one sample
    pack_cycles: float  # of transforming the weights apart

    @property
    def kinds(self) -> tuple[int, int]:
        """Frequencies of A and W."""
        return self.box.axes[1].frequencies, self.box.axes[3].frequencies


def terms(p: ConvProblem, x: Axes) -> int:
    return p.group_in * prod(len(a.pieces) for a in x)


def _odd(size: int) -> int:
    """An odd number of cache lines: frequencies that lie so far apart do not share a set of the cache."""
    lines = -(-size // 16)
    return 16 * (lines if lines % 2 else lines + 1)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


#: cycles by number of frequencies: of a vector of positions, of `analyse`, of a row's transform, of `restore`, of a row's transform back; of a weight
ANALYSE = {4: 12, 5: 18, 6: 20, 7: 26, 8: 30}
ROW = {4: 25, 5: 42, 6: 45, 7: 55, 8: 62}
RESTORE = {4: 9, 5: 13, 6: 15, 7: 18, 8: 20}
BACK = {4: 14, 5: 22, 6: 24, 7: 27, 8: 30}


def _fill_cycles(box: Box, n: int) -> float:
    """Of one channel: its rows, then the other axis."""
    o, a, _, w = box.axes
    so, sa, si, sw = box.slots
    rows = so * si * sum(a.samples(box.counts[1], phase) for phase in a.phases) * box.residues
    tiles = box.counts[3] + w.halo
    row = 12.0 + 3 * -(-sw // n) if w.m == 1 else 25.0 + ROW[w.frequencies] * _vectors(w, tiles, n)
    if w.stride > 1:
        row += 12.0 + (4 if w.stride == 2 else 20) * -(-_samples(w, tiles) // n)
    outer = so * -(-sa * si * sw // n) * w.frequencies * len(a.planes) * ANALYSE[a.frequencies] if a.m > 1 else 0
    return len(o.planes) * len(box.axes[2].planes) * len(w.planes) * (rows * row + outer)


def _deliver_cycles(box: Box, n: int) -> float:
    """Of one output channel."""
    o, a, _, w = box.axes
    vectors = -(-box.positions // n)
    rows = box.counts[0] * box.counts[2] * box.counts[1] * box.residues * a.m
    back = float(vectors * RESTORE[a.frequencies] * w.frequencies) if a.m > 1 else 0.0
    if w.m > 1:
        waste = _vectors(w, box.counts[3], n) * n / (box.counts[3] * w.residues) if w.residues > 8 else 1.0
        back += vectors * a.m * BACK[w.frequencies] * waste
    return back + rows * (16 + 3 * -(-box.counts[3] * w.m * w.residues // n))


def _vectors(w: Axis, tiles: int, n: int) -> int:
    """Of the positions of a row: neighbouring residues share one, but tiles only under the dilations that shuffles serve."""
    return -(-tiles * w.residues // n) if w.residues in (1, 2, 4, 8) else tiles * -(-w.residues // n)


def _samples(w: Axis, tiles: int) -> int:
    """Of a row of a plane."""
    return (tiles * w.m + w.frequencies - w.m) * w.residues


def _candidate(p: ConvProblem, machine: Machine, tile: tuple[int, int], box: Box, splits: int) -> Blocking:
    n = machine.vector_bytes // 4
    mr, nr = tile[0], tile[1] * n
    blocks = -(-p.group_out // mr)
    split_blocks = -(-blocks // splits)
    splits = -(-blocks // split_blocks)
    panels = -(-box.positions // nr)
    so, sa, si, sw = box.slots
    planes = box.planes
    pitch = max(panels * nr, _up(so * sa * si * sw + (n if planes > 1 else 0), n))  # a plane's last row writes whole vectors; the next plane may be there
    pitch += n if pitch * 4 % 1024 == 0 else 0
    f, t = frequencies(box.axes), terms(p, box.axes)
    super_blocks = max(1, min(split_blocks, machine.l2 // 4 // (4 * f * mr * pitch), max(64, 384 // f) // mr))
    chunk = machine.l2 // 4 // (4 * f * super_blocks * mr * (t // p.group_in)) // n * n
    chunk = min(p.group_in, max(n, chunk))
    multiply = f * panels * split_blocks * (t * (mr * tile[1] + 1.0) + 30)
    v_bytes, u_bytes = 4 * f * p.group_in * planes * pitch, 4 * f * t * split_blocks * mr
    passes, m_bytes = -(-split_blocks // super_blocks), 4 * f * super_blocks * mr * pitch
    beyond = v_bytes + m_bytes > machine.l2 * 7 // 8  # V is then written to, and for each superblock read from, the shared cache; so is M
    streams = (v_bytes * (passes + 2) + m_bytes * 3 * passes) / 20 if beyond else 0.0
    filters = split_blocks * _filter_cycles(p, box.axes, mr, n)
    fused = prod(box.boxes) <= FUSED
    cycles = multiply + streams + p.group_in * _fill_cycles(box, n) + min(p.group_out, split_blocks * mr) * _deliver_cycles(box, n) + 400
    cycles += filters + 4 * p.group_in * p.taps * split_blocks * mr / 8 if fused else u_bytes / 24
    pack_cycles = 0.0 if fused else p.groups * splits * (filters + u_bytes / 4)
    tasks = p.groups * prod(box.boxes) * splits
    return Blocking((*tile, n), box, tasks, splits, split_blocks, super_blocks, chunk, pitch, tasks * cycles, pack_cycles)


def _filter_cycles(p: ConvProblem, x: Axes, mr: int, n: int) -> float:
    """Of transforming the weights of one block."""
    f = frequencies(x)
    each = terms(p, x) * (2.6 * f + (25 if f > 8 else 8)) + 5.0 * p.group_in * p.taps
    return -(-mr // n) * each


def _best(p: ConvProblem, machine: Machine, workers: int, x: Axes, tile: tuple[int, int]) -> Blocking:
    limit = 8 << 20  # bytes of a worker: a share of the last cache
    found: list[tuple[float, float, int, Blocking]] = []
    for box in _boxes(x):
        for splits in {1, workers}:
            b = _candidate(p, machine, tile, box, splits)
            idle = -(-p.batch * b.tasks // workers) * workers / (p.batch * b.tasks)
            size = 4 * Layout(p, b).total
            found.append((size / limit if size > limit else 0.0, b.cycles * idle, len(found), b))
    return min(found)[3]


@lru_cache(maxsize=1024)
def chosen(p: ConvProblem, machine: Machine) -> Blocking:
    """The tile and the transforms: from one sample and one worker, whatever the call has, since bits depend on the latter."""
    one = p.with_(batch=1)
    tiles = TILES[32 if machine.registers >= 32 else 16]
    return min((_best(one, machine, 1, x, tile) for x in choices(one) for tile in tiles), key=lambda b: b.cycles + b.pack_cycles)


@lru_cache(maxsize=1024)
def blocking(p: ConvProblem, machine: Machine, workers: int) -> Blocking:
    b = chosen(p.with_(batch=1), machine)
    return _best(p, machine, workers, b.box.axes, b.tile[:2])


class Layout:
    """Where a worker's numbers lie in its scratch: phases, a row of one phase, V, M, rows of the result, U of a chunk of channels."""

    def __init__(self, p: ConvProblem, b: Blocking) -> None:
        n, nr = b.tile[2], b.tile[1] * b.tile[2]
        _, a, _, w = b.box.axes
        _, sa, si, sw = b.box.slots
        f = frequencies(b.box.axes)
        self.plane = sa * si * sw
        samples = max(a.samples(b.box.counts[1], phase) for phase in a.phases)
        phase = -(-samples // a.m) * b.box.residues * si * sw + n if a.m > 1 else 0
        self.phase = phase + n if phase * 4 % 1024 < 4 * n else phase
        self.v_pitch = p.group_in * b.box.planes * b.pitch + n
        self.m_pitch = b.super_blocks * b.tile[0] * b.pitch + n
        reach = 2 * nr + b.box.shift(tuple(max(x.pieces, key=lambda piece: piece.shift) for x in b.box.axes))  # type: ignore[arg-type]
        self.row0 = _up(self.phase * a.m * w.frequencies + 2 * n, n)
        self.row_size = _samples(w, b.box.counts[3] + w.halo)
        self.room0 = self.row0 + _up(self.row_size, n) + n  # of the phases of a row under a dilation that shuffles do not serve
        self.room_phase = _up(sw + w.residues, n) + n
        self.v0 = self.room0 + (0 if w.plain else w.m * self.room_phase)
        self.m0 = _up(self.v0 + f * self.v_pitch + reach, n)
        self.o0 = _up(self.m0 + f * self.m_pitch + nr, n)
        self.u0 = _up(self.o0 + w.m * (b.box.positions + n) + w.residues + 2 * n, n)
        rows = b.tile[0] * (terms(p, b.box.axes) // p.group_in)  # of U, per channel
        self.c_pitch = _odd(b.super_blocks * b.chunk * rows)
        self.u_pitch = _odd(-(-p.group_out // b.tile[0]) * p.group_in * rows)
        self.room = self.u0 + f * self.c_pitch
        self.blank = n * (p.taps * b.tile[0] + 1)  # in the room: zeros for the taps that a short piece lacks
        self.room_size = self.blank + _up(b.tile[0], n)
        self.total = _up(self.room + self.room_size, 16) + 64


@lru_cache(maxsize=1024)
def prepared(p: ConvProblem, machine: Machine, workers: int) -> tuple[Blocking, Layout, np.ndarray]:
    """With the integers that the kernel reads: sizes, the four axes, where planes begin, the places of a channel's terms in its weights and in V."""
    b = blocking(p, machine, workers)
    at, box, x = Layout(p, b), b.box, b.box.axes
    o, a, i, w = x
    _, _, si, sw = box.slots
    pieces = list(product(*(axis.pieces for axis in x)))
    plane = [((by[0].plane * len(i.planes) + by[2].plane) * len(w.planes) + by[3].plane) * len(a.planes) + by[1].plane for by in pieces]
    inside = np.array(plane) * b.pitch + np.array([box.shift(by) for by in pieces])
    offsets = (np.arange(p.group_in)[:, None] * box.planes * b.pitch + inside[None, :]).ravel()
    places = [v for by in pieces for v in (sum(piece.tap * axis.tap_step for piece, axis in zip(by, x, strict=True)), by[1].live, by[3].live)]
    begins = [list(o.planes), [v for start, ks in a.phases for v in (start, a.samples(box.counts[1], (start, ks)), len(ks), *ks)], list(i.planes), list(w.planes)]
    start = HEAD + 4 * PER_AXIS
    lists = start + sum(map(len, begins))
    integers = [
        p.group_in, p.group_out, p.groups, b.splits, b.split_blocks, b.super_blocks, terms(p, x), b.pitch, at.v_pitch, at.m_pitch, at.v0, at.m0,
        at.o0, b.chunk, lists + len(places), int(p.bias), ACTIVATIONS[p.activation], at.phase, at.plane, si, sw, at.u_pitch, frequencies(x),
        p.taps, a.tap_step * a.every, w.tap_step * w.every, len(pieces), lists, at.u0, at.c_pitch, at.room, at.blank, at.row0, at.row_size, at.room0, at.room_phase,
    ]  # fmt: skip
    for axis, count, boxes, begin in zip(x, box.counts, box.boxes, begins, strict=True):
        residues = box.residues if axis is a else axis.residues
        integers += [
            axis.extent, axis.outputs, axis.low, axis.residues, axis.halo, axis.frequencies, axis.row_in, axis.row_out, count, residues, boxes, axis.count,
            axis.stride, start, len(axis.phases) if axis is a else len(axis.planes), len(axis.planes),
        ]  # fmt: skip
        start += len(begin)
    return b, at, np.array([*integers, *(v for begin in begins for v in begin), *places, *offsets], np.int64)
