"""`unfold` and `fold` of lazy arrays: cut along the first spatial axis, whose rows follow one another among the columns of patches."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any

from ..hosts import dtype_of
from ..plan import Plan
from ..problem import PatchProblem
from . import tasks
from .array import Job, Lazy, derived, intervals, pieces
from .cuts import Cut, axes_of, backward, bounds, forward


def by_rows(name: str, plan: Plan, arrays: tuple[Lazy | None, ...]) -> Lazy:
    p, (source,) = plan.problem, arrays
    assert isinstance(p, PatchProblem) and source is not None
    back, axis, across = p.direction == "fold", axes_of(p.conv)[0], prod(p.conv.outputs[1:])
    lengths = source.chunks[2]
    if back:  # of the columns that end with a row
        ends = sorted({0, axis.outputs, *(end // across for end in source.starts[2])})
        lengths = tuple(b - a for a, b in pairwise(ends))
    cuts = [backward(axis, *t) if back else forward(axis, *t, "zeros") for t in bounds(axis, lengths, back)]
    samples = list(pairwise(source.starts[0]))
    rows = tuple(c.target[1] - c.target[0] for c in cuts)
    rest = tuple((n,) for n in p.conv.spatial[1:])
    chunks = (source.chunks[0], (p.conv.in_channels,), rows, *rest) if back else (
        source.chunks[0], (p.result_shape[1],), tuple(n * across for n in rows),
    )  # fmt: skip

    def part(cut: Cut, batch: int) -> PatchProblem:
        geometry = zip(("spatial", "outputs", "pad_low"), (cut.axis.image, cut.axis.outputs, cut.axis.low), strict=True)
        changes = {field: (n, *getattr(p.conv, field)[1:]) for field, n in geometry}
        return replace(p, conv=p.conv.with_(batch=batch, **changes))

    def task(place: tuple[int, ...]) -> Any:
        (begin, end), cut = samples[place[0]], cuts[place[2]]
        (first, last), each = cut.source[0], across if back else 1
        places = [intervals(s, 0, s[-1]) for s in source.starts]
        places[0], places[2] = intervals(source.starts[0], begin, end), intervals(source.starts[2], first * each, last * each)
        job = Job((name, plan.kernel.name, part(cut, end - begin), len(samples) * len(cuts)))
        return tasks.of(job, pieces(source, places))

    return derived(name, [source], p, chunks, dtype_of(p.out_dtype), task)
