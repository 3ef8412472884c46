"""Dense convolution: the implicit GEMM on CUDA cores, on tensor cores, and a thread for each result."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ...dense.direct import kernel as direct
from ...dense.tensor_cores import kernel as tensor_core
from ...stages import split_k
from ...stages.implicit_gemm import plan as implicit_gemm
from ...stages.implicit_gemm.kernel import make_implicit_gemm
from ...stages.warp_tiles import WARP_TILES, fitting, shared_bytes
from .specimen import Specimen, arrays, conv, has_doubles
from .warp_tiles import MMA_NAME, most_registers, tile_words


def _implicit_gemm() -> Iterator[Specimen]:
    def one(dtype: str, out: str, act: str | None, outer: bool, tile: Any) -> Specimen:
        return Specimen(
            f"{dtype} {tile.positions}×{tile.targets}×{tile.terms}" + (f" {act}" if act else "") + (" 3-D" if outer else ""),
            "implicit_gemm",
            partial(make_implicit_gemm, dtype, out, out, act, implicit_gemm.GemmForm(outer), tile),
            (*conv(dtype, out), "int32", "int32"),
            tile.threads,
            wanted=("fma.rn.f32", "ld.shared.v4.f32") if dtype == "float32" and tile.thread_positions == 8 and act is None else (),
            doubles=has_doubles(dtype),
            registers=168,
        )

    for tile in implicit_gemm.GEMM_TILES:
        yield one("float32", "float32", None, False, tile)
    yield one("float32", "float32", "silu", True, implicit_gemm.GEMM_TILES[1])
    for words, form in (
        ("quad stores", implicit_gemm.GemmForm(quad_stores=True)),
        ("pointwise quads", implicit_gemm.GemmForm(reads="quads", quad_stores=True)),
        ("channels last", implicit_gemm.GemmForm(reads="channels")),
        ("channels last, split-K", implicit_gemm.GemmForm(reads="channels", parted=True)),
        ("split-K", implicit_gemm.GemmForm(quad_stores=True, parted=True)),
    ):
        for tile in implicit_gemm.GEMM_TILES[:6] if words == "pointwise quads" else implicit_gemm.GEMM_TILES[:3:2]:
            yield Specimen(
                f"float32 {tile.positions}×{tile.targets}×{tile.terms} {words}",
                "implicit_gemm",
                partial(make_implicit_gemm, "float32", "float32", None if form.parted else "float32", None, form, tile),
                (*conv("float32"), "int32", "int32"),
                tile.threads,
                registers=168,
                wanted=("st.global.v4.f32",) if form.quad_stores else (),
            )
    yield Specimen(
        "finish of split-K",
        "implicit_gemm",
        partial(split_k.make_finish, "float32", "float16", "float16", "silu"),
        (*arrays("float32", "float16", "float16"), *["int32"] * 5),
    )
    yield one("float16", "float16", None, False, implicit_gemm.GEMM_TILES[0])
    yield one("bfloat16", "bfloat16", None, False, implicit_gemm.GEMM_TILES[0])
    yield one("int8", "int32", None, False, implicit_gemm.GEMM_TILES[0])
    yield one("float64", "float64", "tanh", True, implicit_gemm.WIDE_GEMM_TILES[0])
    yield one("complex64", "complex64", None, False, implicit_gemm.WIDE_GEMM_TILES[0])
    yield one("complex128", "complex128", None, True, implicit_gemm.WIDE_GEMM_TILES[1])
    yield one("int64", "int64", None, False, implicit_gemm.WIDE_GEMM_TILES[0])


def _tensor_core() -> Iterator[Specimen]:
    every = [(d, t, None, False, False) for d in ("float16", "bfloat16", "float32") for t in WARP_TILES]
    every += [("float16", WARP_TILES[2], "silu", True, False), ("float32", WARP_TILES[3], "tanh", True, False)]
    every += [("float16", fitting(WARP_TILES[0], 100 << 10), None, False, False)]  # what a card with less shared memory takes
    every += [(d, WARP_TILES[3], None, False, True) for d in ("float16", "float32")]
    for dtype, tile, act, outer, split in every:
        out, bias = ("float32", None) if split else (dtype, dtype)
        yield Specimen(
            tile_words(dtype, tile) + (f" {act} 3-D" if act else " split-K" if split else ""),
            "tensor_core",
            partial(tensor_core.make_tensor_core, dtype, out, bias, act, outer, tile, split),
            ("uint32[]", "uint32[]", *(arrays(dtype) if bias else ("uint32[]",)), *arrays(out), "int32[]", "int32", "int32"),
            tile.threads,
            least=(8, 0),
            wanted=(
                MMA_NAME[dtype],
                "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
                "cp.async.cg.shared.global",
                f"cp.async.wait_group {tile.stages - 2}",
            ),
            registers=most_registers(tile),
            dynamic=shared_bytes(tile),
        )


def _direct() -> Iterator[Specimen]:
    for dtype, out, act in (
        ("float32", "float32", "silu"),
        ("float16", "float16", "tanh"),
        ("bfloat16", "bfloat16", "sigmoid"),
        ("int8", "int32", None),
        ("int64", "int64", "relu"),
        ("complex64", "complex64", None),
        ("float64", "float64", "hardswish"),
    ):
        doubles = has_doubles(dtype)
        types = conv(dtype, out)
        yield Specimen(
            f"{dtype} {act or ''}".strip(),
            "direct",
            partial(direct.make_direct, dtype, out, out, act, True),
            (*types, "int32"),
            doubles=doubles,
        )


def specimens() -> Iterator[Specimen]:
    yield from _implicit_gemm()
    yield from _tensor_core()
    yield from _direct()
