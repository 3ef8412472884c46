"""Weight gradients on tensor cores and on CUDA cores."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ...stages.warp_tiles import WARP_TILES, shared_bytes
from ...weight_grad.cuda_cores import plan as weight_grad
from ...weight_grad.cuda_cores.kernel import make_weight_grad
from ...weight_grad.parts import Cut, make_sum_parts
from ...weight_grad.tensor_cores.kernel import make_tensor_core_weights
from .specimen import Specimen, arrays, fields, has_doubles
from .warp_tiles import MMA_NAME, most_registers, tile_words


def _tensor_core_weights() -> Iterator[Specimen]:
    every = [(d, t, False) for d in ("float16", "float32") for t in WARP_TILES]
    for dtype, tile, outer in [*every, ("bfloat16", WARP_TILES[3], True), ("float32", WARP_TILES[3], True)]:
        yield Specimen(
            tile_words(dtype, tile) + (" 3-D" if outer else ""),
            "tensor_core_weights",
            partial(make_tensor_core_weights, dtype, outer, tile),
            ("uint32[]", "uint32[]", "float32[]", "int32[]", fields(Cut)),
            tile.threads,
            least=(8, 0),
            wanted=(
                MMA_NAME[dtype],
                *(("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",) if dtype != "float32" else ()),
                "cp.async.cg.shared.global",
                f"cp.async.wait_group {tile.stages - 2}",
            ),
            registers=most_registers(tile),
            dynamic=shared_bytes(tile),
        )


def _weight_grad() -> Iterator[Specimen]:
    tiles = (weight_grad.MANY, weight_grad.FEW, weight_grad.FEWEST)
    for dtype, tile in (*(("float32", t) for t in tiles), ("float16", weight_grad.MANY), ("float64", weight_grad.MANY)):
        acc = "float64" if dtype == "float64" else "float32"
        yield Specimen(
            f"{dtype} {tile.targets}×{tile.terms}×{tile.positions}",
            "weight_grad",
            partial(make_weight_grad, dtype, dtype, True, tile),
            (*arrays(dtype, dtype, acc), "int32[]", fields(Cut)),
            tile.threads,
            doubles=has_doubles(dtype),
        )
    yield Specimen(
        "sum of parts",
        "weight_grad",
        partial(make_sum_parts, "float32", "bfloat16"),
        (*arrays("float32", "bfloat16"), "int32", "int32"),
    )


def specimens() -> Iterator[Specimen]:
    yield from _tensor_core_weights()
    yield from _weight_grad()
