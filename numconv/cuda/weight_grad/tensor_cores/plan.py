"""The weight gradient on tensor cores: the choice of tile and parts, from the problem alone."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ....kernel import Machine
from ....memory import kept
from ....problem import ConvProblem
from ... import costs
from ...runtime.launch import ceil_div
from ...stages.chunks import in_place, padded
from ...stages.cost import tensor_core_block
from ...stages.warp_tiles import WARP_TILES, WarpTile, stage_terms, tiles
from .. import cost as model

#: parts of the sum over the positions: more than split-K has, for weights are few and positions many
POSITION_PARTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Roles(NamedTuple):
    """The problems of which the operands are the sources."""

    image: ConvProblem
    gradient: ConvProblem  # of the result


def roles(problem: ConvProblem) -> Roles:
    return Roles(problem.with_(direction="forward"), problem.with_(direction="input_grad"))


def estimate(problem: ConvProblem, machine: Machine, among: tuple[WarpTile, ...] = WARP_TILES) -> costs.Estimate:
    copied = [role for role in roles(problem) if not in_place(role)]
    blocks = [tensor_core_block(problem.dtype, tile) for tile in among]
    return model.tensor_cores(problem, machine, blocks, padded(problem.group_in, problem.dtype), copied, POSITION_PARTS)


@kept
def schedule(problem: ConvProblem) -> tuple[WarpTile, int, int]:
    """(tile, positions of a part, parts), chosen for a card as large as an H100."""
    found = estimate(problem, costs.H100, tiles())
    total, step = max(1, problem.batch * prod(problem.outputs)), stage_terms(found.tile, problem.dtype)
    length = ceil_div(ceil_div(total, found.parts), step) * step
    return found.tile, length, ceil_div(total, length)
