"""The kernels by which benchmarks/gpu.py measures a card's peaks, through the compiler: they do what they count."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from numconv.cuda.proof.resources import lint, ptx
from numconv.cuda.proof.specimens.specimen import Specimen

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import gpu_measure  # noqa: E402

KERNELS: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "float32": (lambda: gpu_measure.make_fma_chains(4096), ("float32[]", "float32", "float32"), "fma.rn.f32"),
    "tf32": (lambda: gpu_measure.make_mma_chains("float32", 4096), ("float32[]",), "mma.sync.aligned.m16n8k8"),
    "float16": (lambda: gpu_measure.make_mma_chains("float16", 4096), ("float32[]",), "mma.sync.aligned.m16n8k16"),
}


@pytest.mark.parametrize("kind", KERNELS)
def test_chains_are_in_registers_and_eight(kind: str) -> None:
    make, arguments, instruction = KERNELS[kind]
    text = ptx(Specimen(kind, "benchmark", make, arguments, least=(8, 0)))
    assert len(re.findall(re.escape(instruction), text)) % 8 == 0
    assert instruction in text
    assert lint(text) == {"float64": 0, "local memory": 0, "64-bit division": 0}
