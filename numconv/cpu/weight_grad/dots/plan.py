"""For `dot_rows`: the vectors of positions, their masks, and the choice of register tile by a small cost model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from ....kernel import Machine
from ....problem import ConvProblem, Ints
from ...geometry.axes import collapsed, three
from ...simd.dots import VECTOR

#: (rows, filters), by number of SIMD registers
TILES: dict[int, tuple[tuple[int, int], ...]] = {
    32: ((13, 1), (9, 1), (5, 1), (3, 1), (9, 2), (6, 4)),
    16: ((12, 1), (9, 1), (5, 1), (3, 1), (4, 2), (3, 3)),
}
FEW = ((9, 1), (3, 1), (4, 2))  # of them, for dtypes other than float32: each is seconds of compilation
START, REDUCE = 60.0, 8.0  # cycles per tile started, per sum over lanes
ISSUE, ROW, FILTER = (
    1.2,
    2.7,
    0.6,
)  # per multiply-add; per vector of the input, which mostly lies across two lines; per vector of the gradient
CROWDED = 1.4  # channels that share few sets of the caches
FLAT = 1 << 22  # (position, tap) pairs of which every one is looked at


@dataclass(frozen=True, eq=False)
class Plan:
    tile: tuple[int, int, int]  # rows, filters, lanes
    tasks: int
    worker_pitch: int
    cycles: float  # predicted, of the worker with most to do
    vectors: np.ndarray  # of each: place in y, place in x, row of masks
    places: np.ndarray  # of each row (channel, tap) in x
    masks: np.ndarray
    integers: np.ndarray


@dataclass(frozen=True)
class _Layout:
    """`run`: the positions that lie one after the other in both arrays, an output's row or more axes where they match."""

    kernel: Ints
    stride: Ints
    shifts: tuple[np.ndarray, ...]  # of each tap, on each axis, in the input
    extent: Ints
    outputs: Ints
    pitch: int  # of a row's phase
    inner: int  # axes of a run

    @property
    def run(self) -> int:
        return prod(self.outputs[3 - self.inner :])


