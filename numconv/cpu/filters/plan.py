"""The record of `filters`, and the choice of its boxes and tiles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...kernel import Machine
from ...memory import kept
from ...problem import FilterProblem
from ...sampling import padded
from ..runtime.launch import anywhere
from ..runtime.record import size_of, table
from ..runtime.workspace import spaced
from ..simd.neighbours import EVEN, IN_TURN, MULTIPLY_ADD, ODD, QUOTIENT, ROUNDED, UNDIVIDED, WHOLE_QUOTIENT

#: over several axes: whole columns of taps, or those that are not 0; along one axis: columns, all taps, or as SciPy takes them
ORDERS = {
    "fused": MULTIPLY_ADD, "listed": MULTIPLY_ADD, "in turn": IN_TURN,
    "columns": MULTIPLY_ADD, "all": MULTIPLY_ADD, "line": IN_TURN, "even": EVEN, "odd": ODD,
}  # fmt: skip
COLUMNS = ("fused", "columns")
LONG_BLOCK = 2048  # bytes of a block's row: half a page, for the sake of the machine's prefetchers
SHARE_OF_L2 = 4  # a box takes no more than a quarter of the second cache
LEAST_TASKS = 4  # per core
SMALL_WORK = 2e5  # products; fewer are done in the calling thread
LINE = 64  # bytes
HEAD_OF_WEIGHTS = 2  # what stands beyond the edges; before the weights of each sum its divisor, or the reciprocal
LEAST_DIRECT = 256  # columns that may be read where they lie, for which a block at each edge is made


class Along(NamedTuple):
    """One axis."""

    source: int  # extents, in elements
    target: int
    reach: int  # of the taps beyond a target: elements
    low: int  # of them before it
    map_at: int  # for each target and tap after the last one: the sample that stands there, or −1


class Stage(NamedTuple):
    """One sum, for `simd.neighbours.sums_tile`."""

    columns: int  # of taps; pairs of them
    taps: int  # of a column
    weights_at: int
    box_places_at: int  # places of the taps in the copy …
    direct_places_at: int  # … and in the source itself


class Spread(NamedTuple):
    """How the source of a stage lies; pitches in elements."""

    row: int
    plane: int


class FilterPlan(NamedTuple):
    """All that the kernel knows of a problem.  Extents in elements."""

    d: Along
    h: Along
    w: Along
    bands: int  # of a plane of targets, `band` rows each
    band: int
    chunks: int  # of a row of targets, `chunk` elements each: with a band a task
    chunk: int
    block: int  # of a chunk: what is summed before the next is read
    box: Spread
    source: Spread
    middle_at: int  # in scratch, from the box on: results of the first sum of two …
    middle_pitch: int
    turned_columns: int  # … of whose columns beyond the source's none are kept: 1 where something else stands there
    direct: int  # 1: the source is read where it lies, where all that a block reads lies in it
    inside_first: int  # columns from here on …
    inside_end: int  # … to here
    first: Stage
    second: Stage


class SumsTile(NamedTuple):
    """What is compiled in of a stage: see `simd.neighbours.SumsShape`."""

    rows: int
    vectors: int
    lanes: int
    order: int
    rounded: int
    narrow: int
    divided: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes


class PreparedFilter(NamedTuple):
    plan: FilterPlan
    tiles: tuple[SumsTile, ...]
    numbers: np.ndarray  # the plan, then maps and places
    tasks: int
    room: int  # elements of a worker's scratch


def tile_of(order: str, taps: int, lanes: int, registers: int, rounded: int, p: FilterProblem) -> SumsTile:
    """As many sums as registers hold, beside what is read of a row and a weight."""
    rows, vectors = 1, 4
    if order in COLUMNS and taps > 1:
        most = 6 if registers > 16 else 3
        rows = min(taps, most)
    return SumsTile(rows, vectors, lanes, ORDERS[order], rounded, int(p.narrow), division_of(p))


def division_of(p: FilterProblem) -> int:
    """By a product with the reciprocal where half a unit, over the divisor, is more than both roundings of the largest mean."""
    if p.divisor == 1:
        return UNDIVIDED
    if np.dtype(p.dtype).kind == "f" or np.dtype(p.out_dtype).kind == "f":
        return QUOTIENT
    source, digits = np.iinfo(p.dtype), 24 if p.compute == "float32" else 53  # of a sum, which must be whole
    most = float(max(-int(source.min), int(source.max)))
    fits = most * p.divisor < 2.0 ** (digits - 1) and most * 2.0 ** (2 - digits) * p.divisor < 0.5
    means_of_the_type = p.beyond == np.rint(p.beyond) and source.min <= p.beyond <= source.max
    return WHOLE_QUOTIENT if fits and means_of_the_type else QUOTIENT


def divisor_of(p: FilterProblem) -> float:
    """What stands before the weights."""
    return 1 / p.divisor if division_of(p) == WHOLE_QUOTIENT else p.divisor


def tiles_of(p: FilterProblem, machine: Machine) -> tuple[SumsTile, ...]:
    lanes = machine.vector_bytes // (4 if p.compute == "float32" else 8)
    between = ROUNDED.index(p.out_dtype) if p.rounded else 0
    first = tile_of(p.orders[0], p.kernel[1], lanes, machine.registers, between, p)
    return (first, *(tile_of(order, 1, lanes, machine.registers, 0, p) for order in p.orders[1:]))


@anywhere
def up(n: int, step: int) -> int:
    """The next multiple."""
    return -(-n // step) * step


def odd_lines(n: int, per_line: int) -> int:
    """At least so many elements, an odd number of cache lines: rows below each other lie in different sets."""
    return (-(-n // per_line) | 1) * per_line


def samples(source: int, target: int, taps: int, low: int, step: int, mode: str, more: int) -> np.ndarray:
    """Of each element from the first target's first tap to the last one's last, which one of the source stands there; −1: none.

    The axis counts in runs of `step` elements; `more` elements after the last are as good as any.
    """
    runs, produced = source // step, target // step
    count = produced + taps - 1
    if mode == "zeros":
        found = np.arange(count) - low
        found[(found < 0) | (found >= runs)] = -1
    elif runs == 1:
        found = np.zeros(count, np.int64)
    else:
        found = padded(runs, max(low, 0), max(count - low - runs, 0), mode)[max(-low, 0) :][:count]
    if step > 1:
        found = np.where(found[:, None] < 0, -1, found[:, None] * step + np.arange(step)).ravel()
    return np.concatenate([found, np.zeros(more, np.int64)])


def _cut(p: FilterProblem, machine: Machine, tiles: tuple[SumsTile, ...], size: int) -> tuple[int, int, int]:
    """Rows of a band, elements of a chunk and of a block."""
    _, height, width = p.outputs
    strip, (depth, taps, _) = max(t.columns for t in tiles), p.kernel
    reach = (p.kernel[2] - 1) * p.step
    block = min(up(width, strip), max(up(LONG_BLOCK // size, strip), up(2 * reach, strip)))
    room = machine.l2 // SHARE_OF_L2 // (depth * (block + reach) * size)
    rows = tiles[0].rows
    wanted = LEAST_TASKS * machine.cores
    lines = p.batch * p.outputs[0]
    band = max(min(height, room - taps + 1), min(height, taps), 1)
    if p.terms * lines * height * width > SMALL_WORK:
        band = min(band, max(-(-lines * height // wanted), min(taps, 16), 1))
    band = min(up(band, rows), up(height, rows))
    bands = lines * -(-height // band)
    chunk = up(width, block)
    if bands < wanted:
        chunk = max(block, up(-(-width * bands // wanted), block))
    return band, min(chunk, up(width, block)), block


def _edges(p: FilterProblem, low: int, reach: int, tiles: tuple[SumsTile, ...]) -> tuple[int, int]:
    """The columns whose tiles read nothing beyond the rows."""
    strip = max(t.columns for t in tiles)
    return up(max(low, 0), tiles[0].lanes), min(p.outputs[2], p.spatial[2] + low - reach - strip)


@kept
def prepared(p: FilterProblem, machine: Machine, kind: tuple[tuple[tuple[int, int, int], ...], ...]) -> PreparedFilter:
    """`kind`: of each stage its places, (plane, row, element) of each tap from the first."""
    tiles = tiles_of(p, machine)
    size = 4 if p.compute == "float32" else 8
    band, chunk, block = _cut(p, machine, tiles, size)
    taps, low = (*p.kernel[:2], p.kernel[2]), (*p.pad_low[:2], p.pad_low[2] * p.step)
    reach = (p.kernel[0] - 1, p.kernel[1] - 1, (p.kernel[2] - 1) * p.step)
    strip, per_line, two = max(t.columns for t in tiles), LINE // size, len(tiles) > 1
    width = up(block + reach[2], strip) + (0 if two else reach[2])
    box_row = odd_lines(width, per_line)
    box = Spread(box_row, (band + reach[1]) * box_row)
    source = Spread(p.spatial[2], p.spatial[1] * p.spatial[2])
    middle_pitch = odd_lines(up(block, strip) + reach[2] + strip, per_line) if two else 0
    middle_at = p.kernel[0] * box.plane
    at, parts, axes = size_of(FilterPlan), [], []
    for i, step in enumerate((1, 1, p.step)):
        found = samples(p.spatial[i], p.outputs[i], taps[i], p.pad_low[i], step, p.modes[i], band + strip if i else 0)
        axes.append(Along(p.spatial[i], p.outputs[i], reach[i], low[i], at))
        parts.append(found)
        at += found.size
    stages, weights_at = [], HEAD_OF_WEIGHTS
    for number, (tile, places) in enumerate(zip(tiles, kind, strict=True)):
        columns = p.kernel[1] if tile.rows > 1 else 1
        in_box, in_source = (np.array([d * s.plane + h * s.row + w for d, h, w in places], np.int64) for s in (
            Spread(middle_pitch, 0) if number else box, source))  # fmt: skip
        pairs = tile.order in (EVEN, ODD)
        count = (len(places) - 1) // 2 if pairs else len(places)
        stages.append(Stage(count, columns, weights_at, at, at + in_box.size))
        weights_at += (count + 1 if pairs else count * columns) + 1
        at += 2 * in_box.size
        parts += [in_box, in_source]
    inside_first, inside_end = _edges(p, low[2], reach[2], tiles)
    per_plane = -(-p.outputs[1] // band) * -(-p.outputs[2] // chunk)
    plan = FilterPlan(
        d=axes[0],
        h=axes[1],
        w=axes[2],
        bands=-(-p.outputs[1] // band),
        band=band,
        chunks=-(-p.outputs[2] // chunk),
        chunk=chunk,
        block=block,
        box=box,
        source=source,
        middle_at=middle_at,
        middle_pitch=middle_pitch,
        turned_columns=int(two and p.modes[2] == "zeros"),
        direct=int(p.dtype == p.compute and inside_end - inside_first >= LEAST_DIRECT),
        inside_first=inside_first,
        inside_end=inside_end,
        first=stages[0],
        second=stages[-1],
    )
    room = spaced(middle_at + middle_pitch * up(band, tiles[0].rows), size)
    return PreparedFilter(plan, tiles, table(plan, *parts), p.batch * p.outputs[0] * per_plane, room)
