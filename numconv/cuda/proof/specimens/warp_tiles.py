"""What specimens on tensor cores have in common."""

from __future__ import annotations

from ...stages.warp_tiles import WarpTile

#: the instruction that its PTX must hold
MMA_NAME = {
    "float16": "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32",
    "bfloat16": "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
    "float32": "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32",
}


def tile_words(dtype: str, tile: WarpTile) -> str:
    kind = "tf32" if dtype == "float32" else dtype
    return f"{kind} {tile.rows}×{tile.columns}×{tile.words} words by {tile.warp_rows}×{tile.warp_columns}, {tile.stages} stages"


def most_registers(tile: WarpTile) -> int:
    """A thread's budget: that of its sums, and what goes with them."""
    return 255 if tile.warp_columns == 64 else 168 if tile.warp_rows == 64 else 128
