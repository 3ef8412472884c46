"""unfold (im2col) and fold (col2im), any rank, torch's layout.  Rows of the image are contiguous; each channel is one task."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ...kernel import Kernel, Machine
from ...problem import PatchProblem
from ..adapt.lowering import INEXACT, INTEGERS
from ..geometry.walk import end_inside, first_inside, shifts, walk_at, walk_of
from ..runtime.launch import kernel
from ..runtime.record import table
from ..simd.vector import get, pointer, put


@kernel
def gather_patches(x, y, walks, planes):
    """y[plane, (t, r, s), (u, p, q)] = x[plane, position under that tap], zero outside, flat.  Parallel over (plane (n, c), tap)."""
    first = walk_at(pointer(walks), 0)
    taps = first.t.taps * first.h.taps * first.w.taps
    for task in prange(planes * taps):
        walk, plane, zero = walk_at(pointer(walks), 0), task // taps, x.dtype.type(0)
        t, h, w = walk.t, walk.h, walk.w
        stride, outputs = w.stride, w.outputs
        at_t, at_h, at_w = shifts(walk, task - plane * taps)
        begin = min(first_inside(at_w, stride), outputs)
        end = max(begin, end_inside(at_w, stride, w.extent, outputs))
        for row in range(t.outputs * h.outputs):
            target = (task * t.outputs * h.outputs + row) * outputs
            u, p = row // h.outputs * t.stride + at_t, row % h.outputs * h.stride + at_h
            inside = u >= 0 and u < t.extent and p >= 0 and p < h.extent
            source = ((plane * t.extent + u) * h.extent + p) * w.extent + at_w
            first_read, end_read = (begin, end) if inside else (outputs, outputs)
            for q in range(first_read):
                put(y, target + q, zero)
            if stride == 1:
                for q in range(first_read, end_read):
                    put(y, target + q, get(x, source + q))
            else:
                for q in range(first_read, end_read):
                    put(y, target + q, get(x, source + q * stride))
            for q in range(end_read, outputs):
                put(y, target + q, zero)


@kernel
def add_patches(x, y, walks, planes):
    """y[plane, position under tap (t, r, s) at (u, p, q)] += x[plane, (t, r, s), (u, p, q)], flat; y is set here.

    Parallel over planes (n, c), whose writes are disjoint; taps ascending, so the order of every sum is fixed.
    """
    for plane in prange(planes):
        walk = walk_at(pointer(walks), 0)
        t, h, w, stride = walk.t, walk.h, walk.w, walk.w.stride
        taps, volume = t.taps * h.taps * w.taps, t.extent * h.extent * w.extent
        for i in range(volume):
            put(y, plane * volume + i, x.dtype.type(0))
        for tap in range(taps):
            at_t, at_h, at_w = shifts(walk, tap)
            begin, end = first_inside(at_w, stride), end_inside(at_w, stride, w.extent, w.outputs)
            for u in range(first_inside(at_t, t.stride), end_inside(at_t, t.stride, t.extent, t.outputs)):
                for p in range(first_inside(at_h, h.stride), end_inside(at_h, h.stride, h.extent, h.outputs)):
                    source = (((plane * taps + tap) * t.outputs + u) * h.outputs + p) * w.outputs
                    target = ((plane * t.extent + u * t.stride + at_t) * h.extent + p * h.stride + at_h) * w.extent + at_w
                    if stride == 1:
                        for q in range(begin, end):
                            put(y, target + q, get(y, target + q) + get(x, source + q))
                    else:
                        for q in range(begin, end):
                            put(y, target + q * stride, get(y, target + q * stride) + get(x, source + q))


def _run(problem: PatchProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    c = problem.conv
    if not out.size:
        return
    (x,) = arrays
    if not x.size:
        out[...] = 0
        return
    apply = add_patches if problem.direction == "fold" else gather_patches
    apply(x.reshape(-1), out.reshape(-1), table(walk_of(c)), c.batch * c.in_channels)


def _cost(problem: PatchProblem, machine: Machine) -> float:
    c = problem.conv
    moved = 2 * c.in_channels * c.taps * int(np.prod(c.outputs)) * np.dtype(problem.dtype).itemsize
    return machine.launch + moved / machine.bandwidth


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="patches",
        problem=PatchProblem,
        run=_run,
        cost=_cost,
        directions=frozenset({"unfold", "fold"}),
        dtypes=INTEGERS | INEXACT,
        summary="copies (or adds back) one row of a tap at a time; a task owns a channel",
    ),
)
