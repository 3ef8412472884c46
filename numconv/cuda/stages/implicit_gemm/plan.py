"""Tiles and forms of the implicit GEMM, and which of them, and how many parts of split-K, a problem takes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from ....memory import kept
from ....problem import ConvProblem
from ... import costs
from ...environment import SIMULATED
from ...geometry.convolution import Lowered, lower
from ...runtime.arrays import is_aligned
from ...scalars import accumulator, scalars
from ..cost import cuda_core_block
from ..schedule import quickest


class GemmTile(NamedTuple):
    """What a block computes, and what each of its threads computes of it."""

    positions: int
    targets: int
    terms: int  # of a step
    thread_positions: int
    thread_targets: int

    @property
    def threads(self) -> int:
        return (self.positions // self.thread_positions) * (self.targets // self.thread_targets)


GEMM_TILES = (
    GemmTile(positions=128, targets=128, terms=8, thread_positions=8, thread_targets=8),
    GemmTile(positions=128, targets=64, terms=8, thread_positions=8, thread_targets=4),
    GemmTile(positions=64, targets=64, terms=8, thread_positions=4, thread_targets=4),
    GemmTile(positions=128, targets=32, terms=8, thread_positions=4, thread_targets=4),
    GemmTile(positions=64, targets=32, terms=8, thread_positions=4, thread_targets=4),
    GemmTile(positions=256, targets=16, terms=16, thread_positions=4, thread_targets=4),
    GemmTile(positions=256, targets=8, terms=16, thread_positions=4, thread_targets=4),
)
#: for types of 8 bytes and more: a quarter of the sums, so that they fit the registers
WIDE_GEMM_TILES = (
    GemmTile(positions=64, targets=64, terms=8, thread_positions=4, thread_targets=4),
    GemmTile(positions=128, targets=32, terms=8, thread_positions=4, thread_targets=4),
    GemmTile(positions=256, targets=16, terms=16, thread_positions=4, thread_targets=4),
    GemmTile(positions=256, targets=8, terms=16, thread_positions=4, thread_targets=4),
)
SIMULATED_GEMM_TILES = (GemmTile(positions=16, targets=8, terms=4, thread_positions=4, thread_targets=4),)
#: their body in 64 copies stays a loop, which puts the sums into local memory: tests/gpu/test_compile.py
LONG_ACTIVATIONS = frozenset({"silu", "sigmoid", "tanh", "hardswish"})
#: numbers of a 128-bit access, where they have 32 bits
QUAD = 4


@dataclass(frozen=True)
class GemmForm:
    """What of the problem's form is compiled into a kernel.

    reads: how a block's threads divide a tile of X.  "positions": neighbours read neighbouring positions (channels first); "channels":
    neighbouring terms of k, which the table has as neighbouring channels (channels last); "quads": four positions by one 128-bit load (a
    pointwise convolution whose positions are a multiple of four).
    """

    outer: bool = False  # the third axis takes part
    reads: str = "positions"
    quad_stores: bool = False  # four positions of a result by one 128-bit store
    parted: bool = False  # y is the workspace of split-K's parts


def tiles_for(dtype: str, out_dtype: str, act: str | None) -> tuple[GemmTile, ...]:
    if SIMULATED:
        return SIMULATED_GEMM_TILES
    if scalars(dtype, out_dtype).itemsize > 4:
        return WIDE_GEMM_TILES
    return GEMM_TILES[1:] if act in LONG_ACTIVATIONS else GEMM_TILES


def blocks(tiles: tuple[GemmTile, ...]) -> list[costs.Block]:
    return [cuda_core_block(t, t.positions, t.targets, t.terms, t.threads) for t in tiles]


@kept
def schedule(problem: ConvProblem, low: Lowered) -> tuple[GemmTile, int]:
    """(tile, parts of split-K)."""
    among = tiles_for(problem.dtype, problem.out_dtype, problem.activation)
    return quickest(problem, low, blocks(among), costs.peak_share(problem.dtype))


def form_of(problem: ConvProblem, x: Any, out: Any, parts: int) -> GemmForm:
    """How the kernel may read and store; addresses matter for the 128-bit accesses."""
    whole = prod(problem.target[1]) % QUAD == 0
    first = problem.layout == "channels_first"
    acc = accumulator(problem.dtype, problem.out_dtype)
    pointwise = problem.taps == 1 and max(problem.stride) == 1 and problem.source[1] == problem.target[1] and not any(problem.pad_low)
    quads = pointwise and first and whole and acc == problem.dtype in ("float32", "int32") and is_aligned(x)
    forward = problem.direction == "forward" or max(problem.stride) == 1
    stored = acc if parts > 1 else problem.out_dtype
    quad_stores = forward and first and whole and acc == stored in ("float32", "int32") and (parts > 1 or is_aligned(out))
    channels = not first and problem.source[0] // problem.groups >= QUAD
    return GemmForm(problem.rank == 3, "quads" if quads else "channels" if channels else "positions", quad_stores, parts > 1)


def lowered(problem: ConvProblem) -> Lowered:
    """Neighbouring terms are neighbouring channels where the image has them so."""
    return lower(problem, tap_major=problem.layout == "channels_last")


def estimate(problem: ConvProblem, machine: costs.Machine) -> costs.Estimate:
    return costs.tiled(problem, machine, blocks(GEMM_TILES if costs.peak_share(problem.dtype) == 1.0 else WIDE_GEMM_TILES))
