"""What a task of `direct` and `gather` costs, in cycles of one worker at the clock that Machine.flops assumes.

Fitted on a Zen 4 (AVX-512) on 2026-11-24 unless said otherwise; decisions 12, 26, 28, 30 and 32 have the layers.
"""

from __future__ import annotations

from math import prod

from ....kernel import Machine
from ....problem import ConvProblem
from ...geometry.taps import Geometry, taps_of
from ...geometry.tiles import term_cycles, up

TASK_START = 200.0  # cycles a task: its number taken apart, its calls
TILE_PASS = 30.0  # cycles a tile begun and stored, each pass over its terms
KEPT_VECTOR = 4.0  # cycles a vector of sums that waits for the next chunk of channels
TERM_LOOP = 2.0  # steps of the multiply-adders that a term of a tile takes beside them: its loop
WEIGHT_LOADS = 0.5  # steps of the load units a broadcast weight; a vector of samples takes one
COPIED_ROW, DIRECT_COPIED_VECTOR = 12.0, 5.0  # cycles a row copied, and a vector of it …
GATHERED_STEP = 3  # … from this step on gathered element by element …
GATHERED_LANE = 0.5  # … which takes so many times as long for each lane
DIRECT_STORED_ROW, DIRECT_STORED_VECTOR = 6.0, 3.0  # cycles a row of targets stored, and a vector of it …
STORED_ALTERNATE = 2.5  # … times so many where every other element is another job's …
STORED_LANE = 1.5  # … and times so many for each lane where they lie further apart
FAR_WEIGHTS = 0.1  # cycles a byte of weights from beyond the second cache
FAR_SAMPLES = 0.28  # cycles a byte of samples from beyond it
LINE_BYTES = 64  # of a cache
PASS_BYTES = 2 * LINE_BYTES  # of the first cache that a term takes on a machine of 16 registers (decision 30, Zen 3, 2026-11-28)
PASS_SHARE = 3 / 8  # of the first cache for a pass there
PASS_ROWS = 16  # a tile's rows count as at least so many where a pass is cut, on machines of 32 registers …
LEAST_PASS = 64  # … and a pass is at least so many terms
LEAST_CHUNK_TERMS = 128  # fewer are not worth a chunk of channels: sums would come and go too often
FEW_PRODUCTS = 4  # pairs of channels; so few are bound by memory: what they copy stays in the first cache …
FEW_SHARE = 3 / 4  # … in so much of it
SHORT_PIECE = 32 << 10  # bytes of a piece of the input, which ends before a prefetcher is of use
PAST = 16 << 20  # bytes of a result that no cache holds: it is stored past them …
PAST_RUN = 4096  # … in runs of so many bytes, or whole lines


