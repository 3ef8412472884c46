"""Which m, how many tiles and samples, and the record that the transforms read."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ...kernel import Machine
from ...memory import kept
from ...problem import ConvProblem
from ..geometry.image import Two
from ..runtime.launch import Table, ceil_div
from ..runtime.record import table
from ..stages.implicit_gemm import product as implicit_gemm
from . import cost

#: bytes of V and M at most, one sample at least
WORKSPACE = 512 << 20
#: outputs of a tile along an axis, to choose from
SIZES = (2, 4)


class TransformPlan(NamedTuple):
    """What the transforms of the image and of the products read of a problem."""

    channels_in: int
    channels_out: int
    image: Two  # extents
    outputs: Two
    dilation: Two
    pad_low: Two
    tiles_w: int  # side by side
    tiles: int  # of a plane
    channel_pitch: int  # in V and M, from one channel's tiles to the next's: whole quads
    shuffle: int  # groups of the channel shuffle behind the convolution


def frequencies(m: int) -> int:
    return (m + 2) ** 2


def tiles(problem: ConvProblem, m: int) -> Two:
    """Along h and w: each residue of a dilated axis has tiles of its own."""
    return Two(*(ceil_div(ceil_div(o, d), m) * d for o, d in zip(problem.outputs, problem.dilation, strict=True)))


def channel_pitch(problem: ConvProblem, m: int) -> int:
    return ceil_div(prod(tiles(problem, m)), 4) * 4


def product(problem: ConvProblem, m: int) -> ConvProblem:
    """The multiplication of all frequencies, tiles padded to whole quads."""
    count, positions = frequencies(m), (channel_pitch(problem, m),)
    return ConvProblem(
        direction="forward",
        batch=problem.batch,
        in_channels=count * problem.in_channels,
        out_channels=count * problem.out_channels,
        groups=count * problem.groups,
        spatial=positions,
        kernel=(1,),
        stride=(1,),
        pad_low=(0,),
        dilation=(1,),
        outputs=positions,
        dtype="float32",
        out_dtype="float32",
    )


def sample_elements(problem: ConvProblem, m: int) -> int:
    """Of V and M together."""
    return frequencies(m) * (problem.in_channels + problem.out_channels) * channel_pitch(problem, m)


def samples(problem: ConvProblem, m: int) -> int:
    """Taken at once, so that the workspace stays bounded."""
    return max(1, min(problem.batch, WORKSPACE // (cost.FLOAT32 * sample_elements(problem, m))))


def seconds(problem: ConvProblem, machine: Machine, m: int) -> float:
    """Of the three passes after the filters are ready, one sample."""
    gemm = product(problem.with_(batch=1), m)
    return cost.passes(problem, gemm, implicit_gemm.cost(gemm, machine), machine)


@kept
def chosen(problem: ConvProblem, machine: Machine) -> int:
    """m, by the predicted time of one sample; F(2×2), which rounds less, where they are even."""
    return min(SIZES, key=lambda m: seconds(problem, machine, m))


@kept
def plan_of(problem: ConvProblem, m: int) -> Table:
    count = tiles(problem, m)
    plan = TransformPlan(
        channels_in=problem.in_channels,
        channels_out=problem.out_channels,
        image=Two(*problem.spatial),
        outputs=Two(*problem.outputs),
        dilation=Two(*problem.dilation),
        pad_low=Two(*problem.pad_low),
        tiles_w=count.w,
        tiles=prod(count),
        channel_pitch=channel_pitch(problem, m),
        shuffle=problem.shuffle,
    )
    return Table(table(plan))
