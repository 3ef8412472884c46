"""The row `spread`, and how it is packed and run."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ....kernel import Kernel, Machine
from ....problem import ConvProblem
from ...runtime.launch import threads
from ...runtime.record import table
from ...runtime.tasks import Work, perform
from ...stages.filters import SMALL_PACK, packer
from .kernel import driver
from .plan import prepared, seconds

SMALL_WORK = 2e5  # multiply-adds; fewer are done in the calling thread


@lru_cache(maxsize=512)
def _work(problem: ConvProblem, machine: Machine, workers: int, given: bool) -> Work:
    p = prepared(problem, machine, workers, given)
    tasks = problem.batch * p.tasks
    return Work(
        loop=driver(*p.tile),
        tables=p.numbers,
        offsets=p.offsets,
        tasks=tasks,
        workers=min(workers, tasks) if problem.multiplications > SMALL_WORK else 1,
        room_pitch=p.room,
        packed=p.packed if given and not p.plan.packs else 0,
    )


def _pack(problem: ConvProblem, w: np.ndarray, machine: Machine, packed: np.ndarray) -> None:
    p = prepared(problem, machine, 1)
    loop, blocks = packer(*p.tile[1:3]), problem.groups * p.plan.filters.blocks
    parts = -(-2 * threads() // blocks)
    (loop if w.size > SMALL_PACK else loop.serial)(w.reshape(-1), packed, table(p.plan.filters), p.places, parts, parts * blocks)


def pack(problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
    packed = np.empty(prepared(problem, machine, 1).packed, w.dtype)
    _pack(problem, w, machine, packed)
    return packed


def run(problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
    x, w, bias = arrays
    work = _work(problem, machine, threads(), w.ndim > 1)
    perform(work, x, w, bias, out, lambda w, packed: _pack(problem, w, machine, packed))


def _workspace(problem: ConvProblem, machine: Machine) -> int:
    plans = [prepared(problem, machine, machine.cores, given) for given in (False, True)]
    elements = (machine.cores * p.room + p.packed * (given and not p.plan.packs) for p, given in zip(plans, (False, True), strict=True))
    return max(elements) * np.dtype(problem.dtype).itemsize


ROWS = (
    Kernel(
        name="spread",
        problem=ConvProblem,
        run=run,
        pack=pack,
        cost=seconds,
        workspace=_workspace,
        takes_plain=True,
        directions=frozenset({"forward", "input_grad"}),
        dtypes=frozenset({"float32", "float64", "int32", "int64"}),
        honours=frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
        summary="output channels in the lanes, input values spread over them: for narrow images and strides",
    ),
)
