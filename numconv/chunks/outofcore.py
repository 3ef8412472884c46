"""`out_of_core`: an operator on data that no array holds, tile by tile, with a limit of memory and a journal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments.edge import edge
from ..arguments.values import Subject, flag, shown
from ..cpu.runtime.cores import usable_cores
from ..hosts import dtype_of
from ..version import __version__
from ..watching import is_operator
from . import tasks
from .array import Chunks, Ints, Lazy, token
from .graph import Kept, Work, computed
from .journal import Journal, beside
from .store import check_source, flush, opened_target
from .store import source as stored

SUBJECT = Subject("out_of_core")
WORKERS = 2  # tiles that are read or computed at once
HELD = WORKERS + 1  # tiles whose memory is taken: one is written meanwhile
MOST = 20_000  # tiles; more take longer to look after than to compute
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", re.IGNORECASE)


def _limit(value: Any) -> int:
    """Bytes."""
    if isinstance(value, str):
        found = SIZE.fullmatch(value)
        if found is None:
            raise SUBJECT.value(f"memory_limit must be bytes or a size as '2GB' or '500MiB'; got {value!r}")
        return int(float(found[1]) * UNITS[found[2].lower()])
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise SUBJECT.type(f"memory_limit must be bytes or a size as '2GB'; got {shown(value)}")
    if value < 1:
        raise SUBJECT.value(f"memory_limit must be positive; got {value}")
    return int(value)


def _cut(shape: Ints, sizes: list[int]) -> Chunks:
    return tuple(tuple(min(size, n - at) for at in range(0, n, size)) or (0,) for n, size in zip(shape, sizes, strict=True))


def _fitting(call: Callable[[Lazy], Any], array: Any, limit: int) -> Work:
    """The graph with tiles as large as the limit allows: the axis is halved that saves most, the first of them."""
    sizes = list(map(int, array.shape))

    def with_(sizes: list[int]) -> Work:
        result = call(stored(array, _cut(tuple(array.shape), sizes), 0))
        if not isinstance(result, Lazy):
            raise SUBJECT.type(f"function must map arrays to an array; got {shown(result)}")
        return Work(result)

    work = with_(sizes)
    peak = work.peak()
    while peak * HELD > limit:
        best = None
        for axis, size in enumerate(sizes):
            if size > 1 and prod(-(-n // s) for n, s in zip(array.shape, sizes, strict=True)) * 2 <= MOST:
                tried = [*sizes[:axis], -(-size // 2), *sizes[axis + 1 :]]
                other = with_(tried)
                found = other.peak()
                if best is None or found < 0.95 * best[0]:
                    best = (found, tried, other)
        if best is None or best[0] >= peak:
            raise SUBJECT.value(f"memory_limit of {limit} bytes is too small: a tile takes {peak * HELD} at least")
        peak, sizes, work = best
    return work


def _tiles(result: Lazy) -> Iterator[tuple[int, Ints, tuple[slice, ...]]]:
    for number, place in enumerate(product(*(range(len(c)) for c in result.chunks))):
        yield number, place, tuple(slice(s[p], s[p + 1]) for s, p in zip(result.starts, place, strict=True))


@edge("out_of_core", operators=True)
def out_of_core(
    function: Callable[..., Any], source: Any, *arrays: Any, target: Any, memory_limit: Any, progress: bool = True, journal: Any = None,
    **options: Any,
) -> Any:  # fmt: skip
    """An operator on data that no array holds: read, computed and written tile by tile.

    Parameters
    ----------
    function : an operator of numconv
        `conv3d`, `ndimage.gaussian_filter`, `signal.convolve`, …
    source : array that slices
        Its first array: a NumPy memmap, an array of zarr, a dataset of h5py, anything with shape, dtype and slices.
    *arrays, **options
        Its other arguments, but for `out`.
    target : array that slices, or the name of a .npy file
        Where the result goes: of the result's shape and dtype; a file is made if it is not there.
    memory_limit : int or str
        Bytes, or a size as "2GB" or "500MiB", for all that is held beside the target's and source's own caches.
    progress : bool
        A bar on standard error: tqdm's if that is installed.
    journal : path, optional
        Where it is noted which tiles are done; beside the target by default, for memmaps, files and folders.

    Returns
    -------
    target

    Raises
    ------
    TypeError
        For a function that is not an operator, for a source or target that does not slice.
    ValueError
        For a limit that no tile keeps to, a target of another shape or dtype, a source whose file is cut off, a disk without room.

    Notes
    -----
    Tiles are as large as the limit allows; each reads what it needs and no more.  While one is computed, others are read and written.  The
    bits are those of the row that `explain` names for lazy arrays, on whole ones.

    A call that was killed at any moment goes on where it was when it is made again with the same arguments: a tile counts as done when it
    has reached the disk, and the journal's line after it.  The journal goes when all is done.  Whether the source's data are still the
    same is not looked at.

    Examples
    --------
    >>> volume = np.lib.format.open_memmap("scan.npy", "w+", "f4", (1, 40, 64, 64))  # doctest: +SKIP
    >>> w = np.full((1, 1, 3, 3, 3), 1 / 27, "f4")  # doctest: +SKIP
    >>> nc.out_of_core(nc.conv3d, volume, w, padding=1, target="mean.npy", memory_limit="1MB")  # doctest: +SKIP
    """
    if not is_operator(function):
        raise SUBJECT.type(f"function must be an operator of numconv; got {shown(function)}")
    if options.get("out") is not None:
        raise SUBJECT.type("out is not supported: the result goes to target")
    check_source(SUBJECT, source)
    flag(SUBJECT, "progress", progress)
    work = _fitting(lambda lazy: function(lazy, *arrays, **options), source, limit := _limit(memory_limit))
    result = work.result
    target = opened_target(SUBJECT, target, result.shape, dtype_of(result.dtype.name))
    what = f"numconv {__version__} {result.name} {token(result.chunks)}"
    path = Path(journal) if journal is not None else beside(target)
    _run(work, target, Journal(path, what), limit, progress)
    return target


def _run(work: Work, target: Any, journal: Journal, limit: int, progress: bool) -> None:
    tiles = list(_tiles(work.result))
    kept, share, finished = Kept(limit // 4), max(1, usable_cores() // WORKERS), False
    bar = _bar(len(tiles), progress)

    def tile(place: Ints) -> Any:
        tasks.share.threads = share
        return computed(work, kept, (work.result.name, *place), True)

    def write(number: int, where: tuple[slice, ...], future: Future[Any]) -> None:
        target[where] = future.result()
        flush(target)
        journal.add(number)
        bar.update(1)

    bar.update(len(journal.done))
    pool = ThreadPoolExecutor(WORKERS)
    try:
        under_way: list[tuple[int, tuple[slice, ...], Future[Any]]] = []
        for number, place, where in tiles:
            if number not in journal.done:
                under_way.append((number, where, pool.submit(tile, place)))
            if len(under_way) > WORKERS:
                write(*under_way.pop(0))
        for one in under_way:
            write(*one)
        finished = True
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        journal.close(finished)
        bar.close()


class _Silent:
    def update(self, count: int) -> None:
        pass

    def close(self) -> None:
        pass


def _bar(total: int, progress: bool) -> Any:
    if not progress:
        return _Silent()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Plain(total)
    return tqdm(total=total, unit="tile")


class _Plain(_Silent):
    """A line for each tenth, on standard error."""

    def __init__(self, total: int) -> None:
        from ..cli.progress import Bar

        self.bar, self.each, self.seen = Bar(total), max(1, total // 10), 0

    def update(self, count: int) -> None:
        self.bar.done += count
        self.seen += count
        if self.seen >= self.each:
            self.seen = 0
            self.bar.done -= 1
            self.bar.step("tiles")
