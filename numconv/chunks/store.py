"""Arrays that are read and written piece by piece: memmaps, zarr's, h5py's, whatever slices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments.values import Subject, shown
from .array import Chunks, Job, Lazy, token

Bounds = tuple[tuple[int, int], ...]


def source(array: Any, chunks: Chunks, number: int) -> Lazy:
    """Cut so; `number` tells it from others of the call."""
    name = f"numconv-source-{token(array.shape, array.dtype, chunks, number)}"
    return Lazy(name, chunks, np.dtype(array.dtype), {}, (), "cpu", Job(array))


class Seen:
    """A store with axes of one element added or left out."""

    def __init__(self, array: Any, origin: tuple[int | None, ...], rank: int) -> None:
        self.array, self.origin, self.rank = array, origin, rank

    def __getitem__(self, pieces: tuple[slice, ...]) -> Any:
        place = [slice(0, 1)] * self.rank
        for piece, axis in zip(pieces, self.origin, strict=True):
            if axis is not None:
                place[axis] = piece
        found = np.asarray(self.array[tuple(place)])
        return found.reshape([1 if axis is None else found.shape[axis] for axis in self.origin])


def check_source(subject: Subject, array: Any) -> None:
    if not (hasattr(array, "shape") and hasattr(array, "dtype") and hasattr(array, "__getitem__")):
        raise subject.type(f"source must have a shape, a dtype and slices, as memmaps and arrays of zarr and h5py have; got {shown(array)}")
    if isinstance(array, np.memmap) and array.filename is not None:
        try:
            held = os.path.getsize(array.filename)
        except OSError as error:
            raise subject.value(f"source cannot be read: {error}") from None
        if held < array.offset + array.nbytes:
            raise subject.value(f"source is cut off: {array.filename} holds {held} bytes of {array.offset + array.nbytes}")


def opened_target(subject: Subject, target: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """The target itself, or a .npy file of that name; with room on the disk for all of it."""
    if isinstance(target, (str, Path)):
        path = Path(target)
        if path.suffix != ".npy":
            raise subject.value(f"target must be an array that can be written into, or the name of a .npy file; got {shown(str(target))}")
        if path.exists():
            target = np.load(path, mmap_mode="r+")
        else:
            target = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if not (hasattr(target, "shape") and hasattr(target, "dtype") and hasattr(target, "__setitem__")):
        raise subject.type(f"target must be an array that can be written into, or the name of a .npy file; got {shown(target)}")
    if tuple(target.shape) != shape or np.dtype(target.dtype) != dtype:
        raise subject.value(f"target must have the shape {shape} and dtype {dtype}; got {tuple(target.shape)}, {target.dtype}")
    if isinstance(target, np.memmap) and target.filename is not None:
        _reserve(subject, target)
    return target


def _reserve(subject: Subject, target: np.memmap[Any, Any]) -> None:
    """A disk that is full kills whoever writes into a file's holes: ask for the room before."""
    if target.mode == "r":
        raise subject.value(f"target {target.filename} is read-only")
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        with open(str(target.filename), "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, target.offset + target.nbytes)
    except OSError as error:
        raise subject.value(
            f"target cannot be written: no room for {target.nbytes} bytes in {target.filename} ({error.strerror})"
        ) from None


def read(job: Job) -> Any:
    """Of a store what lies between bounds that are joined along each axis, as one array."""
    array, along = job.value
    pieces = [[slice(a, b) for a, b in axis] for axis in along]
    return _joined(array.value, pieces, ())


def _joined(array: Any, pieces: Sequence[Sequence[slice]], head: tuple[slice, ...]) -> Any:
    if not pieces:
        return np.ascontiguousarray(array[head])
    parts = [_joined(array, pieces[1:], (*head, piece)) for piece in pieces[0]]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=len(head))


def flush(target: Any) -> None:
    """What was written has reached the disk."""
    for owner in (target, getattr(target, "file", None)):
        if owner is not None and hasattr(owner, "flush"):
            owner.flush()
            return
