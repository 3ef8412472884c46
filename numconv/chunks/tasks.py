"""What a worker runs for a chunk: one kernel, in the worker's own thread and without the GIL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np

from .. import devices, hosts
from ..arguments.values import Subject
from ..cpu.runtime.cores import usable_cores
from ..planning import plan_for
from ..session import launch
from .array import Job, in_scratch, joined


class _Share(threading.local):
    """How many threads a task's kernel has; 0: those of the cores that fall to each task of its graph, as a scheduler runs them."""

    threads: int = 0


share = _Share()


def run(job: Job, *arrays: Any) -> Any:
    """(function, row, problem, number of such tasks) on a chunk's arrays."""
    name, row, problem, tasks = job.value
    device = devices.device(devices.kind(arrays[0]))
    plan = plan_for(Subject(name), device, problem, None, row)
    natives = [None if a is None else _native(device, a) for a in arrays]
    given = tuple(None if a is None else _in(device, a, problem.dtype) if i < 2 else a for i, a in enumerate(natives))
    if device.name != "cpu":
        return device.release(launch(name, device, plan, given, None), arrays[0])
    with alone(tasks):
        return launch(name, device, plan, given, None)


def of(job: Job, source: Any, *others: Any) -> tuple[Any, ...]:
    """The task that runs it on a source, which may be the task that joins some chunks, and other arrays."""
    if type(source) is tuple and source[0] is joined:
        return (run_joined, job, *source[1:], *others)
    return (run, job, source, *others)


def run_joined(job: Job, blocks: list[Any], cuts: Job, *others: Any) -> Any:
    with in_scratch(blocks, cuts) as source:
        return run(job, source, *others)


@contextmanager
def alone(tasks: int) -> Iterator[None]:
    """Within it the kernels of this thread have the threads of one of so many tasks."""
    threads = numba.get_num_threads()
    numba.set_num_threads(min(threads, share.threads or max(1, usable_cores() // tasks)))
    try:
        yield
    finally:
        numba.set_num_threads(threads)


def _native(device: Any, array: Any) -> Any:
    """Of a GPU, weights that came from the host go there."""
    return device.upload(array) if device.name != "cpu" and isinstance(array, np.ndarray) else device.adopt(array)


def _in(device: Any, array: Any, dtype: str) -> Any:
    return array if array.dtype == hosts.dtype_of(dtype) else device.cast(array, dtype)


def taken(block: Any, job: Job) -> Any:
    """Of each of those axes the samples at those places."""
    for axis, places in job.value:
        block = np.take(block, places, axis)
    return block
