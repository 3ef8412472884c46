"""Every kernel at its production tile through the compiler and the linker of run time, with no GPU: registers, spills, PTX.

What this proves: that the kernels compile and link for sm_75, 80, 90 and 90a, keep to their registers, and hold the instructions they are
built around.  Not that they are fast: nothing has been timed on a GPU.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from numconv.cuda.proof.resources import ARCHITECTURES, BLOCK_SHARED, LIMITS, Usage, architecture, link, link_ptx, lint, ptx
from numconv.cuda.proof.specimens import specimens
from numconv.cuda.proof.specimens.specimen import Specimen

ALL = specimens()
IDS = [f"{s.family}: {s.label}" for s in ALL]
FIRST = {s.family: s for s in reversed(ALL)}  # of each family


def allowed(usage: Usage, specimen: Specimen, cc: tuple[Any, ...]) -> None:
    assert usage.spills == 0
    assert usage.stack == 0
    assert usage.registers <= specimen.registers
    assert usage.shared <= 48 << 10
    assert usage.shared + specimen.dynamic <= BLOCK_SHARED[architecture(cc)]
    assert usage.registers * specimen.threads <= LIMITS[architecture(cc)][1]


def often(specimen: Specimen) -> bool:
    """Tensor-core tiles between the largest and the smallest of a type, and bfloat16's, which differ from float16's by the name of one instruction: by `-m slow`."""
    between = any(f"{tile} words" in specimen.label for tile in ("128×64×32", "64×64×32", "64×64×16", "128×32×16"))
    plain = specimen.label.endswith("stages")
    return not specimen.family.startswith("tensor_core") or not plain or not (between or specimen.label.startswith("bfloat16"))


@pytest.mark.parametrize("specimen", [s if often(s) else pytest.param(s, marks=pytest.mark.slow) for s in ALL], ids=IDS)
def test_oldest_and_newest_architecture(specimen: Specimen) -> None:
    """The PTX made for the oldest architecture, linted, and assembled for it and the newest."""
    text = ptx(specimen, specimen.least)
    found = lint(text)
    assert found["64-bit division"] == 0
    assert found["local memory"] == 0
    if not specimen.doubles:
        assert found["float64"] == 0
    for instruction in specimen.wanted:
        assert re.search(re.escape(instruction), text), f"no {instruction}"
    for cc in {specimen.least, ARCHITECTURES[-1]}:
        allowed(link_ptx(text, cc), specimen, cc)


@pytest.mark.slow
@pytest.mark.parametrize("specimen", ALL, ids=IDS)
def test_architectures_between(specimen: Specimen) -> None:
    text = ptx(specimen, specimen.least)
    for cc in ARCHITECTURES[:-1]:
        if cc > specimen.least:
            allowed(link_ptx(text, cc), specimen, cc)


@pytest.mark.parametrize(
    "specimen", [s if s is FIRST[s.family] else pytest.param(s, marks=pytest.mark.slow) for s in ALL], ids=IDS
)  # fmt: skip
def test_path_of_run_time(specimen: Specimen) -> None:
    """LTO-IR, then nvJitLink, for sm_90a: one kernel of each family; all of them by `-m slow`."""
    allowed(link(specimen, ARCHITECTURES[-1]), specimen, ARCHITECTURES[-1])
