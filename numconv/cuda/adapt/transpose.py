"""Batched transposition through shared memory: between layouts, and to the padded channels-last form that tensor cores read.

out[b, p, c] = x[b, c, p] for c < channels, zero up to `width`; batches are (sample, group).  Tiles of 32 × 32 with one word of padding, so
that reads and writes coalesce and positions meet different banks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import cuda
from numba.cuda.types import int32, uint32

from ..environment import SIMULATED
from ..geometry.decode import split
from ..ptx import imul
from ..runtime.arrays import flat, stream_of
from ..runtime.launch import ceil_div, jit, kernel_factory, launch
from ..scalars import scalars
from .gather import copy_type

TILE_SIDE = 4 if SIMULATED else 32
THREAD_ROWS = 1 if SIMULATED else 8  # of TILE_SIDE threads


class Sizes(NamedTuple):
    groups: int
    channels: int  # of a group
    positions: int  # of a plane
    width: int  # channels of a group of the result, zeros behind those that there are
    channel_tiles: int
    position_tiles: int


@kernel_factory
def make_transpose(dtype: str, tile: int, rows: int) -> Any:
    """The kernel for this type."""
    T, R = tile, rows
    PITCH = tile + 1
    number = scalars(dtype, dtype, copy_type(dtype, dtype))
    kind, load, store = number.kind, number.load, number.store

    def transpose(x, out, sizes):
        groups, channels, positions, width = sizes.groups, sizes.channels, sizes.positions, sizes.width
        block = cuda.shared.array((T, PITCH), kind)
        tid = int32(cuda.threadIdx.x)
        row, lane = split(tid, int32(T))
        rest, tile_c = split(int32(cuda.blockIdx.x), sizes.channel_tiles)
        b, tile_p = split(rest, sizes.position_tiles)
        c0, p0 = int32(tile_c * int32(T)), int32(tile_p * int32(T))
        n, g = split(b, groups)
        for i in range(T // R):
            c, p = int32(c0 + row + int32(i * R)), int32(p0 + lane)
            v = kind(0)
            if c < channels and p < positions:
                v = load(x, int32(imul(int32(imul(b, channels) + c), positions) + p))
            block[uint32(row + int32(i * R)), uint32(lane)] = v
        cuda.syncthreads()
        for i in range(T // R):
            p, c = int32(p0 + row + int32(i * R)), int32(c0 + lane)
            if p < positions and c < width:
                at = int32(imul(int32(imul(int32(imul(n, positions) + p), groups) + g), width) + c)
                store(out, at, block[uint32(lane), uint32(row + int32(i * R))])

    return jit(transpose, launch_bounds=T * R)


def transpose(array: Any, out: Any, batch: int, groups: int, channels: int, positions: int, width: int) -> None:
    """out (batch, positions, groups, width) = x (batch, groups, channels, positions) transposed, zeros from `channels` to `width`."""
    if out.size == 0:
        return
    sizes = Sizes(
        groups=groups,
        channels=channels,
        positions=positions,
        width=width,
        channel_tiles=ceil_div(width, TILE_SIDE),
        position_tiles=ceil_div(positions, TILE_SIDE),
    )
    grid = sizes.channel_tiles * sizes.position_tiles * batch * groups
    kernel = make_transpose(array.dtype.name, TILE_SIDE, THREAD_ROWS)
    launch(kernel, grid, TILE_SIDE * THREAD_ROWS, stream_of(out), flat(array), flat(out), sizes)
