"""What the device does around a kernel costs: seconds of a change of layout, bytes of copies.  Zen 4 (AVX-512), 2026-11-24."""

from __future__ import annotations

from math import prod

from ...hosts import dtype_of
from ...kernel import Kernel, Machine
from ...problem import ConvProblem
from .lowering import COMPLEX, framed, lower, plain

TURN = 2.4e-10  # seconds an element whose layout is changed …
TURN_FAR = 6e-10  # … where the images are larger than the second cache …
TURN_FEW = 1e-9  # … of few channels, which fill no square
FEW_CHANNELS = 8  # fewer are few


def with_adaptation(row: Kernel, problem: ConvProblem, own: int) -> int:
    """Bytes of a row's own workspace and of what `device.execute` makes around it: the most of four moments.

    The image is made (and then framed), then the weights, then the target, into which the row runs, and then the result is delivered.
    """
    real, inner = lower(problem, row.honours), plain(problem, row.honours)
    size, whole = dtype_of(real.dtype).itemsize, problem.dtype in COMPLEX
    cast, turned, shuffled = problem.dtype != real.dtype, inner.layout != problem.layout, inner.shuffle != problem.shuffle
    source, target = (size * problem.batch * channels * prod(spatial) for channels, spatial in (real.source, real.target))
    weights = size * prod(real.weight_shape)
    image = source * (cast or turned)
    delivered = problem.out_dtype != real.out_dtype or turned or shuffled
    if problem.direction == "weight_grad":
        inputs, made, apart = image + target * (cast or turned), 0, weights * (problem.out_dtype != real.out_dtype)
    else:
        inputs, made, apart = image, weights * cast, target * delivered
    framing = inputs
    if inner.padding_mode != problem.padding_mode:
        frame = size * problem.batch * real.in_channels * prod(framed(problem))
        framing, inputs = inputs + frame, inputs - image * cast + frame  # what was turned lies in scratch
    run = inputs + made + apart + own
    split = whole and (problem.direction == "weight_grad" or 1 < problem.groups < problem.target[0])  # real parts do not lie side by side
    delivery = inputs + made + apart + own * row.keeps_scratch + apart // 2 * split + apart * shuffled
    return max(framing, inputs + made * (2 if whole else 1), run, delivery)


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
