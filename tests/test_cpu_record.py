"""Plans as kernels read them: fields under the host's names, lists behind them, masks of lanes; and the loop that hands out tasks."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import pytest

from numconv.cpu.runtime import launch
from numconv.cpu.runtime.launch import inlined
from numconv.cpu.runtime.record import masks_at, reader, size_of, table
from numconv.cpu.runtime.tasks import Work, over_shares, over_tasks, perform
from numconv.cpu.simd.vector import get, moved, pointer, put


class Axis(NamedTuple):
    box: int
    step: int


class Plan(NamedTuple):
    groups: int
    h: Axis
    w: Axis
    masks_at: int


plan_at, axis_at, AXIS_SIZE = reader(Plan), reader(Axis), size_of(Axis)
PLAN = Plan(groups=3, h=Axis(box=8, step=1), w=Axis(box=-16, step=2), masks_at=size_of(Plan) + 2 * AXIS_SIZE)


def test_fields_and_lists() -> None:
    @numba.njit
    def read(numbers, found):  # type: ignore[no-untyped-def]
        tables = pointer(numbers)
        plan = plan_at(tables, 0)
        second = axis_at(tables, size + AXIS_SIZE)
        found[:] = (plan.groups, plan.h.box, plan.w.box, plan.w.step, second.box, second.step)

    size = size_of(Plan)
    found = np.zeros(6, np.int64)
    read(table(PLAN, [Axis(5, 6), Axis(7, True)]), found)
    assert size == 6
    assert found.tolist() == [3, 8, -16, 2, 7, 1]


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_masks_of_lanes(count: int) -> None:
    """Four to an integer; what follows them is where whole integers end."""

    @numba.njit
    def read(numbers, found):  # type: ignore[no-untyped-def]
        masks = masks_at(pointer(numbers), plan_at(pointer(numbers), 0).masks_at)
        for i in range(found.size):
            found[i] = get(masks, i)

    masks = np.arange(65535, 65535 - count, -1).astype(np.uint16)
    numbers, found = table(PLAN, [Axis(0, 0), Axis(0, 0)], masks, [11]), np.zeros(count, np.int64)
    read(numbers, found)
    assert found.tolist() == masks.tolist()
    assert numbers.dtype == np.int64
    assert numbers[-1] == 11


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("room_pitch", [0, 4])
@pytest.mark.parametrize("shares", [False, True])
def test_every_task_once(shares: bool, room_pitch: int, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time or a share at once, in rooms of the workers' own or without."""
    monkeypatch.setattr(launch, "keep", lambda dispatcher: dispatcher)  # a kernel is kept by what numconv's sources are, not this file's

    @inlined
    def body(task, number):  # type: ignore[no-untyped-def]
        put(task.y, number, get(task.y, number) + get(task.x, number) * get(task.weights, 0) + get(task.bias, 1))

    @inlined
    def share(task, number, end):  # type: ignore[no-untyped-def]
        for i in range(number, end):
            put(moved(task.y, i), 0, get(task.y, i) + get(task.x, i) * get(task.weights, 0) + get(task.bias, 1))

    loop = over_shares("shares", share) if shares else over_tasks("tasks", body)
    numbers = table(PLAN)
    work = Work(loop=loop, tables=numbers, offsets=numbers, tasks=7, workers=workers, room_pitch=room_pitch)
    x, y = np.arange(7.0, dtype="float32"), np.zeros(7, "float32")
    perform(work, x, np.full(1, 2.0, "float32"), np.array([0, 0.5], "float32"), y)
    assert y.tolist() == [2 * i + 0.5 for i in range(7)]
