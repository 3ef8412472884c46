"""Roofline costs of the CUDA kernels: the larger of arithmetic and traffic at an assumed share of the peak, plus launches.

The shares are estimates, not measurements: no kernel has run on a GPU yet (2026-11).  Costs are of one sample, so that a split batch takes
the same kernel and gives the same bits.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..kernel import Machine
from ..problem import ConvProblem
from .split_k import parts_for

_ITEM = {"bfloat16": 2, "float16": 2}
int32 = np.int32


def itemsize(dtype: str) -> int:
    return _ITEM.get(dtype) or np.dtype(dtype).itemsize


def peak_share(dtype: str) -> float:
    """Arithmetic rate outside tensor cores, relative to float32."""
    if dtype in ("float64", "int64", "uint64", "complex128"):
        return 0.5 if dtype == "float64" else 0.12
    return 0.25 if dtype.startswith("complex") else 1.0


def traffic(problem: ConvProblem) -> float:
    """Bytes of one sample that must move at least once."""
    size = itemsize(problem.dtype)
    source, target = problem.source, problem.target
    return size * (source[0] * prod(source[1]) + prod(problem.weight_shape)) + itemsize(problem.out_dtype) * target[0] * prod(target[1])


def operations(problem: ConvProblem) -> float:
    return 2.0 * problem.multiplications / max(1, problem.batch)


def roof(problem: ConvProblem, machine: Machine, share: float, launches: int = 1, extra_bytes: float = 0.0) -> float:
    """Seconds at `share` of the arithmetic peak and 80 % of the bandwidth."""
    arithmetic = operations(problem) / (machine.flops * peak_share(problem.dtype) * share)
    return max(arithmetic, (traffic(problem) + extra_bytes) / (0.8 * machine.bandwidth)) + launches * machine.launch


def direct(problem: ConvProblem, machine: Machine) -> float:
    """Every product loads both operands through L1: 4 % of the peak where the card is full of threads, in proportion below that."""
    outputs = problem.target[0] * prod(problem.target[1])
    chain = problem.source[0] // problem.groups * problem.taps
    return max(roof(problem, machine, 0.04 * min(1.0, outputs / (512 * machine.cores))), machine.launch + 20e-9 * chain)


def scatter(problem: ConvProblem, machine: Machine) -> float:
    """As direct, a little quicker a product where the card is full; two barriers a tap."""
    outputs = problem.target[0] * prod(problem.target[1])
    chain = problem.source[0] // problem.groups * problem.taps
    full = min(1.0, outputs / (2048 * machine.cores))
    return max(roof(problem, machine, 0.06 * full), machine.launch + 20e-9 * chain + 1e-6 * problem.taps)


def tile_share(problem: ConvProblem, rows: int, columns: int, depth: int, machine: Machine) -> tuple[float, int]:
    """(part of the launched tiles' work that is wanted times how full the waves of blocks are, parts of split-K)."""
    channels, spatial = problem.target
    targets = channels // problem.groups
    phases = prod(min(s, e) for s, e in zip(problem.stride, spatial, strict=True)) if problem.direction == "input_grad" else 1
    positions = -(-prod(spatial) // max(1, phases))
    down, across = -(-max(1, positions) // rows), -(-targets // columns)
    blocks = down * across * problem.groups * max(1, phases)
    terms = problem.source[0] // problem.groups * problem.taps // max(1, phases)
    parts = parts_for(blocks, -(-terms // depth))
    waves = -(-blocks * parts // machine.cores)
    filled = positions / (down * rows) * targets / (across * columns)
    return filled * (blocks * parts / (waves * machine.cores)), parts


def tiled(problem: ConvProblem, machine: Machine, tiles: Any, rate: float = 1.0, waste: float = 1.0, extra: float = 0.0) -> float:
    """Seconds of the best of `tiles` (rows, columns, depth, share of `rate` times the float32 peak); `extra` bytes beside the traffic."""
    best = float("inf")
    arithmetic = operations(problem) * waste / (machine.flops * peak_share(problem.dtype) * rate)
    result = 4.0 * problem.target[0] * prod(problem.target[1])
    for rows, columns, depth, share in tiles:
        filled, parts = tile_share(problem, rows, columns, depth, machine)
        moved = traffic(problem) + extra + (2 * parts * result if parts > 1 else 0)
        seconds = max(arithmetic / max(share * filled, 1e-6), moved / (0.8 * machine.bandwidth))
        best = min(best, seconds + machine.launch * (2 if parts > 1 else 1))
    return best


def simple(share: float, launches: int = 1) -> Any:
    """A cost by arithmetic share alone."""

    def cost(problem: Any, machine: Machine) -> float:
        return roof(problem, machine, share, launches)

    return cost


def bytes_only(problem: Any, machine: Machine) -> float:
    """Operators that read and write once."""
    return 2.0 * itemsize(problem.dtype) * prod(problem.result_shape) / (0.8 * machine.bandwidth) + machine.launch
