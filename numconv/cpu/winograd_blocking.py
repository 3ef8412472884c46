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
from .geometry import three

#: rows × vectors, by number of SIMD registers
TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((12, 2), (8, 3), (4, 6), (24, 1)), 16: ((6, 2), (4, 3), (12, 1))}
HEAD, PER_AXIS = 31, 12  # integers of the geometry: before the axes, of an axis
FUSED = 2  # boxes for which weights are transformed on the way
CLOCK = 0.93  # of the cycles below by those of `direct`'s model, over the 3×3, 1-D and 3-D layers; Zen 4, 2026-11


@dataclass(frozen=True)
class Axis:
    """m > 1: transformed, and counted in tiles of m outputs for each residue of the dilation.  m = 1: its taps are terms of the sum."""

    extent: int
    outputs: int
    low: int
    dilation: int
    taps: int
    m: int
    tap_step: int  # in the weights
    row_in: int  # rows of the source from one sample to the next; 0: unused
    row_out: int

    @property
    def frequencies(self) -> int:
        return self.m + 2 if self.m > 1 else 1

    @property
    def count(self) -> int:
        return -(-(-(-self.outputs // self.dilation)) // self.m) if self.m > 1 else self.outputs

    @property
    def residues(self) -> int:
        return self.dilation if self.m > 1 else 1

    @property
    def halo(self) -> int:
        return 0 if self.m > 1 else (self.taps - 1) * self.dilation

    @property
    def shifts(self) -> tuple[int, ...]:
        """Of the taps, in positions."""
        return (0,) if self.m > 1 else tuple(a * self.dilation for a in range(self.taps))


Axes = tuple[Axis, Axis, Axis, Axis]


@lru_cache(maxsize=1024)
def axes(p: ConvProblem, m: int) -> Axes:
    """(outer, A, inner, W): W and one other axis A are transformed where they have three taps; the planes outside of A and the rows inside are not.

    A is H, or T where H has another number of taps.
    """
    kernel, spatial, outputs = three(p.kernel, 1), three(p.spatial, 1), three(p.outputs, 1)
    by_t = kernel[1] != 3 and kernel[0] == 3
    sizes = [m if kernel[0] == 3 and by_t else 1, m if kernel[1] == 3 else 1, m if kernel[2] == 3 else 1]
    rows_in, rows_out = (spatial[1], 1, 0), (outputs[1], 1, 0)
    tap_steps = (kernel[1] * kernel[2], kernel[2], 1)
    t, h, w = (
        Axis(*values) for values in zip(spatial, outputs, three(p.pad_low, 0), three(p.dilation, 1), kernel, sizes, tap_steps, rows_in, rows_out, strict=True)
    )  # fmt: skip
    unit = Axis(1, 1, 0, 1, 1, 1, 0, 0, 0)
    return (unit, t, h, w) if by_t else (t, h, unit, w)


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
    def boxes(self) -> tuple[int, int, int, int]:
        """Those of A times those of its residues."""
        o, a, i, w = (-(-x.count // c) for c, x in zip(self.counts, self.axes, strict=True))
        return o, a * -(-self.axes[1].residues // self.residues), i, w

    @property
    def positions(self) -> int:
        """From the first output of a box to its last, in one row of V."""
        o, a, i, w = self.slots
        last = (o - self.axes[0].halo - 1, a - self.axes[1].halo - 1, i - self.axes[2].halo - 1)
        return ((last[0] * a + last[1]) * i + last[2]) * w + w - self.axes[3].halo


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
    m: int
    box: Box
    tasks: int  # per sample
    splits: int
    split_blocks: int
    super_blocks: int
    chunk: int  # channels whose weights are transformed at a time
    pitch: int  # of a channel in V and M
    cycles: float  # of one sample
    pack_cycles: float  # of transforming the weights apart


def terms(p: ConvProblem, x: Axes) -> int:
    return p.group_in * prod(len(a.shifts) for a in x)


def frequencies(x: Axes) -> int:
    return x[1].frequencies * x[3].frequencies


def _odd(size: int) -> int:
    """An odd number of cache lines: frequencies that lie so far apart do not share a set of the cache."""
    lines = -(-size // 16)
    return 16 * (lines if lines % 2 else lines + 1)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _fill_cycles(box: Box, n: int) -> float:
    """Of one channel: its rows, then the other axis."""
    o, a, i, w = box.axes
    so, sa, si, sw = box.slots
    rows = so * si * ((box.counts[1] * a.m + 2) * box.residues if a.m > 1 else sa)
    row = 12.0 + 3 * -(-sw // n) if w.m == 1 else 25.0 + (45 if w.m == 4 else 25) * _vectors(w, box.counts[3], n)
    outer = so * -(-sa * si * sw // n) * w.frequencies * (20 if a.m == 4 else 12) if a.m > 1 else 0
    return rows * row + outer


def _deliver_cycles(box: Box, n: int) -> float:
    """Of one output channel."""
    o, a, _, w = box.axes
    vectors = -(-box.positions // n)
    rows = box.counts[0] * box.counts[2] * box.counts[1] * box.residues * a.m
    back = vectors * (15.0 if a.m == 4 else 9.0) * w.frequencies if a.m > 1 else 0.0
    if w.m > 1:
        waste = _vectors(w, box.counts[3], n) * n / (box.counts[3] * w.dilation) if w.dilation > 8 else 1.0
        back += vectors * a.m * (24 if w.m == 4 else 14) * waste
    return back + rows * (16 + 3 * -(-box.counts[3] * w.m * w.residues // n))


def _vectors(w: Axis, tiles: int, n: int) -> int:
    """Of the positions of a row: neighbouring residues share one, but tiles only under the dilations that shuffles serve."""
    return -(-tiles * w.dilation // n) if w.dilation in (1, 2, 4, 8) else tiles * -(-w.dilation // n)


def _candidate(p: ConvProblem, machine: Machine, m: int, tile: tuple[int, int], box: Box, splits: int) -> Blocking:
    n = machine.vector_bytes // 4
    mr, nr = tile[0], tile[1] * n
    blocks = -(-p.group_out // mr)
    split_blocks = -(-blocks // splits)
    splits = -(-blocks // split_blocks)
    panels = -(-box.positions // nr)
    so, sa, si, sw = box.slots
    pitch = max(panels * nr, _up(so * sa * si * sw, n))
    pitch += n if pitch * 4 % 1024 == 0 else 0
    f, t = frequencies(box.axes), terms(p, box.axes)
    super_blocks = max(1, min(split_blocks, machine.l2 // 4 // (4 * f * mr * pitch), max(64, 384 // f) // mr))
    chunk = machine.l2 // 4 // (4 * f * super_blocks * mr * (t // p.group_in)) // n * n
    chunk = min(p.group_in, max(n, chunk))
    multiply = f * panels * split_blocks * (t * (mr * tile[1] + 1.0) + 30)
    v_bytes, u_bytes = 4 * f * p.group_in * pitch, 4 * f * t * split_blocks * mr
    passes, m_bytes = -(-split_blocks // super_blocks), 4 * f * super_blocks * mr * pitch
    beyond = v_bytes + m_bytes > machine.l2 * 7 // 8  # V is then written to, and for each superblock read from, the shared cache; so is M
    streams = (v_bytes * (passes + 2) + m_bytes * 3 * passes) / 20 if beyond else 0.0
    filters = split_blocks * _filter_cycles(p, box.axes, mr, n)
    fused = prod(box.boxes) <= FUSED
    cycles = multiply + streams + p.group_in * _fill_cycles(box, n) + min(p.group_out, split_blocks * mr) * _deliver_cycles(box, n) + 400
    cycles += filters + 4 * p.group_in * p.taps * split_blocks * mr / 8 if fused else u_bytes / 24
    pack_cycles = 0.0 if fused else p.groups * splits * (filters + u_bytes / 4)
    tasks = p.groups * prod(box.boxes) * splits
    return Blocking((*tile, n), m, box, tasks, splits, split_blocks, super_blocks, chunk, pitch, tasks * cycles, pack_cycles)


def _filter_cycles(p: ConvProblem, x: Axes, mr: int, n: int) -> float:
    """Of transforming the weights of one block."""
    f = frequencies(x)
    each = terms(p, x) * (2.6 * f + (25 if f > 6 else 8)) + 5.0 * p.group_in * p.taps
    return -(-mr // n) * each


def _best(p: ConvProblem, machine: Machine, workers: int, m: int, tile: tuple[int, int]) -> Blocking:
    limit = 8 << 20  # bytes of a worker: a share of the last cache
    found: list[tuple[float, float, int, Blocking]] = []
    for box in _boxes(axes(p, m)):
        for splits in {1, workers}:
            b = _candidate(p, machine, m, tile, box, splits)
            idle = -(-p.batch * b.tasks // workers) * workers / (p.batch * b.tasks)
            size = 4 * Layout(p, b).total
            found.append((size / limit if size > limit else 0.0, b.cycles * idle, len(found), b))
    return min(found)[3]


@lru_cache(maxsize=1024)
def chosen(p: ConvProblem, machine: Machine) -> Blocking:
    """The tile and the size of the transform: from one sample and one worker, whatever the call has, since bits depend on the latter."""
    one = p.with_(batch=1)
    tiles = TILES[32 if machine.registers >= 32 else 16]
    return min((_best(one, machine, 1, m, tile) for m in (4, 2) for tile in tiles), key=lambda b: b.cycles + b.pack_cycles)


@lru_cache(maxsize=1024)
def blocking(p: ConvProblem, machine: Machine, workers: int) -> Blocking:
    b = chosen(p.with_(batch=1), machine)
    return _best(p, machine, workers, b.m, b.tile[:2])


class Layout:
    """Where a worker's numbers lie in its scratch: phases, V, M, rows of the result, U of a chunk of channels."""

    def __init__(self, p: ConvProblem, b: Blocking) -> None:
        n, nr = b.tile[2], b.tile[1] * b.tile[2]
        o, a, _, w = b.box.axes
        so, sa, si, sw = b.box.slots
        f = frequencies(b.box.axes)
        self.plane = sa * si * sw
        phase = (sa + b.box.residues) * si * sw + n if a.m > 1 else 0
        self.phase = phase + n if phase * 4 % 1024 < 4 * n else phase
        self.v_pitch = p.group_in * b.pitch + n
        self.m_pitch = b.super_blocks * b.tile[0] * b.pitch + n
        reach = 2 * nr + self.plane * o.halo + a.halo * si * sw + b.box.axes[2].halo * sw + w.halo
        self.v0 = _up(self.phase * a.m * w.frequencies + 2 * n, n)
        self.m0 = _up(self.v0 + f * self.v_pitch + reach, n)
        self.o0 = _up(self.m0 + f * self.m_pitch + nr, n)
        self.u0 = _up(self.o0 + w.m * (b.box.positions + n) + w.residues + 2 * n, n)
        rows = b.tile[0] * (terms(p, b.box.axes) // p.group_in)  # of U, per channel
        self.c_pitch = _odd(b.super_blocks * b.chunk * rows)
        self.u_pitch = _odd(-(-p.group_out // b.tile[0]) * p.group_in * rows)
        self.room = self.u0 + f * self.c_pitch
        self.room_size = n * (p.taps * b.tile[0] + 1)
        self.total = _up(self.room + self.room_size, 16) + 64


@lru_cache(maxsize=1024)
def prepared(p: ConvProblem, machine: Machine, workers: int) -> tuple[Blocking, Layout, np.ndarray]:
    """With the integers that the kernel reads: sizes, the four axes, the offsets of the terms in V."""
    b = blocking(p, machine, workers)
    at, box, x = Layout(p, b), b.box, b.box.axes
    _, _, si, sw = box.slots
    shifts = [s0 * at.plane + (s1 * si + s2) * sw + s3 for s0, s1, s2, s3 in product(*(a.shifts for a in x))]
    offsets = (np.arange(p.group_in)[:, None] * b.pitch + np.array(shifts)[None, :]).ravel()
    places = np.zeros(1, np.int64)  # of the terms of one channel in its weights
    for axis in x:
        if axis.m == 1:
            places = (places[:, None] + np.arange(axis.taps) * axis.tap_step).ravel()
    start = HEAD + 4 * PER_AXIS
    integers = [
        p.group_in, p.group_out, p.groups, b.splits, b.split_blocks, b.super_blocks, terms(p, x), b.pitch, at.v_pitch, at.m_pitch, at.v0, at.m0,
        at.o0, b.chunk, start + places.size, int(p.bias), ACTIVATIONS[p.activation], at.phase, at.plane, si, sw, at.u_pitch, frequencies(x),
        p.taps, x[1].tap_step, x[3].tap_step, places.size, start, at.u0, at.c_pitch, at.room,
    ]  # fmt: skip
    for axis, count, boxes in zip(x, box.counts, box.boxes, strict=True):
        residues = box.residues if axis is x[1] else axis.residues
        integers += [
            axis.extent, axis.outputs, axis.low, axis.dilation, axis.halo, axis.m, axis.row_in, axis.row_out, count, residues, boxes, axis.count,
        ]  # fmt: skip
    return b, at, np.array([*integers, *places, *offsets], np.int64)
