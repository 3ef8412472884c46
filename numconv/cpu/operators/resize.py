"""Nearest and (bi)linear resizing, torch.nn.functional.interpolate's meaning, ranks 1 to 3, both layouts.

Indices and weights are tables of one axis each, made on the host in float64; the image is (outer, T, H, W, inner), where inner is 1
channels first, and the channels channels last.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from ...kernel import Kernel, Machine
from ...problem import ResizeProblem
from ...sampling import linear, nearest
from ..adapt.lowering import ALL, COMPLEX, HALF, INEXACT
from ..geometry.axes import Three, three
from ..runtime.launch import inlined, kernel, threads
from ..runtime.record import reader, table
from ..runtime.tasks import Work, over_tasks, perform
from ..runtime.workspace import spaced
from ..simd.vector import get, pointer, put
from .shuffle import words

Array = np.ndarray[Any, Any]


class Image(NamedTuple):
    """What is read: extents of (outer, T, H, W, inner)."""

    outer: int  # samples and, channels first, channels
    t: int
    h: int
    w: int
    inner: int  # channels last: channels; else 1


image_at = reader(Image)


def _image(outer: int, extents: tuple[int, ...], inner: int) -> Image:
    t, h, w = extents
    return Image(outer, t, h, w, inner)


@kernel
def copy_nearest(x, y, ti, hi, wi, images):
    """y[a, t, h, w, b] = x[a, ti[t], hi[h], wi[w], b], flat arrays.  Parallel over the rows (a, t, h) of y."""
    t_out, h_out, w_out, outer = len(ti), len(hi), len(wi), image_at(pointer(images), 0).outer
    for task in prange(outer * t_out * h_out):
        image = image_at(pointer(images), 0)
        w_in, inner = image.w, image.inner
        a = task // (t_out * h_out)
        t = (task // h_out) % t_out
        h = task % h_out
        source = ((a * image.t + ti[t]) * image.h + hi[h]) * w_in * inner
        target = task * w_out * inner
        if inner == 1:
            for w in range(w_out):
                put(y, target + w, get(x, source + get(wi, w)))
        else:
            for w in range(w_out):
                row = source + wi[w] * inner
                for b in range(inner):
                    put(y, target + w * inner + b, get(x, row + b))


class Blend(NamedTuple):
    """The record: what is read, and the extents of what is made of it."""

    image: Image
    t: int
    h: int
    w: int


blend_at = reader(Blend)


@inlined
def _blend(task, number):
    """One row (a, t, h) of y, linear in T, H, W: of each axis indices i[0], i[1] and weights w[0], w[1], as `linear` gives them.

    The two or four rows of x are blended first, as contiguous rows, into one in the room; then that is blended along W.
    """
    blend = blend_at(task.tables, 0)
    image, t_out, h_out, w_out = blend.image, blend.t, blend.h, blend.w
    ti, tw, hi, hw, wi, ww = task.offsets
    inner, t_in, h_in = image.inner, image.t, image.h
    length = image.w * inner
    x, y, row = task.x, task.y, task.room
    a = number // (t_out * h_out)
    t = (number // h_out) % t_out
    h = number % h_out
    h0, h1 = get(hi, h) * length, get(hi, h_out + h) * length
    v0, v1 = get(hw, h), get(hw, h_out + h)
    plane = (a * t_in + get(ti, t)) * h_in * length
    if t_in == 1:
        for j in range(length):
            put(row, j, v0 * get(x, plane + h0 + j) + v1 * get(x, plane + h1 + j))
    else:
        other = (a * t_in + get(ti, t_out + t)) * h_in * length
        u0, u1 = get(tw, t), get(tw, t_out + t)
        for j in range(length):
            near = v0 * get(x, plane + h0 + j) + v1 * get(x, plane + h1 + j)
            far = v0 * get(x, other + h0 + j) + v1 * get(x, other + h1 + j)
            put(row, j, u0 * near + u1 * far)
    target = number * w_out * inner
    for w in range(w_out):
        left, right = get(wi, w) * inner, get(wi, w_out + w) * inner
        s0, s1 = get(ww, w), get(ww, w_out + w)
        if inner == 1:
            put(y, target + w, s0 * get(row, left) + s1 * get(row, right))
            continue
        for b in range(inner):
            put(y, target + w * inner + b, s0 * get(row, left + b) + s1 * get(row, right + b))


blend_linear = over_tasks("blend_linear", _blend)


def _part(index: Array, part: Any) -> Array:
    """Of a table of samples those that a part's outputs read, counted from the part's first."""
    if part is None:
        return index
    (first, end), (start, _) = part
    return index[..., first:end] - start


def _given(extents: Three, parts: tuple[Any, ...]) -> Three:
    return Three(*(i if p is None else p[1][1] - p[1][0] for i, p in zip(extents, parts, strict=True)))


def _run(problem: ResizeProblem, arrays: tuple[Any, ...], out: Any, machine: Machine) -> None:
    if not out.size:
        return
    extents, sizes = three(problem.spatial, 1), three(problem.size, 1)
    scales: tuple[float | None, ...] = problem.scale or (None,) * len(problem.size)
    scales = (None,) * (3 - len(scales)) + tuple(scales)
    parts = (None,) * (3 - len(problem.size)) + (problem.part or (None,) * len(problem.size))
    last = problem.layout == "channels_last"
    outer, inner = (problem.batch, problem.channels) if last else (problem.batch * problem.channels, 1)
    if problem.mode == "nearest":
        t, h, w = (_part(nearest(i, o, s), p) for i, o, s, p in zip(extents, sizes, scales, parts, strict=True))
        extents = _given(extents, parts)
        (x, count), (y, _) = words(arrays[0]), words(out)
        if count > 1 and inner == 1:  # complex128: two words to an element
            w = (w[:, None] * count + np.arange(count)).reshape(-1)
            extents = extents._replace(w=extents.w * count)
        else:
            inner *= count
        copy_nearest(x, y, t, h, w, table(_image(outer, extents, inner)))
        return
    if problem.dtype in HALF:  # no half numbers in kernels: blended in float32, rounded once
        wide = np.empty(out.shape, np.float32)
        _run(replace(problem, dtype="float32"), (arrays[0].astype(np.float32),), wide, machine)
        out[...] = wide
        return
    real = COMPLEX.get(problem.dtype, problem.dtype)
    weights = [linear(i, o, s, problem.align_corners, real) for i, o, s in zip(extents, sizes, scales, strict=True)]
    weights = [(_part(index, p), v if p is None else v[:, slice(*p[0])]) for (index, v), p in zip(weights, parts, strict=True)]
    extents, sizes = _given(extents, parts), Three(*(v.shape[1] for _, v in weights))
    image, tasks = _image(outer, extents, inner), outer * sizes.t * sizes.h
    work = Work(
        loop=blend_linear,
        tables=table(Blend(image, *sizes)),
        offsets=tuple(np.ascontiguousarray(part) for axis in weights for part in axis),
        tasks=tasks,
        workers=min(threads(), tasks),
        room_pitch=spaced(image.w * inner, out.itemsize),
    )
    perform(work, arrays[0], arrays[0], None, out)


def _refuse(problem: ResizeProblem) -> str | None:
    if problem.mode not in ("nearest", "bilinear"):
        return f"does not know mode={problem.mode!r}"
    if problem.mode == "bilinear" and problem.dtype not in HALF | INEXACT:
        return f"does not interpolate {problem.dtype}"
    return None


def _cost(problem: ResizeProblem, machine: Machine) -> float:
    size = 2 if problem.dtype == "bfloat16" else np.dtype(problem.dtype).itemsize
    moved = size * problem.channels * (prod(problem.spatial) + prod(problem.size))
    return machine.launch + moved / machine.bandwidth + 2e-9 * problem.channels * prod(problem.size) / machine.cores


def _workspace(problem: ResizeProblem, machine: Machine) -> int:
    """One blended row for each thread, the tables, and image and result in float32 where they are halves."""
    if problem.mode == "nearest":
        return 8 * sum(problem.size)
    inner = problem.channels if problem.layout == "channels_last" else 1
    half = problem.dtype in HALF
    size = 4 if half else np.dtype(problem.dtype).itemsize
    widened = size * problem.batch * problem.channels * (prod(problem.spatial) + prod(problem.size)) if half else 0
    return machine.cores * size * spaced(problem.spatial[-1] * inner, size) + 32 * sum(problem.size) + widened


ROWS: tuple[Kernel, ...] = (
    Kernel(
        name="interpolate",
        problem=ResizeProblem,
        run=_run,
        cost=_cost,
        dtypes=ALL,
        honours=frozenset({"layout"}),
        refuse=_refuse,
        workspace=_workspace,
        error_factor=2.0,
        summary="index and weight tables per axis; rows blended first, then columns",
    ),
)
