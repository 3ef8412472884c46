"""Arrays of dask's as lazy arrays of ours, and back: the same graph, nothing is cut anew or computed."""

from __future__ import annotations

from math import isnan
from typing import Any

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph

from .. import devices
from ..hosts import UnsizedError
from .array import Lazy


def adopted(array: Any) -> Lazy:
    if any(isnan(n) for lengths in array.chunks for n in lengths):
        raise UnsizedError(f"has chunks of unknown length {array.chunks}: call its compute_chunk_sizes() first")
    inner = devices.kind(array._meta)
    return Lazy(array.name, array.chunks, np.dtype(array.dtype), {}, (array,), inner)


def released(array: Lazy) -> Any:
    """With a layer for each step, each of which depends on those before it."""
    layers: dict[str, Any] = {}
    needs: dict[str, set[str]] = {}
    _collect(array, layers, needs)
    graph = HighLevelGraph(layers, needs)
    return da.Array(graph, array.name, array.chunks, meta=_meta(array))


def _collect(array: Any, layers: dict[str, Any], needs: dict[str, set[str]]) -> None:
    if array.name in needs and array.name in layers:
        return
    if not isinstance(array, Lazy):
        graph = array.__dask_graph__()
        layers.update(graph.layers)
        needs.update({name: set(found) for name, found in graph.dependencies.items()})
        return
    if not array.tasks:  # dask's own, as it was adopted
        _collect(array.sources[0], layers, needs)
        return
    layers[array.name] = array.tasks
    needs[array.name] = {source.name for source in array.sources}
    for source in array.sources:
        _collect(source, layers, needs)


def _meta(array: Lazy) -> Any:
    """An empty array of the kind and type that the chunks are."""
    empty = np.empty((0,) * array.ndim, array.dtype)
    return empty if array.inner == "cpu" else np.empty_like(_user(array)._meta, dtype=array.dtype, shape=empty.shape)


def _user(array: Any) -> Any:
    """The array of dask's on a GPU that it follows from."""
    while isinstance(array, Lazy):
        array = next(source for source in array.sources if getattr(source, "inner", "cuda") != "cpu")
    return array
