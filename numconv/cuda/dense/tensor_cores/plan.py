"""Which tile, and how many parts of split-K, a problem takes on tensor cores."""

from __future__ import annotations

from ....kernel import Machine
from ....memory import kept
from ....problem import ConvProblem
from ... import costs
from ...geometry.convolution import Lowered, lower
from ...stages.chunks import in_place, padded
from ...stages.cost import RATE, tensor_core_block
from ...stages.schedule import quickest
from ...stages.warp_tiles import CHUNK, WARP_TILES, WarpTile, tiles
from .. import cost as model


def lowered(problem: ConvProblem) -> Lowered:
    return lower(problem, chunk=CHUNK[problem.dtype])


@kept
def schedule(problem: ConvProblem) -> tuple[WarpTile, int]:
    """(tile, parts of split-K)."""
    dtype = problem.dtype
    return quickest(problem, lowered(problem), [tensor_core_block(dtype, t) for t in tiles()], RATE[dtype], CHUNK[dtype])


def estimate(problem: ConvProblem, machine: Machine) -> costs.Estimate:
    width = padded(problem.source[0] // problem.groups, problem.dtype)
    blocks = [tensor_core_block(problem.dtype, t) for t in WARP_TILES]
    return model.tensor_cores(problem, machine, blocks, width, in_place(problem))


def cost(problem: ConvProblem, machine: Machine) -> float:
    return estimate(problem, machine).seconds
