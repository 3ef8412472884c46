"""unfold (im2col) and fold (col2im), any rank, torch's layout.  Rows of the image are contiguous; each channel is one task."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ...kernel import Kernel, Machine
from ...problem import PatchProblem
from ..geometry.scalars import end_inside, first_inside, scalars
from ..runtime.launch import kernel
from ..simd.vector import get, put
from .shuffle import INEXACT, INTEGERS


@kernel
def gather_patches(x, y, geo, planes):
    """y[plane, (t, r, s), (u, p, q)] = x[plane, position under that tap], zero outside, flat.  Parallel over planes (n, c)."""
    t_in, h_in, w_in, kt, kh, kw, st, sh, sw, pt, ph, pw, dt, dh, dw, t_out, h_out, w_out = geo
    taps = kt * kh * kw
    columns = t_out * h_out * w_out
    zero = x.dtype.type(0)
    for task in prange(planes * taps):
        plane = task // taps
        tap = task - plane * taps
        at, ah, aw = (tap // (kh * kw)) * dt - pt, ((tap // kw) % kh) * dh - ph, (tap % kw) * dw - pw
        begin = min(first_inside(aw, sw), w_out)
        end = max(begin, end_inside(aw, sw, w_in, w_out))
        for u in range(t_out):
            for p in range(h_out):
                target = task * columns + (u * h_out + p) * w_out
                t, h = u * st + at, p * sh + ah
                if t < 0 or t >= t_in or h < 0 or h >= h_in:
                    for q in range(w_out):
                        put(y, target + q, zero)
                    continue
                source = ((plane * t_in + t) * h_in + h) * w_in + aw
                for q in range(begin):
                    put(y, target + q, zero)
                if sw == 1:
                    for q in range(begin, end):
                        put(y, target + q, get(x, source + q))
                else:
                    for q in range(begin, end):
                        put(y, target + q, get(x, source + q * sw))
                for q in range(end, w_out):
                    put(y, target + q, zero)


@kernel
def add_patches(x, y, geo, planes):
    """y[plane, position under tap (t, r, s) at (u, p, q)] += x[plane, (t, r, s), (u, p, q)], flat; y is set here.

    Parallel over planes (n, c), whose writes are disjoint; taps ascending, so the order of every sum is fixed.
    """
    t_in, h_in, w_in, kt, kh, kw, st, sh, sw, pt, ph, pw, dt, dh, dw, t_out, h_out, w_out = geo
    columns = t_out * h_out * w_out
    taps = kt * kh * kw
    zero = x.dtype.type(0)
    for plane in prange(planes):
        base = plane * t_in * h_in * w_in
        for i in range(t_in * h_in * w_in):
            put(y, base + i, zero)
        for tap in range(taps):
            at, ah, aw = (tap // (kh * kw)) * dt - pt, ((tap // kw) % kh) * dh - ph, (tap % kw) * dw - pw
            begin = first_inside(aw, sw)
            end = end_inside(aw, sw, w_in, w_out)
            for u in range(first_inside(at, st), end_inside(at, st, t_in, t_out)):
                for p in range(first_inside(ah, sh), end_inside(ah, sh, h_in, h_out)):
                    source = (plane * taps + tap) * columns + (u * h_out + p) * w_out
                    target = base + ((u * st + at) * h_in + p * sh + ah) * w_in + aw
                    if sw == 1:
                        for q in range(begin, end):
                            put(y, target + q, get(y, target + q) + get(x, source + q))
                    else:
                        for q in range(begin, end):
                            put(y, target + q * sw, get(y, target + q * sw) + get(x, source + q))


def _run(problem: PatchProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    c = problem.conv
    if not out.size:
        return
    (x,) = arrays
    if not x.size:
        out[...] = 0
        return
    apply = add_patches if problem.direction == "fold" else gather_patches
    apply(x.reshape(-1), out.reshape(-1), scalars(c), c.batch * c.in_channels)


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
