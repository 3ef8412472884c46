"""What a builder returns, and what all builders ask of images, weights and bias."""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from .. import hosts
from ..problem import Ints, Problem
from .types import check_dtype
from .values import Spec, Subject

AXES = ("length", "height, width", "depth, height, width")  # of 1, 2, 3 spatial axes


class View(NamedTuple):
    """How a problem wants one of the user's arrays: another shape (a view) and dtype, or None for as it is."""

    shape: Ints | None = None
    dtype: str | None = None


class Request(NamedTuple):
    """What a call amounts to: problems in order, a view for each array, and the shape that the user gets."""

    problems: tuple[Problem, ...]
    views: tuple[View, ...]
    result_shape: Ints


Builder = Callable[[Subject, tuple[Spec | None, ...], tuple[Any, ...]], Request]


class Image(NamedTuple):
    """An image argument, the batch axis supplied."""

    batch: int
    channels: int
    spatial: Ints
    batched: bool

    def full(self, layout: str) -> Ints:
        if layout == "channels_last":
            return (self.batch, *self.spatial, self.channels)
        return (self.batch, self.channels, *self.spatial)


def required(subject: Subject, label: str, spec: Spec | None) -> Spec:
    if spec is None:
        raise subject.type(f"{label} must be an array; got None")
    check_dtype(subject, label, spec)
    return spec


def optional(subject: Subject, label: str, spec: Spec | None) -> Spec | None:
    return None if spec is None else required(subject, label, spec)


def image(subject: Subject, spec: Spec, rank: int, layout: str, label: str = "x") -> Image:
    """The image's parts; an image of rank+1 axes is one sample."""
    shape = spec.shape
    if len(shape) not in (rank + 1, rank + 2):
        form = f"(N, {AXES[rank - 1]}, C)" if layout == "channels_last" else f"(N, C, {AXES[rank - 1]})"
        raise subject.value(f"{label} must have the axes {form}, N optional; got {len(shape)} axes")
    batched = len(shape) == rank + 2
    batch, rest = (shape[0], shape[1:]) if batched else (1, shape)
    channels, spatial = (rest[-1], rest[:-1]) if layout == "channels_last" else (rest[0], rest[1:])
    if channels == 0:
        raise subject.value(f"{label} has no channels")
    if 0 in spatial:
        raise subject.value(f"{label} has an empty spatial axis")
    return Image(batch, channels, spatial, batched)


def weights(subject: Subject, spec: Spec, rank: int, label: str = "w") -> Ints:
    if len(spec.shape) != rank + 2:
        raise subject.value(f"{label} must have {rank + 2} axes, two of channels and {rank} of the kernel; got {len(spec.shape)}")
    if 0 in spec.shape[2:]:
        raise subject.value(f"{label} has an empty kernel axis")
    return spec.shape


def check_bias(subject: Subject, spec: Spec | None, channels: int, label: str = "bias") -> None:
    if spec is not None and spec.shape != (channels,):
        raise subject.value(f"{label} must have the shape ({channels},), one for each output channel; got {spec.shape}")


def check_size(subject: Subject, shape: Ints, dtype: str) -> None:
    """An address space holds less than 2**63 bytes: say so rather than overflow."""
    size = prod(shape) * hosts.dtype_of(dtype).itemsize
    if size > sys.maxsize:
        raise subject.memory(f"cannot allocate {size} bytes for {dtype} of shape {shape}")


def view(spec: Spec | None, shape: Ints | None, dtype: str) -> View:
    """The view that makes `spec` of that shape and dtype; nothing where it is so already."""
    if spec is None:
        return View()
    return View(None if shape is None or shape == spec.shape else shape, None if spec.dtype == hosts.dtype_of(dtype) else dtype)


def unbatch(shape: Ints, source: Image) -> Ints:
    return shape if source.batched else shape[1:]
