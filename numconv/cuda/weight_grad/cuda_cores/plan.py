"""The weight gradient on CUDA cores: the choice of tile and parts, from the problem alone, for the same bits on every card."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ....kernel import Machine
from ....problem import ConvProblem
from ... import costs
from ...environment import SIMULATED
from ...runtime.launch import ceil_div
from ...stages.cost import cuda_core_block
from .. import cost as model


class WeightTile(NamedTuple):
    """The results of a block and of each of its threads, and the positions that are added from one barrier to the next."""

    targets: int  # output channels
    terms: int  # (channel, tap)
    positions: int  # in shared memory at once
    thread_targets: int  # a multiple of four: shared memory is read by quads
    thread_terms: int

    @property
    def threads(self) -> int:
        return (self.targets // self.thread_targets) * (self.terms // self.thread_terms)


#: positions of a part at least
LEAST_PART = 256
SIMULATED_LEAST_PART = 8
#: for many output channels, for at most 32 of them, for at most 16
MANY = WeightTile(targets=64, terms=64, positions=16, thread_targets=4, thread_terms=4)
FEW = WeightTile(targets=32, terms=128, positions=16, thread_targets=4, thread_terms=4)
FEWEST = WeightTile(targets=16, terms=64, positions=16, thread_targets=4, thread_terms=4)
SIMULATED_WEIGHT_TILE = WeightTile(targets=8, terms=8, positions=4, thread_targets=4, thread_terms=4)


def tile_for(problem: ConvProblem, simulated: bool = SIMULATED) -> WeightTile:
    if simulated:
        return SIMULATED_WEIGHT_TILE
    return next((tile for tile in (FEWEST, FEW) if problem.group_out <= tile.targets), MANY)


def positions(problem: ConvProblem) -> int:
    """Of all samples."""
    return problem.batch * prod(problem.outputs)


def part_length(problem: ConvProblem, tile: WeightTile, least: int = SIMULATED_LEAST_PART if SIMULATED else LEAST_PART) -> int:
    """Positions of one part: so many parts that two waves of blocks run on an H100, of 256 positions at least."""
    terms = problem.group_in * problem.taps
    blocks = ceil_div(problem.group_out, tile.targets) * ceil_div(terms, tile.terms) * problem.groups
    wanted = max(1, costs.FULL // blocks)
    return max(least, ceil_div(ceil_div(positions(problem), wanted), tile.positions) * tile.positions)


def parts(problem: ConvProblem) -> int:
    return max(1, ceil_div(positions(problem), part_length(problem, tile_for(problem))))


def estimate(problem: ConvProblem, machine: Machine) -> costs.Estimate:
    tile = tile_for(problem, simulated=False)
    block = cuda_core_block(tile, tile.targets, tile.terms, tile.positions, tile.threads)
    return model.cuda_cores(problem, machine, block, ceil_div(max(1, positions(problem)), part_length(problem, tile, LEAST_PART)))
