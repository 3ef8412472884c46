"""A convolution as one table: what the dense kernels read in place of a formula.

Forward, input gradient (by stride phases) and zero insertion are one loop::

    y[n, o, first + j·pitch] = Σ_k x[n, base(j) + term[k].source] · w[o, term[k].weight]     where term k falls inside the source

k runs over the terms (source channel, tap) of one phase; axes are three (T, H, W), the missing ones of extent 1.  Any rank, stride,
dilation, padding, group count and layout is in the table, so that one kernel serves all.  Tables are cached by problem and uploaded once.

The table: a `Convolution`, its phases, the terms of all phases, and the offset along t of each term, for kernels that take three axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...memory import kept
from ...problem import ConvProblem
from ..runtime.launch import Table, ceil_div
from ..runtime.record import quad_reader, reader, slots, table
from .image import Image, Three, image, three


class Source(NamedTuple):
    """What is summed over.  Pitches are in elements (or chunks): along t, h, w from what one position reads to what the next reads."""

    t: int  # extents
    h: int
    w: int
    step: Three  # from one position to the next, in the source's rows
    sample_pitch: int
    group_pitch: int
    plane_pitch: int
    row_pitch: int
    pixel_pitch: int


class Target(NamedTuple):
    """What comes out.  Pitches are in elements, along t, h and w from one position of a phase to the next."""

    channels: int  # of all groups
    sample_pitch: int
    channel_pitch: int
    plane_pitch: int
    row_pitch: int
    pixel_pitch: int


class Weights(NamedTuple):
    group_pitch: int  # elements
    target_pitch: int  # elements from one target channel to the next
    taps: int  # of a pair of channels
    elements: int  # of all


class Phase(NamedTuple):
    """A stride phase: the positions whose targets differ by whole strides, which therefore read the same taps."""

    first_term: int
    terms: int
    t: int  # positions along each axis
    h: int
    w: int
    first_target: int  # elements, from the target's first to that of the phase's first position
    positions: int  # t · h · w


class Term(NamedTuple):
    """A source channel (or chunk) and a tap; four numbers, read by one load."""

    source: int  # elements (or chunks) from what a position reads first
    weight: int  # elements from the first of a target channel's weights
    h: int  # rows from the position's
    w: int


class Convolution(NamedTuple):
    batch: int
    groups: int
    targets: int  # channels of a group that come out
    phases: int
    positions: int  # of the largest phase, one sample
    shuffle: int  # groups of the channel shuffle behind the convolution
    source: Source
    target: Target
    weights: Weights
    phases_at: int  # in the table
    terms_at: int
    planes_at: int  # the offset along t of each term
    terms: int  # of all phases


convolution_at, phase_at = reader(Convolution), reader(Phase)
#: a term whole, by one load, or a field of it
term_at, one_term_at = quad_reader(Term), reader(Term)
#: of the table, from one phase or term to the next
PHASE_SIZE, TERM_SIZE = slots(Phase), slots(Term)


@dataclass(frozen=True, eq=False)
class Lowered:
    """The table, and what the host needs to choose tiles and grids."""

    plan: Convolution
    table: Table
    depth: int  # terms of the deepest phase
    sources: int  # channels per group that are summed over, or chunks of them
    taps: tuple[int, ...]  # taps in the order of the phases


class _SourceTerms(NamedTuple):
    """How terms are counted, and how far apart they lie."""

    sources: int
    x: Image
    weight_source_pitch: int  # elements of the weights from one source channel (or chunk) to the next
    kernel: Three
    tap_major: bool  # k runs over (tap, source channel), else over (source channel, tap)


def _axis_phases(problem: ConvProblem, axis: int, zero_inserted: bool) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """(first output, outputs, [(tap, source offset)]) for each stride phase of one axis (0..2 of T, H, W)."""
    s, d, lo = three(problem.stride, 1)[axis], three(problem.dilation, 1)[axis], three(problem.pad_low, 0)[axis]
    k = three(problem.kernel, 1)[axis]
    if problem.direction == "forward":
        return [(0, three(problem.outputs, 1)[axis], [(r, r * d - lo) for r in range(k)])]
    extent = three(problem.spatial, 1)[axis]
    if zero_inserted:
        return [(0, extent, [(r, lo - r * d) for r in range(k)])]
    return [
        (first, len(range(first, extent, s)), [(r, (first + lo - r * d) // s) for r in range(k) if (first + lo - r * d) % s == 0])
        for first in range(min(s, extent))
    ]


def inserted(problem: ConvProblem) -> tuple[int, ...]:
    """Extents of the source of an input gradient once stride − 1 zeros stand between its elements."""
    return tuple((o - 1) * s + 1 if o else 0 for o, s in zip(problem.outputs, problem.stride, strict=True))


def _phases(problem: ConvProblem, zero_inserted: bool) -> Iterator[tuple[Three, Three, list[tuple[Any, ...]]]]:
    """(first output, outputs, [(tap, source offset) along t, h, w]) of each phase that has outputs."""
    for combination in product(*(_axis_phases(problem, axis, zero_inserted) for axis in range(3))):
        firsts, extents, axis_taps = zip(*combination, strict=True)
        if 0 not in extents:
            yield Three(*firsts), Three(*extents), list(product(*axis_taps))


def _terms(taps: list[tuple[Any, ...]], source_terms: _SourceTerms) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[int]]:
    """(terms, their offsets along t, taps) of one phase."""
    kernel, x = source_terms.kernel, source_terms.x
    ((rt, ot), (rh, oh), (rw, ow)) = np.array(taps, np.int64).transpose(1, 2, 0)
    numbers = (rt * kernel.h + rh) * kernel.w + rw
    channel = np.arange(source_terms.sources, dtype=np.int64)[:, None]
    found = np.empty((source_terms.sources, len(taps)), [(name, np.int64) for name in Term._fields])
    found["source"] = channel * x.channel_pitch + ot * x.plane_pitch + oh * x.row_pitch + ow * x.pixel_pitch
    found["weight"] = channel * source_terms.weight_source_pitch + numbers
    found["h"], found["w"] = oh, ow
    planes = np.broadcast_to(ot, found.shape)
    if source_terms.tap_major:
        found, planes = found.T, planes.T
    return np.ascontiguousarray(found).view(np.int64).reshape(-1), planes.reshape(-1), numbers.tolist()


def _sides(problem: ConvProblem, source_terms: _SourceTerms, zero_inserted: bool) -> tuple[Source, Target]:
    """What is read and what is written, as neighbouring positions of a phase see them."""
    stride, one = three(problem.stride, 1), Three(1, 1, 1)
    step, target_step = (stride, one) if problem.direction == "forward" else (one, one if zero_inserted else stride)
    x, y = source_terms.x, image(*problem.target, problem.layout)
    source = Source(
        t=x.t,
        h=x.h,
        w=x.w,
        step=step,
        sample_pitch=x.sample_pitch,
        group_pitch=source_terms.sources * x.channel_pitch,
        plane_pitch=x.plane_pitch * step.t,
        row_pitch=x.row_pitch * step.h,
        pixel_pitch=x.pixel_pitch * step.w,
    )
    target = Target(
        channels=problem.target[0],
        sample_pitch=y.sample_pitch,
        channel_pitch=y.channel_pitch,
        plane_pitch=y.plane_pitch * target_step.t,
        row_pitch=y.row_pitch * target_step.h,
        pixel_pitch=y.pixel_pitch * target_step.w,
    )
    return source, target


def _laid_out(problem: ConvProblem, source_terms: _SourceTerms, zero_inserted: bool) -> tuple[list[Phase], Any, Any, list[int]]:
    """(phases, the integers of their terms, the terms' offsets along t, taps)."""
    y = image(*problem.target, problem.layout)
    phases: list[Phase] = []
    nothing = np.zeros(0, np.int64)
    terms, planes, order = [nothing], [nothing], []
    first_term = 0
    for first, extent, taps in _phases(problem, zero_inserted):
        count = source_terms.sources * len(taps)
        phases.append(
            Phase(
                first_term=first_term,
                terms=count,
                t=extent.t,
                h=extent.h,
                w=extent.w,
                first_target=first.t * y.plane_pitch + first.h * y.row_pitch + first.w * y.pixel_pitch,
                positions=prod(extent),
            )
        )
        first_term += count
        if taps:
            of_phase, offsets, numbers = _terms(taps, source_terms)
            terms.append(of_phase)
            planes.append(offsets)
            order.extend(numbers)
    return phases, np.concatenate(terms), np.concatenate(planes), order


@kept
def lower(problem: ConvProblem, zero_inserted: bool = False, chunk: int = 0, tap_major: bool = False) -> Lowered:
    """The table of a forward or input_grad problem; k runs over (channel, tap), or `tap_major` over (tap, channel).

    With `chunk`, of a source that is channels last and whose groups are padded to whole chunks of that many channels: the source's pitches
    and offsets count chunks, k runs over (tap, chunk), the offsets into w are those of a chunk's first channel, and `taps` lists the taps
    in that order.
    """
    channels, spatial = problem.source
    sources = channels // problem.groups
    if chunk:
        sources = ceil_div(sources, chunk)
    pitches = problem.taps, problem.group_in * problem.taps
    weight_source_pitch, weight_target_pitch = pitches if problem.direction == "forward" else pitches[::-1]
    source_terms = _SourceTerms(
        sources=sources,
        x=image(
            sources * problem.groups,
            inserted(problem) if zero_inserted else spatial,
            "channels_last" if chunk else problem.layout,
        ),
        weight_source_pitch=weight_source_pitch * max(1, chunk),
        kernel=three(problem.kernel, 1),
        tap_major=bool(chunk) or tap_major,
    )
    source, target = _sides(problem, source_terms, zero_inserted)
    targets = target.channels // problem.groups
    phases, terms, planes, order = _laid_out(problem, source_terms, zero_inserted)
    phases_at = slots(Convolution)
    phases_end = phases_at + PHASE_SIZE * len(phases)
    terms_at = ceil_div(phases_end, TERM_SIZE) * TERM_SIZE  # a term is read by one load
    plan = Convolution(
        batch=problem.batch,
        groups=problem.groups,
        targets=targets,
        phases=len(phases),
        positions=max((p.positions for p in phases), default=0),
        shuffle=problem.shuffle,
        source=source,
        target=target,
        weights=Weights(
            group_pitch=sources * targets * problem.taps,
            target_pitch=weight_target_pitch,
            taps=problem.taps,
            elements=prod(problem.weight_shape),
        ),
        phases_at=phases_at,
        terms_at=terms_at,
        planes_at=terms_at + len(terms),
        terms=len(planes),
    )
    host = table(plan, phases, [0] * (terms_at - phases_end), terms, planes)
    return Lowered(plan, Table(host), max((p.terms for p in phases), default=0), sources, tuple(order))
