"""A problem on lazy arrays as problems of its chunks: a task for each chunk of the result, which reads what that needs and no more.

All chunks run the row that was planned for the whole, on sums in the whole's order: the bits are those of that row on the whole
arrays, however they are cut.  Channels that are cut are joined, so that a sum has one order.
"""

from __future__ import annotations

import operator
from dataclasses import replace
from itertools import pairwise, product
from math import prod
from typing import Any

from .. import devices
from ..arguments.values import Subject
from ..hosts import dtype_of
from ..plan import Plan
from ..planning import ELEMENTWISE, plan_for
from ..problem import AttentionProblem, ConvProblem, DeformProblem, MixProblem, PatchProblem, Problem, ResizeProblem, ShuffleProblem
from . import tasks
from .array import Job, Lazy, derived, gathered, intervals, only, pieces, token
from .cuts import Axis, Cut, axes_of, backward, bounds, forward, part
from .patches import by_rows
from .planes import PLANES, by_planes
from .tasks import taken

#: which arrays of a problem have the batch in front
BATCHED: dict[type, tuple[int, ...]] = {
    ShuffleProblem: (0,),
    ResizeProblem: (0,),
    AttentionProblem: (0,),
    MixProblem: (0,),
    DeformProblem: (0, 1, 4),
    PatchProblem: (0,),
}


def lazily(name: str, plan: Plan, arrays: tuple[Lazy | None, ...]) -> Lazy:
    """The result of one kernel on lazy arrays, which is a lazy array."""
    p = plan.problem
    inner = next((a.inner for a in arrays if a is not None and a.inner != "cpu"), "cpu")
    if inner != "cpu":  # the rows of its own device
        plan = plan_for(Subject(name), devices.device(inner), p, None, "auto", ELEMENTWISE)
    if not isinstance(p, ConvProblem):
        if inner == "cpu" and isinstance(p, PatchProblem):
            return by_rows(name, plan, arrays)
        cut = PLANES.get(type(p)) if inner == "cpu" else None
        return _by_samples(name, plan, arrays) if cut is None else by_planes(name, plan, arrays, cut)
    if p.direction == "weight_grad":
        return _weight_gradient(name, plan, arrays)
    return _images(name, plan, arrays)


def _row(name: str, plan: Plan, parts: set[Problem]) -> str:
    """The row that all parts run: the plan's, or the cheapest that serves them."""
    found = sorted((c for c in plan.candidates if c.seconds is not None and c.kernel.automatic), key=lambda c: c.seconds or 0)
    for kernel in (plan.kernel, *(c.kernel for c in found)):
        if all(kernel.refuses(p) is None for p in parts):
            return kernel.name
    reasons = {plan.kernel.refuses(p) for p in parts} - {None}
    raise Subject(name).value(f"no kernel serves all chunks: {plan.kernel.name} {'; '.join(map(str, reasons))}")


def _around(p: ConvProblem) -> tuple[int, int]:
    """Axes of an image: the channels', and the first of the spatial ones."""
    return (p.rank + 1, 1) if p.layout == "channels_last" else (1, 2)


def _axes(p: ConvProblem, batch: Any, channels: Any, spatial: tuple[Any, ...]) -> tuple[Any, ...]:
    return (batch, *spatial, channels) if p.layout == "channels_last" else (batch, channels, *spatial)


def _read(one: Lazy, p: ConvProblem, samples: tuple[int, int], cuts: tuple[Cut, ...]) -> Any:
    """The task of a part of the source: those samples, all channels, what the cuts need."""
    channel, first = _around(p)
    along: list[Any] = [None] * one.ndim
    along[0] = intervals(one.starts[0], *samples)
    along[channel] = intervals(one.starts[channel], 0, one.shape[channel])
    for i, cut in enumerate(cuts):
        along[first + i] = [piece for run in cut.source for piece in intervals(one.starts[first + i], *run)]
    task = pieces(one, along)
    takes = tuple((first + i, cut.take) for i, cut in enumerate(cuts) if cut.take is not None)
    return (taken, task, Job(takes)) if takes else task


def _cuts(p: ConvProblem, source: Lazy) -> list[list[Cut]]:
    """Of each spatial axis, the parts of the target."""
    back, (_, first) = p.direction == "input_grad", _around(p)
    found = []
    for i, a in enumerate(axes_of(p)):
        found.append([backward(a, *t) if back else forward(a, *t, p.padding_mode) for t in bounds(a, source.chunks[first + i], back)])
    return found


def _form(cuts: tuple[Cut, ...]) -> tuple[Axis, ...]:
    """What the problem of a part follows from: few in a graph of many chunks."""
    return tuple(c.axis for c in cuts)


