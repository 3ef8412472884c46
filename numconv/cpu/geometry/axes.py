"""Any rank as three axes (t, h, w), leading ones of extent 1, and neighbouring axes that nothing happens on made one."""

from __future__ import annotations

from typing import NamedTuple

from ...problem import ConvProblem, Ints


class Three(NamedTuple):
    """One number for each axis."""

    t: int
    h: int
    w: int


def three(values: Ints, fill: int) -> Three:
    """`fill` for the axes before, up to three."""
    return Three(*(fill,) * (3 - len(values)), *values)


def collapsed(p: ConvProblem) -> ConvProblem:
    """Neighbouring axes that nothing happens on (1-wide kernel, no stride, no padding) made one: longer rows, fewer of them."""
    spatial, kernel = list(p.spatial), list(p.kernel)
    stride, low, dilation, outputs = list(p.stride), list(p.pad_low), list(p.dilation), list(p.outputs)

    def idle(i: int) -> bool:
        return kernel[i] == stride[i] == 1 and low[i] == 0 and outputs[i] == spatial[i]

    i = 0
    while i + 1 < len(spatial):
        if idle(i) and idle(i + 1):
            spatial[i : i + 2], outputs[i : i + 2] = [spatial[i] * spatial[i + 1]], [outputs[i] * outputs[i + 1]]
            for values in (kernel, stride, low, dilation):
                del values[i]
        else:
            i += 1
    if len(spatial) == p.rank:
        return p
    return p.with_(
        spatial=tuple(spatial),
        kernel=tuple(kernel),
        stride=tuple(stride),
        pad_low=tuple(low),
        dilation=tuple(dilation),
        outputs=tuple(outputs),
    )
