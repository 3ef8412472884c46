"""The lazy array: a graph of tasks, and the lengths of its chunks.

A task is a tuple, a function and its arguments; an argument that is a key of the graph stands for that chunk, also within lists.  That is
dask's own form, so that an array of dask's becomes one of these, and back, by its graph alone.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, product
from math import prod
from typing import Any

import numpy as np

from ..cpu.runtime.workspace import borrow

Ints = tuple[int, ...]
Chunks = tuple[Ints, ...]  # of each axis the lengths of its chunks
Bounds = tuple[tuple[tuple[int, int], ...], ...]  # of each axis the parts of its chunks that are joined: from, to
Key = tuple[Any, ...]  # (name, number of the chunk along each axis)


class Job:
    """What a task knows beside its arrays: no key of a graph, whatever it looks like."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, eq=False)
class Lazy:
    """An array that is not there yet."""

    name: str
    chunks: Chunks
    dtype: np.dtype[Any]
    tasks: dict[Key, Any]  # of its own chunks
    sources: tuple[Any, ...] = ()  # whose chunks those tasks ask for: arrays of this kind, or dask's
    inner: str = "cpu"  # the device of its chunks
    store: Any = None  # a Job of what its pieces are read from, in place of tasks

    @cached_property
    def shape(self) -> Ints:
        return tuple(map(sum, self.chunks))

    @property
    def ndim(self) -> int:
        return len(self.chunks)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @cached_property
    def starts(self) -> Chunks:
        """Of each axis where its chunks begin, and the end."""
        return tuple((0, *accumulate(lengths)) for lengths in self.chunks)

    def keys(self) -> Iterator[Key]:
        return ((self.name, *place) for place in product(*(range(len(c)) for c in self.chunks)))


def token(*parts: Any) -> str:
    """A name for what follows from these: the same on every run."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = (
            np.ascontiguousarray(part).view(np.uint8).data
            if isinstance(part, np.ndarray) and part.dtype.kind != "O"
            else repr(part).encode()
        )
        digest.update(data)
        digest.update(b"\0")
    return digest.hexdigest()


def whole(array: np.ndarray[Any, Any]) -> Lazy:
    """An array of the host's as one chunk."""
    name = f"numconv-array-{token(array.shape, array.dtype, array)}"
    return Lazy(name, tuple((n,) for n in array.shape), array.dtype, {(name, *(0,) * array.ndim): array})


def derived(operation: str, sources: Sequence[Lazy], parameters: Any, chunks: Chunks, dtype: Any, task: Callable[[Ints], Any]) -> Lazy:
    """The array whose chunk at each place is the result of `task(place)`."""
    name = f"numconv-{operation}-{token(operation, parameters, *(s.name for s in sources))}"
    tasks = {(name, *place): task(place) for place in product(*(range(len(c)) for c in chunks))}
    inner = next((s.inner for s in sources if s.inner != "cpu"), "cpu")
    return Lazy(name, chunks, np.dtype(dtype), tasks, tuple(sources), inner)


def chunk(one: Lazy, place: Ints) -> Any:
    """A chunk as an argument of a task."""
    if one.store is None:
        return (one.name, *place)
    return pieces(one, [[(p, 0, c[p])] for p, c in zip(place, one.chunks, strict=True)])


def elementwise(operation: str, one: Lazy, dtype: Any, function: Callable[..., Any], *arguments: Any) -> Lazy:
    """`function(chunk, *arguments)` of every chunk."""
    return derived(operation, [one], arguments, one.chunks, dtype, lambda place: (function, chunk(one, place), *arguments))


def only(one: Lazy) -> Any:
    """An array of one chunk as an argument of a task."""
    return chunk(one, (0,) * one.ndim)


def gathered(one: Lazy) -> Lazy:
    """As one chunk."""
    return recut(one, tuple((n,) for n in one.shape))


def recut(one: Lazy, chunks: Chunks) -> Lazy:
    """With other chunks of the same shape."""
    if chunks == one.chunks:
        return one
    starts = [(0, *accumulate(c)) for c in chunks]

    def task(place: Ints) -> Any:
        return pieces(one, [intervals(one.starts[i], s[p], s[p + 1]) for i, (p, s) in enumerate(zip(place, starts, strict=True))])

    return derived("recut", [one], chunks, chunks, one.dtype, task)


