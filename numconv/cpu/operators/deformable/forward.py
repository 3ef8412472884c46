"""Deformable convolution: bilinear columns for a block of output positions, then a small matrix product while they are in the cache."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ....activations import ACTIVATIONS
from ....kernel import Kernel, Machine
from ....problem import ConvProblem, DeformProblem
from ...geometry.walk import Walk, shifts, walk_of
from ...runtime.launch import device_function, inlined, threads
from ...runtime.record import reader, table
from ...runtime.tasks import Work, over_tasks, perform
from ...runtime.workspace import spaced
from ...simd.vector import get, moved, put, zero_of
from ...stages.finish import activated

FILTERS_TOGETHER = 4  # filters whose sums a pass over the columns makes
POSITIONS_TOGETHER = 64  # output positions per task: with 64 channels and 3×3 taps the columns take 147 kB of the L2 cache


class Deformation(NamedTuple):
    """The record: the sum, and what moves its taps."""

    walk: Walk
    offset_groups: int  # groups of channels that share offsets
    has_bias: int  # 0 or 1


deformation_at = reader(Deformation)


@device_function
def inside(h, w, height, width):
    """Whether a real position sees any pixel; decided before the conversion to integers, which would be undefined far outside."""
    return h > -1 and w > -1 and h < height and w < width


@device_function
def corners(x, height, width, top, left):
    """The four pixels around a position in a plane, zero outside: above left, above right, below left, below right."""
    zero, at = zero_of(x), top * width + left
    a = get(x, at) if top >= 0 and left >= 0 else zero
    b = get(x, at + 1) if top >= 0 and left < width - 1 else zero
    c = get(x, at + width) if top < height - 1 and left >= 0 else zero
    d = get(x, at + width + 1) if top < height - 1 and left < width - 1 else zero
    return a, b, c, d


@device_function
def sample(x, height, width, h, w, scale):
    """A plane at the real position (h, w), zero outside, times `scale`; NaN at a position that is NaN."""
    if np.isnan(h) or np.isnan(w):
        return h + w
    if not inside(h, w, height, width):
        return zero_of(x)
    kind = type(h)
    top, left = int(np.floor(h)), int(np.floor(w))
    down, right = h - kind(top), w - kind(left)
    up, back = kind(1) - down, kind(1) - right
    a, b, c, d = corners(x, height, width, top, left)
    return scale * (up * (back * a + right * b) + down * (back * c + right * d))


@device_function
def position(walk, offset, tap, p):
    """The real position (h, w) that a tap reads for output p; `offset` points to the tap's plane of Δh, that of Δw follows."""
    _, at_h, at_w = shifts(walk, tap)
    i, plane = p // walk.w.outputs, walk.h.outputs * walk.w.outputs
    dh, dw = get(offset, p), get(offset, plane + p)
    kind = type(dh)
    return kind(i * walk.h.stride + at_h) + dh, kind((p - i * walk.w.outputs) * walk.w.stride + at_w) + dw


@device_function
def _sampled(walk, x, offset, mask, columns, start, count, offset_groups):
    """The columns of one sample for `count` outputs from `start` on; `mask`: None where there is none."""
    channels = walk.groups * walk.group_in
    share, taps, plane = channels // offset_groups, walk.h.taps * walk.w.taps, walk.h.outputs * walk.w.outputs
    height, width = walk.h.extent, walk.w.extent
    for row in range(offset_groups * taps):
        group, tap, shift = row // taps, row % taps, moved(offset, row * 2 * plane)
        for j in range(count):
            h, w = position(walk, shift, tap, start + j)
            scale = type(h)(1) if mask is None else get(mask, row * plane + start + j)
            for c in range(group * share, (group + 1) * share):
                put(columns, (c * taps + tap) * POSITIONS_TOGETHER + j, sample(moved(x, c * height * width), height, width, h, w, scale))


@device_function
def _multiply(w, columns, sums, y, terms, rows, plane, count):
    """y[k·plane + j] = Σ_t w[k·terms + t]·columns[t·POSITIONS_TOGETHER + j], t ascending, j < count, k < rows; four k at a time."""
    zero = zero_of(y)
    for k in range(0, rows, FILTERS_TOGETHER):
        for j in range(FILTERS_TOGETHER * POSITIONS_TOGETHER):
            put(sums, j, zero)
        each = min(FILTERS_TOGETHER, rows - k)
        # a missing row repeats the last one, and is not stored
        w0, w1 = moved(w, k * terms), moved(w, (k + min(1, each - 1)) * terms)
        w2, w3 = moved(w, (k + min(2, each - 1)) * terms), moved(w, (k + each - 1) * terms)
        for t in range(terms):
            a, b, c, d = get(w0, t), get(w1, t), get(w2, t), get(w3, t)
            for j in range(POSITIONS_TOGETHER):
                v = get(columns, t * POSITIONS_TOGETHER + j)
                put(sums, j, get(sums, j) + a * v)
                put(sums, POSITIONS_TOGETHER + j, get(sums, POSITIONS_TOGETHER + j) + b * v)
                put(sums, 2 * POSITIONS_TOGETHER + j, get(sums, 2 * POSITIONS_TOGETHER + j) + c * v)
                put(sums, 3 * POSITIONS_TOGETHER + j, get(sums, 3 * POSITIONS_TOGETHER + j) + d * v)
        for i in range(each):
            for j in range(count):
                put(y, (k + i) * plane + j, get(sums, i * POSITIONS_TOGETHER + j))


