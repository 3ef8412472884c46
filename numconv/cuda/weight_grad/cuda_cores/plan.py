"""The weight gradient on CUDA cores: the choice of tile and parts, from the problem alone, for the same bits on every card."""

from __future__ import annotations

from math import prod

from ....kernel import Machine
from ....problem import ConvProblem
from ... import costs
from ...runtime.launch import SIMULATED, ceil_div
from ...stages.cost import cuda_core_block
from ...stages.tiles import RegisterTile
from .. import cost as model

#: positions of a part at least
LEAST_PART = 256
SIMULATED_LEAST_PART = 8
#: for many output channels, for at most 32 of them, for at most 16
MANY = RegisterTile(rows=64, columns=64, depth=16, thread_rows=4, thread_columns=4)
FEW = RegisterTile(rows=32, columns=128, depth=16, thread_rows=4, thread_columns=4)
FEWEST = RegisterTile(rows=16, columns=64, depth=16, thread_rows=4, thread_columns=4)
SIMULATED_WEIGHT_TILE = RegisterTile(rows=8, columns=8, depth=4, thread_rows=4, thread_columns=4)


def tile_for(problem: ConvProblem, simulated: bool = SIMULATED) -> RegisterTile:
    if simulated:
        return SIMULATED_WEIGHT_TILE
    return next((tile for tile in (FEWEST, FEW) if problem.group_out <= tile.rows), MANY)


def positions(problem: ConvProblem) -> int:
    """Of all samples."""
    return problem.batch * prod(problem.outputs)


def part_length(problem: ConvProblem, tile: RegisterTile, least: int = SIMULATED_LEAST_PART if SIMULATED else LEAST_PART) -> int:
    """Positions of one part: so many parts that two waves of blocks run on an H100, of 256 positions at least."""
    columns = problem.group_in * problem.taps
    blocks = ceil_div(problem.group_out, tile.rows) * ceil_div(columns, tile.columns) * problem.groups
    wanted = max(1, costs.FULL // blocks)
    return max(least, ceil_div(ceil_div(positions(problem), wanted), tile.depth) * tile.depth)


def parts(problem: ConvProblem) -> int:
    return max(1, ceil_div(positions(problem), part_length(problem, tile_for(problem))))


def estimate(problem: ConvProblem, machine: Machine) -> costs.Estimate:
    tile = tile_for(problem, simulated=False)
    block = cuda_core_block(tile, tile.rows, tile.columns, tile.depth, tile.threads)
    return model.cuda_cores(problem, machine, block, ceil_div(max(1, positions(problem)), part_length(problem, tile, LEAST_PART)))
