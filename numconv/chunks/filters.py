"""SciPy's filters of lazy arrays: of each chunk, joined with all that its sums reach, a kernel makes what is wanted."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments.filters import MODES, Chains, Wanted
from .array import Job, Lazy, between, derived, in_scratch, intervals, joined, pieces
from .cuts import Axis, Cut, forward
from .tasks import alone, taken

if TYPE_CHECKING:
    from ..ndimage.sums import Sums

ZEROS = ("constant", "grid-constant")
BAND = 1 << 20  # bytes of rows that are joined at a time: about half of a second cache
NEAR = frozenset({"symmetric", "reflect", "edge"})  # what lies beyond an edge is what lies near it, as far as that


def reach_of(chains: Chains, rank: int) -> list[tuple[int, int, str]]:
    """Of each axis how far the sums see to both sides, and the mode of its edges."""
    found = [(0, 0, "nearest")] * rank
    for one in (one for chain in chains for one in chain):
        for axis, extent, origin in zip(one.axes, one.extents, one.origins, strict=True):
            low, high, _ = found[axis]
            before = extent // 2 + origin
            found[axis] = (max(low, before), max(high, extent - 1 - before), one.mode)
    return found


def filtered(x: Lazy, name: str, sums: Sums, beyond: float, sideways: bool) -> Lazy:
    """`sideways`: the array is filtered as its transpose."""
    reach = reach_of(sums.chains, x.ndim)
    cuts = [
        [_cut(Axis(n, n, low + high + 1, 1, 1, low), first, end, mode) for first, end in pairwise(starts)]
        for n, starts, (low, high, mode) in zip(x.shape, x.starts, reach, strict=True)
    ]
    number = prod(len(axis) for axis in x.chunks)

    def task(place: tuple[int, ...]) -> Any:
        here = [axis[p] for axis, p in zip(cuts, place, strict=True)]
        block = pieces(x, [[piece for run in c.source for piece in intervals(s, *run)] for c, s in zip(here, x.starts, strict=True)])
        takes = tuple((i, c.take) for i, c in enumerate(here) if c.take is not None)
        wanted = tuple(Wanted(low - c.axis.low, c.target[1] - c.target[0]) for c, (low, _, _) in zip(here, reach, strict=True))
        job = Job((name, sums, beyond, sideways, wanted))
        if takes:
            return (_block, job, number, (taken, block, Job(takes)))
        if type(block) is tuple and block[0] is joined:
            return (_block, job, number, *block[1:])
        return (_block, job, number, block)

    return derived(name, [x], (sums, beyond, sideways), x.chunks, sums.result, task)


def _cut(axis: Axis, first: int, end: int, mode: str) -> Cut:
    """With what lies beyond an edge left to the kernel, where that follows from what the block has of the array."""
    if mode in ZEROS:
        return forward(axis, first, end, "zeros")
    found = forward(axis, first, end, "zeros")
    low, high = found.source[0]
    beyond = max(axis.low - first, end + axis.reach - axis.low - axis.image)
    near = beyond <= 0 or (MODES[mode] in NEAR and high - low > beyond)
    return found if near else forward(axis, first, end, MODES[mode])


def _block(job: Job, number: int, block: Any, cuts: Job | None = None) -> Any:
    """`cuts`: of blocks that are to be joined first, a band of rows after the other, while the caches hold it."""
    from ..ndimage.sums import filtered_block

    name, sums, beyond, sideways, wanted = job.value
    with alone(number):
        if cuts is None:
            return filtered_block(name, np.ascontiguousarray(block), sums, beyond, sideways, wanted)
        out = np.empty([axis.number for axis in wanted], sums.result)
        (low, high, _), *_ = reach_of(sums.chains, len(wanted))
        extents = [sum(b - a for a, b in axis) for axis in cuts.value]
        row = prod(extents[1:]) * block[0].dtype.itemsize
        rows, given = max(BAND // row, 2 * (low + high) + 1), wanted[0].first
        for first in range(0, len(out), rows):
            end = min(first + rows, len(out))
            if len(out) - end < rows // 2:  # no narrow rest
                end = len(out)
            begin = max(0, given + first - low)
            band = between(block, cuts, begin, min(extents[0], given + end + high))
            with in_scratch(*band) as found:
                here = (Wanted(given + first - begin, end - first), *wanted[1:])
                filtered_block(name, found, sums, beyond, sideways, here, out[first:end])
            if end == len(out):
                break
        return out
