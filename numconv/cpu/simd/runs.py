"""Shuffles of runs of neighbouring lanes of two registers: every other run of both, or runs of the one and the other in turn.

The shape of `stepping(shape, run)` says how long they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from .emit import I32


def _shuffle(name: str, order: Callable[[int, int, int], list[int]]) -> Any:
    """An intrinsic (shape, a, b, part): the lanes order(lanes, run, part) of a‖b."""

    @intrinsic(prefer_literal=True)
    def shuffle(typingctx, shape, a, b, part):  # type: ignore[no-untyped-def]
        lanes = order(a.lanes, min(shape.vectors, a.lanes), part.literal_value)

        def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
            return builder.shuffle_vector(args[1], args[2], ir.Constant(ir.VectorType(I32, len(lanes)), lanes))

        return a(shape, a, b, part), codegen

    shuffle.__name__ = name
    return shuffle


#: every other run of a‖b, from the first (part 0) or the second (part 1)
split_runs = _shuffle("split_runs", lambda n, run, part: [lane for lane in range(2 * n) if lane // run % 2 == part])
#: runs of a and b in turn, of their low halves (part 0) or high halves (part 1)
join_runs = _shuffle(
    "join_runs",
    lambda n, run, part: [lane // (2 * run) * run + lane % run + lane // run % 2 * n for lane in range(part * n, (part + 1) * n)],
)
#: a‖b from its second run on
next_run = _shuffle("next_run", lambda n, run, part: list(range(run, run + n)))
