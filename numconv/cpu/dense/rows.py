"""The rows `direct`, `gather` and `spread`, and how they are packed and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...hosts import dtype_of
from ...kernel import Kernel, Machine
from ...memory import kept
from ...problem import ConvProblem
from ..runtime.launch import threads
from ..runtime.tasks import Work, perform
from ..stages.filters import SMALL_PACK, packer
from ..stages.pack import SMALL_INTERLEAVE, interleaver
from .channels import choice as channels_choice
from .channels import kernel as channels_kernel
from .channels import plan as channels_plan
from .channels.layout import as_pixels
from .channels.terms import term_places
from .plan import SMALL_WORK, PreparedDense
from .positions import choice as positions_choice
from .positions import kernel as positions_kernel
from .positions import plan as positions_plan


@dataclass(frozen=True, eq=False)
class Order:
    """Positions or channels in the lanes: what differs, and what a row does with it."""

    prepared: Callable[..., PreparedDense]
    driver: Callable[..., Any]
    seconds: Callable[[ConvProblem, Machine], float]
    floor: Callable[[ConvProblem, Machine], float]
    fill: Callable[[ConvProblem, PreparedDense, np.ndarray, np.ndarray], None]  # weights as given into packed ones
    seen: Callable[[ConvProblem], ConvProblem]  # the same arrays as a problem that it does better

    def pack(self, problem: ConvProblem, w: np.ndarray, machine: Machine) -> np.ndarray:
        problem = self.seen(problem)
        p = self.prepared(problem, machine, 1)
        packed = np.zeros(p.packed, w.dtype)  # gaps too: a layer holds packings against each other
        self.fill(problem, p, w, packed)
        return packed

    def run(self, problem: ConvProblem, arrays: tuple[Any, ...], out: np.ndarray, machine: Machine) -> None:
        x, w, bias = arrays
        problem = self.seen(problem)
        workers, given = threads(), w.ndim > 1
        work = _work(self, problem, machine, workers, given)  # its plan packs as that of `pack` does: tiles know no workers
        perform(work, x, w, bias, out, lambda w, packed: self.fill(problem, self.prepared(problem, machine, workers, given), w, packed))

    def workspace(self, problem: ConvProblem, machine: Machine) -> int:
        most, problem = 0, self.seen(problem)
        for given in (False, True):
            p = self.prepared(problem, machine, machine.cores, given)
            elements, ahead = _workers(problem, p, machine.cores) * p.room, given and not p.plan.packs
            most = max(most, (elements + ahead * p.packed) * dtype_of(problem.dtype).itemsize + ahead * p.places * 8)
        return most

    def row(self, name: str, directions: set[str], honours: set[str], summary: str) -> Kernel:
        return Kernel(
            name=name,
            problem=ConvProblem,
            run=self.run,
            pack=self.pack,
            cost=lambda problem, machine: self.seconds(self.seen(problem), machine),
            floor=lambda problem, machine: self.floor(self.seen(problem), machine),
            workspace=self.workspace,
            takes_plain=True,
            directions=frozenset(directions),
            dtypes=frozenset({"float32", "float64", "int32", "int64"}),
            honours=frozenset({"groups", "activation", "shuffle", "precision", "pairs"} | honours),
            summary=summary,
        )


def _workers(problem: ConvProblem, p: PreparedDense, most: int) -> int:
    return min(most, problem.batch * p.tasks) if problem.multiplications > SMALL_WORK else 1


@kept
def _work(order: Order, problem: ConvProblem, machine: Machine, workers: int, given: bool) -> Work:
    p = order.prepared(problem, machine, workers, given)
    return Work(
        loop=order.driver(*p.tile),
        tables=p.numbers,
        offsets=p.numbers,  # the kernels note down their own
        tasks=problem.batch * p.tasks,
        workers=_workers(problem, p, workers),
        room_pitch=p.room,
        packed=p.packed if given and not p.plan.packs else 0,
    )


def _by_rows(problem: ConvProblem, p: PreparedDense, w: np.ndarray, packed: np.ndarray) -> None:
    rows, _, lanes, *_ = p.tile
    loop, blocks = interleaver(rows, lanes), -(-p.plan.filters.produced // rows)
    (loop if w.size > SMALL_INTERLEAVE else loop.serial)(w.reshape(-1), packed, p.filters, blocks, problem.groups * blocks)


def _by_columns(problem: ConvProblem, p: PreparedDense, w: np.ndarray, packed: np.ndarray) -> None:
    _, vectors, lanes, *_ = p.tile
    loop, blocks = packer(vectors, lanes), problem.groups * p.plan.filters.blocks
    parts, places = -(-2 * threads() // blocks), np.empty(p.places, np.int64)
    term_places.serial(p.numbers, places)
    (loop if w.size > SMALL_PACK else loop.serial)(w.reshape(-1), packed, p.filters, places, parts, parts * blocks)


IN_POSITIONS = Order(
    positions_plan.prepared, positions_kernel.driver, positions_plan.seconds, positions_choice.floor, _by_rows, lambda problem: problem
)
IN_CHANNELS = Order(channels_plan.prepared, channels_kernel.driver, channels_plan.seconds, channels_choice.floor, _by_columns, as_pixels)


ROWS = (
    IN_POSITIONS.row(
        "direct", {"forward"}, {"padding_mode"}, "offset-table convolution: register tiles over a polyphase copy of the input"
    ),
    IN_POSITIONS.row(
        "gather", {"input_grad"}, {"padding_mode"}, "stride phases: one stride-1 convolution per output phase, no zeros inserted"
    ),
    IN_CHANNELS.row(
        "spread",
        {"forward", "input_grad"},
        {"layout"},
        "output channels in the lanes, input values spread over them: for narrow images and strides",
    ),
)
