"""The way of a call, from a public function to a kernel.

    call            known by the form of its arrays: the kernel at once, as it was bound
      adopt         else: one device for all arrays, which become its own
      build         the builder in arguments/ checks them and says which problems they amount to, in which form the arrays are wanted
      run           views, the steps of the operator in a `Session`, the result as the user's kind of array
      remember      the next call like it is known

`call` serves an operator of one problem as well as a composition, whose `Steps` function runs several in turn.
"""

from __future__ import annotations

import marshal
import re
from typing import Any, NamedTuple

import numpy as np

from . import devices, hosts
from .arguments.edge import at_edge
from .arguments.request import Builder, Request
from .arguments.values import Spec, Subject, choice, shown
from .devices import Device
from .memory import BOUND, Store
from .plan import Plan
from .planning import ACCURACIES, ANY, plan_for
from .problem import Ints, Problem
from .session import Bound, Session, Steps, bind, launch, repeat
from .watching import Recorder, recording, session_of, watched


class Once(NamedTuple):
    """A call that one kernel on the arrays as they are serves."""

    plan: Plan
    bound: Bound  # into a fresh array: see `Device.bind`


class Known(NamedTuple):
    """What a call with arrays on the host of these shapes, types and flags amounts to."""

    request: Request
    device: Device
    once: Once | None


_known = Store()  # by `key_of`
_ndarray = np.ndarray  # a name of this module is found sooner


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
    accuracy: Any = ANY,
) -> Any:
    """Check, plan, run; the result is the kind of array that the first one is."""
    try:
        hosted = on_host(arrays)
        key = None if hosted is None else key_of(name, hosted, options, algorithm, accuracy)
        known: Known | None = None if key is None else _known.get(key)
        if known is not None and hosted is not None and known.once is not None and not watched():
            plan, bound = known.once
            if out is None:
                result = repeat(name, bound, hosted)
                return result if hosted is arrays else hosts.release(result, arrays[0])
            if fits(out, plan.problem, arrays):
                return hosts.release(launch(name, known.device, plan, hosted, out), arrays[0])
        device, natives, subject = adopt(name, labels, arrays)
        if type(algorithm) is not str:
            raise subject.type(f"algorithm must be a string; got {shown(algorithm)}")
        choice(subject, "accuracy", accuracy, ACCURACIES)
        request = known.request if known is not None else build(subject, tuple([spec for _, spec in subject.arrays]), options)
        session = session_of(Session)(subject, device, algorithm, accuracy)
        result = run(session, request, natives, arrays[0], out, steps)
        if key is not None and known is None and not isinstance(device, Recorder):
            _remember(key, session, request, natives, steps)
        return result
    except Exception as error:
        at_edge(name, error)
        raise


def adopt(name: str, labels: tuple[str, ...], arrays: tuple[Any, ...]) -> tuple[Device, tuple[Any, ...], Subject]:
    """The one device of all arrays, the arrays as its own kind, and their specs."""
    where = [(label, a, devices.kind(a)) for label, a in zip(labels, arrays, strict=True) if a is not None]
    lazy = any(kind == "chunks" for _, _, kind in where)  # the host's arrays are theirs, in one chunk
    for label, other, kind in where[1:]:
        if kind != where[0][2] and not (lazy and {kind, where[0][2]} <= {"cpu", "chunks"}):
            first_label, first, first_kind = where[0]
            known, odd = f"{first_label} is on {first_kind} ({_kind_name(first)})", f"{label} on {kind} ({_kind_name(other)})"
            raise Subject(name).type(f"arrays must be on one device; {known}, {odd}")
    device = recording(devices.device("chunks" if lazy else where[0][2] if where else "cpu"))
    natives = []
    for label, array in zip(labels, arrays, strict=True):
        try:
            natives.append(None if array is None else device.adopt(array))
        except (MemoryError, ImportError):
            raise
        except hosts.Refusal as error:
            raise Subject(name).type(f"{label} {error}") from None
        except hosts.UnsizedError as error:
            raise Subject(name).value(f"{label} {error}") from None
        except Exception as error:  # NumPy, torch and an object's own `__array__` have each their own
            raise Subject(name).type(f"{label} is not an array: {error}") from error
    specs = [(label, None if a is None else Spec(tuple(a.shape), np.dtype(a.dtype))) for label, a in zip(labels, natives, strict=True)]
    return device, tuple(natives), Subject(name, tuple(specs))


