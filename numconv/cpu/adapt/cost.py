"""What the device does around a kernel costs: seconds of a change of layout, bytes of copies.  Zen 4 (AVX-512), 2026-11-24."""

from __future__ import annotations

from math import prod

from ...hosts import dtype_of
from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from .lowering import framed, lower, plain

TURN = 2.4e-10  # seconds an element whose layout is changed …
TURN_FAR = 6e-10  # … where the images are larger than the second cache …
TURN_FEW = 1e-9  # … of few channels, which fill no square
FEW_CHANNELS = 8  # fewer are few


def around_bytes(row: Kernel, problem: ConvProblem) -> int:
    """Bytes of the images, weights and results that `device.execute` makes in another type, layout or frame."""
    real = lower(problem)
    converted = real is not problem
    images = [problem.batch * channels * prod(spatial) for channels, spatial in (real.source, real.target)]
    weights = prod(real.weight_shape)
    if problem.direction == "weight_grad":
        source, result, given = sum(images), weights, 0
    else:
        source, result, given = *images, weights
    inner = plain(problem, row.honours)
    elements = (
        converted * given + (converted or inner.layout != problem.layout) * (source + result) + (inner.shuffle != problem.shuffle) * result
    )
    if inner.padding_mode != problem.padding_mode:
        elements += problem.batch * real.in_channels * prod(framed(problem))
    return elements * dtype_of(real.dtype).itemsize


def _images(problem: ConvProblem) -> int:
    """Bytes of both."""
    return (
        problem.batch
        * sum(channels * prod(spatial) for channels, spatial in (problem.source, problem.target))
        * dtype_of(problem.dtype).itemsize
    )


def turning_seconds(problem: ConvProblem, machine: Machine) -> float:
    """Seconds for both there and back, of one sample."""
    many = TURN if _images(problem) <= machine.l2 else TURN_FAR
    images = (problem.source, problem.target)
    return sum(channels * prod(spatial) * (many if channels >= FEW_CHANNELS else TURN_FEW) for channels, spatial in images)
