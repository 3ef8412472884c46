"""Operators that are no convolutions, cut in space as well: what an interval of the result needs of each array, axis by axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, pairwise, product
from typing import Any, NamedTuple

import numpy as np

from ..hosts import dtype_of
from ..plan import Plan
from ..problem import DeformProblem, Problem, ResizeProblem, ShuffleProblem
from ..sampling import linear, nearest
from . import tasks
from .array import Job, Lazy, derived, gathered, intervals, only, pieces

Interval = tuple[int, int]


class Piece(NamedTuple):
    """Of one spatial axis."""

    target: Interval
    sources: tuple[Interval | None, ...]  # of each array that has the axis; None: all of it


Cutter = Callable[[Any, tuple[Lazy | None, ...]], list[list[Piece]]]  # pieces of each spatial axis
Maker = Callable[[Any, int, tuple[Piece, ...]], Problem]  # the problem of so many samples and those pieces


class Cut(NamedTuple):
    """How an operator is cut."""

    images: tuple[int, ...]  # which of its arrays have batch, channels and space
    pieces: Cutter
    part: Maker


def _first(layout: str) -> int:
    """The first spatial axis."""
    return 1 if layout == "channels_last" else 2


def _shuffled(p: ShuffleProblem, arrays: tuple[Any, ...]) -> list[list[Piece]]:
    x, first = arrays[0], _first(p.layout)
    return [[Piece(cut, (cut,)) for cut in pairwise(x.starts[first + i])] for i in range(len(p.spatial))]


def _of_shuffle(p: ShuffleProblem, batch: int, cut: tuple[Piece, ...]) -> Problem:
    return replace(p, batch=batch, spatial=tuple(c.target[1] - c.target[0] for c in cut))


def _resized(p: ResizeProblem, arrays: tuple[Any, ...]) -> list[list[Piece]]:
    """Outputs are cut where their first samples pass from one chunk into the next."""
    x, first, found = arrays[0], _first(p.layout), []
    scales: tuple[Any, ...] = p.scale or (None,) * len(p.size)
    for i, (count, size, scale) in enumerate(zip(p.spatial, p.size, scales, strict=True)):
        low = high = nearest(count, size, scale)
        if p.mode != "nearest":
            low, high = linear(count, size, scale, p.align_corners, "float64")[0]
        cuts = [0, *np.searchsorted(low, list(accumulate(x.chunks[first + i]))[:-1]).tolist(), size]
        ends = sorted(set(cuts))
        found.append([Piece((a, b), ((int(low[a]), int(high[b - 1]) + 1),)) for a, b in pairwise(ends)])
    return found


def _of_resize(p: ResizeProblem, batch: int, cut: tuple[Piece, ...]) -> Problem:
    return replace(p, batch=batch, part=tuple((c.target, c.sources[0] or (0, 0)) for c in cut))


def _deformed(p: DeformProblem, arrays: tuple[Any, ...]) -> list[list[Piece]]:
    """Outputs as the offsets are cut; these lead anywhere in the image."""
    offset = arrays[1]
    return [[Piece(cut, (None, cut, cut)) for cut in pairwise(offset.starts[2 + i])] for i in range(p.conv.rank)]


def _of_deform(p: DeformProblem, batch: int, cut: tuple[Piece, ...]) -> Problem:
    conv = p.conv
    low = tuple(lo - c.target[0] * s for lo, c, s in zip(conv.pad_low, cut, conv.stride, strict=True))
    return replace(p, conv=conv.with_(batch=batch, pad_low=low, outputs=tuple(c.target[1] - c.target[0] for c in cut)))


PLANES: dict[type, Cut] = {
    ShuffleProblem: Cut((0,), _shuffled, _of_shuffle),
    ResizeProblem: Cut((0,), _resized, _of_resize),
    DeformProblem: Cut((0, 1, 4), _deformed, _of_deform),
}


def by_planes(name: str, plan: Plan, arrays: tuple[Lazy | None, ...], cut: Cut) -> Lazy:
    """A task for each sample and each piece of its planes; channels are joined."""
    p: Any = plan.problem
    x = arrays[0]
    assert x is not None
    along, first = cut.pieces(p, arrays), _first(getattr(p, "layout", "channels_first"))
    samples = list(pairwise(x.starts[0]))
    channels = p.result_shape[-1] if first == 1 else p.result_shape[1]
    planes = tuple(tuple(c.target[1] - c.target[0] for c in axis) for axis in along)
    chunks = (x.chunks[0], *planes, (channels,)) if first == 1 else (x.chunks[0], (channels,), *planes)
    rest = {i: gathered(a) for i, a in enumerate(arrays) if a is not None and i not in cut.images}
    number, row = len(samples) * len(list(product(*along))), plan.kernel.name

    def read(a: Lazy, image: int, here: tuple[Piece, ...], begin: int, end: int) -> Any:
        places = [intervals(s, 0, s[-1]) for s in a.starts]
        places[0] = intervals(a.starts[0], begin, end)
        for i, c in enumerate(here):
            source = c.sources[image]
            if source is not None:
                places[first + i] = intervals(a.starts[first + i], *source)
        return pieces(a, places)

    def task(place: tuple[int, ...]) -> Any:
        begin, end = samples[place[0]]
        here = tuple(axis[i] for axis, i in zip(along, place[first:], strict=False))
        found = [
            None if a is None else read(a, cut.images.index(i), here, begin, end) if i in cut.images else only(rest[i])
            for i, a in enumerate(arrays)
        ]
        return tasks.of(Job((name, row, cut.part(p, end - begin, here), number)), *found)

    sources = [rest.get(i, a) for i, a in enumerate(arrays) if a is not None]
    return derived(name, [a for a in sources if a is not None], (p, row), chunks, dtype_of(p.out_dtype), task)
