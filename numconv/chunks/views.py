"""What calls do to lazy arrays beside their kernels: casts, shapes, sums."""

from __future__ import annotations

import operator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..hosts import dtype_of
from .array import Chunks, Ints, Job, Lazy, chunk, derived, elementwise, gathered, only, recut, token


def cast(one: Lazy, dtype: str) -> Lazy:
    return elementwise("cast", one, dtype_of(dtype), _cast, dtype)


def conjugate(one: Lazy) -> Lazy:
    return elementwise("conjugate", one, one.dtype, np.conj)


def add(one: Lazy, other: Lazy) -> Lazy:
    """Of arrays with the same chunks; others are cut as the first is."""
    if one.chunks != other.chunks:
        other = recut(other, one.chunks)
    return derived("add", [one, other], None, one.chunks, one.dtype, lambda place: (operator.add, chunk(one, place), chunk(other, place)))


def divided(one: Lazy, divisor: float) -> Lazy:
    return elementwise(
        "divide", one, np.result_type(one.dtype, np.float32 if one.dtype == np.float32 else np.float64), operator.truediv, divisor
    )


def flip(one: Lazy) -> Lazy:
    counts = [len(c) for c in one.chunks]

    def task(place: Ints) -> Any:
        return (np.flip, chunk(one, tuple(n - 1 - p for n, p in zip(counts, place, strict=True))))

    return derived("flip", [one], None, tuple(c[::-1] for c in one.chunks), one.dtype, task)


def transpose(one: Lazy, axes: Ints) -> Lazy:
    def task(place: Ints) -> Any:
        source = [0] * len(axes)
        for p, axis in zip(place, axes, strict=True):
            source[axis] = p
        return (transposed, chunk(one, tuple(source)), Job(axes))

    return derived("transpose", [one], axes, tuple(one.chunks[a] for a in axes), one.dtype, task)


def _groups(before: Ints, after: Ints) -> list[tuple[list[int], list[int]]]:
    """Axes before and after that hold the same elements, the fewest together; axes of one element stand alone."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) or j < len(after):
        if i < len(before) and before[i] == 1 and not (j < len(after) and after[j] == 1):
            found.append(([i], []))
            i += 1
            continue
        if j < len(after) and after[j] == 1 and not (i < len(before) and before[i] == 1):
            found.append(([], [j]))
            j += 1
            continue
        old, new = [i], [j]
        left, right = before[i], after[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                old.append(i)
                left *= before[i]
                i += 1
            else:
                new.append(j)
                right *= after[j]
                j += 1
        found.append((old, new))
    return found


def _regrouped(one: Lazy, old: list[int], new: list[int], shape: Ints) -> tuple[Chunks, Chunks]:
    """Chunks before and after of a group of axes: the first axis keeps its cuts where they are cuts of both."""
    inner_old, inner_new = prod(one.shape[i] for i in old[1:]), prod(shape[j] for j in new[1:])
    lengths = one.chunks[old[0]] if old else (1,)
    if any(n * inner_old % inner_new for n in lengths):
        lengths = (sum(lengths),)
    first = tuple(n * inner_old // inner_new for n in lengths)
    before = (lengths, *((one.shape[i],) for i in old[1:])) if old else ()
    return before, (first, *((shape[j],) for j in new[1:])) if new else ()


def reshape(one: Lazy, shape: Ints) -> Lazy:
    """Of axes that become one, and of one that becomes several, only the first stays cut; the rest of the array as it is."""
    if shape == one.shape:
        return one
    groups = _groups(one.shape, shape) if 0 not in shape else [(list(range(one.ndim)), list(range(len(shape))))]
    cuts = [_regrouped(one, old, new, shape) for old, new in groups]
    chunks: Chunks = tuple(c for _, after in cuts for c in after)
    origin: list[int | None] = [None] * len(shape)  # the axis of `one` whose cuts each has
    for old, new in groups:
        if old and new:
            origin[new[0]] = old[0]
    if one.store is not None and all(len(old) < 2 and len(new) < 2 for old, new in groups):
        from .store import Seen

        return replace(one, name=f"{one.name}-{token(shape)}", chunks=chunks, store=Job(Seen(one.store.value, tuple(origin), one.ndim)))
    one = recut(one, tuple(c for before, _ in cuts for c in before))

    def task(place: Ints) -> Any:
        source = [0] * one.ndim
        for p, axis in zip(place, origin, strict=True):
            if axis is not None:
                source[axis] = p
        return (reshaped, chunk(one, tuple(source)), Job(tuple(c[p] for c, p in zip(chunks, place, strict=True))))

    return derived("reshape", [one], shape, chunks, one.dtype, task)


def broadcast(one: Lazy, shape: Ints) -> Lazy:
    one = gathered(one)
    return derived("broadcast", [one], shape, tuple((n,) for n in shape), one.dtype, lambda place: (_broadcast, only(one), Job(shape)))


def _cast(block: Any, dtype: str) -> Any:
    return block.astype(dtype_of(dtype))


def transposed(block: Any, axes: Job) -> Any:
    return block.transpose(axes.value)


def reshaped(block: Any, shape: Job) -> Any:
    return block.reshape(shape.value)


def _broadcast(block: Any, shape: Job) -> Any:
    return np.broadcast_to(block, shape.value)
