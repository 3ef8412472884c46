"""Images with more between or around their elements: padded by a mode, or with zeros inserted.  By the gather copy."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...memory import kept
from ...sampling import padded
from ..runtime.arrays import allocate
from ..runtime.launch import Table
from .gather import NOTHING, Map, gather, table_of


def _spatial_maps(batch: int, channels: int, spatial: tuple[int, ...], sources: list[Map]) -> Table:
    """Of a channels-first image: `sources` are the elements that each element of a spatial axis repeats, or nothing."""
    pitch = prod(spatial)
    maps = [np.arange(batch) * channels * pitch, np.arange(channels) * pitch]
    for extent, source in zip(spatial, sources, strict=True):
        pitch //= extent
        maps.append(np.where(source >= 0, source * pitch, NOTHING))
    return table_of(maps)


@kept
def _pad_table(batch: int, channels: int, spatial: tuple[int, ...], pads: tuple[tuple[int, int], ...], mode: str) -> Table:
    return _spatial_maps(batch, channels, spatial, [padded(n, low, high, mode) for n, (low, high) in zip(spatial, pads, strict=True)])


def pad(array: Any, pads: tuple[tuple[int, int], ...], mode: str) -> Any:
    """A contiguous channels-first image padded along its spatial axes by a mode other than zeros."""
    batch, channels, *spatial = array.shape
    fresh = allocate((batch, channels, *(n + low + high for n, (low, high) in zip(spatial, pads, strict=True))), array.dtype.name, array)
    if prod(fresh.shape):
        gather(array, fresh, _pad_table(batch, channels, tuple(spatial), pads, mode))
    return fresh


@kept
def _insert_table(batch: int, channels: int, spatial: tuple[int, ...], stride: tuple[int, ...]) -> Table:
    at = [np.arange((n - 1) * s + 1) for n, s in zip(spatial, stride, strict=True)]
    return _spatial_maps(batch, channels, spatial, [np.where(i % s == 0, i // s, NOTHING) for i, s in zip(at, stride, strict=True)])


def insert_zeros(array: Any, stride: tuple[int, ...]) -> Any:
    """A contiguous channels-first image with stride − 1 zeros between neighbours along its spatial axes."""
    batch, channels, *spatial = array.shape
    fresh = allocate((batch, channels, *((n - 1) * s + 1 for n, s in zip(spatial, stride, strict=True))), array.dtype.name, array)
    if prod(fresh.shape):
        gather(array, fresh, _insert_table(batch, channels, tuple(spatial), stride))
    return fresh
