"""The ways back to the input that are asked for by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ...named import matrix, scatter
from .specimen import Specimen, conv, has_doubles


def _transposed() -> Iterator[Specimen]:
    for dtype in ("float32", "bfloat16", "float64", "complex128"):
        yield Specimen(
            dtype,
            "scatter",
            partial(scatter.make_scatter, dtype, dtype, dtype, None, scatter.tile_for(dtype, dtype), scatter.THREADS),
            conv(dtype),
            scatter.THREADS,
            doubles=has_doubles(dtype),
        )
    yield Specimen("float32", "matrix", partial(matrix.make_matrix, "float32", "float32", "float32", "relu"), (*conv("float32"), "int32"))


def specimens() -> Iterator[Specimen]:
    yield from _transposed()
