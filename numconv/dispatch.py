"""One call of a public function: look it up, or check, plan and run it.

`call` serves an operator of one problem as well as a composition, whose `Steps` function runs several in turn.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import hosts
from .arguments.request import Builder, Request
from .devices import Device
from .plan import Plan
from .problem import Problem
from .session import ALL_ROWS, LIMIT, Session, Step, Steps, adopt, forget_plans, launch, open_session, plan_for, repeat, run, trace, tracing

__all__ = [
    "ALL_ROWS",
    "LIMIT",
    "Session",
    "Step",
    "adopt",
    "call",
    "fits",
    "forget",
    "launch",
    "on_host",
    "only_step",
    "plan_for",
    "repeat",
    "run",
    "trace",
    "tracing",
]


class _Call(NamedTuple):
    """What a call with arrays on the host of these shapes, types and flags amounts to; `once`: the plan and how to run it, where one kernel on the arrays as they are does it."""

    request: Request
    device: Device
    once: tuple[Plan, Callable[[tuple[Any, ...]], Any]] | None


_calls: dict[tuple[Any, ...], _Call] = {}


def only_step(session: Session, arrays: tuple[Any, ...], problems: tuple[Problem, ...], out: Any) -> Any:
    """The steps of an operator that is one kernel."""
    return session(problems[0], arrays, out)


def call(
    name: str,
    build: Builder,
    labels: tuple[str, ...],
    arrays: tuple[Any, ...],
    options: tuple[Any, ...],
    out: Any = None,
    algorithm: Any = "auto",
    steps: Steps = only_step,
    accuracy: float = ALL_ROWS,
) -> Any:
    """Check, plan, run; the result is the kind of array that the first one is."""
    hosted = on_host(arrays)
    key = None if hosted is None else _key(name, hosted, options, algorithm, accuracy)
    known = None if key is None else _calls.get(key)
    if known is not None and hosted is not None and known.once is not None and not tracing():
        plan, bound = known.once
        if out is None:
            result = repeat(name, bound, hosted)
            return result if hosted is arrays else hosts.release(result, arrays[0])
        if fits(out, plan.problem, arrays):
            return hosts.release(launch(name, known.device, plan, hosted, out), arrays[0])
    device, natives, subject = adopt(name, labels, arrays)
    if type(algorithm) is not str:
        raise subject.type(f"algorithm must be a string; got {algorithm!r}")
    request = known.request if known is not None else build(subject, tuple(spec for _, spec in subject.arrays), options)
    session = open_session(subject, device, algorithm, accuracy)
    result = run(session, request, natives, arrays[0], out, steps)
    if key is not None and known is None and session.recorder is None:
        _remember(key, session, request, natives, steps)
    return result


def on_host(arrays: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The arrays as NumPy's where all are that, CPU torch tensors or None; else None."""
    for a in arrays:
        if type(a) is not _ndarray and a is not None:
            break
    else:
        return arrays
    others = [a for a in arrays if type(a) is not np.ndarray and a is not None]
    if not all(hosts.is_torch(a) and a.is_cpu for a in others):
        return None
    try:
        return tuple(None if a is None else hosts.adopt(a) for a in arrays)
    except (TypeError, ValueError):  # the long way says what is wrong
        return None


def fits(out: Any, problem: Problem, arrays: tuple[Any, ...]) -> bool:
    """Whether `out` may be written as it is; if not, `check_out` says why."""
    return (
        type(out) is np.ndarray
        and all(a is None or (type(a) is np.ndarray and not np.may_share_memory(out, a)) for a in arrays)
        and out.shape == problem.result_shape
        and out.dtype == hosts.dtype_of(problem.out_dtype)
        and out.flags.writeable
    )


_ndarray = np.ndarray
_PLAIN = frozenset({int, str, type(None)})


#: how marshal writes what has a buffer of 1 … 255 bytes, as NumPy's scalars: "s", the length, the bits, but not the type
_bits_only = re.compile(rb"s[^\0]\0\0\0").search


class _NoKeyError(Exception):
    """An option whose value cannot stand in a key."""


def _frozen(value: Any) -> Any:
    """A hashable that differs wherever the value or its type does: 1, 1.0 and True are equal, but only one is a stride."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple or kind is list:
        return (kind, *map(_frozen, value))
    if kind is bool or kind is float or isinstance(value, np.integer):
        return (kind, value)
    if isinstance(value, (type, np.dtype)):
        return value
    raise _NoKeyError


def _key(name: str, arrays: tuple[Any, ...], options: tuple[Any, ...], algorithm: Any, accuracy: float) -> tuple[Any, ...] | None:
    """The key of a call with NumPy arrays, or None."""
    if type(algorithm) is not str:
        return None
    written: Any
    try:  # by C in a third of the time; version 2 writes every value out with its type
        written = marshal.dumps(options, 2)
        slow = len(written) > 255 or _bits_only(written) is not None
    except ValueError:
        slow = True
    try:
        written = _frozen(options) if slow else written
    except _NoKeyError:
        return None
    return (name, algorithm, accuracy, written, *[None if a is None else (a.shape, a.dtype, a.flags.num) for a in arrays])


def _remember(key: tuple[Any, ...], session: Session, request: Request, arrays: tuple[Any, ...], steps: Steps) -> None:
    plain = steps is only_step and all(v.shape is None and v.dtype is None for v in request.views)
    last = request.problems[-1]
    once = None
    if plain and 0 not in request.result_shape and request.result_shape == last.result_shape:
        plan = plan_for(session.subject, session.device, last, None, session.algorithm, session.accuracy)
        once = plan, session.device.bind(plan, arrays)
    if len(_calls) >= LIMIT:
        _calls.clear()
    _calls[key] = _Call(request, session.device, once)


def forget() -> None:
    """Drop all cached plans (for tests that change a table)."""
    forget_plans()
    _calls.clear()
