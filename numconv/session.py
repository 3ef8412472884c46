"""What runs the problems of one call: a plan for each, and the kernel on the arrays as they are, or as the plan's problem wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import devices, hosts
from .arguments.values import Subject
from .devices import Device
from .memory import BOUND, add
from .plan import Plan
from .planning import ANY, plan_for, single
from .problem import ConvProblem, DeformProblem, Ints, Problem, SeparableProblem
from .watching import Recorder

Steps = Callable[["Session", tuple[Any, ...], tuple[Problem, ...], Any], Any]
Bound = Callable[[tuple[Any, ...]], Any]


class Session:
    """Runs the problems of one call on native arrays: `session(problem, arrays, out)` gives the native result."""

    __slots__ = ("accuracy", "algorithm", "device", "packed", "subject")

    def __init__(self, subject: Subject, device: Device, algorithm: str, accuracy: str = ANY, packed: Any = None) -> None:
        self.subject, self.device, self.algorithm, self.accuracy, self.packed = subject, device, algorithm, accuracy, packed

    def __getstate__(self) -> tuple[Any, ...]:
        """For pickle and copy, which do not take the module that a device is."""
        return self.subject, self.device.name, self.algorithm, self.accuracy, self.packed

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        subject, device, *rest = state
        Session.__init__(self, subject, devices.device(device), *rest)

    def __call__(
        self, problem: Problem, arrays: tuple[Any, ...], out: Any = None, plan_as: Problem | None = None, algorithm: str = ""
    ) -> Any:
        """`algorithm` in place of the user's, which names a kernel for convolutions only."""
        algorithm = algorithm or (self.algorithm if isinstance(problem, (ConvProblem, DeformProblem, SeparableProblem)) else "auto")
        device = self.device
        if isinstance(device, Recorder):
            return device.note(self.subject, problem, arrays, plan_as, algorithm, self.accuracy, out)
        plan = plan_for(self.subject, device, problem, plan_as, algorithm, self.accuracy)
        on_host = out is None and self.packed is None and device.name == "cpu"
        if on_host:
            known = plan.bound.get(tuple([a is not None and (a.dtype, a.flags.num) for a in arrays]))  # `form_of`, spelt out
            if known is not None:
                return repeat(self.subject.name, known, arrays)
        cast = tuple(None if a is None else self.cast(a, problem.dtype) if i < 2 else a for i, a in enumerate(arrays))
        if on_host and all(a is b for a, b in zip(arrays, cast, strict=True)):
            return repeat(self.subject.name, bind(device, plan, arrays), arrays)
        if self.packed is None:
            return launch(self.subject.name, device, plan, cast, out)
        return launch(self.subject.name, device, plan, (cast[0], self.packed(plan), *cast[2:]), out, True)

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
        return self.device.reshape(array, shape)

    def transpose(self, array: Any, axes: Ints) -> Any:
        return self.device.transpose(array, axes)

    def broadcast(self, array: Any, shape: Ints) -> Any:
        return self.device.broadcast(array, shape)

    def flip(self, array: Any) -> Any:
        """Reversed along all its axes."""
        return self.device.flip(array)

    def add(self, one: Any, other: Any) -> Any:
        return self.device.add(one, other)

    def conjugate(self, array: Any) -> Any:
        return array if array.dtype.kind != "c" else self.device.conjugate(array)

    def cast(self, array: Any, dtype: str) -> Any:
        return array if array.dtype == hosts.dtype_of(dtype) else self.device.cast(array, dtype)


def launch(name: str, device: Device, plan: Plan, arrays: tuple[Any, ...], out: Any, packed: bool = False) -> Any:
    """One kernel on checked arrays, into `out` or a fresh array."""
    problem = plan.problem
    if device.name == "chunks":
        return device.lazily(name, plan, arrays)
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


def form_of(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the way of one kernel depends on, beside the problem."""
    return tuple([a is not None and (a.dtype, a.flags.num) for a in arrays])


def bind(device: Device, plan: Plan, arrays: tuple[Any, ...]) -> Bound:
    """The plan's way for arrays on the host like these, found once."""
    form = form_of(arrays)
    found = plan.bound.get(form)
    if found is None:
        add(BOUND)
        found = plan.bound[form] = device.bind(plan, arrays)
    return found