@device_function
def _finish(y, bias, has_bias, channels, plane, count, code):
    """y[k·plane + j] = activation(itself + bias[k]), k < channels, j < count."""
    for k in range(channels):
        for j in range(k * plane, k * plane + count):
            v = get(y, j)
            if has_bias:
                v += get(bias, k)
            if code:
                v = type(v)(activated(v, code))
            put(y, j, v)


@inlined
def _task(task, number):
    """One block of positions of one sample; the columns and sums lie in the room."""
    deformation = deformation_at(task.tables, 0)
    walk, offset_groups = deformation.walk, deformation.offset_groups
    channels, out_channels = walk.groups * walk.group_in, walk.groups * walk.group_out
    taps, plane = walk.h.taps * walk.w.taps, walk.h.outputs * walk.w.outputs
    blocks = (plane + POSITIONS_TOGETHER - 1) // POSITIONS_TOGETHER
    n, start = number // blocks, number % blocks * POSITIONS_TOGETHER
    count, terms, rows = min(POSITIONS_TOGETHER, plane - start), walk.group_in * taps, offset_groups * taps
    offset, mask = task.offsets
    image, shift = moved(task.x, n * channels * walk.h.extent * walk.w.extent), moved(offset, n * rows * 2 * plane)
    columns, y = task.room, moved(task.y, n * out_channels * plane + start)
    sums = moved(columns, channels * taps * POSITIONS_TOGETHER)
    _sampled(walk, image, shift, moved(mask, n * rows * plane), columns, start, count, offset_groups)
    for g in range(walk.groups):
        part = moved(columns, g * terms * POSITIONS_TOGETHER)
        _multiply(
            moved(task.weights, g * walk.group_out * terms),
            part,
            sums,
            moved(y, g * walk.group_out * plane),
            terms,
            walk.group_out,
            plane,
            count,
        )
    if deformation.has_bias or walk.activation:
        _finish(y, task.bias, deformation.has_bias, out_channels, plane, count, walk.activation)


deformed = over_tasks("deformed", _task)


def _room(c: ConvProblem) -> int:
    """Elements of a worker's columns and sums."""
    return POSITIONS_TOGETHER * (c.in_channels * c.taps + FILTERS_TOGETHER)


def _run(problem: DeformProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    x, offset, w, bias, mask = arrays
    c = problem.conv
    if not out.size:
        return
    walk = walk_of(c, ACTIVATIONS[c.activation])
    tasks = c.batch * -(-prod(c.outputs) // POSITIONS_TOGETHER)
    work = Work(
        loop=deformed,
        tables=table(Deformation(walk, problem.offset_groups, bias is not None)),
        offsets=(offset.reshape(-1), None if mask is None else mask.reshape(-1)),
        tasks=tasks,
        workers=min(threads(), tasks),
        room_pitch=spaced(_room(c), out.itemsize),
    )
    perform(work, x, w, bias, out)


def _refuse(problem: DeformProblem) -> str | None:
    c = problem.conv
    if c.rank != 2:
        return f"does not serve {c.rank} spatial dimensions"
    if c.layout != "channels_first" or c.padding_mode != "zeros" or c.shuffle != 1:
        return "serves channels first and zero padding only"
    return None


def _cost(problem: DeformProblem, machine: Machine) -> float:
    """Four gathers for each column entry, then the product at a quarter of the peak."""
    c = problem.conv
    columns = c.in_channels * c.taps * prod(c.outputs)
    return machine.launch + (5e-9 * columns + 8 * c.multiplications / max(c.batch, 1) / machine.flops) / machine.cores


def _workspace(problem: DeformProblem, machine: Machine) -> int:
    c = problem.conv
    return machine.cores * spaced(_room(c), np.dtype(problem.dtype).itemsize) * np.dtype(problem.dtype).itemsize


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="columns",
        problem=DeformProblem,
        run=_run,
        cost=_cost,
        refuse=_refuse,
        workspace=_workspace,
        error_factor=4.0,
        summary="bilinear columns of 64 output positions, multiplied while in the cache",
    ),
)