def _images(name: str, plan: Plan, arrays: tuple[Lazy | None, ...]) -> Lazy:
    """Forward, and gradients by the input."""
    p = plan.problem
    x, w, bias = arrays
    assert isinstance(p, ConvProblem) and x is not None and w is not None
    w, bias = gathered(w), None if bias is None else gathered(bias)
    cuts, samples = _cuts(p, x), list(zip(x.starts[0], x.starts[0][1:], strict=False))
    channels, _ = p.target
    chunks = _axes(p, x.chunks[0], (channels,), tuple(tuple(c.target[1] - c.target[0] for c in axis) for axis in cuts))
    parts = {form: part(p, cut) for form, cut in {_form(cut): cut for cut in product(*cuts)}.items()}
    row = _row(name, plan, {q.with_(batch=n) for q in parts.values() for n in {min(1, p.batch), *x.chunks[0]}})
    channel, first = _around(p)
    number = len(samples) * prod(map(len, cuts))
    jobs = {(form, n): Job((name, row, q.with_(batch=n), number)) for form, q in parts.items() for n in set(x.chunks[0])}

    def task(place: tuple[int, ...]) -> Any:
        where = place[first : first + p.rank]
        begin, end = samples[place[0]]
        cut = tuple(axis[i] for axis, i in zip(cuts, where, strict=True))
        return tasks.of(jobs[_form(cut), end - begin], _read(x, p, (begin, end), cut), only(w), None if bias is None else only(bias))

    sources = [a for a in (x, w, bias) if a is not None]
    return derived(name, sources, (p, row), chunks, dtype_of(p.out_dtype), task)


def _weight_gradient(name: str, plan: Plan, arrays: tuple[Lazy | None, ...]) -> Lazy:
    """A sum over chunks of the result's gradient, by a tree whose shape follows from their number."""
    p = plan.problem
    x, y = arrays[:2]
    assert isinstance(p, ConvProblem) and x is not None and y is not None
    channel, first = _around(p)
    cuts = [
        [forward(a, s, e, p.padding_mode) for s, e in zip(y.starts[first + i], y.starts[first + i][1:], strict=False)]
        for i, a in enumerate(axes_of(p))
    ]
    places = list(product(pairwise(y.starts[0]), list(product(*cuts))))
    parts = [part(p, cut, batch=end - begin) for (begin, end), cut in places]
    row = _row(name, plan, set(parts))
    prefix = f"numconv-{name}-{token(p, row, x.name, y.name)}"
    found: dict[Any, Any] = {}
    level = []
    for number, ((samples, cut), q) in enumerate(zip(places, parts, strict=True)):
        here = [intervals(y.starts[0], *samples)] + [intervals(s, 0, s[-1]) for s in y.starts[1:]]
        for i, c in enumerate(cut):
            here[first + i] = intervals(y.starts[first + i], *c.target)
        key = (f"{prefix}-part", number)
        found[key] = tasks.of(Job((name, row, q, len(parts))), _read(x, p, samples, cut), pieces(y, here))
        level.append(key)
    depth = 0
    while len(level) > 1:
        depth += 1
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [(f"{prefix}-sum-{depth}", i) if len(pair) > 1 else pair[0] for i, pair in enumerate(pairs)]
        found |= {key: (operator.add, *pair) for key, pair in zip(level, pairs, strict=True) if len(pair) > 1}
    shape = p.result_shape
    result = (prefix, *(0,) * len(shape))
    found[result] = (taken, level[0], Job(()))
    return Lazy(prefix, tuple((n,) for n in shape), dtype_of(p.out_dtype), found, (x, y), x.inner)


def _by_samples(name: str, plan: Plan, arrays: tuple[Lazy | None, ...]) -> Lazy:
    """Any other operator: the batch stays cut, all else is joined."""
    p = plan.problem
    batched = BATCHED[type(p)]
    source = arrays[0]
    assert source is not None
    samples = list(zip(source.starts[0], source.starts[0][1:], strict=False))
    chunks = (source.chunks[0], *((n,) for n in p.result_shape[1:]))
    row, rest = (
        _row(name, plan, {_of_samples(p, n) for n in set(source.chunks[0])}),
        {i: gathered(a) for i, a in enumerate(arrays) if a is not None and i not in batched},
    )

    def task(place: tuple[int, ...]) -> Any:
        begin, end = samples[place[0]]
        found: list[Any] = []
        for i, a in enumerate(arrays):
            if a is None:
                found.append(None)
            elif i in batched:
                found.append(pieces(a, [intervals(a.starts[0], begin, end), *(intervals(s, 0, s[-1]) for s in a.starts[1:])]))
            else:
                found.append(only(rest[i]))
        return tasks.of(Job((name, row, _of_samples(p, end - begin), len(samples))), *found)

    sources = [rest.get(i, a) for i, a in enumerate(arrays) if a is not None]
    return derived(name, sources, (p, row), chunks, dtype_of(p.out_dtype), task)


def _of_samples(p: Any, batch: int) -> Problem:
    changed: Problem = (
        replace(p, conv=p.conv.with_(batch=batch)) if isinstance(p, (DeformProblem, PatchProblem)) else replace(p, batch=batch)
    )
    return changed
