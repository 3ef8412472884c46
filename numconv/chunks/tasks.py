"""What a worker runs for a chunk: one kernel, in the worker's own thread and without the GIL."""

from __future__ import annotations

import threading
from typing import Any

import numba
import numpy as np

from .. import devices, hosts
from ..arguments.values import Subject
from ..planning import plan_for
from ..session import launch
from .array import Job


class _Share(threading.local):
    """How many threads a task's kernel has.  One: the scheduler has given every core a task of its own."""

    threads: int = 1


share = _Share()


def run(job: Job, *arrays: Any) -> Any:
    """(function, row, problem) on a chunk's arrays."""
    name, row, problem = job.value
    device = devices.device(devices.kind(arrays[0]))
    plan = plan_for(Subject(name), device, problem, None, row)
    given = tuple(None if a is None else _in(device, a, problem.dtype) if i < 2 else a for i, a in enumerate(arrays))
    if device.name != "cpu":
        return launch(name, device, plan, given, None)
    threads = numba.get_num_threads()
    numba.set_num_threads(share.threads)  # of this thread's calls
    try:
        return launch(name, device, plan, given, None)
    finally:
        numba.set_num_threads(threads)


def _in(device: Any, array: Any, dtype: str) -> Any:
    return array if array.dtype == hosts.dtype_of(dtype) else device.cast(array, dtype)


def taken(block: Any, job: Job) -> Any:
    """Of each of those axes the samples at those places."""
    for axis, places in job.value:
        block = np.take(block, places, axis)
    return block
