"""The lazy array: a graph of tasks, and the lengths of its chunks.

A task is a tuple, a function and its arguments; an argument that is a key of the graph stands for that chunk, also within lists.  That is
dask's own form, so that an array of dask's becomes one of these, and back, by its graph alone.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, product
from math import prod
from typing import Any

import numpy as np

from ..hosts import Refusal, dtype_of

Ints = tuple[int, ...]
Chunks = tuple[Ints, ...]  # of each axis the lengths of its chunks
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
        return (_transposed, chunk(one, tuple(source)), Job(axes))

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
        return (_reshaped, chunk(one, tuple(source)), Job(tuple(c[p] for c, p in zip(chunks, place, strict=True))))

    return derived("reshape", [one], shape, chunks, one.dtype, task)


def broadcast(one: Lazy, shape: Ints) -> Lazy:
    one = gathered(one)
    return derived("broadcast", [one], shape, tuple((n,) for n in shape), one.dtype, lambda place: (_broadcast, only(one), Job(shape)))


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
    low = int(np.searchsorted(starts, first, "right")) - 1
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
    bounds: tuple[tuple[tuple[int, int], ...], ...] = cuts.value
    counts = [len(axis) for axis in bounds]
    places = list(product(*map(range, counts)))
    if len(places) == 1:
        return blocks[0][tuple(slice(*axis[0]) for axis in bounds)]
    lengths = [[b - a for a, b in axis] for axis in bounds]
    starts = [(0, *accumulate(axis)) for axis in lengths]
    out = np.empty([s[-1] for s in starts], blocks[0].dtype) if isinstance(blocks[0], np.ndarray) else None
    if out is None:
        raise Refusal("has chunks on a GPU that other chunks would have to be joined to, which is not served yet")
    for place, block in zip(places, blocks, strict=True):
        target = tuple(slice(s[p], s[p + 1]) for s, p in zip(starts, place, strict=True))
        out[target] = block[tuple(slice(*axis[p]) for axis, p in zip(bounds, place, strict=True))]
    return out


def _cast(block: Any, dtype: str) -> Any:
    return block.astype(dtype_of(dtype))


def _transposed(block: Any, axes: Job) -> Any:
    return block.transpose(axes.value)


def _reshaped(block: Any, shape: Job) -> Any:
    return block.reshape(shape.value)


def _broadcast(block: Any, shape: Job) -> Any:
    return np.broadcast_to(block, shape.value)
