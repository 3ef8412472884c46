"""A graph of tasks without dask: what its tiles take, and one of them computed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from itertools import product
from math import prod
from typing import Any

import numpy as np

from .. import devices
from ..arguments.values import Subject
from ..planning import plan_for
from . import tasks
from .array import Ints, Lazy, joined
from .store import read
from .views import reshaped, transposed

VIEWS = (reshaped, transposed, np.flip)  # which take no memory


class Work:
    """The graph of a result, and what its tiles take."""

    def __init__(self, result: Lazy) -> None:
        self.result = result
        self.arrays: dict[str, Lazy] = {}
        self.tasks: dict[Any, Any] = {}
        self._collect(result)
        self.constant = {key: task for key, task in self.tasks.items() if isinstance(task, np.ndarray)}

    def _collect(self, one: Lazy) -> None:
        if one.name not in self.arrays:
            self.arrays[one.name] = one
            self.tasks.update(one.tasks)
            for other in one.sources:
                self._collect(other)

    def is_key(self, node: Any) -> bool:
        return type(node) is tuple and len(node) > 0 and type(node[0]) is str and node in self.tasks

    def _asked(self, node: Any, found: dict[Any, int]) -> None:
        """Bytes of all that a node needs."""
        if isinstance(node, list):
            for part in node:
                self._asked(part, found)
        elif self.is_key(node):
            if node not in found and node not in self.constant:
                one, task = self.arrays[node[0]], self.tasks[node]
                seen = type(task) is tuple and task[0] in VIEWS
                found[node] = 0 if seen else prod(c[p] for c, p in zip(one.chunks, node[1:], strict=True)) * one.dtype.itemsize
                self._asked(task, found)
        elif type(node) is tuple and node and callable(node[0]):
            found[id(node)] = self._scratch(node)
            for part in node[1:]:
                self._asked(part, found)

    def _scratch(self, node: tuple[Any, ...]) -> int:
        """What a task holds beside its result where that is no chunk of its own, and the scratch of its kernel."""
        function, *arguments = node
        if function in (tasks.run, tasks.run_joined):
            name, row, problem, _ = arguments[0].value
            plan = plan_for(Subject(name), devices.device("cpu"), problem, None, row)
            together = self._joined(*arguments[1:3]) if function is tasks.run_joined else 0
            return plan.kernel.workspace(problem, plan.machine) + together
        if function is read:
            array, along = arguments[0].value
            return prod(sum(b - a for a, b in axis) for axis in along) * np.dtype(getattr(array.value, "dtype", np.float64)).itemsize
        return self._joined(*arguments) if function is joined else 0

    def _joined(self, blocks: list[Any], cuts: Any) -> int:
        return prod(sum(b - a for a, b in axis) for axis in cuts.value) * self.arrays[blocks[0][0]].dtype.itemsize

    def peak(self) -> int:
        """Bytes that the dearest of a few tiles takes: everything that it needs at once."""
        counts = [len(c) for c in self.result.chunks]
        places = product(*({0, n // 2, n - 1} for n in counts))
        return max(self._of(place) for place in places)

    def _of(self, place: Ints) -> int:
        found: dict[Any, int] = {}
        self._asked((self.result.name, *place), found)
        return sum(found.values())


class Kept:
    """Chunks on the way to several tiles, the last ones used, up to so many bytes."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0
        self._found: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
            return self._found.get(key)

    def put(self, key: Any, value: Any) -> None:
        with self._lock:
            if value.nbytes > self.limit or key in self._found:
                return
            self._found[key] = value
            self.held += value.nbytes
            while self.held > self.limit:
                self.held -= self._found.popitem(last=False)[1].nbytes


def computed(work: Work, kept: Kept, node: Any, last: bool = False) -> Any:
    """The value of a node of the graph; `last`: nobody else asks for it."""
    if isinstance(node, list):
        return [computed(work, kept, part) for part in node]
    if work.is_key(node):
        value = kept.get(node)
        if value is None:
            value = computed(work, kept, work.tasks[node])
            if not last and node not in work.constant:
                kept.put(node, value)
        return value
    if type(node) is tuple and node and callable(node[0]):
        function, *arguments = node
        return function(*(computed(work, kept, a) for a in arguments))
    return node
