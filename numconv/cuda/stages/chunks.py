"""Images as tensor cores read them: channels last, each group padded with zeros to whole chunks of 16 bytes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ...problem import ConvProblem
from ..adapt.gather import gather_axes
from ..adapt.transpose import transpose
from ..runtime.arrays import allocate, is_aligned
from ..runtime.launch import ceil_div
from .warp_tiles import CHUNK

#: a place before every element, which a gather copy reads as zero
NOWHERE = -(2**28)


def padded(channels: int, dtype: str) -> int:
    """Channels of a group rounded up to whole chunks."""
    return ceil_div(channels, CHUNK[dtype]) * CHUNK[dtype]


def in_place(problem: ConvProblem) -> bool:
    """Whether the image is what the kernel reads."""
    channels = problem.source[0] // problem.groups
    return problem.layout == "channels_last" and padded(channels, problem.dtype) == channels


def chunked(problem: ConvProblem, x: Any) -> Any:
    """The image channels last, groups padded."""
    if in_place(problem) and is_aligned(x):
        return x
    channels, spatial = problem.source
    group, area = channels // problem.groups, prod(spatial)
    width = padded(group, problem.dtype)
    out = allocate((problem.batch, area, problem.groups, width), problem.dtype, x)
    if problem.layout == "channels_last":
        channel = np.arange(width)
        of_sample, of_pixel = np.arange(problem.batch) * (area * channels), np.arange(area) * channels
        of_group, of_channel = np.arange(problem.groups) * group, np.where(channel < group, channel, NOWHERE)
        gather_axes(x, out, (of_sample, of_pixel, of_group, of_channel), ("tensor_core image", problem), absolute=True)
    else:
        transpose(x, out, problem.batch, problem.groups, group, area, width)
    return out