class BoxCopy:
    """A box of targets, and the copy of the source that it asks for."""

    def __init__(self, g: Geometry, box: tuple[int, int, int], line: int, unfolded: int) -> None:
        """`line`: elements of a cache line; `unfolded`: axes, from the last, whose taps have a copy each."""
        self.g, self.box, self.unfolded = g, box, unfolded
        counts = tuple(a.count for a in g.axes)
        self.boxes = tuple(-(-c // b) * a.spread for c, b, a in zip(counts, box, g.axes, strict=True))
        self.share = prod(counts) / prod(-(-c // b) * b for c, b in zip(counts, box, strict=True))  # the last boxes are smaller
        planes, rows, columns = (b + a.reach for b, a in zip(box, g.axes, strict=True))
        self.gap = g.gap if self.boxes[2] == 1 else 0
        self.extents = (planes, rows, columns - self.gap)  # of one phase; of the last axis, the pitch of its rows
        self.phases = tuple(len(a.phases) for a in g.axes)
        e = self.extents
        self.phase_pitch = up(prod(e), line) if unfolded else prod(e) + self.gap
        pitch = up(self.phase_pitch * prod(self.phases), line)
        self.channel_pitch = pitch if (pitch // line) % 2 else pitch + line  # an odd number of lines spreads over all cache sets
        self.positions = ((box[0] - 1) * e[1] + box[1] - 1) * e[2] + box[2]
        whole_rows = box[0] * box[1] == 1 or (self.boxes[2] == 1 and e[2] == box[2] and g.axes[1].spread == 1)
        whole_planes = box[0] == 1 or (self.boxes[1] == 1 and e[1] == box[1] and g.axes[0].spread == 1)
        single = len(g.jobs) == 1 and all(a.target_step == 1 for a in g.axes)
        self.one_piece = whole_rows and whole_planes and single  # the targets of a box are one piece of memory, as their samples are

    def place(self, phase: tuple[int, int, int], shift: tuple[int, int, int]) -> int:
        """Offset of a tap in one channel of the copy."""
        f, e = self.phases, self.extents
        slot = (phase[0] * f[1] + phase[1]) * f[2] + phase[2]
        return slot * self.phase_pitch + (shift[0] * e[1] + shift[1]) * e[2] + shift[2]


def chunk_of(box: BoxCopy, size: int, machine: Machine) -> int:
    """Input channels whose copies fit in half of the second cache, evenly divided."""
    most = max(1, machine.l2 // 2 // (box.channel_pitch * size))
    return -(-box.g.summed // -(-box.g.summed // most))


def pass_terms(rows: int, size: int, machine: Machine) -> int:
    """Terms of a pass: one block of weights and one panel of inputs stay in the first cache.

    A panel of two narrow registers is two lines a term when it lies across them, of which the next panel reads one again (3 to 15 %).
    """
    if machine.registers < 32:
        return int(machine.l1 * PASS_SHARE) // PASS_BYTES
    return max(LEAST_PASS, machine.l1 // (2 * size * max(rows, PASS_ROWS)))


def fits(box: BoxCopy, tile: tuple[int, int], size: int, machine: Machine) -> bool:
    """Whether the second cache holds what is copied, and the sums that wait."""
    g = box.g
    if g.summed * g.produced <= FEW_PRODUCTS and g.summed * box.channel_pitch * size > int(machine.l1 * FEW_SHARE):
        return False
    chunk = chunk_of(box, size, machine)
    enough = chunk == g.summed or chunk * max(taps_of(job) for job in g.jobs) >= LEAST_CHUNK_TERMS
    sums = box.positions * size * (g.produced * len(g.jobs) if chunk < g.summed else min(tile[0], g.produced))
    return enough and chunk * box.channel_pitch * size <= machine.l2 // 2 and sums <= machine.l2 * (4 if chunk < g.summed else 1) // 4


def _term(rows: int, vectors: int, machine: Machine) -> float:
    """Cycles a term of a tile: the multiply-adds or the loads, whichever takes longer, and the loop."""
    return term_cycles(rows, vectors, machine, vectors + rows * WEIGHT_LOADS, TERM_LOOP / machine.multiply_adds)


def task_cycles(box: BoxCopy, tile: tuple[int, int], lanes: int, splits: int, groups: int, size: int, machine: Machine) -> float:
    """Of one task; `size`: bytes of an element."""
    g = box.g
    rows, vectors = tile
    blocks = -(-(-(-g.produced // rows)) // splits)
    wide, narrow = divmod(-(-box.positions // lanes), vectors)
    terms = sum(taps_of(job) for job in g.jobs) * g.summed
    chunk = chunk_of(box, size, machine)
    chunks = -(-g.summed // chunk)
    most = pass_terms(rows, size, machine)
    passes = chunks * sum(max(1, round(taps_of(job) * chunk / most)) for job in g.jobs)
    tiles = terms * (wide * _term(rows, vectors, machine) + narrow * _term(rows, 1, machine)) + TILE_PASS * passes * (wide + narrow)
    weights = blocks * rows * terms * size
    cycles = TASK_START + blocks * (tiles + (chunks - 1) * KEPT_VECTOR * rows * (wide * vectors + narrow))
    cycles += FAR_WEIGHTS * weights if weights * splits * groups > machine.l2 // 2 else 0.0
    source_rows, step = g.summed * prod(box.phases) * box.extents[0] * box.extents[1], g.axes[2].step
    slower = step if step < GATHERED_STEP else lanes * GATHERED_LANE
    cycles += source_rows * (COPIED_ROW + DIRECT_COPIED_VECTOR * -(-box.extents[2] // lanes)) * max(1, slower)
    if g.summed * prod(g.source) * size > machine.l2:
        read = prod(min(s, (b - 1 + a.reach) * a.step + a.phases[-1] + 1) for s, b, a in zip(g.source, box.box, g.axes, strict=True))
        cycles += FAR_SAMPLES * g.summed * read * size
    return cycles + min(g.produced, blocks * rows) * _stores(box, wide, narrow, vectors, lanes)


def _stores(box: BoxCopy, wide: int, narrow: int, vectors: int, lanes: int) -> float:
    """Of one channel."""
    if box.one_piece:
        return wide * (DIRECT_STORED_ROW + DIRECT_STORED_VECTOR * vectors) + narrow * (DIRECT_STORED_ROW + DIRECT_STORED_VECTOR)
    step = box.g.axes[2].target_step
    apart = 1.0 if step == 1 else STORED_ALTERNATE if step == 2 else lanes * STORED_LANE
    return box.box[0] * box.box[1] * len(box.g.jobs) * (DIRECT_STORED_ROW + DIRECT_STORED_VECTOR * apart * -(-box.box[2] // lanes))


def ahead(box: BoxCopy, size: int, machine: Machine) -> int:
    """How far ahead of the copy its source is asked for: a channel, where it comes from beyond the second cache in short pieces."""
    g = box.g
    piece = box.extents[1] * g.axes[1].step * g.source[2] * size
    return prod(g.source) if g.summed * prod(g.source) * size > machine.l2 and piece <= SHORT_PIECE else 0


def past_caches(box: BoxCopy, problem: ConvProblem, size: int) -> bool:
    """Whether results are stored past the caches: more than these hold, in long runs or whole lines."""
    g, row = box.g, box.box[2] * size
    held = problem.batch * problem.groups * g.produced * prod(g.target) * size
    whole_lines = row % LINE_BYTES == 0 and g.target[2] * size % LINE_BYTES == 0
    return held >= PAST and g.axes[2].target_step == 1 and (row >= PAST_RUN or whole_lines)
