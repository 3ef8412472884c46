"""What all cost models of the CUDA kernels have in common: the card, the roofline, and the model of a product in tiles.

A cost is the larger of arithmetic and traffic at an assumed share of the peak, plus launches.  A family's own numbers and sums are in its
`cost.py`; what tiles reach is in `stages/cost.py`.  **No kernel has run on a GPU**: each number says what it was taken from, "data sheet"
(NVIDIA's of the H100 SXM, 80 GB) or "assumed" (an estimate of 2026-11-24, measured on nothing).  Costs are of one sample, so that a split
batch takes the same kernel and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..kernel import Machine
from ..problem import ConvProblem

MULTIPROCESSORS = 132  # data sheet
FLOPS = 6.7e13  # float32 operations a second outside tensor cores, a multiply-add is two: data sheet
BANDWIDTH = 3.35e12  # bytes a second to and from memory: data sheet
LAUNCH = 5e-6  # seconds from a launch to the kernel's beginning: assumed
L1, L2 = 228 << 10, 50 << 20  # bytes: shared memory of a multiprocessor, and the second cache: data sheet
#: what costs are computed for where there is no card to ask, and tiles are chosen for on every card
H100 = Machine(name="cuda", cores=MULTIPROCESSORS, flops=FLOPS, bandwidth=BANDWIDTH, launch=LAUNCH, l1=L1, l2=L2)
#: bytes of shared memory that a block of an H100 may ask for: data sheet
MOST_SHARED = 227 << 10
#: blocks that fill a card, two for each multiprocessor of an H100; a constant, for the same bits on every card
FULL = 2 * MULTIPROCESSORS
#: warps of a multiprocessor that issue at once: data sheet
SCHEDULERS = 4

#: share of the memory's bandwidth that a kernel reaches: assumed
MEMORY_SHARE = 0.8
#: rate of the second cache over that of memory: assumed
SECOND_CACHE = 1.6
#: seconds for the beginning and end of a block, where the multiprocessor holds no other to hide them: assumed
BEGIN = 1.5e-6
#: seconds from one term of a thread's sum to the next where both operands come through L1: assumed
TERM_SECONDS = 20e-9
#: arithmetic rate outside tensor cores over float32's: float64 by the data sheet, the others assumed
FLOAT64_RATE, COMPLEX64_RATE, WIDEST_RATE = 0.5, 0.25, 0.12
#: bytes by which a partial sum of split-K crosses memory: written as float32, and read
PART_BYTES = 8.0

#: parts that split-K may make of a sum, of so many steps each at least
SPLIT_PARTS = (1, 2, 3, 4, 6, 8, 12, 16)
MOST_PARTS = SPLIT_PARTS[-1]
LEAST_STEPS = 8

_HALF = {"bfloat16": 2, "float16": 2}
int32 = np.int32


def itemsize(dtype: str) -> int:
    return _HALF.get(dtype) or np.dtype(dtype).itemsize


def peak_share(dtype: str) -> float:
    """Arithmetic rate outside tensor cores, relative to float32."""
    if dtype == "float64":
        return FLOAT64_RATE
    if dtype in ("int64", "uint64", "complex128"):
        return WIDEST_RATE
    return COMPLEX64_RATE if dtype.startswith("complex") else 1.0


def traffic(problem: ConvProblem) -> float:
    """Bytes of one sample that must move at least once."""
    size = itemsize(problem.dtype)
    source, target = problem.source, problem.target
    return size * (source[0] * prod(source[1]) + prod(problem.weight_shape)) + itemsize(problem.out_dtype) * target[0] * prod(target[1])


def operations(problem: ConvProblem) -> float:
    """Of one sample; a multiply-add is two."""
    return 2.0 * problem.multiplications / max(1, problem.batch)


def memory(size: float, machine: Machine) -> float:
    """Seconds for so many bytes."""
    return size / (MEMORY_SHARE * machine.bandwidth)


def roof(problem: ConvProblem, machine: Machine, share: float, launches: int = 1, extra_bytes: float = 0.0) -> float:
    """Seconds at `share` of the arithmetic peak and at what memory gives."""
    arithmetic = operations(problem) / (machine.flops * peak_share(problem.dtype) * share)
    return max(arithmetic, memory(traffic(problem) + extra_bytes, machine)) + launches * machine.launch


def one_thread_each(problem: ConvProblem, machine: Machine, share: float, full: int, tap: float = 0.0) -> float:
    """A thread for each result: at `share` of the peak where every multiprocessor has `full` results, in proportion below that.

    No quicker than the longest sum, term after term, and `tap` seconds more for each tap.
    """
    results = problem.target[0] * prod(problem.target[1])
    terms = problem.source[0] // problem.groups * problem.taps
    filled = share * min(1.0, results / (full * machine.cores))
    return max(roof(problem, machine, filled), machine.launch + TERM_SECONDS * terms + tap * problem.taps)


@dataclass(frozen=True)
class Block:
    """A tile as the model sees it: rows × columns of results, `depth` terms a step; `share` of the peak where a multiprocessor is full."""

    tile: Any
    rows: int
    columns: int
    depth: int
    share: float
    resident: int = 2  # blocks that a multiprocessor holds
    warps: int = 8  # of a block


class Product(NamedTuple):
    """`copies` products of (positions × terms) by (terms × targets), and what surrounds them."""

    positions: int
    targets: int
    terms: float  # of a sum, the mean over the stride phases
    deepest: int  # terms of the longest sum, which split-K may cut
    copies: int  # groups times stride phases
    rate: float  # arithmetic rate of the type over that of float32 on the CUDA cores
    itemsize: int  # bytes of an operand's element
    moved: float  # bytes to and from memory without those of the parts
    launches: int = 1  # without the one that adds the parts
    choices: tuple[int, ...] = SPLIT_PARTS  # how many parts split-K may make of a sum


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


def gemm(blocks: Sequence[Block], product: Product, machine: Machine) -> Estimate:
    """The quickest of `blocks`, and of the parts of split-K.

    Multiprocessors take blocks in waves; a wave lasts as long as its steps at the tile's share of the peak, and the beginnings and ends of
    blocks that a multiprocessor does not hold at once come after each other.  Below that lie the second cache, from which every block
    reads its own tiles, and memory, which everything crosses once; parts cross it twice, and take a launch to add.
    """
    found = []
    for block in blocks:
        for parts in product.choices:
            if parts > max(1, -(-product.deepest // block.depth) // LEAST_STEPS):
                break
            found.append(_tiled(block, parts, product, machine))
    return min(found, key=lambda e: e.seconds)


def _tiled(block: Block, parts: int, product: Product, machine: Machine) -> Estimate:
    positions, targets, copies = product.positions, product.targets, product.copies
    count = -(-positions // block.rows) * -(-targets // block.columns) * copies * parts
    waves, rounds = -(-count // machine.cores), -(-count // (machine.cores * block.resident))
    share = block.share * min(1.0, min(block.resident, waves) * block.warps / SCHEDULERS)
    work = 2.0 * block.rows * block.columns * block.depth * -(-product.terms // (block.depth * parts))
    moving = product.moved + (PART_BYTES * parts * positions * targets * copies if parts > 1 else 0.0)
    reads = count * work / 2 * (1 / block.rows + 1 / block.columns) * product.itemsize
    times = {
        "arithmetic": waves * work * machine.cores / (machine.flops * product.rate * share) + rounds * BEGIN,
        "second cache": reads / (SECOND_CACHE * machine.bandwidth),
        "memory": memory(moving, machine),
    }
    bound = max(times, key=lambda name: times[name])
    starts = machine.launch * (product.launches + (parts > 1))
    bound, seconds = "launches" if starts > times[bound] else bound, times[bound] + starts
    return Estimate(seconds, block.tile, parts, count, waves, work * count, moving, bound)


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
    channels, spatial = problem.target
    sources, phases, deepest = problem.source[0] // problem.groups, 1, problem.taps
    if problem.direction == "input_grad":
        phases = max(1, prod(min(s, e) for s, e in zip(problem.stride, spatial, strict=True)))
        deepest = prod(-(-k // s) for k, s in zip(problem.kernel, problem.stride, strict=True))
    product = Product(
        positions=max(1, -(-prod(spatial) // phases)),
        targets=channels // problem.groups,
        terms=max(1.0, sources * problem.taps / phases) * waste,
        deepest=int(sources * deepest * waste),
        copies=problem.groups * phases,
        rate=peak_share(problem.dtype) * rate,
        itemsize=itemsize(problem.dtype),
        moved=traffic(problem) + extra,
        launches=launches,
    )
    return gemm(blocks, product, machine)