def run(session: Session, request: Request, natives: tuple[Any, ...], like: Any, out: Any, steps: Steps) -> Any:
    """A checked request on native arrays, into `out` or a fresh array like the user's."""
    subject, device, last = session.subject, session.device, request.problems[-1]
    target = None if out is None else check_out(session, request, natives, like, out)
    if 0 in request.result_shape:  # no kernel is started for nothing
        if out is not None:
            return out
        return device.release(device.empty(request.result_shape, last.out_dtype, natives[0]), like)
    if target is not None and last.result_shape != request.result_shape:
        target = session.reshape(target, last.result_shape)
    natives = session.start(natives)
    try:
        viewed = tuple([_viewed(session, a, v.shape, v.dtype) for a, v in zip(natives, request.views, strict=True)])
    except MemoryError as error:
        raise subject.memory(str(error) or "not enough memory") from None
    result = steps(session, viewed, request.problems, target)
    if out is not None:
        return out
    if last.result_shape != request.result_shape:
        result = session.reshape(result, request.result_shape)
    return device.release(result, like)


def _viewed(session: Session, array: Any, shape: Ints | None, dtype: str | None) -> Any:
    if array is None:
        return None
    if shape is not None:
        array = session.reshape(array, shape)
    return array if dtype is None else session.cast(array, dtype)


def _library(array: Any) -> str:
    return type(array).__module__.partition(".")[0]


def _kind_name(array: Any) -> str:
    return f"{type(array).__module__}.{type(array).__qualname__}"


def check_out(session: Session, request: Request, natives: tuple[Any, ...], like: Any, out: Any) -> Any:
    """The native view of `out`, which must be exactly what would be returned."""
    subject, device = session.subject, session.device
    dtype = request.problems[-1].out_dtype
    if "chunks" in (device.name, devices.kind(out)):
        raise subject.type("out is not supported with lazy arrays, whose results are computed later")
    host = devices.kind(out) == "cpu"
    family = hosts.is_torch(out) == hosts.is_torch(like) and hasattr(out, "dtype")
    if devices.kind(out) != device.name or not (family if host else _library(out) == _library(like)):
        kind = "torch.Tensor" if hosts.is_torch(like) else "numpy.ndarray" if device.name == "cpu" else _kind_name(like)
        raise subject.type(f"out must be a {kind}, as the result is; got {_kind_name(out)}")
    try:
        native = devices.device(device.name).adopt(out)
    except hosts.Refusal as error:
        raise subject.type(f"out {error}") from None
    if np.dtype(native.dtype) != hosts.dtype_of(dtype):
        raise subject.type(f"out must have dtype {dtype}; got {native.dtype}")
    if tuple(native.shape) != request.result_shape:
        raise subject.value(f"out must have the shape {request.result_shape}; got {tuple(native.shape)}")
    if host and not native.flags.writeable:
        raise subject.value("out is read-only")
    if any(a is not None and device.overlaps(native, a) for a in natives):
        raise subject.value("out overlaps an input")
    return native


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
    except Exception:  # the long way says what is wrong
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


def key_of(name: str, arrays: tuple[Any, ...], options: tuple[Any, ...], algorithm: Any, accuracy: Any) -> tuple[Any, ...] | None:
    """The key of a call with NumPy arrays, or None."""
    if type(algorithm) is not str or type(accuracy) is not str:
        return None
    written: Any
    try:  # by C in a third of the time; version 2 writes every value out with its type
        written = marshal.dumps(options, 2)
        slow = len(written) > 255 or _bits_only(written) is not None
    except ValueError:
        slow = True
    try:
        written = _frozen(options) if slow else written
    except (_NoKeyError, RecursionError):
        return None
    return (name, algorithm, accuracy, written, *[None if a is None else (a.shape, a.dtype, a.flags.num) for a in arrays])


def _remember(key: tuple[Any, ...], session: Session, request: Request, arrays: tuple[Any, ...], steps: Steps) -> None:
    last, once = request.problems[-1], None
    alone = steps is only_step and all(v.shape is None and v.dtype is None for v in request.views)
    if alone and 0 not in request.result_shape and request.result_shape == last.result_shape:
        plan = plan_for(session.subject, session.device, last, None, session.algorithm, session.accuracy)
        once = Once(plan, bind(session.device, plan, arrays))
    _known.put(key, Known(request, session.device, once), BOUND)
