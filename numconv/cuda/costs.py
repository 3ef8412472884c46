"""Roofline costs of the CUDA kernels: the larger of arithmetic and traffic at an assumed share of the peak, plus launches.

The shares are estimates, not measurements: no kernel has run on a GPU yet (2026-11).  Costs are of one sample, so that a split batch takes
the same kernel and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..kernel import Machine
from ..problem import ConvProblem
from .stages.split_k import LEAST, PARTS

#: an H100 SXM by its data sheet: what costs are computed for where there is no card to ask, and tiles are chosen for on every card
H100 = Machine(name="cuda", cores=132, flops=6.7e13, bandwidth=3.35e12, launch=5e-6, l1=228 << 10, l2=50 << 20)
#: rate of the second cache over that of memory; seconds for the beginning and end of a block
SECOND_CACHE, BEGIN = 1.6, 1.5e-6
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


@dataclass(frozen=True)
class Block:
    """A tile as the model sees it: rows × columns of results, `depth` terms a step, at `share` of the arithmetic peak where it fills a multiprocessor."""

    tile: Any
    rows: int
    columns: int
    depth: int
    share: float
    resident: int = 2  # blocks that a multiprocessor holds
    warps: int = 8  # of a block; a multiprocessor has four schedulers


@dataclass(frozen=True)
class Estimate:
    """What the model says of a tiled kernel on one sample."""

    seconds: float
    tile: Any
    parts: int  # of split-K
    blocks: int  # of all parts
    waves: int
    flops: float  # with what fills incomplete tiles
    bytes: float  # to and from the card's memory
    bound: str  # the longest of its times


def gemm(
    blocks: Sequence[Block], positions: int, targets: int, terms: float, deepest: int, copies: int, machine: Machine, rate: float, size: int,
    moved: float, launches: int = 1, choices: tuple[int, ...] = PARTS,
) -> Estimate:  # fmt: skip
    """The quickest of `blocks`, and of the parts of split-K, for `copies` products of positions × terms by terms × targets.

    Multiprocessors take blocks in waves; a wave lasts as long as its steps at the tile's share of the peak, and the beginnings and ends of
    blocks that a multiprocessor does not hold at once come after each other.  Below that lie the second cache, from which every block
    reads its own tiles, and memory, which everything crosses once; parts cross it twice, and take a launch to add.
    """
    found = []
    for block in blocks:
        tiles = -(-positions // block.rows) * -(-targets // block.columns) * copies
        for parts in choices:
            if parts > max(1, -(-deepest // block.depth) // LEAST):
                break
            count = tiles * parts
            waves, rounds = -(-count // machine.cores), -(-count // (machine.cores * block.resident))
            share = block.share * min(1.0, min(block.resident, waves) * block.warps / 4)
            work = 2.0 * block.rows * block.columns * block.depth * -(-terms // (block.depth * parts))
            moving = moved + (8.0 * parts * positions * targets * copies if parts > 1 else 0.0)
            times = {
                "arithmetic": waves * work * machine.cores / (machine.flops * rate * share) + rounds * BEGIN,
                "second cache": count * work / 2 * (1 / block.rows + 1 / block.columns) * size / (SECOND_CACHE * machine.bandwidth),
                "memory": moving / (0.8 * machine.bandwidth),
            }
            bound = max(times, key=lambda name: times[name])
            starts = machine.launch * (launches + (parts > 1))
            bound, seconds = "launches" if starts > times[bound] else bound, times[bound] + starts
            found.append(Estimate(seconds, block.tile, parts, count, waves, work * count, moving, bound))
    return min(found, key=lambda e: e.seconds)


def extents(problem: ConvProblem) -> tuple[int, int, float, int, int]:
    """positions, targets, terms, terms of the deepest stride phase, groups · phases: a problem of one sample as `gemm` takes it."""
    channels, spatial = problem.target
    sources, phases, deepest = problem.source[0] // problem.groups, 1, problem.taps
    if problem.direction == "input_grad":
        phases = max(1, prod(min(s, e) for s, e in zip(problem.stride, spatial, strict=True)))
        deepest = prod(-(-k // s) for k, s in zip(problem.kernel, problem.stride, strict=True))
    positions = max(1, -(-prod(spatial) // phases))
    return positions, channels // problem.groups, max(1.0, sources * problem.taps / phases), sources * deepest, problem.groups * phases


def tiled(
    problem: ConvProblem,
    machine: Machine,
    blocks: Sequence[Block],
    rate: float = 1.0,
    waste: float = 1.0,
    extra: float = 0.0,
    launches: int = 1,
) -> Estimate:
    """`gemm` for a forward or input_grad problem; `waste`: terms made over terms wanted; `extra` bytes beside the traffic."""
    positions, targets, terms, deepest, copies = extents(problem)
    return gemm(
        blocks, positions, targets, terms * waste, int(deepest * waste), copies, machine, peak_share(problem.dtype) * rate,
        itemsize(problem.dtype), traffic(problem) + extra, launches,
    )  # fmt: skip


def simple(share: float, launches: int = 1) -> Any:
    """A cost by arithmetic share alone."""

    def cost(problem: Any, machine: Machine) -> float:
        return roof(problem, machine, share, launches)

    return cost


def bytes_only(problem: Any, machine: Machine) -> float:
    """Operators that read and write once."""
    return 2.0 * itemsize(problem.dtype) * prod(problem.result_shape) / (0.8 * machine.bandwidth) + machine.launch
