"""SciPy's filters of lazy arrays: each chunk with all that its sums reach, filtered as an array of its own, and cut back."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np

from ..arguments.filters import MODES, Chains
from .array import Job, Lazy, derived, intervals, pieces
from .cuts import Axis, Cut, forward
from .tasks import alone, taken

ZEROS = ("constant", "grid-constant")


def reach_of(chains: Chains, rank: int) -> list[tuple[int, int, str]]:
    """Of each axis how far the sums see to both sides, and the mode of its edges."""
    found = [(0, 0, "nearest")] * rank
    for one in (one for chain in chains for one in chain):
        for axis, extent, origin in zip(one.axes, one.extents, one.origins, strict=True):
            low, high, _ = found[axis]
            before = extent // 2 + origin
            found[axis] = (max(low, before), max(high, extent - 1 - before), one.mode)
    return found


def filtered(x: Lazy, chains: Chains, beyond: float, result: Any, name: str, parameters: tuple[Any, ...]) -> Lazy:
    """`parameters`: all that `ndimage.sums.filtered_block` takes beside the block and the sums.

    A mode continues the array once for all sums in turn: along one axis it does what it does along the others.  That is so of zeros, too,
    but not of another number, which each sum would meet anew.
    """
    reach = reach_of(chains, x.ndim)
    cuts = [
        [
            forward(Axis(n, n, low + high + 1, 1, 1, low), first, end, "zeros" if mode in ZEROS else MODES[mode])
            for first, end in pairwise(starts)
        ]
        for n, starts, (low, high, mode) in zip(x.shape, x.starts, reach, strict=True)
    ]
    inner = tuple(tuple(one._replace(mode="nearest") for one in chain) for chain in chains)
    number = len(list(product(*x.chunks)))

    def task(place: tuple[int, ...]) -> Any:
        here = [axis[p] for axis, p in zip(cuts, place, strict=True)]
        block = pieces(x, [[piece for run in c.source for piece in intervals(s, *run)] for c, s in zip(here, x.starts, strict=True)])
        takes = tuple((i, c.take) for i, c in enumerate(here) if c.take is not None)
        pads = tuple(_missing(c, low, high) for c, (low, high, _) in zip(here, reach, strict=True))
        back = tuple(slice(low, low + c.target[1] - c.target[0]) for c, (low, _, _) in zip(here, reach, strict=True))
        return (_block, Job((name, inner, pads, beyond, back, parameters, number)), (taken, block, Job(takes)) if takes else block)

    return derived(name, [x], (chains, beyond, result, parameters), x.chunks, result, task)


def _missing(cut: Cut, low: int, high: int) -> tuple[int, int]:
    """Samples that lie beyond the edges and are a number."""
    given = len(cut.take) if cut.take is not None else cut.source[0][1] - cut.source[0][0]
    front = cut.axis.low if cut.take is None else 0
    return front, cut.target[1] - cut.target[0] + low + high - given - front


def _block(job: Job, block: Any) -> Any:
    from ..ndimage.sums import filtered_block

    name, chains, pads, beyond, back, parameters, number = job.value
    if any(map(any, pads)):
        block = np.pad(block, pads, constant_values=beyond)
    with alone(number):
        found = filtered_block(name, np.ascontiguousarray(block), chains, *parameters)
    return found[back]  # a view: whoever joins chunks copies them
