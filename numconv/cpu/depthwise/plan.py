"""The cut that `depthwise` takes, and its record with the tables that say where each strip reads: made once per problem."""

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
from .cut import Cut, cuts
from .masks import Masks, pitches

AT_A_TIME = 1 << 19  # reads whose places are worked out at a time
SHARED_SETS = 1024  # bytes: pixels so far apart, or a multiple of it, share few sets of the first cache


class Strip(NamedTuple):
    """Some vectors of outputs of a plane."""

    source_at: int  # in the plane of the input: what a filter's first tap reads for the first output, perhaps outside
    target_at: int  # in the plane of the target
    vectors: int
    outputs: int  # that follow one another in the target
    last_lanes: int  # bits: which lanes of the last vector to write if all others are written whole; 0: they are not


class Column(NamedTuple):
    """One of the vectors side by side, seen from the first."""

    source_at: int
    target_at: int
    narrow: int  # 1: of narrow vectors


class StripPlan(NamedTuple):
    """The record.  A *plane* is of one channel; channels last, a whole sample.  Lengths in elements, places of tables in integers."""

    strips: int  # of a plane
    columns: int
    source_volume: int  # of a plane of the input
    target_volume: int  # of the target's
    filter_size: int
    channels: int  # of the target
    channel_filters: int  # filters that read one channel of the input
    activation: int  # its code
    has_bias: int  # 0 or 1
    groups: Groups
    at_lines: int  # 1: channels last, registers of channels begin at lines of the input
    taps_at: int  # in the table: records of FirstTap
    strips_at: int  # records of Strip
    columns_at: int  # records of Column
    begins_at: int  # of each strip and column: where in the masks its own begin, −1: it needs none
    masks_at: int


@dataclass(frozen=True, eq=False)
class PreparedStrips:
    """A plan with its tables, and what the host knows besides."""

    plan: StripPlan
    numbers: np.ndarray  # the record, taps, strips, columns, beginnings, masks
    shape: tuple[int, int, int, int, int]  # of a strip: rows, taps, advance, step, whether (1) masks are apiece
    lanes: int
    narrow_lanes: int
    tasks: int  # strips of all planes
    masks: int  # how many


@lru_cache(maxsize=512)
def cut_for(problem: ConvProblem, machine: Machine) -> tuple[Cut, float]:
    """The cheapest, and its cycles per plane; channels last, those of its `columns`."""
    return min(((c, plane_cycles(c, machine)) for c in cuts(problem, machine)), key=lambda found: found[1])


class _Strips(NamedTuple):
    """Of each strip of a plane."""

    first: np.ndarray  # output, on each axis
    vectors: np.ndarray
    outputs: np.ndarray  # that follow one another in the target