def intervals(starts: Ints, first: int, end: int) -> list[tuple[int, int, int]]:
    """The chunks that first … end lies in: (number, from, to) within each.  An empty interval lies in the first."""
    found = []
    low = bisect_right(starts, first) - 1
    for number in range(max(0, low), len(starts) - 1):
        if starts[number] >= end:
            break
        a, b = max(first, starts[number]) - starts[number], min(end, starts[number + 1]) - starts[number]
        if a < b:
            found.append((number, a, b))
    return found or [(0, 0, 0)]


def pieces(one: Lazy, along: Sequence[Sequence[tuple[int, int, int]]]) -> Any:
    """The task that joins, of each axis, these pieces of chunks."""
    if one.store is not None:
        from .store import read

        bounds = tuple(_merged([(s[n] + a, s[n] + b) for n, a, b in axis]) for s, axis in zip(one.starts, along, strict=True))
        return (read, Job((one.store, bounds)))
    numbers = [[n for n, _, _ in axis] for axis in along]
    keys = [(one.name, *place) for place in product(*numbers)]
    if len(keys) == 1 and all((a, b) == (0, one.chunks[i][n]) for i, axis in enumerate(along) for n, a, b in axis):
        return keys[0]  # the chunk as it is
    return (joined, keys, Job(tuple(tuple((a, b) for _, a, b in axis) for axis in along)))


def _merged(bounds: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Neighbours as one."""
    found = bounds[:1]
    for a, b in bounds[1:]:
        if found[-1][1] == a:
            found[-1] = (found[-1][0], b)
        else:
            found.append((a, b))
    return tuple(found)


def joined(blocks: list[Any], cuts: Job) -> Any:
    """Of blocks in the order of their places, what lies between those bounds, as one array."""
    bounds: Bounds = cuts.value
    if len(blocks) == 1:
        return blocks[0][tuple(slice(*axis[0]) for axis in bounds)]
    if not isinstance(blocks[0], np.ndarray):  # CuPy's, whose own concatenation NumPy's is
        return _concatenated(blocks, [len(axis) for axis in bounds], bounds)
    return _into(np.empty(_extents(bounds), blocks[0].dtype), blocks, bounds)


@contextmanager
def in_scratch(blocks: list[Any], cuts: Job) -> Iterator[Any]:
    """The same row after row, in memory that the thread keeps: pages touched for the first time take longer than what is copied."""
    bounds: Bounds = cuts.value
    shape, one = _extents(bounds), blocks[0]
    if not isinstance(one, np.ndarray) or (len(blocks) == 1 and joined(blocks, cuts).flags.c_contiguous):
        yield joined(blocks, cuts)
        return
    with borrow(prod(shape), one.dtype) as scratch:
        yield _into(scratch.reshape(shape), blocks, bounds)


def between(blocks: list[Any], cuts: Job, first: int, end: int) -> tuple[list[Any], Job]:
    """Of what would be joined the part from `first` to `end` on the first axis: its blocks and bounds."""
    bounds: Bounds = cuts.value
    inner, start, along, found = len(blocks) // len(bounds[0]), 0, [], []
    for number, (a, b) in enumerate(bounds[0]):
        low, high = max(first - start, 0), min(end - start, b - a)
        if low < high:
            along.append((a + low, a + high))
            found += blocks[number * inner : (number + 1) * inner]
        start += b - a
    return found, Job((tuple(along), *bounds[1:]))


def _extents(bounds: Bounds) -> list[int]:
    return [sum(b - a for a, b in axis) for axis in bounds]


def _into(out: Any, blocks: list[Any], bounds: Bounds) -> Any:
    starts = [(0, *accumulate(b - a for a, b in axis)) for axis in bounds]
    for place, block in zip(product(*(range(len(axis)) for axis in bounds)), blocks, strict=True):
        target = tuple(slice(s[p], s[p + 1]) for s, p in zip(starts, place, strict=True))
        out[target] = block[tuple(slice(*axis[p]) for axis, p in zip(bounds, place, strict=True))]
    return out


def _concatenated(blocks: list[Any], counts: list[int], bounds: Any) -> Any:
    """Axis by axis, from the last."""
    found = [
        block[tuple(slice(*axis[p]) for axis, p in zip(bounds, place, strict=True))]
        for place, block in zip(product(*map(range, counts)), blocks, strict=True)
    ]
    for axis in reversed(range(len(counts))):
        n = counts[axis]
        found = [found[i] if n == 1 else np.concatenate(found[i : i + n], axis=axis) for i in range(0, len(found), n)]
    return found[0]
