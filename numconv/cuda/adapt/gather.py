"""The gather copy: out[i₀, …, i₅] = x[T₀[i₀] + … + T₅[i₅]], zero where one of the tables holds less than 0; with a cast.

One kernel moves data wherever each axis has its own index map: any strides, another layout, every padding mode, zero insertion, casts.
Each element has one thread; destination tables (for an `out` of any strides) make writes disjoint because strides of a writable array are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ...memory import Store
from ..geometry.decode import split
from ..runtime.arrays import flat, stream_of
from ..runtime.launch import Table, flat_grid, jit, kernel_factory, launch
from ..runtime.record import reader, slots, table
from ..scalars import scalars

#: axes that the kernel walks; arrays of fewer have axes of extent 1 in front
AXES = 6
#: in a map: no element of the source, a zero
NOTHING = -1

Map = np.ndarray[Any, Any]


class Axis(NamedTuple):
    extent: int  # of the result
    map_at: int  # where in the table its map begins: of each index, the offset in the source


class Copy(NamedTuple):
    """The table's beginning; six axes follow, then their maps, then those of a destination of any strides."""

    to_targets: int  # elements of the table from an offset in the source to that in the destination


axis_at, copy_at = reader(Axis), reader(Copy)
FIRST_AXIS, AXIS_SIZE = slots(Copy), slots(Axis)


@kernel_factory
def make_gather(dtype: str, out_dtype: str, scattered: bool) -> Any:
    """Copy between these types; `scattered`: the destination has maps too, else it is C-contiguous."""
    number = scalars(dtype, out_dtype, copy_type(dtype, out_dtype))
    kind, load, store = number.kind, number.load, number.store

    def gather(x, y, tab, total):
        i = int32(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x)
        step = int32(cuda.blockDim.x * cuda.gridDim.x)
        while i < total:
            rest = i
            source = int32(0)
            target = int32(0)
            inside = True
            for a in range(AXES):
                axis = axis_at(tab, int32(FIRST_AXIS + AXIS_SIZE * (AXES - 1)) - int32(AXIS_SIZE) * int32(a))
                rest, index = split(rest, axis.extent)
                where = int32(axis.map_at + index)
                s = tab[uint32(where)]
                if s < int32(0):
                    inside = False
                source = int32(source + s)
                if scattered:
                    target = int32(target + tab[uint32(int32(where + copy_at(tab, 0).to_targets))])
            v = kind(0)
            if inside:
                v = load(x, source)
            if scattered:
                store(y, target, v)
            else:
                store(y, i, v)
            i = int32(i + step)

    return jit(gather)


def copy_type(dtype: str, out_dtype: str) -> str:
    """A type through which a cast loses nothing that NumPy's would keep."""
    if dtype in ("float16", "bfloat16") or (dtype == "float32" and out_dtype in ("float16", "bfloat16", "float32")):
        return "float32"
    if dtype.startswith(("float", "complex")):
        return dtype
    return "int64"


def table_of(maps: Sequence[Map], targets: Sequence[Map] | None = None) -> Table:
    """Of a map for each axis, up to six; `targets`: those of a destination of any strides."""
    missing = [np.zeros(1, np.int64)] * (AXES - len(maps))
    maps = [*missing, *maps]
    axes, at = [], FIRST_AXIS + AXES * AXIS_SIZE
    for one in maps:
        axes.append(Axis(extent=len(one), map_at=at))
        at += len(one)
    copy = Copy(to_targets=sum(a.extent for a in axes))
    return Table(table(copy, axes, *maps, *(() if targets is None else (*missing, *targets))))


def gather(source: Any, out: Any, maps: Table) -> None:
    """`source` and `out` flat views or arrays that are C-contiguous."""
    total = prod(out.shape)
    if total:
        kernel = make_gather(source.dtype.name, out.dtype.name, False)
        launch(kernel, *flat_grid(total), stream_of(out), flat(source), flat(out), maps, total)


_axis_tables = Store()


def gather_axes(source: Any, out: Any, indices: tuple[Map, ...], key: Any, absolute: bool = False) -> None:
    """out[i, j, …] = source[indices[0][i], indices[1][j], …], both C-contiguous; `key` names the indices in the cache of tables.

    `absolute`: the indices are element offsets, to be added up; below zero gives a zero.
    """
    maps: Table | None = _axis_tables.get(key)
    if maps is None and prod(out.shape):
        offsets, pitch = list(indices), prod(source.shape)
        if not absolute:
            for axis, extent in enumerate(source.shape):
                pitch //= extent
                offsets[axis] = indices[axis] * pitch
        maps = table_of(offsets)
        _axis_tables.put(key, maps)
    if maps is not None:
        gather(source, out, maps)
