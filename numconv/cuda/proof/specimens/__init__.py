"""What is compiled to prove the kernels without a GPU: every family at its production tiles, with the types of its arguments.

`tests/gpu/test_compile.py` links each for every architecture; `benchmarks/cuda_resources.py` writes their registers and shared memory
into the docs.
"""

from __future__ import annotations

from . import adapt, dense, depthwise, named, operators, weight_grad, winograd
from .specimen import Specimen


def specimens() -> list[Specimen]:
    return [specimen for family in (dense, weight_grad, winograd, depthwise, named, adapt, operators) for specimen in family.specimens()]
