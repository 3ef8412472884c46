"""The record of one call, and the way back along it.

The public functions know nothing of gradients: they run in a `TapedSession`, which computes as every session does and notes each
problem and each view in turn.  `Tape.pull` walks the notes backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import hosts
from ..arguments.values import Subject
from ..devices import Device
from ..plan import Plan
from ..planning import ANY
from ..problem import Ints, Problem
from ..session import Session
from . import elementwise
from .rules import rule

Pull = Callable[[Any], tuple[Any, ...]]


class Note(NamedTuple):
    """One step: `pull` takes the gradient of `output` to those of `inputs`, None where there is none."""

    inputs: tuple[Any, ...]
    output: Any
    pull: Pull


class Tape:
    """The steps of one call in order.  It keeps its arrays alive, so that their identities are their own.

    Of a layer: `packed` gives its weights as the forward kernel wants them, `kept` has them as gradients do.
    """

    def __init__(self, packed: Callable[[Plan], Any] | None = None, kept: dict[Plan, Any] | None = None) -> None:
        self.packed, self.kept = packed, kept
        self.notes: list[Note] = []
        self.leaves: tuple[Any, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: what the way back needs."""
        return {"packed": None, "kept": None, "notes": self.notes, "leaves": self.leaves}

    def session(self, subject: Subject, device: Device, algorithm: str, accuracy: str = ANY) -> TapedSession:
        return TapedSession(self, subject, device, algorithm, accuracy)

    def note(self, inputs: tuple[Any, ...], output: Any, pull: Pull) -> Any:
        if not any(output is a for a in inputs):
            self.notes.append(Note(inputs, output, pull))
        return output

    def pull(self, gradient: Any) -> list[Any]:
        """The gradient of each leaf, None where nothing leads back to it."""
        found: dict[int, Any] = {id(self.notes[-1].output): gradient} if self.notes else {}
        for note in reversed(self.notes):
            g = found.pop(id(note.output), None)
            if g is None:
                continue
            for array, part in zip(note.inputs, note.pull(g), strict=True):
                if array is None or part is None:
                    continue
                known = found.get(id(array))
                found[id(array)] = part if known is None else elementwise.add(known, part)
        return [None if leaf is None else found.get(id(leaf)) for leaf in self.leaves]


def _by(way: Callable[..., Any], *rest: Any) -> tuple[Any, ...]:
    """The pull of a view: `rest` is what it needs to know, then the gradient.  No closure, so that a pullback can be pickled."""
    *known, g = rest
    return (way(g, *known),)


class TapedSession(Session):
    """Computes, and notes what it does."""

    __slots__ = ("back", "tape")

    def __init__(self, tape: Tape, subject: Subject, device: Device, algorithm: str, accuracy: str) -> None:
        super().__init__(subject, device, algorithm, accuracy, tape.packed)
        self.tape = tape
        self.back = Session(Subject("vjp"), device, "auto", accuracy)  # runs the problems of the way back

    def start(self, natives: tuple[Any, ...]) -> tuple[Any, ...]:
        """Each as an array object of its own: the same one may be given twice."""
        self.tape.leaves = tuple(None if a is None else self.device.transpose(a, tuple(range(a.ndim))) for a in natives)
        return self.tape.leaves

    def fuses(self, problem: Problem, steps: tuple[Problem, ...]) -> bool:
        """Never: the way back is known for the steps."""
        return False

    def __call__(
        self, problem: Problem, arrays: tuple[Any, ...], out: Any = None, plan_as: Problem | None = None, algorithm: str = ""
    ) -> Any:
        arrays = tuple(None if a is None else self.cast(a, problem.dtype) if i < 2 else a for i, a in enumerate(arrays))
        result = super().__call__(problem, arrays, None, plan_as, algorithm)
        return self.tape.note(arrays, result, rule(self.back, problem, arrays, result, plan_as, self.tape.kept))

    def reshape(self, array: Any, shape: Ints) -> Any:
        before = tuple(array.shape)
        return self.tape.note((array,), super().reshape(array, shape), partial(_by, self.back.reshape, before))

    def transpose(self, array: Any, axes: Ints) -> Any:
        inverse = tuple(int(a) for a in np.argsort(axes))
        return self.tape.note((array,), super().transpose(array, axes), partial(_by, self.back.transpose, inverse))

    def broadcast(self, array: Any, shape: Ints) -> Any:
        before = tuple(array.shape)
        return self.tape.note((array,), super().broadcast(array, shape), partial(_by, partial(elementwise.unbroadcast, self.back), before))

    def flip(self, array: Any) -> Any:
        return self.tape.note((array,), super().flip(array), partial(_by, self.back.flip))

    def add(self, one: Any, other: Any) -> Any:
        return self.tape.note((one, other), super().add(one, other), lambda g: (g, g))

    def conjugate(self, array: Any) -> Any:
        return self.tape.note((array,), super().conjugate(array), partial(_by, self.back.conjugate))

    def cast(self, array: Any, dtype: str) -> Any:
        before = array.dtype
        if before == hosts.dtype_of(dtype):
            return array
        return self.tape.note((array,), super().cast(array, dtype), partial(_by, partial(elementwise.cast_back, self.back), before))
