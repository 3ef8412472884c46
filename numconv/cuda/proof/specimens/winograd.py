"""Winograd's three passes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ...winograd import kernel as winograd_kernel
from .specimen import Specimen, arrays


def _winograd() -> Iterator[Specimen]:
    for m in (2, 4):
        words = f"F({m}×{m})"
        yield Specimen(
            f"{words} image", "winograd", partial(winograd_kernel.make_image, m), (*arrays("float32", "float32"), "int32[]", "int32")
        )
        yield Specimen(f"{words} filters", "winograd", partial(winograd_kernel.make_filters, m), (*arrays("float32", "float32"), "int32"))
        for act in (None, "silu"):
            yield Specimen(
                f"{words} outputs" + (f" {act}" if act else ""),
                "winograd",
                partial(winograd_kernel.make_outputs, m, "float32", "float32", act, m == 4 and not act),
                (*arrays("float32", "float32", "float32"), "int32[]", "int32"),
                wanted=("st.global.v4",) if m == 4 and not act else (),
            )


def specimens() -> Iterator[Specimen]:
    yield from _winograd()