def _strips(c: Cut) -> _Strips:
    *lead, h, w = (a.outputs for a in c.axes)
    if c.flat:
        each = c.rows * c.interval
        pieces = [(s, min(each, w - s)) for s in range(0, w, each)]
        parts = [(r, s, -(-n // c.interval), n) for r in range(h) for s, n in pieces]
    else:
        parts = []
        for residue in range(min(c.interval, h)):
            mine = range(residue, h, c.interval)
            for i in range(0, len(mine), c.rows):
                n = min(c.rows, len(mine) - i)
                parts.append((mine[i], 0, n, n * w if c.interval == 1 else w))
    h_first, w_first, vectors, outputs = np.tile(np.array(parts, np.int64), (prod(lead), 1)).T
    planes = np.repeat(np.indices(lead).reshape(len(lead), -1).T, len(parts), 0)
    return _Strips(np.concatenate([planes, np.stack([h_first, w_first], 1)], 1), vectors, outputs)


def _taps(c: Cut, source_pitches: np.ndarray) -> np.ndarray:
    """Records of FirstTap: the first of each group, then those left over."""
    offsets = np.array([(a.dilation * n, a.weights) for a, n in zip(c.axes, source_pitches.tolist(), strict=True)])
    return np.array([*c.shared, *c.single]) @ offsets


def _last_lanes(c: Cut, strips: _Strips, drop: int) -> np.ndarray:
    """Of each strip, `Strip.last_lanes`."""
    if len(c.columns) > 1:
        return np.full(len(strips.first), (1 << c.lanes) - 1)
    width, room = c.columns[0][1], strips.outputs - (strips.vectors - 1) * drop  # for the last vector
    return np.where((strips.vectors == 1) | (room + drop >= width), (1 << np.clip(room, 0, width)) - 1, 0)


def _strip_table(c: Cut, strips: _Strips, pitch_in: np.ndarray, pitch_out: np.ndarray, drop: int) -> np.ndarray:
    """Records of Strip."""
    of_all: Any = Strip  # with an array of all strips in each field
    fields = of_all(
        source_at=(strips.first * [a.stride for a in c.axes] - [a.low for a in c.axes]) @ pitch_in,
        target_at=strips.first @ pitch_out,
        vectors=strips.vectors,
        outputs=strips.outputs,
        last_lanes=_last_lanes(c, strips, drop),
    )
    return np.stack(fields, 1)


def _begins(masks: Masks, strips: _Strips) -> np.ndarray:
    """Of each strip and column, where its masks begin; `masks` has found them all then."""
    some = max(1, AT_A_TIME // len(masks.reads.number))  # at a time
    pieces = [slice(i, i + some) for i in range(0, len(strips.first), some)]
    return np.concatenate([masks.begin(strips.first[s], strips.vectors[s]) for s in pieces])


@lru_cache(maxsize=512)
def prepared(problem: ConvProblem, machine: Machine) -> PreparedStrips:
    """All that does not depend on the data."""
    c, _ = cut_for(problem, machine)
    strips, masks = _strips(c), Masks(c)
    begins = _begins(masks, strips)
    kinds = np.concatenate([*masks.parts, np.zeros(1, np.uint16)])
    pitch_in, pitch_out = pitches([a.spatial for a in c.axes]), pitches([a.outputs for a in c.axes])
    target_pitch, last = c.interval * pitch_out[c.along], problem.layout == "channels_last"
    drop = target_pitch if c.flat or c.interval == 1 else 0
    strip_table = _strip_table(c, strips, pitch_in, pitch_out, drop)
    columns = [Column(first * c.axes[-1].stride, first, n < c.lanes) for first, n in c.columns]
    taps = _taps(c, pitch_in)
    strips_at = size_of(StripPlan) + len(taps) * size_of(FirstTap)
    columns_at = strips_at + strip_table.size
    begins_at = columns_at + len(columns) * size_of(Column)
    plan = StripPlan(
        strips=len(strips.first),
        columns=len(columns),
        source_volume=prod(a.spatial for a in c.axes),
        target_volume=prod(a.outputs for a in c.axes),
        filter_size=problem.taps,
        channels=problem.out_channels,
        channel_filters=problem.group_out,
        activation=ACTIVATIONS[problem.activation],
        has_bias=problem.bias,
        groups=Groups(
            shared=len(c.shared),
            single=len(c.single),
            read_pitch=c.read_step * pitch_in[c.along],
            tap_pitch=c.tap_step * c.axes[c.along].weights,
            target_pitch=target_pitch,
            drop=0 if last else drop,
        ),
        at_lines=last and problem.in_channels * np.dtype(problem.dtype).itemsize % SHARED_SETS == 0,
        taps_at=size_of(StripPlan),
        strips_at=strips_at,
        columns_at=columns_at,
        begins_at=begins_at,
        masks_at=begins_at + begins.size,
    )
    return PreparedStrips(
        plan=plan,
        numbers=table(plan, taps, strip_table, columns, begins, kinds),
        shape=(c.rows, c.taps, c.advance, c.axes[-1].stride, int(c.apiece)),
        lanes=c.lanes,
        narrow_lanes=c.narrow_lanes,
        tasks=problem.batch * (1 if last else problem.out_channels) * len(strips.first),
        masks=kinds.size,
    )
