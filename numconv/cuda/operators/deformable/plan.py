"""What the deformable kernels read, how many samples they take at once, and the product of columns and weights as a convolution."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ....memory import kept
from ....problem import ConvProblem, DeformProblem
from ... import costs
from ...geometry.image import Two
from ...runtime.launch import Table
from ...runtime.record import reader, table

#: bytes of columns at most, one sample at least
MOST_COLUMNS = 256 << 20


class DeformPlan(NamedTuple):
    channels: int
    shared: int  # channels that read by the same offsets
    offset_groups: int  # channels / shared
    source: Two  # extents of the image
    taps: Two
    outputs: Two
    stride: Two
    dilation: Two
    pad_low: Two


plan_at = reader(DeformPlan)


@kept
def plan(problem: DeformProblem) -> Table:
    c = problem.conv
    found = DeformPlan(
        channels=c.in_channels,
        shared=c.in_channels // problem.offset_groups,
        offset_groups=problem.offset_groups,
        source=Two(*c.spatial),
        taps=Two(*c.kernel),
        outputs=Two(*c.outputs),
        stride=Two(*c.stride),
        dilation=Two(*c.dilation),
        pad_low=Two(*c.pad_low),
    )
    return Table(table(found))


def column_type(dtype: str) -> str:
    """Half types keep their columns in float32: rounding them would add an error that the plain convolution has not."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def chunk(problem: DeformProblem) -> int:
    """Samples taken at once."""
    c = problem.conv
    one = c.in_channels * c.taps * prod(c.outputs) * costs.itemsize(column_type(problem.dtype))
    return max(1, min(c.batch, MOST_COLUMNS // max(1, one)))


def pointwise(problem: DeformProblem, batch: int) -> ConvProblem:
    """The product of columns and weights as a convolution with kernel 1."""
    c, area = problem.conv, prod(problem.conv.outputs)
    return c.with_(
        batch=batch, in_channels=c.in_channels * c.taps, spatial=(area,), kernel=(1,), stride=(1,), pad_low=(0,), dilation=(1,),
        outputs=(area,), layout="channels_first", dtype=column_type(problem.dtype),
    )  # fmt: skip
