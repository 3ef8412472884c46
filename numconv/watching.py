"""Who watches the calls of a thread: a record of their problems, which are then not computed, or a gradient's tape."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from . import devices, hosts
from .arguments.values import Subject
from .devices import Device
from .kernel import Kernel, Machine
from .plan import Plan
from .planning import plan_for, single
from .problem import ConvProblem, Ints, Problem

WIDE = 4  # bytes of a half number as kernels compute with it


@dataclass(frozen=True)
class Step:
    """One kernel launch of a recorded call."""

    name: str
    problem: Problem
    plan_as: Problem  # the problem of one sample, for which the kernel is chosen
    shapes: tuple[Ints | None, ...]
    device: str
    algorithm: str
    accuracy: str
    held: int = 0  # bytes of what the call has made so far and has still: casts, copies that another shape needs, results of steps before
    strided: int = 0  # bytes of the step's arrays (and `out`) that do not lie in memory as kernels read them, row after row

    def plan(self) -> Plan:
        return plan_for(Subject(self.name), devices.device(self.device), self.problem, self.plan_as, self.algorithm, self.accuracy)

    def workspace(self, kernel: Kernel, machine: Machine) -> int:
        """Bytes beyond inputs and result, if that kernel does it.  Where it is given another type or layout, that is a copy already."""
        p = self.problem
        turned = getattr(p, "layout", "channels_first") != "channels_first" and "layout" not in kernel.honours
        adapted = p.dtype in kernel.adapted_dtypes
        copies = 0 if turned or adapted else self.strided
        if adapted and not isinstance(p, ConvProblem):  # whose rows count that themselves
            copies = WIDE * (prod(p.result_shape) + sum(prod(shape) for shape in self.shapes if shape is not None))
        return kernel.workspace(p, machine) + self.held + copies


def workspace(steps: Sequence[Step], plans: Sequence[Plan]) -> int:
    """Bytes beyond inputs and result of steps in turn: the most of them.  The scratch of those before is kept meanwhile."""
    most = kept = 0
    for step, plan in zip(steps, plans, strict=True):
        scratch = plan.kernel.scratch(step.problem, plan.machine)
        most = max(most, step.workspace(plan.kernel, plan.machine) + max(0, kept - scratch))
        kept = max(kept, scratch)
    return most


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


def taped() -> bool:
    """Whether a gradient's tape wants each sum for itself."""
    return _state.session is not None


def session_of(usual: Callable[..., Any]) -> Callable[..., Any]:
    """What opens the session of a call: the usual, or who watches has their own."""
    return _state.session or usual


def recording(device: Device) -> Any:
    """The device that a call's arrays are taken to: their own, or within `trace` one that only notes what it is asked for."""
    return device if _state.steps is None else Recorder(device, _state.steps)


def _strided(native: Any) -> bool:
    """Of the host's arrays; a single number repeated, all that a cost needs, counts as any array of that shape."""
    if not isinstance(native, np.ndarray) or not any(native.strides):
        return False
    return not (native.flags.c_contiguous and native.flags.aligned)


class Recorder:
    """Stands in for a device: its arrays are NumPy's, with shapes and types but no data, and what they would be used for is noted."""

    def __init__(self, device: Device, steps: list[Step]) -> None:
        self.name, self.machine, self.table = device.name, device.machine, device.table
        self._device, self._steps = device, steps
        self._made: list[tuple[weakref.ref[Any], int]] = []  # of what the call has made: what stands for its memory, and bytes
        self._strided: dict[int, weakref.ref[Any]] = {}  # what stands for arrays that do not lie row after row, by its identity

    def note(
        self,
        subject: Subject,
        problem: Problem,
        arrays: tuple[Any, ...],
        plan_as: Problem | None,
        algorithm: str,
        accuracy: str,
        out: Any = None,
    ) -> Any:
        """A step, in place of a kernel; its result."""
        shapes = tuple(None if a is None else tuple(a.shape) for a in arrays)
        one = single(problem) if plan_as is None else plan_as
        kind = hosts.dtype_of(problem.dtype)
        cast = [a is not None and i < 2 and a.dtype != kind for i, a in enumerate(arrays)]  # as a session does
        held = self._held() + sum(a.size * kind.itemsize for a, c in zip(arrays, cast, strict=True) if c)
        strided = sum(a.nbytes for a, c in zip(arrays, cast, strict=True) if self._is_strided(a) and not c)
        if out is not None and _strided(out):
            strided += out.nbytes
        self._steps.append(Step(subject.name, problem, one, shapes, self.name, algorithm, accuracy, held, strided))
        return self._kept(self.empty(problem.result_shape, problem.out_dtype))

    def _held(self) -> int:
        """Bytes."""
        return sum(size for memory, size in self._made if memory() is not None)

    def adopt(self, array: Any) -> Any:
        native = self._device.adopt(array)
        found = self.empty(tuple(native.shape), native.dtype.name)
        if not native.dtype.isnative:  # its cast, which makes it so, is a copy
            found = found.view(native.dtype)
        return self._marked(found, _strided(native))

    def _marked(self, array: Any, strided: bool) -> Any:
        if strided and array.size > 1:
            self._strided[id(array)] = weakref.ref(array)
        return array

    def _is_strided(self, array: Any) -> bool:
        found = self._strided.get(id(array))
        return found is not None and found() is array

    def _kept(self, array: Any) -> Any:
        """Memory of its own, as long as the call has it or a view of it."""
        self._made.append((weakref.ref(array.base), array.nbytes))
        return array

    def release(self, array: Any, like: Any) -> Any:
        return array

    def empty(self, shape: Ints, dtype: str, like: Any = None) -> Any:
        return np.ndarray(shape, hosts.dtype_of(dtype), np.zeros((), hosts.dtype_of(dtype)), 0, (0,) * len(shape))

    def reshape(self, array: Any, shape: Ints) -> Any:
        found = array.reshape(shape)
        if not self._is_strided(array):
            return found
        same = [n for n in array.shape if n > 1] == [n for n in shape if n > 1]
        return self._marked(found, True) if same else self._kept(found)

    def transpose(self, array: Any, axes: Ints) -> Any:
        long = [axis for axis in axes if array.shape[axis] > 1]
        return self._marked(array.transpose(axes), self._is_strided(array) or long != sorted(long))

    def broadcast(self, array: Any, shape: Ints) -> Any:
        return self._marked(np.broadcast_to(array, shape), self._is_strided(array) or array.size != prod(shape))

    def flip(self, array: Any) -> Any:
        return self._marked(np.flip(array), True)

    def add(self, one: Any, other: Any) -> Any:
        return one

    def conjugate(self, array: Any) -> Any:
        return self._kept(self.empty(array.shape, array.dtype.name))

    def copy(self, array: Any) -> Any:
        return self._kept(self.empty(array.shape, array.dtype.name))

    def cast(self, array: Any, dtype: str) -> Any:
        return self._kept(self.empty(array.shape, dtype))

    def overlaps(self, a: Any, b: Any) -> bool:
        return False
