"""Batched transposition through shared memory: between layouts, and to the padded channels-last form that tensor cores read.

out[b, p, c] = x[b, c, p] for c < rows, zero up to `width`; batches are (sample, group).  Tiles of 32 × 32 with one word of padding, so
that reads and writes coalesce and columns meet different banks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda
from numba.cuda.types import int32, uint32

from ..ptx import idiv, imod, imul
from ..runtime.launch import SIMULATED, ceil_div, flat, jit, kernel_factory, launch, stream_of
from ..scalars import scalars
from .layout import copy_type

TILE = 4 if SIMULATED else 32
ROWS = 1 if SIMULATED else 8  # rows of threads


@kernel_factory
def make_transpose(dtype: str, tile: int, rows: int) -> Any:
    """The kernel for this type."""
    T, R = tile, rows
    PITCH = tile + 1
    number = scalars(dtype, dtype, copy_type(dtype, dtype))
    kind, load, store = number.kind, number.load, number.store

    def transpose(x, out, groups, height, columns, width, tiles_c, tiles_p):
        block = cuda.shared.array((T, PITCH), kind)
        tid = int32(cuda.threadIdx.x)
        lane, row = imod(tid, int32(T)), idiv(tid, int32(T))
        rest = int32(cuda.blockIdx.x)
        q = idiv(rest, tiles_c)
        c0 = int32(int32(rest - imul(q, tiles_c)) * int32(T))
        b = idiv(q, tiles_p)
        p0 = int32(int32(q - imul(b, tiles_p)) * int32(T))
        n = idiv(b, groups)
        g = int32(b - imul(n, groups))
        for i in range(T // R):
            c, p = int32(c0 + row + int32(i * R)), int32(p0 + lane)
            v = kind(0)
            if c < height and p < columns:
                v = load(x, int32(imul(int32(imul(b, height) + c), columns) + p))
            block[uint32(row + int32(i * R)), uint32(lane)] = v
        cuda.syncthreads()
        for i in range(T // R):
            p, c = int32(p0 + row + int32(i * R)), int32(c0 + lane)
            if p < columns and c < width:
                at = int32(imul(int32(imul(int32(imul(n, columns) + p), groups) + g), width) + c)
                store(out, at, block[uint32(lane), uint32(row + int32(i * R))])

    return jit(transpose, launch_bounds=T * R)


def transpose(array: Any, out: Any, batch: int, groups: int, height: int, columns: int, width: int) -> None:
    """out (batch, columns, groups, width) = x (batch, groups, height, columns) transposed, zeros from `height` to `width`."""
    if out.size == 0:
        return
    tiles_c, tiles_p = ceil_div(width, TILE), ceil_div(columns, TILE)
    sizes = [np.int32(v) for v in (groups, height, columns, width, tiles_c, tiles_p)]
    kernel = make_transpose(array.dtype.name, TILE, ROWS)
    launch(kernel, tiles_c * tiles_p * batch * groups, TILE * ROWS, stream_of(out), flat(array), flat(out), *sizes)
