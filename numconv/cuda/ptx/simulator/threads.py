"""The threads of a simulated block, by turns: one runs at a time, from barrier to barrier, and hands on to the next itself.

The simulator's own are polled by a thread that holds the interpreter meanwhile, 5 ms at a time; and there a block waits for ever for a
thread that waits elsewhere.  Blocks whose index is odd begin with their last thread, so that a missing barrier shows in one order or in
the other.
"""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
from numba.cuda.simulator import kernel
from numba.cuda.simulator.kernel import BlockThread
from numba.cuda.simulator.kernelapi import Dim3


class _Abort(BaseException):
    """Unwinds the threads of a block in which one has failed."""


class _Barrier:
    """Of a block or a warp: how many of its threads have not returned, who waits, and what they deposit."""

    def __init__(self, size):
        self.size = size
        self.waiting = []
        self.slots = [None] * size

    def opened(self):
        """Everybody who waits, when nobody is missing."""
        if len(self.waiting) < self.size:
            return []
        found, self.waiting = self.waiting, []
        return found


def _closed():
    """A lock that the first to come waits for."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class _ThreadBlock:
    def __init__(self, size):
        self.barrier = _Barrier(size)
        self.warps = [_Barrier(min(32, size - first)) for first in range(0, size, 32)]
        self.ready = deque()
        self.asleep = {}  # a dict for its order
        self.running = None
        self.error = None
        self.finished = _closed()

    def fail(self, error):
        """From now on those who sleep are only woken to unwind."""
        self.error = error
        self.ready = deque(self.asleep)

    def _anybody(self):
        if not self.ready and self.asleep:
            self.fail(RuntimeError(f"{len(self.asleep)} threads of a block wait for others that have returned or wait elsewhere"))
        return bool(self.ready)

    def drive(self):
        """Run whoever is ready in this thread of the system, until the next is one who sleeps in another, or all have returned."""
        while self._anybody():
            thread = self.ready.popleft()
            if thread in self.asleep:
                thread.turn.release()
                return
            self.running = thread
            thread.run()
        self.finished.release()

    def hand_on(self):
        """Before falling asleep."""
        if self._anybody() and self.ready[0] in self.asleep:
            self.ready.popleft().turn.release()
        else:
            (_idle.pop() if _idle else _Worker()).take(self)


class SimulatedThread:
    """One CUDA thread, under the names that the simulator looks for."""

    def __init__(self, function, block, manager, block_index, thread_index):
        self.blockIdx, self.threadIdx, size = Dim3(*block_index), Dim3(*thread_index), Dim3(*manager._block_dim)
        self.thread_id = self.threadIdx.x + size.x * (self.threadIdx.y + size.y * self.threadIdx.z)
        self.block, self.warp, self.copies = block, block.warps[self.thread_id // 32], ([], [])
        self.turn = _closed()
        self._function, self._manager = function, manager

    def run(self):
        block = self.block
        try:
            # a GPU's integers wrap and its floats overflow without a word
            with np.errstate(all="ignore", divide="raise" if self._manager._debug else "ignore"):
                self._function()
        except _Abort:
            return
        except Exception as error:
            where = f"tid={list(self.threadIdx)} ctaid={list(self.blockIdx)}"
            message = f"{where}: {error}" if str(error) else where
            block.fail(type(error)(message).with_traceback(error.__traceback__))
            return
        for barrier in (self.warp, block.barrier):
            barrier.size -= 1
            block.ready.extend(barrier.opened() if barrier.size else [])

    def wait(self, barrier):
        block = self.block
        barrier.waiting.append(self)
        block.asleep[self] = None
        block.ready.extend(barrier.opened())
        block.hand_on()
        self.turn.acquire()
        del block.asleep[self]
        if block.error is not None:
            raise _Abort
        block.running = self

    def syncthreads(self):
        self.wait(self.block.barrier)

    syncthreads_count = BlockThread.syncthreads_count
    syncthreads_and = BlockThread.syncthreads_and
    syncthreads_or = BlockThread.syncthreads_or


class _Worker(threading.Thread):
    """A thread of the system, for CUDA threads that begin while another sleeps; kept for the next."""

    def __init__(self):
        super().__init__(daemon=True)
        self._work = _closed()
        self.start()

    def take(self, block):
        self._block = block
        self._work.release()

    def run(self):
        while True:
            self._work.acquire()
            self._block.drive()
            _idle.append(self)


_idle = []  # workers
_block = None  # the simulator runs one kernel at a time


def current_thread():
    return _block.running


def exchange(value, combine=list):
    """Every lane of a warp deposits a value; each gets what `combine` makes of all of them, once, and its lane."""
    thread = current_thread()
    warp, lane = thread.warp, thread.thread_id % 32
    warp.slots[lane] = value
    warp.found = None
    thread.wait(warp)
    if warp.found is None:
        warp.found = combine(warp.slots)
    found = warp.found
    thread.wait(warp)
    return found, lane


def run_block(manager, grid_point, *args):
    """In place of the simulator's `BlockManager.run`."""
    global _block
    kernel._get_kernel_context().shared._allocations.clear()  # a block finds nothing that another has left
    points = list(np.ndindex(*manager._block_dim))
    _block = block = _ThreadBlock(len(points))
    threads = [SimulatedThread(lambda: manager._f(*args), block, manager, grid_point, point) for point in points]
    block.ready.extend(reversed(threads) if sum(grid_point) % 2 else threads)
    block.drive()
    block.finished.acquire()
    if block.error is not None:
        raise block.error
