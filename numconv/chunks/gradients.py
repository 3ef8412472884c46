"""What gradients need beside problems, of lazy arrays: the counterpart of `cuda/adapt/elementwise.py`."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .. import devices
from ..arguments.values import Subject
from ..hosts import dtype_of
from ..session import Session
from .array import Ints, Job, Lazy, derived, gathered, only, recut, token
from .array import elementwise as each
from .views import conjugate

Arrays = tuple[Any, ...]


def elementwise(name: str, a: Lazy, b: Lazy | None = None, out_dtype: str | None = None) -> Lazy:
    """a + b, the conjugate, the real part, or a times the derivative of an activation at b."""
    if name == "conjugate":
        return conjugate(a)
    if name == "real":
        return each("real", a, dtype_of(out_dtype or "float64"), np.real)
    assert b is not None
    b = recut(b, a.chunks)
    dtype = np.dtype(np.float32) if a.dtype.itemsize == 2 and name != "add" else a.dtype
    return derived(name, [a, b], None, a.chunks, dtype, lambda place: (_pair, Job(name), (a.name, *place), (b.name, *place)))


def _pair(job: Job, a: Any, b: Any) -> Any:
    from ..gradients.elementwise import through

    return operator.add(a, b) if job.value == "add" else through(a, b, job.value)


def _full(shape: Ints, dtype: str, like: Lazy, value: int) -> Lazy:
    """Cut as `like` is along its axes; an axis of another length is whole."""
    fits = len(shape) == like.ndim
    chunks = tuple(like.chunks[i] if fits and n == like.shape[i] else (n,) for i, n in enumerate(shape))
    name = f"numconv-full-{token(shape, dtype, value, chunks)}"

    def task(place: Ints) -> Any:
        return (_filled, Job((tuple(c[p] for c, p in zip(chunks, place, strict=True)), dtype, value)))

    found = derived(name, [], None, chunks, dtype_of(dtype), task)
    return Lazy(found.name, chunks, found.dtype, found.tasks, (), like.inner)


def _filled(job: Job) -> Any:
    shape, dtype, value = job.value
    return np.full(shape, value, dtype_of(dtype))


def ones(shape: Ints, dtype: str, like: Lazy) -> Lazy:
    return _full(shape, dtype, like, 1)


def zeros(shape: Ints, dtype: str, like: Lazy) -> Lazy:
    return _full(shape, dtype, like, 0)


def adjoint_along(g: Lazy, axis: int, index: Any, weight: Any, count: int) -> Lazy:
    """As `cpu/operators/axis_gather.py`; that axis is joined, the others stay cut."""
    g = recut(g, tuple((sum(c),) if i == axis else c for i, c in enumerate(g.chunks)))
    chunks = tuple((count,) if i == axis else c for i, c in enumerate(g.chunks))
    job = Job((axis, index, weight, count))
    parameters = (axis, count, token(np.asarray(index)), None if weight is None else token(np.asarray(weight)))
    return derived("adjoint", [g], parameters, chunks, g.dtype, lambda place: (_adjoint, (g.name, *place), job))


def _adjoint(block: Any, job: Job) -> Any:
    from ..gradients.elementwise import adjoint_along as of

    return of(block, *job.value)


def together(session: Session, problem: Any, arrays: Arrays, result: Lazy, g: Lazy) -> Arrays:
    """Gradients of an operator that looks at its arrays as wholes: one task for all of them."""
    given = [None if a is None else gathered(a) for a in (*arrays, result, g)]
    sources = [a for a in given if a is not None]
    name = session.subject.name
    all_of_them = f"numconv-{name}-back-{token(problem, *(a.name for a in sources))}"
    work = (_back, Job((name, problem)), *(None if a is None else only(a) for a in given))
    found: list[Lazy | None] = []
    for number, a in enumerate(given[:-2]):
        if a is None:
            found.append(None)
            continue
        part = f"{all_of_them}-{number}"
        tasks = {(all_of_them, 0): work, (part, *(0,) * a.ndim): (operator.getitem, (all_of_them, 0), number)}
        found.append(Lazy(part, a.chunks, a.dtype, tasks, tuple(sources), g.inner))
    return tuple(found)


def _back(job: Job, *arrays: Any) -> Any:
    from ..gradients.rules import rule

    name, problem = job.value
    *given, result, g = arrays
    session = Session(Subject(name), devices.device(devices.kind(g)), "auto")
    return rule(session, problem, tuple(given), result, None, None)(g)
