"""Copies and elementwise steps around a row."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ...adapt import elementwise, gather, layout, transpose
from .specimen import Specimen, arrays, fields, has_doubles


def _copies() -> Iterator[Specimen]:
    for dtype in ("float32", "float16", "int8"):
        yield Specimen(
            dtype,
            "transpose",
            partial(transpose.make_transpose, dtype, transpose.TILE_SIDE, transpose.THREAD_ROWS),
            (*arrays(dtype, dtype), fields(transpose.Sizes)),
            transpose.TILE_SIDE * transpose.THREAD_ROWS,
        )
    for source, target in (
        ("float32", "float32"),
        ("float16", "float32"),
        ("bfloat16", "bfloat16"),
        ("int8", "int8"),
        ("int64", "float32"),
    ):
        for scattered in (False, True) if source == "float32" else (False,):
            yield Specimen(
                f"{source} to {target}" + (", scattered" if scattered else ""),
                "gather copy",
                partial(gather.make_gather, source, target, scattered),
                (*arrays(source, target), "int32[]", "int32"),
            )
    for dtype in ("float32", "bfloat16", "complex128", "int8"):
        yield Specimen(dtype, "reverse", partial(layout.make_reverse, dtype), (*arrays(dtype, dtype), "int32"), doubles=has_doubles(dtype))
    names = ("add", "relu", "relu6", "sigmoid", "tanh", "silu", "hardswish")
    each = [(name, "float32", "float32") for name in names]
    each += [
        ("conjugate", "complex64", "complex64"),
        ("real", "complex128", "float64"),
        ("add", "bfloat16", "bfloat16"),
        ("silu", "float64", "float64"),
    ]
    for name, dtype, out in each:
        yield Specimen(
            f"{name} {dtype}",
            "elementwise",
            partial(elementwise.make_elementwise, name, dtype, out),
            (*arrays(dtype, dtype, out), "int32"),
            doubles=has_doubles(dtype),
        )


def specimens() -> Iterator[Specimen]:
    yield from _copies()
