"""What share of the arithmetic peak the tiles of the two kinds of core reach, for every family that multiplies in them.

No kernel has run on a GPU: "data sheet" is NVIDIA's of the H100 SXM, "assumed" an estimate of 2026-11-24.
"""

from __future__ import annotations

from typing import Any

from .. import costs
from .warp_tiles import CHUNK, WarpTile, shared_bytes

#: threads that a multiprocessor holds where each has 128 registers of its 65536: data sheet
RESIDENT = 512
#: lanes of a warp
WARP = 32
#: results of a tile from which a block has many sums for each number it reads; the shares of the peak from there, and below: assumed
LARGE, LARGE_SHARE, SMALL_SHARE = 8192, 0.6, 0.4
#: dense products on tensor cores over those of float32 on the CUDA cores: data sheet
RATE = {"float16": 16.0, "bfloat16": 16.0, "float32": 8.0}
#: share of the tensor cores' peak that `mma.sync` reaches: assumed
MMA_SYNC = 0.6
#: 32-bit words of a chunk of 16 bytes
CHUNK_WORDS = 4


def cuda_core_block(tile: Any, rows: int, columns: int, depth: int, block_threads: int) -> costs.Block:
    """A tile whose sums lie in registers: rows × columns results, `depth` terms a step."""
    share = LARGE_SHARE if rows * columns >= LARGE else SMALL_SHARE
    return costs.Block(tile, rows, columns, depth, share, RESIDENT // block_threads, -(-block_threads // WARP))


def tensor_core_block(dtype: str, tile: WarpTile) -> costs.Block:
    """The share is what `mma.sync` reaches of the peak, or what shared memory feeds.

    That is 128 bytes a cycle (data sheet), for all warps' fragments and the copies; a cycle is 128 products of the CUDA cores.
    """
    BM, BN, BK, WM, WN, _ = tile
    words = (BM // WM) * (BN // WN) * (WM + WN) + BM + BN
    share = min(MMA_SYNC, BM * BN / (words * costs.itemsize(dtype) * RATE[dtype]))
    resident = min(RESIDENT // tile.threads, costs.MOST_SHARED // shared_bytes(tile))
    return costs.Block(tile, BM, BN, BK // CHUNK_WORDS * CHUNK[dtype], share, resident)
