"""For `dot_rows`: how positions come in vectors, in closed form whatever the extents.

A *stretch*: positions that lie one after the other in both arrays, an output's row, or more axes where the arrays match.  A stretch begins
with a vector.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ....memory import kept
from ....problem import ConvProblem, Ints
from ...geometry.axes import collapsed, three

FLAT = 1 << 22  # (position, tap) pairs up to which stretches are as long as they can be: with more they are rows


class DotsLayout(NamedTuple):
    """What does not depend on tiles and tasks."""

    kernel: Ints
    stride: Ints
    dilation: Ints
    low: Ints  # padding
    extent: Ints  # of the input
    outputs: Ints
    phase_pitch: int  # from one stride phase of a row of the input to the next
    inner: int  # axes of a stretch

    @property
    def stretch(self) -> int:
        """Positions of one."""
        return prod(self.outputs[3 - self.inner :])

    @property
    def row_pitch(self) -> int:
        """Of the input, its rows split into the phases that there are: a row shorter than the stride has one for each element."""
        return min(self.stride[2], self.extent[2]) * self.phase_pitch

    @property
    def volume(self) -> int:
        """Elements of a channel of the input."""
        return self.extent[0] * self.extent[1] * self.row_pitch


@kept
def layout(problem: ConvProblem) -> DotsLayout:
    c = collapsed(problem)
    kernel, stride, dilation, low = three(c.kernel, 1), three(c.stride, 1), three(c.dilation, 1), three(c.pad_low, 0)
    extent, outputs = three(c.spatial, 1), three(c.outputs, 1)
    inner = 1
    if prod(outputs) * c.taps <= FLAT:
        while inner < 3 and set(stride[3 - inner - 1 :]) == {1} and extent[3 - inner] == outputs[3 - inner]:
            inner += 1
    return DotsLayout(kernel, stride, dilation, low, extent, outputs, -(-extent[2] // stride[2]), inner)


def vectors_of(a: DotsLayout, lanes: int) -> int:
    """How many there are."""
    return prod(a.outputs) // max(1, a.stretch) * -(-a.stretch // lanes)
