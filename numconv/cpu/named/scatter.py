"""Transposed convolution by scatter-add: x[n, c, p·stride − low + r·dilation] += y[n, k, p]·w[k, c, r].

Parallel over the planes (n, c) of x, each of which one task owns: no atomics, and each sum has one order (k, then taps), whatever the
number of threads.  `gather` wins on every layer, so this is the definition and no more; 140 lines of SIMD reached half of its speed.
"""

from __future__ import annotations

from typing import Any

from numba import prange

from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from ..adapt.lowering import FLOATS, INTEGERS
from ..geometry.walk import end_inside, first_inside, shifts, walk_at, walk_of
from ..runtime.launch import kernel
from ..runtime.record import table
from ..simd.vector import get, pointer, put
from ..stages.finish import finish
from .cost import scatter_seconds, scatter_workspace


@kernel
def scatter_add(y, w, x, walks, planes):
    """All flat; every element of x is set here."""
    for plane in prange(planes):
        walk = walk_at(pointer(walks), 0)
        at_t, at_h, at_w = walk.t, walk.h, walk.w
        volume, positions = at_t.extent * at_h.extent * at_w.extent, at_t.outputs * at_h.outputs * at_w.outputs
        taps = at_t.taps * at_h.taps * at_w.taps
        c, group = plane % walk.group_in, plane // walk.group_in  # of all samples
        for i in range(volume):
            put(x, plane * volume + i, x.dtype.type(0))
        for k in range(walk.group_out):
            source = (group * walk.group_out + k) * positions
            filter_ = ((group % walk.groups * walk.group_out + k) * walk.group_in + c) * taps
            for tap in range(taps):
                factor = get(w, filter_ + tap)
                st, sh, sw = shifts(walk, tap)
                first, end = first_inside(sw, at_w.stride), end_inside(sw, at_w.stride, at_w.extent, at_w.outputs)
                for t in range(first_inside(st, at_t.stride), end_inside(st, at_t.stride, at_t.extent, at_t.outputs)):
                    for h in range(first_inside(sh, at_h.stride), end_inside(sh, at_h.stride, at_h.extent, at_h.outputs)):
                        row = source + (t * at_h.outputs + h) * at_w.outputs
                        to = plane * volume + ((t * at_t.stride + st) * at_h.extent + h * at_h.stride + sh) * at_w.extent + sw
                        for p in range(first, end):
                            put(x, to + p * at_w.stride, get(x, to + p * at_w.stride) + get(y, row + p) * factor)


def _run(c: ConvProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    if out.size:
        y, w = (a.reshape(-1).astype(out.dtype, copy=False) for a in arrays[:2])  # integers are summed in the result's type, and wrap
        scatter_add(y, w, out.reshape(-1), table(walk_of(c)), c.batch * c.in_channels)
        finish(c, out, arrays[2])


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="scatter",
        problem=ConvProblem,
        run=_run,
        cost=scatter_seconds,
        workspace=scatter_workspace,
        automatic=False,
        directions=frozenset({"input_grad"}),
        dtypes=FLOATS | INTEGERS,
        honours=frozenset({"groups", "activation", "precision"}),
        summary="adds each input's stamp into the output's planes",
    ),
)
