"""Depthwise convolution out of shared memory and by strips, separable filters, the weights' gradient."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ...depthwise.halo.kernel import make_halo
from ...depthwise.halo.plan import HaloForm, HaloTile, sizes
from ...depthwise.strips.kernel import make_strips
from ...depthwise.strips.plan import StripForm
from ...geometry.image import Two
from ...weight_grad.depthwise.kernel import make_depthwise_grad
from ...weight_grad.depthwise.plan import FORM
from .specimen import Specimen, arrays, conv, has_doubles


def _halo_form(kernel: tuple[int, int], tile: tuple[int, int, int, int], step: int = 1, dilation: int = 1, **options: Any) -> HaloForm:
    """By four neighbours; `step` is the stride, the same along both axes, as the dilation."""
    forms = {"channels_last": False, "quad_loads": True, "quad_stores": True, **options}
    return HaloForm(Two(*kernel), Two(step, step), Two(dilation, dilation), HaloTile(*tile), **forms)


#: label → form of the halo kernel
HALO = {
    "3×3": _halo_form((3, 3), (4, 8, 8, 4), shift=3),
    "3×3, stride 2": _halo_form((3, 3), (1, 8, 8, 4), step=2, shift=3),
    "3×3, dilation 9": _halo_form((3, 3), (1, 8, 8, 4), dilation=9, shift=3),
    "5×5": _halo_form((5, 5), (1, 16, 16, 4), shift=2),
    "7×7": _halo_form((7, 7), (1, 16, 16, 4), shift=1),
    "7×7, by elements": _halo_form((7, 7), (16, 2, 2, 4), quad_loads=False, quad_stores=False),
    "11×11": _halo_form((11, 11), (1, 16, 16, 4), shift=3),
    "31×31": _halo_form((31, 31), (1, 16, 16, 4), shift=1),
    "1×65": _halo_form((1, 65), (4, 1, 64, 1)),
    "1×9": _halo_form((1, 9), (4, 1, 64, 1)),
    "3×3, channels last": _halo_form((3, 3), (32, 4, 8, 4), channels_last=True),
    "7×7, channels last": _halo_form((7, 7), (16, 4, 8, 4), channels_last=True),
    "separable 5×5": _halo_form((5, 5), (4, 8, 8, 4), separable=True, shift=2),
    "separable 5×5, channels last": _halo_form((5, 5), (16, 4, 8, 4), channels_last=True, separable=True),
}


def _halo() -> Iterator[Specimen]:
    cases = [("float32", label) for label in HALO]
    cases += [(dtype, "3×3") for dtype in ("float16", "bfloat16", "int8")] + [
        ("float16", "3×3, channels last"),
        ("float64", "separable 5×5"),
    ]
    for dtype, label in cases:
        out, form = "int32" if dtype == "int8" else dtype, HALO[label]
        if dtype == "float64":
            form = form._replace(tile=HaloTile(1, 8, 8, 4), window=6)
        yield Specimen(
            f"{dtype} {label}",
            "halo",
            partial(make_halo, dtype, out, out, None, form),
            (*arrays(dtype, dtype, dtype, out, out), "int32[]"),
            sizes(form).threads,
            doubles=has_doubles(dtype),
            wanted=("ld.global.v4", "st.global.v4") if form.quad_loads and dtype != "float64" else (),
            registers=128,
        )


def _channelwise() -> Iterator[Specimen]:
    for dtype, form in (
        ("float32", StripForm(taps=3, stride=1, dilation=1, rows=4)),
        ("float32", StripForm(taps=7, stride=1, dilation=96, rows=1)),
        ("bfloat16", StripForm(taps=3, stride=2, dilation=1, rows=4)),
        ("complex128", StripForm(taps=5, stride=1, dilation=1, rows=4)),
    ):
        yield Specimen(
            f"{dtype} strips, {form.taps} taps, stride {form.stride}, dilation {form.dilation}, strip {form.rows}",
            "depthwise",
            partial(make_strips, dtype, dtype, dtype, None, form),
            (*conv(dtype), "int32"),
            doubles=has_doubles(dtype),
        )

    for dtype in ("float32", "bfloat16", "float64"):
        acc = "float64" if dtype == "float64" else "float32"
        yield Specimen(
            f"{dtype} weight gradient",
            "depthwise",
            partial(make_depthwise_grad, dtype, dtype, FORM),
            (*arrays(dtype, dtype, acc), "int32[]"),
            FORM.threads,
            doubles=has_doubles(dtype),
        )


def specimens() -> Iterator[Specimen]:
    yield from _halo()
    yield from _channelwise()
