"""The rows of the implicit GEMM on CUDA cores: `implicit_gemm` forward, `gather` back to the input."""

from __future__ import annotations

from typing import Any

from ....kernel import Kernel
from ....problem import ConvProblem
from ...scalars import ALL
from ...stages.implicit_gemm.product import cost, run, workspace

_COMMON: dict[str, Any] = {
    "problem": ConvProblem,
    "run": run,
    "cost": cost,
    "dtypes": ALL,
    "honours": frozenset({"groups", "layout", "activation", "shuffle", "precision"}),
}
ROWS = (
    Kernel(
        name="implicit_gemm",
        workspace=workspace,
        directions=frozenset({"forward"}),
        summary="Register-tiled implicit GEMM on CUDA cores; input gradients by stride phases.",
        **_COMMON,
    ),
    Kernel(name="gather", directions=frozenset({"input_grad"}), summary="One implicit GEMM for each stride phase.", **_COMMON),
)
