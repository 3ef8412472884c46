"""The simulator's threads, by turns: barriers of blocks and warps, those that a thread never reaches, and missing ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import cuda

from numconv.cuda import ptx  # noqa: F401  (installs the repairs)
from numconv.cuda.ptx.simulator.threads import SimulatedThread


def test_block_barriers_order_writes_before_reads() -> None:
    @cuda.jit
    def reverse(array: Any) -> None:
        i, n = cuda.threadIdx.x, cuda.blockDim.x
        shared = cuda.shared.array(70, np.int32)
        for _ in range(3):
            shared[i] = array[cuda.blockIdx.x, i]
            cuda.syncthreads()
            array[cuda.blockIdx.x, i] = shared[n - 1 - i]
            cuda.syncthreads()

    array = cuda.to_device(np.arange(210, dtype=np.int32).reshape(3, 70))
    reverse[3, 70](array)
    np.testing.assert_array_equal(array.copy_to_host(), np.arange(210).reshape(3, 70)[:, ::-1])


@pytest.mark.parametrize("step", [1, -1])
def test_a_missing_barrier_shows_in_every_other_block(step: int) -> None:
    @cuda.jit
    def shift(array: Any, step: int) -> None:
        i = cuda.threadIdx.x
        shared = cuda.shared.array(10, np.float32)
        shared[i + 1] = i
        array[cuda.blockIdx.x, i] = shared[min(max(i + 1 + step, 1), 8)]

    array = cuda.to_device(np.zeros((4, 8), np.float32))
    shift[4, 8](array, step)
    assert np.isnan(array.copy_to_host()).any(axis=1).tolist() == [step > 0, step < 0] * 2


def test_threads_that_have_returned_are_not_waited_for() -> None:
    @cuda.jit
    def some(array: Any) -> None:
        i = cuda.threadIdx.x
        if i % 3 == 0:
            return
        cuda.syncthreads()
        array[i] = cuda.syncthreads_count(i % 2)
        cuda.syncwarp()

    array = cuda.to_device(np.zeros(40, np.int32))
    some[1, 40](array)
    wanted = [0 if i % 3 == 0 else sum(j % 2 for j in range(40) if j % 3) for i in range(40)]
    assert array.copy_to_host().tolist() == wanted


def test_threads_at_different_barriers_are_an_error_and_leave_nobody_asleep() -> None:
    @cuda.jit
    def apart(array: Any) -> None:
        if cuda.threadIdx.x < 3:
            cuda.syncthreads()
        else:
            cuda.syncwarp()
        array[0] = 1

    array = cuda.to_device(np.zeros(1, np.int32))
    with pytest.raises(RuntimeError, match="8 threads of a block wait"):
        apart[1, 8](array)
    assert array.copy_to_host()[0] == 0


def test_an_error_says_which_thread_and_ends_the_others() -> None:
    ended = []

    @cuda.jit
    def fails(array: Any) -> None:
        try:
            cuda.syncthreads()
            array[cuda.threadIdx.x] = 1
        finally:
            ended.append(int(cuda.threadIdx.x) if cuda.threadIdx.x == 5 else -1)

    with pytest.raises(IndexError, match=r"tid=\[4, 0, 0\] ctaid=\[0, 0, 0\]"):
        fails[1, 7](cuda.to_device(np.zeros(4, np.int32)))
    assert len(ended) == 7

    @cuda.jit
    def works(array: Any) -> None:
        cuda.syncthreads()
        array[cuda.threadIdx.x] = 1

    array = cuda.to_device(np.zeros(4, np.int32))
    works[1, 4](array)
    assert array.copy_to_host().all()


def test_it_answers_to_the_simulators_names() -> None:
    from numba.cuda.simulator.kernel import BlockThread

    asked = {name for name in vars(BlockThread) if name.startswith("syncthreads")}
    assert asked <= set(dir(SimulatedThread))
