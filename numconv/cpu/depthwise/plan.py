"""The cut that `depthwise` takes, and its record: what kinds of strips there are, and how their places follow from their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...activations import ACTIVATIONS
from ...kernel import Machine
from ...memory import kept
from ...problem import ConvProblem
from ..runtime.record import size_of, table
from ..simd.border import FirstTap
from ..simd.strip import Groups
from .cost import plane_cycles
from .cut import KEPT_STRIPS, PIECES, Cut, ImageAxis, StripDivision, cuts, divided, groups_of

SHARED_SETS = 1024  # bytes: pixels so far apart, or a multiple of it, share few sets of the first cache
TOGETHER = 16  # planes at most whose strips are done in turn …
TOGETHER_BYTES = 32 << 10  # … and what they may take up of the first cache
NEVER = 1 << 62  # outputs: more than any axis has
WORD_BITS = 32  # positions of the most registers of a read


class StripAxis(NamedTuple):
    """An axis that strips are told apart on: how outputs and what they read follow one another."""

    outputs: int
    stride: int
    low: int  # padding
    extent: int  # of the input
    source_pitch: int  # from one position to the next
    target_pitch: int
    clear_first: int  # the first output whose taps are all in the image …
    clear_end: int  # … and the first after it whose are not


class Strip(NamedTuple):
    """A kind of strip: vectors of outputs of a plane."""

    vectors: int
    outputs: int  # that follow one another in the target
    span: int  # outputs on the axis along, from the first to the last; NEVER: not all its reads are there, wherever it lies
    last_lanes: int  # bits: which lanes of the last vector to write if all others are written whole; 0: they are not


class StripKinds(NamedTuple):
    """All that a plane has."""

    whole: Strip
    last_of_longer: Strip  # the last one of a longer residue …
    last_of_others: Strip  # … and of another


class Chains(NamedTuple):
    """The groups of taps that differ on the axis along: what their reads there have in common for all taps of the other axes."""

    shared: int  # groups of several taps …
    taps: int  # … of that many
    all: int  # with the taps left over
    rows: int  # vectors of a strip
    advance: int  # reads from one vector to the next
    read_step: int  # positions from one read to the next; of a flat strip, as many as its registers hold
    shift: int  # the step from one read to the next is 1 << shift; −1: it is no power of two
    slots: int  # flat strips of which a worker keeps what they see …
    slot_words: int  # … in so many words each
    lane_bits: int  # of the positions that registers hold, those of lanes: every one, or every other
    at: int  # in the table: what each one's first tap reads, seen from the first tap of all


class StripOrder(NamedTuple):
    """How the strips of a plane follow one another: by the axes outer, across, along; on the last by residue, then by block."""

    strips: int  # of a line, which is what only the axis along tells apart
    residues: int  # on that axis
    longer: int  # of them, the first, that have an output more than the others
    blocks_of_longer: int  # strips of one of those …
    blocks: int  # … and of one of the others
    step: int  # outputs from one strip to the next of its residue


class StripPlan(NamedTuple):
    """The record.  A *plane* is of one channel; channels last, a whole sample.  Lengths in elements, places of tables in integers."""

    planes: int
    together: int  # planes of which a strip is done in turn before the next one, so that its place is worked out once
    strips: int  # of a plane
    outer: StripAxis
    across: StripAxis  # of planes cut in strips of whole rows, with the one output 0: the columns are on it
    along: StripAxis
    order: StripOrder
    columns: int  # vectors side by side
    last_column: int  # first output of the last of them
    narrow: int  # 1: that one is of narrow vectors
    row: int  # outputs side by side
    clear_first: int  # the first of them whose taps are all in the image …
    clear_end: int  # … and the first after it whose are not
    reads_end: int  # where in a plane a column's first read has to end for its last one to end in the plane
    step: int  # in the input, from one output of a column to the next
    source_volume: int  # of a plane of the input
    target_volume: int  # of the target's
    filter_size: int
    channels: int  # of the target
    channel_filters: int  # filters that read one channel of the input
    activation: int  # its code
    has_bias: int  # 0 or 1
    groups: Groups
    chains: Chains
    at_lines: int  # 1: channels last, registers of channels begin at lines of the input
    kinds: StripKinds
    taps_at: int  # in the table: records of FirstTap


@dataclass(frozen=True, eq=False)
class PreparedStrips:
    """A plan with its taps, and what the host knows besides."""

    plan: StripPlan
    numbers: np.ndarray  # the record, taps
    shape: tuple[int, int, int, int, int, int]  # of a strip: rows, taps, advance, step, whether (1) it is flat, whether crowded
    lanes: int
    narrow_lanes: int
    tasks: int  # strips of all planes


@kept
def cut_for(problem: ConvProblem, machine: Machine) -> tuple[Cut, float]:
    """The cheapest, and its cycles per plane; channels last, those of its `columns`."""
    return min([(c, plane_cycles(c, machine)) for c in cuts(problem, machine)], key=lambda found: found[1])


def _pitches(extents: list[int]) -> list[int]:
    """Elements from one to the next on each axis of a contiguous array."""
    return [prod(extents[i + 1 :]) for i in range(len(extents))]


def _clear(a: ImageAxis) -> tuple[int, int]:
    """The outputs, from … to, all of whose taps are in the image."""
    first, last = a.live[0] * a.dilation - a.low, a.live[-1] * a.dilation - a.low
    return max(0, -(first // a.stride)), max(0, (a.spatial - 1 - last) // a.stride + 1)


def _axis(a: ImageAxis, source_pitch: int, target_pitch: int) -> StripAxis:
    first, end = _clear(a)
    return StripAxis(
        outputs=a.outputs,
        stride=a.stride,
        low=a.low,
        extent=a.spatial,
        source_pitch=source_pitch,
        target_pitch=target_pitch,
        clear_first=first,
        clear_end=end,
    )


def _strip(c: Cut, vectors: int, end: int, drop: int) -> Strip:
    """A kind of strip whose last vector ends at most `end` outputs from its first output."""
    width = c.columns.last_lanes
    outputs = end if c.flat else vectors * c.axes[-1].outputs if c.interval == 1 else c.axes[-1].outputs
    room = outputs - (vectors - 1) * drop  # for the last vector
    partly = (1 << max(0, min(room, width))) - 1 if vectors == 1 or room + drop >= width else 0
    return Strip(
        vectors=vectors,
        outputs=outputs,
        span=(vectors - 1) * c.interval + 1 if not c.flat else vectors * c.interval if vectors == c.rows else NEVER,
        last_lanes=(1 << c.lanes) - 1 if c.columns.number > 1 else partly,
    )


def _taps(c: Cut, chains: tuple[np.ndarray, np.ndarray], pitches: list[int]) -> np.ndarray:
    """Records of FirstTap: the first of each group, then those left over."""
    outer, across = (0, 1) if c.along == 2 else (0, 2)
    parts, before = [], 0
    for own, in_group in zip(chains, (c.taps, 1), strict=True):
        words = c.rows + in_group - 1 if c.flat else 1
        taps: list[Any] = [np.array(a.live) if i != c.along else own for i, a in enumerate(c.axes[:3])]
        t, h, w = at = [taps[0][:, None, None], taps[1][:, None], taps[2]]
        records = np.empty((t.size, h.size, w.size, len(FirstTap._fields)), np.int64)
        read = [n * a.dilation for n, a in zip(at, c.axes, strict=False)]
        of_all: Any = FirstTap  # with an array of all of them in each field
        fields = of_all(
            source_at=sum(n * pitch for n, pitch in zip(read, pitches, strict=False)),
            weight_at=sum(n * a.weights for n, a in zip(at, c.axes, strict=False)),
            outer=read[outer],
            across=read[across],
            seen_at=(before + np.arange(own.size) * words).reshape(at[c.along].shape),
        )
        for number, field in enumerate(fields):
            records[..., number] = field
        parts.append(records.ravel())
        before += own.size * words
    return np.concatenate(parts)


def words_of(c: Cut, shared: int, number: int) -> tuple[int, int]:
    """What the chains of several taps see, and the others: words on a worker's stack."""
    return (shared * (c.rows + c.taps - 1), (number - shared) * c.rows) if c.flat else (shared, number - shared)


