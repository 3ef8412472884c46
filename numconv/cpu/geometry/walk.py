"""For kernels that walk the defining sum: any rank as three axes, in a record, and the ranges of an axis that lie inside an image."""

from __future__ import annotations

from typing import NamedTuple

from ...problem import ConvProblem
from ..runtime.launch import device_function
from ..runtime.record import reader
from .axes import three


class WalkAxis(NamedTuple):
    """One of the axes t, h, w; an axis that the problem lacks has one of everything."""

    extent: int  # of the image
    taps: int
    stride: int
    low: int  # zeros before the image
    dilation: int
    outputs: int


class Walk(NamedTuple):
    """A convolution's sum: y[n, k, p] = Σ w[k, c, r]·x[n, c, p·stride − low + r·dilation]."""

    t: WalkAxis
    h: WalkAxis
    w: WalkAxis
    batch: int
    groups: int
    group_in: int  # channels of the image, of a group
    group_out: int
    activation: int  # its code


walk_at = reader(Walk)


def walk_of(problem: ConvProblem, activation: int = 0) -> Walk:
    c = problem
    extents, taps, outputs = three(c.spatial, 1), three(c.kernel, 1), three(c.outputs, 1)
    stride, low, dilation = three(c.stride, 1), three(c.pad_low, 0), three(c.dilation, 1)
    t, h, w = (WalkAxis(*values) for values in zip(extents, taps, stride, low, dilation, outputs, strict=True))
    return Walk(t, h, w, c.batch, c.groups, c.group_in, c.group_out, activation)


@device_function
def first_inside(shift, stride):
    """Least p ≥ 0 with p·stride + shift ≥ 0."""
    return 0 if shift >= 0 else (stride - 1 - shift) // stride


@device_function
def end_inside(shift, stride, extent, outputs):
    """One more than the largest p < outputs with p·stride + shift < extent; 0 where there is none."""
    last = extent - 1 - shift
    return 0 if last < 0 else min(outputs, last // stride + 1)


@device_function
def shifts(walk, tap):
    """Where a tap of a filter reads, on each axis, for output 0."""
    t, h, w = walk.t, walk.h, walk.w
    at_t, at_h, at_w = tap // (h.taps * w.taps), tap // w.taps % h.taps, tap % w.taps
    return at_t * t.dilation - t.low, at_h * h.dilation - h.low, at_w * w.dilation - w.low
