"""The cut that `depthwise` takes, and its record: what kinds of strips there are, and how their places follow from their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...activations import ACTIVATIONS
from ...kernel import Machine
from ...problem import ConvProblem
from ..runtime.record import size_of, table
from ..simd.strip import FirstTap, Groups
from .cost import plane_cycles
from .cut import Cut, ImageAxis, cuts, divided, groups_of

SHARED_SETS = 1024  # bytes: pixels so far apart, or a multiple of it, share few sets of the first cache
TOGETHER = 16  # planes at most whose strips are done in turn …
TOGETHER_BYTES = 32 << 10  # … and what they may take up of the first cache
NEVER = 1 << 62  # outputs: more than any axis has


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


class Chains(NamedTuple):
    """The groups of taps that differ on the axis along: what their reads there have in common for all taps of the other axes."""

    shared: int  # groups of several taps …
    taps: int  # … of that many
    all: int  # with the taps left over
    advance: int  # reads from one vector to the next
    span: int  # positions from the first lane of a read to its last on that axis: 0 where the lanes are on another one
    width: int  # positions that its registers hold
    shift: int  # the step from one read to the next is 1 << shift; −1: it is no power of two
    at: int  # in the table: what each one's first tap reads, seen from the first tap of all


class StripPlan(NamedTuple):
    """The record.  A *plane* is of one channel; channels last, a whole sample.  Lengths in elements, places of tables in integers.

    The strips of a plane are numbered by the axes outer, across, along; on the last by residue, then by block.
    """

    planes: int
    together: int  # planes of which a strip is done in turn before the next one, so that its place is worked out once
    strips: int  # of a plane
    strips_of_line: int  # … on the axis along alone
    outer: StripAxis
    across: StripAxis  # of planes cut in strips of whole rows, with the one output 0: the columns are on it
    along: StripAxis
    residues: int  # on the axis along
    longer: int  # of them, the first, that have an output more than the others
    blocks_of_longer: int  # strips of one of those …
    blocks: int  # … and of one of the others
    interval: int  # outputs from one vector of a strip to the next, on the axis along
    strip_step: int  # … and from one strip to the next of its residue
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
    whole: Strip
    last_of_longer: Strip  # the last one of a longer residue …
    last_of_others: Strip  # … and of another
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


@lru_cache(maxsize=512)
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
    outer, across, along = (0, 1, 2) if c.along == 2 else (0, 2, 1)
    parts, before = [], 0
    for own in chains:
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
            along=read[along],
            chain=(before + np.arange(own.size)).reshape(at[c.along].shape),
        )
        for number, field in enumerate(fields):
            records[..., number] = field
        parts.append(records.ravel())
        before += own.size
    return np.concatenate(parts)


@lru_cache(maxsize=512)
def prepared(problem: ConvProblem, machine: Machine) -> PreparedStrips:
    """All that does not depend on the data."""
    c, _ = cut_for(problem, machine)
    last = problem.layout == "channels_last"
    pitch_in, pitch_out = _pitches([a.spatial for a in c.axes]), _pitches([a.outputs for a in c.axes])
    axes = [_axis(a, *pitches) for a, *pitches in zip(c.axes, pitch_in, pitch_out, strict=True)]
    along, columns = axes[c.along], c.columns
    rows_in_strips = c.along == 1  # whole rows of outputs, or of columns
    across = axes[2]._replace(outputs=1, clear_first=0, clear_end=1) if rows_in_strips else axes[1]
    row = axes[-1]._replace(clear_first=0, clear_end=NEVER) if c.flat else axes[-1]
    d = divided(along.outputs, c.interval, c.rows, c.flat)
    target_pitch, strip_step = c.interval * along.target_pitch, c.rows * c.interval
    drop = target_pitch if c.flat or c.interval == 1 else 0
    source_volume = prod(a.spatial for a in c.axes)
    reach = sum(a.live[-1] * a.dilation * pitch for a, pitch in zip(c.axes, pitch_in, strict=True))
    reach += (strip_step - c.interval) * along.stride * along.source_pitch
    rest = along.outputs if c.flat else along.outputs // c.interval  # on the axis along; of a residue
    longer, others = (
        n - (blocks - 1) * (strip_step if c.flat else c.rows) for n, blocks in ((rest + 1, d.blocks_of_longer), (rest, d.blocks))
    )
    vectors = -(-others // c.interval) if c.flat else others
    groups, planes = groups_of(c), problem.batch * (1 if last else problem.out_channels)
    chains, size = np.concatenate(groups) * c.axes[c.along].dilation, np.dtype(problem.dtype).itemsize
    plane_bytes = (source_volume + prod(a.outputs for a in c.axes)) * size
    plan = StripPlan(
        planes=planes,
        together=max(1, min(TOGETHER, TOGETHER_BYTES // max(1, plane_bytes))),
        strips=c.strips,
        strips_of_line=d.strips,
        outer=axes[0],
        across=across,
        along=along,
        residues=d.residues,
        longer=d.longer,
        blocks_of_longer=d.blocks_of_longer,
        blocks=d.blocks,
        interval=c.interval,
        strip_step=strip_step,
        columns=columns.number,
        last_column=columns.last,
        narrow=columns.last_lanes < c.lanes,
        row=row.outputs,
        clear_first=row.clear_first,
        clear_end=row.clear_end,
        reads_end=source_volume - reach,
        step=row.stride,
        source_volume=source_volume,
        target_volume=prod(a.outputs for a in c.axes),
        filter_size=problem.taps,
        channels=problem.out_channels,
        channel_filters=problem.group_out,
        activation=ACTIVATIONS[problem.activation],
        has_bias=problem.bias,
        groups=Groups(
            shared=c.shared,
            single=c.single,
            read_pitch=c.read_step * along.source_pitch,
            read_step=c.read_step,
            tap_pitch=c.tap_step * c.axes[c.along].weights,
            target_pitch=target_pitch,
            drop=0 if last else drop,
        ),
        chains=Chains(
            shared=groups[0].size,
            taps=c.taps,
            all=chains.size,
            advance=c.advance,
            span=(columns.last_lanes - 1) * along.stride if c.flat else 0,
            width=columns.last_lanes * along.stride if c.flat else 1,
            shift=c.read_step.bit_length() - 1 if c.read_step & (c.read_step - 1) == 0 else -1,
            at=size_of(StripPlan),
        ),
        at_lines=last and problem.in_channels * size % SHARED_SETS == 0,
        whole=_strip(c, c.rows, strip_step, drop),
        last_of_longer=_strip(c, longer, 0, drop),
        last_of_others=_strip(c, vectors, others, drop),
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
