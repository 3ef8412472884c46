"""One loop over tasks for all kernels, and how it is started.

    for each worker (in parallel)
        task = the pointers of this call, and the worker's own room
        for each number of its share of the tasks: body(task, number)    or the share as one: body(task, number, end)

Shares are contiguous and fixed by the number of workers; no task writes what another one reads, so bits depend on none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter as clock
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from ..simd.vector import moved, pointer
from .launch import ParallelKernel, device_function, kernel, threads
from .pace import Pace, busy
from .workspace import borrow


class Task(NamedTuple):
    """What the tasks of a worker have in common.  In compiled code these are registers, not an object."""

    x: Any  # the source
    weights: Any  # packed or as given; of a weight gradient, the gradient of the result
    bias: Any  # where there is none, any pointer of the type
    y: Any  # the target
    room: Any  # this worker's scratch
    offsets: Any  # of terms in the source, 32 or 64 bits; or whatever else a family reads, a tuple perhaps
    tables: Any  # the plan and what belongs to it
    shared: Any  # scratch that all workers have in common


def over_shares(name: str, body: Any) -> ParallelKernel:
    """The loop over `body(task, number, end)`, the tasks `number` to `end`: for such that begin where the one before ends.

    `body`: an `inlined` function; a closure may hold the numbers that are compiled in.
    """

    def loop(x, weights, bias, y, scratch, offsets, tables, room_pitch, workers, tasks):  # type: ignore[no-untyped-def]
        for worker in prange(workers):
            room, shared = moved(pointer(scratch), worker * room_pitch), moved(pointer(scratch), workers * room_pitch)
            task = Task(pointer(x), pointer(weights), pointer(bias), pointer(y), room, pointer(offsets), pointer(tables), shared)
            body(task, worker * tasks // workers, (worker + 1) * tasks // workers)

    loop.__name__ = name
    return kernel(loop)


def over_tasks(name: str, body: Any, begin: Any = None) -> ParallelKernel:
    """The same over `body(task, number)`, one task at a time.  `begin(task)`: what a worker does first; the task that it goes on with.

    An `inlined` body hands that on to all that Numba compiles first from there: good for few calls (spread); of direct, whose callees stand
    in several places, it makes a third more instructions, so its body is a `device_function`, and so is the one here.
    """

    @device_function
    def share(task, number, end):  # type: ignore[no-untyped-def]
        for i in range(number, end):
            body(task, i)

    @device_function
    def prepared_share(task, number, end):  # type: ignore[no-untyped-def]
        share(begin(task), number, end)

    return over_shares(name, prepared_share if begin else share)


@dataclass(frozen=True, eq=False)
class Work:
    """A plan as it is started: made once for a problem, a machine and a number of threads."""

    loop: ParallelKernel
    tables: np.ndarray  # int64: the plan's record first
    offsets: Any  # int32 or int64, where the kernel has some; else the tables again, or a tuple of arrays that a family reads
    tasks: int
    workers: int  # at most as many as tasks; 1: in the calling thread
    room_pitch: int  # elements of scratch from one worker to the next; 0: the kernel has no rooms
    packed: int = 0  # elements of the weights that are packed in the call, ahead of all tasks; 0: none are
    shared: int = 0  # elements of the scratch that all workers have in common
    then: np.ndarray | None = None  # the tables of a second stage: the same tasks once more, after all of the first

    pace: Pace = field(default_factory=Pace, init=False)

    def start(self, *args: Any) -> None:
        number = threads() if self.workers > 1 else 1
        if number == 1:
            self.loop.serial(*args)
            return
        alone = busy() or self.pace.doubtful()
        began = clock()
        self.loop.among(1 if alone else number, *args)
        self.pace.note(clock() - began, alone)

    @cached_property
    def rooms(self) -> int:
        """Elements of all workers' scratch."""
        return self.workers * self.room_pitch + self.shared

    @cached_property
    def rest(self) -> tuple[Any, ...]:
        """The arguments that are the same at every call."""
        return self.offsets, self.tables, self.room_pitch, self.workers, self.tasks

    @cached_property
    def rest_then(self) -> tuple[Any, ...]:
        """… and those of the second stage."""
        return self.offsets, self.then, self.room_pitch, self.workers, self.tasks


def perform(
    work: Work, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, out: np.ndarray, pack: Callable[..., None] | None = None
) -> None:
    """Every task, into `out`.  `pack(w, packed)` is called where the plan has weights packed ahead of all tasks."""
    y = out.ravel()
    bias = y if bias is None else bias
    if not (work.rooms or work.packed):
        work.start(x.ravel(), w.ravel(), bias, y, y, *work.rest)
        return
    with borrow(work.rooms + work.packed, out.dtype) as scratch:
        if work.packed and pack is not None:
            packed = scratch[work.rooms :]
            pack(w, packed)
            w = packed
        work.start(x.ravel(), w.ravel(), bias, y, scratch, *work.rest)
        if work.then is not None:
            work.start(x.ravel(), w.ravel(), bias, y, scratch, *work.rest_then)
