"""Who watches the calls of a thread: a record of their problems, which are then not computed, or a gradient's tape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from . import devices, hosts
from .arguments.values import Subject
from .devices import Device
from .plan import Plan
from .planning import plan_for, single
from .problem import Ints, Problem


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


class _State(threading.local):
    steps: list[Step] | None = None  # of the record
    session: Callable[..., Any] | None = None  # what a call opens in place of a `Session`


_state = _State()


@contextmanager
def trace() -> Iterator[list[Step]]:
    """Within it calls in this thread are checked and recorded, not computed; their results hold no data."""
    before, _state.steps = _state.steps, []
    try:
        yield _state.steps
    finally:
        _state.steps = before


@contextmanager
def sessions(make: Callable[..., Any]) -> Iterator[None]:
    """Within it calls in this thread run in sessions of that kind (a gradient's tape)."""
    before, _state.session = _state.session, make
    try:
        yield
    finally:
        _state.session = before


def is_operator(function: Any) -> bool:
    """Whether it is a function or a layer of numconv's, its arguments given in part or not: what may be called to see what it does."""
    while isinstance(function, partial):
        function = function.func
    owner = function if hasattr(function, "__qualname__") else type(function)
    module = str(getattr(owner, "__module__", ""))
    return callable(function) and not isinstance(function, type) and module.partition(".")[0] == "numconv"


def watched() -> bool:
    """Whether every call must go through a session of its own."""
    return _state.steps is not None or _state.session is not None


def session_of(usual: Callable[..., Any]) -> Callable[..., Any]:
    """What opens the session of a call: the usual, or who watches has their own."""
    return _state.session or usual


def recording(device: Device) -> Any:
    """The device that a call's arrays are taken to: their own, or within `trace` one that only notes what it is asked for."""
    return device if _state.steps is None else Recorder(device, _state.steps)


class Recorder:
    """Stands in for a device: its arrays are NumPy's, with shapes and types but no data, and what they would be used for is noted."""

    def __init__(self, device: Device, steps: list[Step]) -> None:
        self.name, self.machine, self.table = device.name, device.machine, device.table
        self._device, self._steps = device, steps

    def note(
        self, subject: Subject, problem: Problem, arrays: tuple[Any, ...], plan_as: Problem | None, algorithm: str, accuracy: float
    ) -> Any:
        """A step, in place of a kernel; its result."""
        shapes = tuple(None if a is None else tuple(a.shape) for a in arrays)
        one = single(problem) if plan_as is None else plan_as
        self._steps.append(Step(subject.name, problem, one, shapes, self.name, algorithm, accuracy))
        return self.empty(problem.result_shape, problem.out_dtype)

    def adopt(self, array: Any) -> Any:
        native = self._device.adopt(array)
        return self.empty(tuple(native.shape), native.dtype.name)

    def release(self, array: Any, like: Any) -> Any:
        return array

    def empty(self, shape: Ints, dtype: str, like: Any = None) -> Any:
        return np.broadcast_to(np.zeros((), hosts.dtype_of(dtype)), shape)

    def reshape(self, array: Any, shape: Ints) -> Any:
        return array.reshape(shape)

    def transpose(self, array: Any, axes: Ints) -> Any:
        return array.transpose(axes)

    def broadcast(self, array: Any, shape: Ints) -> Any:
        return np.broadcast_to(array, shape)

    def flip(self, array: Any) -> Any:
        return np.flip(array)

    def conjugate(self, array: Any) -> Any:
        return array

    def copy(self, array: Any) -> Any:
        return array

    def cast(self, array: Any, dtype: str) -> Any:
        return array.astype(hosts.dtype_of(dtype))

    def overlaps(self, a: Any, b: Any) -> bool:
        return False