@lru_cache(maxsize=512)
def _layout(problem: ConvProblem) -> _Layout:
    c = collapsed(problem)
    kernel, stride, dilation, low = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.pad_low, 0)
    extent, outputs = three(c.spatial, 1), three(c.outputs, 1)
    shifts = tuple(np.arange(k) * d - lo for k, d, lo in zip(kernel, dilation, low, strict=True))
    inner = 1
    if prod(outputs) * prod(kernel) <= FLAT:
        while inner < 3 and set(stride[3 - inner - 1 :]) == {1} and extent[3 - inner] == outputs[3 - inner]:
            inner += 1
    return _Layout(kernel, stride, shifts, extent, outputs, -(-extent[2] // stride[2]), inner)


def _inside(a: _Layout, axis: int, positions: np.ndarray) -> np.ndarray:
    """(position, tap of the axis): whether it sees the input."""
    at = positions[:, None] * a.stride[axis] + a.shifts[axis]
    return (at >= 0) & (at < a.extent[axis])


def _taps(a: _Layout, axes: range, coordinates: np.ndarray) -> np.ndarray:
    """(position, tap of the filter): whether it sees the input on these axes; their coordinates are (axis, position)."""
    count = coordinates.shape[1]
    seen = np.ones((count, *a.kernel), bool)
    for axis, at in zip(axes, coordinates, strict=True):
        shape = [a.kernel[axis] if i == axis else 1 for i in range(3)]
        seen &= _inside(a, axis, at).reshape(count, *shape)
    return seen.reshape(count, prod(a.kernel))


def _tables(a: _Layout, lanes: int, channels: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, places, masks; `rows`: (channel, tap) and as many again as fill the last tile."""
    outer, inner = range(3 - a.inner), range(3 - a.inner, 3)
    outside, each = a.outputs[: 3 - a.inner], -(-a.run // lanes)
    runs = np.indices(outside).reshape(len(outside), prod(outside))
    classes, which = np.unique(_taps(a, outer, runs), axis=0, return_inverse=True)
    position = np.arange(each * lanes).reshape(each, lanes)
    whole = np.zeros(each, bool)
    if a.inner == 1:  # of a row, all vectors but some at its ends see the input with every tap
        ends = position[:, [0, -1]]
        whole = _inside(a, 2, ends[:, 0]).all(1) & _inside(a, 2, ends[:, 1]).all(1) & (ends[:, 1] < a.run)
    some = position[~whole].ravel()
    seen = _taps(a, inner, np.array(np.unravel_index(np.minimum(some, a.run - 1), a.outputs[3 - a.inner :]))) & (some < a.run)[:, None]
    seen = np.concatenate([np.ones((lanes, seen.shape[1]), bool), seen])  # the first row of masks: whole vectors
    there = np.concatenate([np.ones(lanes, bool), some < a.run])
    bits = (1 << np.arange(lanes)).astype(np.uint32)

    def packed(flags: np.ndarray) -> np.ndarray:
        return (flags.reshape(-1, lanes, flags.shape[-1]) * bits[:, None]).sum(1, dtype=np.uint32)

    taps = packed(seen)[None] * classes[:, None, :]
    lead = np.broadcast_to(packed(there[:, None])[None], (*taps.shape[:2], 1))
    tile = np.broadcast_to(taps[..., None, :], (*taps.shape[:2], channels, taps.shape[2])).reshape(*taps.shape[:2], -1)
    masks = np.concatenate([lead, tile, np.repeat(tile[..., -1:], rows - tile.shape[2], 2)], 2)
    line = np.where(whole, 0, np.cumsum(~whole))
    row = a.stride[2] * a.pitch
    steps = np.array([a.stride[0] * a.extent[1] * row, a.stride[1] * row, 1])
    starts = steps[: len(outside)] @ runs
    vectors = np.empty((starts.size, each, VECTOR), np.int64)
    vectors[..., 0] = np.arange(starts.size)[:, None] * a.run + np.arange(each) * lanes
    vectors[..., 1] = starts[:, None] + np.arange(each) * lanes
    vectors[..., 2] = (which.reshape(-1, 1) * taps.shape[1] + line) * masks.shape[2]
    column, phase = np.divmod(a.shifts[2], a.stride[2])
    volume = a.extent[0] * a.extent[1] * row
    places = (
        (np.arange(channels) * volume)[:, None, None, None] + (a.shifts[0] * a.extent[1] * row)[:, None, None] + (a.shifts[1] * row)[:, None]
        + phase * a.pitch + column
    ).ravel()  # fmt: skip
    return vectors.ravel(), np.concatenate([places, np.repeat(places[-1:], rows - places.size)]), masks.astype(np.uint16).ravel()


def _count(a: _Layout, lanes: int) -> int:
    return prod(a.outputs) // max(1, a.run) * -(-a.run // lanes)


@lru_cache(maxsize=1024)
def _best(problem: ConvProblem, machine: Machine) -> tuple[float, tuple[int, int]]:
    """Cycles of a whole group and sample, and the tile."""
    a = _layout(problem)
    size = np.dtype(problem.out_dtype).itemsize
    count, length = _count(a, machine.vector_bytes // size), problem.group_in * problem.taps
    tiles = TILES[32 if machine.registers >= 32 else 16]
    found = []
    for rows, filters in tiles if problem.out_dtype == "float32" else FEW:
        if filters <= problem.group_out:
            starts = -(-problem.group_out // filters) * -(-length // rows)
            each = max(ISSUE * rows * filters / machine.multiply_adds, ROW * rows + FILTER * filters, 4.0)
            if filters > 1 and prod(a.outputs) * size % 4096 == 0:
                each *= CROWDED
            if (problem.group_in + filters) * prod(a.outputs) * size > machine.l1:
                each += -(-rows // problem.taps) + filters  # lines from the second cache
            found.append((starts * (count * each + START) + problem.group_out * length * REDUCE, (rows, filters)))
    return min(found)


def cycles(problem: ConvProblem, machine: Machine) -> float:
    """Of all of it, on one core."""
    return problem.groups * _best(problem, machine)[0]


def _divided(problem: ConvProblem, machine: Machine, workers: int) -> tuple[int, int, int, int, int]:
    """(tiles of a filter, blocks of filters of a task, tiles of a task, tasks, elements of a task's sums): about two tasks to a worker."""
    rows, filters = _best(problem, machine)[1]
    blocks, tiles = -(-problem.group_out // filters), -(-problem.group_in * problem.taps // rows)
    wanted = -(-2 * workers // problem.groups)
    split_blocks = -(-blocks // min(blocks, wanted))
    splits = -(-blocks // split_blocks)
    split_tiles = -(-tiles // min(tiles, -(-wanted // splits)))
    size = split_blocks * split_tiles * rows * filters * machine.vector_bytes // np.dtype(problem.out_dtype).itemsize
    return tiles, split_blocks, split_tiles, problem.groups * splits * -(-tiles // split_tiles), size


def sums(problem: ConvProblem, machine: Machine) -> int:
    """Elements of scratch."""
    _, _, _, tasks, size = _divided(problem, machine, machine.cores)
    return min(machine.cores, tasks) * size


@lru_cache(maxsize=512)
def plan(problem: ConvProblem, machine: Machine, workers: int) -> Plan:
    """The tile depends on the problem and the machine alone; chunks and tasks change no bit of the result."""
    a = _layout(problem)
    size = np.dtype(problem.out_dtype).itemsize
    lanes = machine.vector_bytes // size
    cycles, (rows, filters) = _best(problem, machine)
    tiles, split_blocks, split_tiles, tasks, sums = _divided(problem, machine, workers)
    vectors, places, masks = _tables(a, lanes, problem.group_in, tiles * rows)
    count = vectors.size // VECTOR
    chunk = count if problem.group_out <= filters and tiles == 1 else max(16, machine.l2 // 4 // (problem.group_in * machine.vector_bytes))
    volume = a.extent[0] * a.extent[1] * a.stride[2] * a.pitch
    integers = (
        problem.batch, problem.groups, problem.group_in, problem.group_out, volume, prod(a.outputs), count, chunk, tiles, split_tiles, split_blocks,
        problem.group_in * problem.taps,
    )  # fmt: skip
    pitch = sums + 64 // size
    return Plan((rows, filters, lanes), tasks, pitch, problem.groups * cycles, vectors, places, masks, np.array(integers, np.int64))
