"""A call under way: the device of its arrays, the kernels chosen for its problems, and the record of a call that is only traced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from . import devices, hosts
from .arguments.request import Request
from .arguments.values import Spec, Subject
from .devices import Device
from .plan import NoKernel, Plan, make_plan
from .problem import ConvProblem, DeformProblem, Ints, PatchProblem, Problem, SeparableProblem, one_of

LIMIT = 4096  # entries of each cache; beyond it the cache starts anew
ALL_ROWS = float("inf")


Steps = Callable[["Session", tuple[Any, ...], tuple[Problem, ...], Any], Any]


@dataclass(frozen=True)
class Step:
    """One kernel launch of a recorded call."""

    name: str
    problem: Problem
    plan_as: Problem  # the problem of one sample, for which the kernel is chosen
    shapes: tuple[Ints | None, ...]
    device: str
    algorithm: str
    accuracy: float

    def plan(self) -> Plan:
        return plan_for(Subject(self.name), devices.device(self.device), self.problem, self.plan_as, self.algorithm, self.accuracy)


@dataclass
class Recorder:
    """Stands in for the running: notes the steps and hands on arrays that have shapes but no data."""

    steps: list[Step] = field(default_factory=list)


class _State(threading.local):
    recorder: Recorder | None = None
    session: Callable[..., Session] | None = None  # in place of `Session`


_state = _State()
_plans: dict[tuple[Any, ...], Plan] = {}
_bound: dict[Any, Callable[[tuple[Any, ...]], Any]] = {}  # what a step on the host amounts to: see `Device.bind`


@contextmanager
def trace() -> Iterator[list[Step]]:
    """Within it calls in this thread are checked and recorded, not computed; their results hold no data."""
    before, _state.recorder = _state.recorder, Recorder()
    try:
        yield _state.recorder.steps
    finally:
        _state.recorder = before


def tracing() -> bool:
    """Whether every call must go through a session of its own."""
    return _state.recorder is not None or _state.session is not None


@contextmanager
def sessions(make: Callable[..., Session]) -> Iterator[None]:
    """Within it calls in this thread run in sessions of that kind (a gradient's tape)."""
    before, _state.session = _state.session, make
    try:
        yield
    finally:
        _state.session = before


def open_session(subject: Subject, device: Device, algorithm: str, accuracy: float) -> Session:
    return (_state.session or Session)(subject, device, algorithm, accuracy)


def plan_for(
    subject: Subject, device: Device, problem: Problem, plan_as: Problem | None = None, algorithm: str = "auto", accuracy: float = ALL_ROWS
) -> Plan:
    """The cached plan.  The row is chosen for one sample, so that a split batch gives the same bits."""
    key = (device.name, problem, plan_as, algorithm, accuracy)
    found = _plans.get(key)
    if found is not None:
        return found
    problem = one_of(problem)
    table = tuple(row for row in device.table() if row.error_factor <= accuracy)
    one = one_of(single(problem)) if plan_as is None else plan_as
    try:
        plan = make_plan(one, device.machine(), table, algorithm)
        if plan.kernel.refuses(problem) is not None:  # serves one sample, but not all of them as groups of one
            plan = make_plan(problem, device.machine(), table, algorithm)
    except NoKernel as error:
        raise subject.value(str(error)) from None
    plan = replace(plan, problem=problem)
    if len(_plans) >= LIMIT:
        _plans.clear()
    _plans[key] = plan
    return plan


def forget_plans() -> None:
    _plans.clear()
    _bound.clear()


def single(problem: Problem) -> Problem:
    """The same problem for at most one sample."""
    if isinstance(problem, (DeformProblem, PatchProblem)):
        return replace(problem, conv=problem.conv.with_(batch=min(problem.conv.batch, 1)))
    if isinstance(problem, SeparableProblem):
        return SeparableProblem(*(step.with_(batch=min(step.batch, 1)) for step in (problem.column, problem.row)))
    if problem.batch <= 1 or getattr(problem, "direction", "") == "weight_grad":
        return problem
    return replace(problem, batch=1)


class Session:
    """Runs the problems of one call on native arrays: `session(problem, arrays, out)` gives the native result."""

    __slots__ = ("accuracy", "algorithm", "device", "packed", "recorder", "subject")

    def __init__(self, subject: Subject, device: Device, algorithm: str, accuracy: float = ALL_ROWS, packed: Any = None) -> None:
        self.subject, self.device, self.algorithm, self.accuracy, self.packed = subject, device, algorithm, accuracy, packed
        self.recorder = _state.recorder

    def __call__(
        self, problem: Problem, arrays: tuple[Any, ...], out: Any = None, plan_as: Problem | None = None, algorithm: str = ""
    ) -> Any:
        """`algorithm` in place of the user's, which names a kernel for convolutions only."""
        algorithm = algorithm or (self.algorithm if isinstance(problem, (ConvProblem, DeformProblem, SeparableProblem)) else "auto")
        if self.recorder is not None:
            shapes = tuple(None if a is None else tuple(a.shape) for a in arrays)
            one = single(problem) if plan_as is None else plan_as
            self.recorder.steps.append(Step(self.subject.name, problem, one, shapes, self.device.name, algorithm, self.accuracy))
            return np.broadcast_to(np.zeros((), hosts.dtype_of(problem.out_dtype)), problem.result_shape)
        key = None
        if out is None and self.packed is None and self.device.name == "cpu":
            key = (problem, plan_as, algorithm, self.accuracy, *[a is not None and (a.dtype, a.flags.num) for a in arrays])
            bound = _bound.get(key)
            if bound is not None:
                return repeat(self.subject.name, bound, arrays)
        plan = plan_for(self.subject, self.device, problem, plan_as, algorithm, self.accuracy)
        given = arrays
        arrays = tuple(None if a is None else self.cast(a, problem.dtype) if i < 2 else a for i, a in enumerate(arrays))
        if key is not None and all(a is b for a, b in zip(arrays, given, strict=True)):
            if len(_bound) >= LIMIT:
                _bound.clear()
            _bound[key] = self.device.bind(plan, arrays)
        if self.packed is None:
            return launch(self.subject.name, self.device, plan, arrays, out)
        return launch(self.subject.name, self.device, plan, (arrays[0], self.packed(plan), *arrays[2:]), out, True)

    def fuses(self, problem: Problem, steps: tuple[Problem, ...]) -> bool:
        """Whether one kernel is to do `problem`, in place of kernels for each of the steps: it is named, or predicted to be no slower."""
        rows = [row for row in self.device.table() if row.problem is type(problem)]
        if any(row.name == self.algorithm for row in rows):
            return True
        if self.algorithm != "auto" or all(row.refuses(problem) for row in rows):
            return False
        plans = [plan_for(self.subject, self.device, p, None, "auto", self.accuracy) for p in (problem, *steps)]
        together, *apart = (p.kernel.cost(single(p.problem), p.machine) for p in plans)
        return together <= sum(apart)

    def start(self, natives: tuple[Any, ...]) -> tuple[Any, ...]:
        """The user's arrays as the session is to work on them."""
        return natives

    def reshape(self, array: Any, shape: Ints) -> Any:
        return array.reshape(shape) if self.recorder is not None else self.device.reshape(array, shape)

    def transpose(self, array: Any, axes: Ints) -> Any:
        return array.transpose(axes) if self.recorder is not None else self.device.transpose(array, axes)

    def broadcast(self, array: Any, shape: Ints) -> Any:
        return np.broadcast_to(array, shape) if self.recorder is not None else self.device.broadcast(array, shape)

    def flip(self, array: Any) -> Any:
        """Reversed along all its axes."""
        return np.flip(array) if self.recorder is not None else self.device.flip(array)

    def conjugate(self, array: Any) -> Any:
        return array if self.recorder is not None or array.dtype.kind != "c" else self.device.conjugate(array)

    def cast(self, array: Any, dtype: str) -> Any:
        wanted = hosts.dtype_of(dtype)
        if array.dtype == wanted:
            return array
        return array.astype(wanted) if self.recorder is not None else self.device.cast(array, dtype)


def launch(name: str, device: Device, plan: Plan, arrays: tuple[Any, ...], out: Any, packed: bool = False) -> Any:
    """One kernel on checked arrays, into `out` or a fresh array."""
    problem = plan.problem
    try:
        if out is None:
            out = device.empty(problem.result_shape, problem.out_dtype, arrays[0])
        device.execute(plan, arrays, out, packed)
    except MemoryError as error:
        raise Subject(name).memory(str(error) or "not enough memory") from None
    return out


def repeat(name: str, bound: Callable[[tuple[Any, ...]], Any], arrays: tuple[Any, ...]) -> Any:
    """One kernel on arrays like those of an earlier call, into a fresh array; `bound`: see `Device.bind`."""
    try:
        return bound(arrays)
    except MemoryError as error:
        raise Subject(name).memory(str(error) or "not enough memory") from None


def run(session: Session, request: Request, natives: tuple[Any, ...], like: Any, out: Any, steps: Steps) -> Any:
    """A checked request on native arrays, into `out` or a fresh array like the user's."""
    subject, device, last = session.subject, session.device, request.problems[-1]
    target = None if out is None else check_out(session, request, natives, like, out)
    if prod(request.result_shape) == 0:  # no kernel is started for nothing
        if out is not None:
            return out
        if session.recorder is not None:
            return np.empty(request.result_shape, hosts.dtype_of(last.out_dtype))
        return device.release(device.empty(request.result_shape, last.out_dtype, natives[0]), like)
    if target is not None and last.result_shape != request.result_shape:
        target = session.reshape(target, last.result_shape)
    natives = session.start(natives)
    try:
        viewed = tuple(_viewed(session, a, v.shape, v.dtype) for a, v in zip(natives, request.views, strict=True))
    except MemoryError as error:
        raise subject.memory(str(error) or "not enough memory") from None
    result = steps(session, viewed, request.problems, target)
    if out is not None:
        return out
    if last.result_shape != request.result_shape:
        result = session.reshape(result, request.result_shape)
    return result if session.recorder is not None else device.release(result, like)


def _viewed(session: Session, array: Any, shape: Ints | None, dtype: str | None) -> Any:
    if array is None:
        return None
    if shape is not None:
        array = session.reshape(array, shape)
    return array if dtype is None else session.cast(array, dtype)


def adopt(name: str, labels: tuple[str, ...], arrays: tuple[Any, ...]) -> tuple[Device, tuple[Any, ...], Subject]:
    """The one device of all arrays, the arrays as its own kind, and their specs."""
    where = [(label, a, devices.kind(a)) for label, a in zip(labels, arrays, strict=True) if a is not None]
    for label, other, kind in where[1:]:
        if kind != where[0][2]:
            first_label, first, first_kind = where[0]
            known, odd = f"{first_label} is on {first_kind} ({_kind_name(first)})", f"{label} on {kind} ({_kind_name(other)})"
            raise Subject(name).type(f"arrays must be on one device; {known}, {odd}")
    device = devices.device(where[0][2] if where else "cpu")
    natives = []
    for label, array in zip(labels, arrays, strict=True):
        try:
            natives.append(None if array is None else device.adopt(array))
        except (TypeError, ValueError) as error:
            raise Subject(name).type(f"{label} is not an array: {error}") from None
    specs = tuple((label, None if a is None else Spec(tuple(a.shape), np.dtype(a.dtype))) for label, a in zip(labels, natives, strict=True))
    if _state.recorder is not None:
        natives = [None if s is None else np.broadcast_to(np.zeros((), s.dtype), s.shape) for _, s in specs]
    return device, tuple(natives), Subject(name, specs)


def _library(array: Any) -> str:
    return type(array).__module__.partition(".")[0]


def _kind_name(array: Any) -> str:
    return f"{type(array).__module__}.{type(array).__qualname__}"


def check_out(session: Session, request: Request, natives: tuple[Any, ...], like: Any, out: Any) -> Any:
    """The native view of `out`, which must be exactly what would be returned."""
    subject, device = session.subject, session.device
    dtype = request.problems[-1].out_dtype
    host = devices.kind(out) == "cpu"
    family = hosts.is_torch(out) == hosts.is_torch(like) and hasattr(out, "dtype")
    if devices.kind(out) != device.name or not (family if host else _library(out) == _library(like)):
        kind = "torch.Tensor" if hosts.is_torch(like) else "numpy.ndarray" if device.name == "cpu" else _kind_name(like)
        raise subject.type(f"out must be a {kind}, as the result is; got {_kind_name(out)}")
    native = device.adopt(out)
    if np.dtype(native.dtype) != hosts.dtype_of(dtype):
        raise subject.type(f"out must have dtype {dtype}; got {native.dtype}")
    if tuple(native.shape) != request.result_shape:
        raise subject.value(f"out must have the shape {request.result_shape}; got {tuple(native.shape)}")
    if host and not native.flags.writeable:
        raise subject.value("out is read-only")
    if any(a is not None and device.overlaps(native, a) for a in natives) and session.recorder is None:
        raise subject.value("out overlaps an input")
    return native
