"""The search for axes, boxes, splits and register tile: the costs of all candidates at once, as arrays."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...kernel import Machine
from ...memory import kept
from ...problem import ConvProblem
from ..geometry.tiles import CYCLES_PER_STEP, EVEN_PARTS, over, term_cycles
from .axes import Axes, Counts, TileBox, choices, frequencies, terms
from .cost import (
    FLOAT,
    GEMM_TILE,
    PIXEL_TILE,
    AxesCost,
    Boxes,
    Tile,
    TriedTiles,
    WinogradCandidates,
    WinogradChoice,
    axes_cost,
    pack_cycles,
    task_cycles,
)
from .filters import BESIDE
from .room import SAME_SETS, position_pitch, room_of

#: rows × vectors, by number of SIMD registers: rows are output channels, or, channels last, positions
PLANE_TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((12, 2), (8, 3), (4, 6), (24, 1)), 16: ((6, 2), (4, 3), (12, 1))}
PIXEL_TILES: dict[int, tuple[tuple[int, int], ...]] = {32: ((14, 2), (12, 2), (9, 3), (24, 1)), 16: ((6, 2), (4, 3), (12, 1))}
MOST_SCRATCH = 8 << 20  # bytes of a worker: a share of the last cache
ABOUT = 1.5  # times V, M and filters as given: the scratch of a worker without transformed ones, at most
PART = 4  # of the second cache: M of a superblock takes one such, U of a chunk another
SMALLEST = 8  # candidates that are looked at where none is within its share
MANY_CHANNELS, MANY_SUMS = 64, 384  # of a superblock: no more channels, or sums of a position, even where there is room
EVERY = 256  # numbers of parts into which an axis is cut, all up to that, then some of each power of two
LEAST_ROW = 64  # positions of a row that is cut


@kept
def _even(count: int) -> np.ndarray:
    """Even parts, from the whole down."""
    more = EVEN_PARTS[bisect(EVEN_PARTS, EVERY) : bisect(EVEN_PARTS, count)]
    parts = -(-count // np.array([*range(1, min(count, EVERY) + 1), *more]))
    return parts[np.append(True, parts[1:] != parts[:-1])]


def _boxes(p: ConvProblem, found: tuple[Axes, ...], n: int) -> tuple[Boxes, list[int]]:
    """For each choice of axes: whole images, then parts of the outermost axis that is not one position yet, the residues of a dilated axis
    before its tiles.  And where the boxes of each choice begin.  (Some come twice.)
    """
    whole, parts, number = [], [], []
    for x in found:
        o, a, i, w = (axis.tiles for axis in x)
        ways = [(0, o, (o, a, i, w, x.a.residues)), (4, x.a.residues, (1, a, i, w, 1)), (1, a, (1, a, i, w, 1)), (2, i, (1, 1, i, w, 1))]
        if x.a.m > 1 and a > 1 and i > 1:
            ways.append((2, i, (1, a, i, w, 1)))
        tried = [(which, _even(count), box) for which, count, box in ways]
        row = _even(w)
        tried.append((3, row[row * x.w.residues >= LEAST_ROW], (1, 1, 1, w, 1)))
        whole += [box for _, _, box in tried]
        parts += [(which, of) for which, of, _ in tried]
        number.append(sum([of.size for _, of, _ in tried]))
    counts = np.array(whole, np.float64).T.repeat([of.size for _, of in parts], 1)
    begin = 0
    for which, of in parts:
        counts[which, begin : begin + of.size] = of
        begin += of.size
    axes = AxesCost(*np.array([axes_cost(p, x, n) for x in found], np.float64).T.repeat(number, 1))
    return _measured(axes, *counts), [0, *np.cumsum(number).tolist()]


def _measured(axes: AxesCost, o: Any, a: Any, i: Any, w: Any, residues: Any) -> Boxes:
    so, sa, si, sw = o + axes.halo_o, (a + axes.halo_a) * residues, i + axes.halo_i, (w + axes.halo_w) * axes.residues_w
    positions = (((o - 1) * sa + a * residues - 1) * si + i - 1) * sw + w * axes.residues_w
    number = (
        over(axes.tiles_o, o) * (over(axes.tiles_a, a) * over(axes.residues_a, residues)) * over(axes.tiles_i, i) * over(axes.tiles_w, w)
    )
    return Boxes(axes, o, a, i, w, residues, (so, sa, si, sw), positions, number)


@kept
def _tiles(machine: Machine, last: bool, shapes: tuple[tuple[int, int], ...], produced: int, workers: int) -> TriedTiles:
    """Each as it is, and with splits for so many workers."""
    n, found = machine.vector_bytes // FLOAT, []
    for rows, vectors in shapes:
        block, positions = (vectors * n, rows) if last else (rows, vectors * n)
        start = PIXEL_TILE * (positions * vectors) ** 2 if last else GEMM_TILE
        blocks = -(-produced // block)
        for splits in sorted({1, workers}):
            split_blocks = -(-blocks // splits)
            term = term_cycles(rows, vectors, machine, 0.0, CYCLES_PER_STEP)
            tried = TriedTiles(
                rows=rows,
                vectors=vectors,
                block=block,
                positions=positions,
                term=term,
                start=start,
                splits=-(-blocks // split_blocks),
                split_blocks=split_blocks,
            )
            found.append(tried)
    return TriedTiles(*np.array(found, np.float64).T[..., np.newaxis])


def _up(value: Any, multiple: int) -> Any:
    return over(value, multiple) * multiple


def _candidates(p: ConvProblem, machine: Machine, boxes: Boxes, tiles: TriedTiles) -> WinogradCandidates:
    """With superblocks that fit in the second cache."""
    n, last, axes = machine.vector_bytes // FLOAT, p.layout == "channels_last", boxes.axes
    whole, (so, _, _, sw), plane = over(boxes.positions, tiles.positions) * tiles.positions, boxes.slots, boxes.plane
    if last:
        pitch = np.maximum(whole, so * plane)
    else:
        end = np.where(axes.m_a > 1, (so - 1) * plane + _up(plane, n), so * plane - sw + _up(sw, n))  # whole vectors are written
        pitch = np.maximum(whole, _up(end, n))
        lines = pitch * (FLOAT / SAME_SETS)
        pitch = pitch + n * (lines == np.floor(lines))
    fit = np.floor(machine.l2 // PART / (axes.frequencies * FLOAT * tiles.block * pitch))
    most = np.floor(np.maximum(MANY_CHANNELS, MANY_SUMS // axes.frequencies) / tiles.block)
    super_blocks = np.maximum(1, np.minimum(np.minimum(tiles.split_blocks, fit), most))
    held, frequencies = position_pitch(p.group_in, n) if last else p.group_in, axes.frequencies * (FLOAT * pitch)
    v_bytes, m_bytes = axes.planes * held * frequencies, super_blocks * tiles.block * frequencies
    return WinogradCandidates(tiles, boxes, last, n, super_blocks, pitch, v_bytes, m_bytes, p.groups * boxes.number * tiles.splits)


class WinogradSearch(NamedTuple):
    """All candidates of a problem."""

    axes: tuple[Axes, ...]
    first: list[int]  # box of each
    candidates: WinogradCandidates
    cycles: Any  # of all tasks of a sample …
    ahead: Any  # … and of what is done ahead of them


def search(p: ConvProblem, machine: Machine, workers: int, axes: tuple[Axes, ...], shapes: tuple[tuple[int, int], ...]) -> WinogradSearch:
    n = machine.vector_bytes // FLOAT
    boxes, first = _boxes(p, axes, n)
    c = _candidates(p, machine, boxes, _tiles(machine, p.layout == "channels_last", shapes, p.group_out, workers))
    return WinogradSearch(axes, first, c, c.tasks * task_cycles(p, c, machine), pack_cycles(p, c))


def _made(p: ConvProblem, machine: Machine, s: WinogradSearch, tile: int, box: int, cycles: float) -> WinogradChoice:
    """One of them, with a chunk of filters that fits in the second cache."""
    c, x, n = s.candidates, s.axes[int(np.searchsorted(s.first, box, "right")) - 1], s.candidates.lanes
    tiles, (*counts, residues) = TriedTiles(*(int(of[tile, 0]) for of in c.tiles)), (int(of[box]) for of in c.boxes[1:6])
    super_blocks = int(c.super_blocks[tile, box])
    chunk = machine.l2 // PART // (FLOAT * frequencies(x) * super_blocks * tiles.block * (terms(p, x) // p.group_in)) // n * n
    return WinogradChoice(
        tile=Tile(tiles.rows, tiles.vectors, n),
        last=c.last,
        box=TileBox(x, Counts(*counts), residues),
        splits=tiles.splits,
        split_blocks=tiles.split_blocks,
        super_blocks=super_blocks,
        chunk=min(p.group_in, max(n, chunk)),
        pitch=int(c.pitch[tile, box]),
        cycles=float(cycles),
    )


def _held(p: ConvProblem, s: WinogradSearch, workers: int) -> Any:
    """Bytes of V, M and filters as they are given, of a worker; of a V in common its share."""
    c = s.candidates
    splits, tasks, turned = c.tiles.splits, max(1, p.batch) * c.tasks, c.tiles.block * (FLOAT * p.taps * (c.lanes + BESIDE))
    return c.m_bytes + turned + (c.v_bytes if workers == 1 else c.v_bytes * np.where(splits > 1, tasks / (splits * workers), 1))


def _chunks(p: ConvProblem, machine: Machine, s: WinogradSearch) -> Any:
    """Bytes of the transformed filters of a chunk, at most."""
    c, axes = s.candidates, s.candidates.boxes.axes
    least = axes.frequencies * axes.terms * (FLOAT * c.lanes / p.group_in) * c.super_blocks * c.tiles.block
    return np.maximum(machine.l2 // PART, least)


def _fitting(cost: Any, held: Any, chunk: Any, size: Callable[[int], float]) -> int:
    """The cheapest of those within their share of memory; else the smallest.  `size`: bytes of one, which are little more than these."""
    fit = np.where(held > MOST_SCRATCH, np.inf, cost)
    while True:
        at = int(fit.argmin())
        if fit[at] == np.inf:
            return int(min(np.argsort(held, kind="stable")[:SMALLEST], key=lambda at: (size(at), cost[at])))
        if ABOUT * held[at] + chunk[at] < MOST_SCRATCH or size(at) <= MOST_SCRATCH:
            return at
        fit[at] = np.inf


def cheapest(p: ConvProblem, machine: Machine, workers: int, s: WinogradSearch, given: bool) -> WinogradChoice:
    """The box and the splits; `given`: with what it takes to transform the filters ahead."""
    tasks = max(1, p.batch) * s.candidates.tasks
    cost = s.cycles * (over(tasks, workers) * workers / tasks)  # some are idle
    if given:
        cost = cost + s.ahead

    def made(at: int) -> WinogradChoice:
        box, tile = divmod(at, cost.shape[0])
        return _made(p, machine, s, tile, box, cost[tile, box])

    return made(
        _fitting(cost.T.ravel(), _held(p, s, workers).T.ravel(), _chunks(p, machine, s).T.ravel(), lambda at: _bytes(p, made(at), workers))
    )


def _bytes(p: ConvProblem, c: WinogradChoice, workers: int) -> float:
    """Of a worker's scratch, and its share of what is in common."""
    room = room_of(p, c)
    return FLOAT * (room.size + room.v_size * (p.batch * c.tasks(p) / (c.splits * workers) if c.splits > 1 else 1))


@kept
def chosen(p: ConvProblem, machine: Machine) -> WinogradChoice:
    """The tile and the transforms: from one sample and one worker, whatever the call has, since bits depend on them."""
    shapes = (PIXEL_TILES if p.layout == "channels_last" else PLANE_TILES)[32 if machine.registers >= 32 else 16]
    s = search(p, machine, 1, choices(p), shapes)
    held, chunk, whole, found = _held(p, s, 1), _chunks(p, machine, s), s.cycles + s.ahead, []

    def made(tile: int, box: int) -> WinogradChoice:
        return _made(p, machine, s, tile, box, whole[tile, box])

    def size(tile: int, begin: int, at: int) -> float:
        return _bytes(p, made(tile, begin + at), 1)

    for begin, end in zip(s.first, s.first[1:], strict=False):  # of each choice of axes and tile the best box, of those the best
        each = zip(s.cycles[:, begin:end], held[:, begin:end], chunk[:, begin:end], strict=True)
        for tile, (cost, bytes_held, of_chunk) in enumerate(each):
            at = _fitting(cost, bytes_held, of_chunk, partial(size, tile, begin))
            found.append((tile, begin + at))
    return made(*min(found, key=lambda at: whole[at]))
