"""One loop over tasks for all kernels that have rooms, and how it is started.

    for each worker (in parallel)
        task = the pointers of this call, and the worker's own room
        for each number of its share of the tasks: body(task, number)

Shares are contiguous and fixed by the number of workers; no task writes what another one reads, so bits depend on none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from ..simd.vector import moved, pointer
from .launch import ParallelKernel, kernel
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


def over_tasks(name: str, body: Any) -> ParallelKernel:
    """The loop over `body(task, number)`, an `inlined` function (a closure may hold the numbers that are compiled in)."""

    def loop(x, weights, bias, y, scratch, offsets, tables, room_pitch, workers, tasks):  # type: ignore[no-untyped-def]
        for worker in prange(workers):
            room = moved(pointer(scratch), worker * room_pitch)
            task = Task(pointer(x), pointer(weights), pointer(bias), pointer(y), room, pointer(offsets), pointer(tables))
            for number in range(worker * tasks // workers, (worker + 1) * tasks // workers):
                body(task, number)

    loop.__name__ = name
    return kernel(loop)


@dataclass(frozen=True, eq=False)
class Work:
    """A plan as it is started: made once for a problem, a machine and a number of threads."""

    loop: ParallelKernel
    tables: np.ndarray  # int64: the plan's record first
    offsets: Any  # int32 or int64, where the kernel has some; else the tables again, or a tuple of arrays that a family reads
    tasks: int
    workers: int  # at most as many as tasks; 1: in the calling thread
    room_pitch: int  # elements of scratch from one worker to the next
    packed: int = 0  # elements of the weights that are packed in the call, ahead of all tasks; 0: none are


def perform(
    work: Work, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, out: np.ndarray, pack: Callable[..., None] | None = None
) -> None:
    """Every task, into `out`.  `pack(w, packed)` is called where the plan has weights packed ahead of all tasks."""
    y = out.ravel()
    with borrow(work.workers * work.room_pitch + work.packed, out.dtype) as scratch:
        if work.packed and pack is not None:
            packed = scratch[work.workers * work.room_pitch :]
            pack(w, packed)
            w = packed
        (work.loop if work.workers > 1 else work.loop.serial)(
            x.ravel(),
            w.ravel(),
            y if bias is None else bias,
            y,
            scratch,
            work.offsets,
            work.tables,
            work.room_pitch,
            work.workers,
            work.tasks,
        )