def _chains(c: Cut, shared: int, number: int) -> Chains:
    step, words = c.read_step, sum(words_of(c, shared, number))
    return Chains(
        shared=shared,
        taps=c.taps,
        all=number,
        rows=c.rows,
        advance=c.advance,
        read_step=step,
        shift=step.bit_length() - 1 if step & (step - 1) == 0 else -1,
        slots=min(KEPT_STRIPS, PIECES // words),
        slot_words=words,
        lane_bits=sum(1 << i for i in range(0, WORD_BITS, c.axes[-1].stride)),
        at=size_of(StripPlan),
    )


def _kinds(c: Cut, d: StripDivision, drop: int) -> StripKinds:
    step, outputs = c.rows * c.interval, c.axes[c.along].outputs
    whole = _strip(c, c.rows, step, drop)
    if c.flat:
        rest = outputs - (d.blocks - 1) * step
        return StripKinds(whole, whole, _strip(c, -(-rest // c.interval), rest, drop))
    each = outputs // c.interval
    return StripKinds(
        whole=whole,
        last_of_longer=_strip(c, each + 1 - (d.blocks_of_longer - 1) * c.rows, 0, drop),
        last_of_others=_strip(c, each - (d.blocks - 1) * c.rows, 0, drop),
    )


def _reach(c: Cut, source_pitches: list[int]) -> int:
    """From where the first tap reads for the first output of a strip to where the last one does for its last vector."""
    taps = sum(a.live[-1] * a.dilation * pitch for a, pitch in zip(c.axes, source_pitches, strict=True))
    return taps + (c.rows - 1) * c.interval * c.axes[c.along].stride * source_pitches[c.along]


@kept
def prepared(problem: ConvProblem, machine: Machine) -> PreparedStrips:
    """All that does not depend on the data."""
    c, _ = cut_for(problem, machine)
    last, size = problem.layout == "channels_last", np.dtype(problem.dtype).itemsize
    pitch_in, pitch_out = _pitches([a.spatial for a in c.axes]), _pitches([a.outputs for a in c.axes])
    axes = [_axis(a, *pitches) for a, *pitches in zip(c.axes, pitch_in, pitch_out, strict=True)]
    along, columns, row = axes[c.along], c.columns, axes[-1]
    source_volume, target_volume = c.axes[0].spatial * pitch_in[0], c.axes[0].outputs * pitch_out[0]
    d = divided(along.outputs, c.interval, c.rows, c.flat)
    target_pitch = c.interval * along.target_pitch
    drop = target_pitch if c.flat or c.interval == 1 else 0
    groups, planes = groups_of(c), problem.batch * (1 if last else problem.out_channels)
    chains = np.concatenate(groups) * c.axes[c.along].dilation
    plan = StripPlan(
        planes=planes,
        together=max(1, min(TOGETHER, TOGETHER_BYTES // max(1, (source_volume + target_volume) * size))),
        strips=c.strips,
        outer=axes[0],
        across=row._replace(outputs=1, clear_first=0, clear_end=1) if c.along == 1 else axes[1],
        along=along,
        order=StripOrder(d.strips, *d, c.rows * c.interval),
        columns=columns.number,
        last_column=columns.last,
        narrow=columns.last_lanes < c.lanes,
        row=row.outputs,
        clear_first=0 if c.flat else row.clear_first,
        clear_end=NEVER if c.flat else row.clear_end,
        reads_end=source_volume - _reach(c, pitch_in),
        step=row.stride,
        source_volume=source_volume,
        target_volume=target_volume,
        filter_size=problem.taps,
        channels=problem.out_channels,
        channel_filters=problem.group_out,
        activation=ACTIVATIONS[problem.activation],
        has_bias=problem.bias,
        groups=Groups(
            shared=c.shared,
            single=c.single,
            read_pitch=c.read_step * along.source_pitch,
            tap_pitch=c.tap_step * c.axes[c.along].weights,
            target_pitch=target_pitch,
            drop=0 if last else drop,
        ),
        chains=_chains(c, groups[0].size, chains.size),
        at_lines=last and problem.in_channels * size % SHARED_SETS == 0,
        kinds=_kinds(c, d, drop),
        taps_at=size_of(StripPlan) + chains.size,
    )
    return PreparedStrips(
        plan=plan,
        numbers=table(plan, chains, _taps(c, groups, pitch_in)),
        shape=(c.rows, c.taps, c.advance, c.axes[-1].stride, int(c.flat), int(c.crowded)),
        lanes=c.lanes,
        narrow_lanes=c.narrow_lanes,
        tasks=planes * c.strips,
    )
