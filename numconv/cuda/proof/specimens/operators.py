"""The operators beside convolutions, and their gradients."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ...operators import axis_gather, dynamic, patches, resize, shuffle
from ...operators.deformable import backward as deformable_grad
from ...operators.deformable import forward as deformable
from .specimen import Specimen, arrays, fields, has_doubles


def _operators() -> Iterator[Specimen]:
    yield Specimen(
        "any type",
        "shuffle",
        shuffle.make_permute,
        ("uint32[]", "uint32[]", fields(shuffle.ShuffledPlanes), "int32"),
        wanted=("ld.global.v4", "st.global.v4"),
    )
    for dtype in ("float32", "bfloat16", "float64"):
        acc = "float64" if dtype == "float64" else "float32"
        doubles = has_doubles(dtype)
        yield Specimen(
            dtype,
            "resize",
            partial(resize.make_linear, dtype),
            (*arrays(dtype, dtype), "int32[]", *arrays(acc), "int32"),
            doubles=doubles,
        )
        yield Specimen(
            f"{dtype} mean",
            "attention",
            partial(dynamic.make_mean, dtype, dynamic.BLOCK_THREADS),
            (*arrays(dtype, acc), fields(dynamic.PooledPlanes)),
            dynamic.BLOCK_THREADS,
            doubles=doubles,
        )
        yield Specimen(
            f"{dtype} dense",
            "attention",
            partial(dynamic.make_attention, dtype, dtype, None, dynamic.BLOCK_THREADS),
            (*arrays(acc, dtype, dtype, dtype, dtype, acc, dtype), fields(dynamic.Dense, acc)),
            dynamic.BLOCK_THREADS,
            doubles=doubles,
        )
        yield Specimen(dtype, "mix", partial(dynamic.make_mix, dtype), (*arrays(dtype, dtype, dtype), *["int32"] * 3), doubles=doubles)
        yield Specimen(dtype, "unfold", partial(patches.make_unfold, dtype), (*arrays(dtype, dtype), "int32[]", "int32"), doubles=doubles)
        yield Specimen(dtype, "fold", partial(patches.make_fold, dtype), (*arrays(dtype, dtype), "int32[]", "int32"), doubles=doubles)
        yield Specimen(
            dtype,
            "deformable",
            partial(deformable.make_columns, dtype, acc, True),
            (*arrays(dtype, dtype, dtype, acc), "int32[]", "int32", "int32"),
            doubles=doubles,
        )


def _gradients() -> Iterator[Specimen]:
    for dtype in ("float32", "bfloat16", "float64", "complex64"):
        doubles = has_doubles(dtype)
        real = "float64" if doubles else "float32"
        yield Specimen(
            dtype,
            "adjoint along an axis",
            partial(axis_gather.make_gather_rows, dtype),
            (*arrays(dtype, dtype), "int32[]", "int32[]", f"{real}[]", fields(axis_gather.Reading)),
            doubles=doubles,
        )
        if dtype == "complex64":
            continue
        yield Specimen(
            dtype,
            "attention gradient",
            partial(dynamic.make_attention_back, dtype, dtype, dtype),
            (*arrays(real, *[dtype] * 5, *[real] * 4), fields(dynamic.Back, real)),
            doubles=doubles,
        )
        yield Specimen(
            f"{dtype} spread",
            "deformable gradient",
            partial(deformable_grad.make_spread, dtype, real, True),
            (*arrays(real, dtype, dtype, real), "int32[]", "int32", "int32"),
            doubles=doubles,
        )
        yield Specimen(
            f"{dtype} offsets, mask",
            "deformable gradient",
            partial(deformable_grad.make_shifts, dtype, real, True),
            (*arrays(dtype, real, dtype, dtype, real, real), "int32[]", "int32", "int32"),
            doubles=doubles,
        )
    yield Specimen(
        "float32 sum of taps",
        "deformable gradient",
        partial(deformable_grad.make_add_taps, "float32"),
        (*arrays("float32", "float32"), *["int32"] * 3),
    )


def specimens() -> Iterator[Specimen]:
    yield from _operators()
    yield from _gradients()
