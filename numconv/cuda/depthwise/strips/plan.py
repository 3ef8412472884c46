"""The strips' plan: the form compiled into the kernel, and the record it reads."""

from __future__ import annotations

from typing import NamedTuple

from ....memory import kept
from ....problem import ConvProblem
from ...geometry.image import Image, Three, image, three
from ...runtime.launch import Table, ceil_div
from ...runtime.record import table

#: rows of a strip, the first of which `STRIP_WINDOW` holds the image's rows
STRIP_ROWS = (4, 2)
#: rows of the image in registers at most; beyond, strips of one row with the taps loaded one by one
STRIP_WINDOW = 20
#: taps along h that a thread goes through, their loop written out
MOST_TAPS = 32


class StripForm(NamedTuple):
    """What of the axis h is compiled into a kernel."""

    taps: int
    stride: int
    dilation: int
    rows: int  # of a strip: the outputs of a thread


class StripPlan(NamedTuple):
    """What the kernel reads of a problem."""

    channels: int  # of the result
    multiplier: int  # channels of the result that come of one channel of the image
    x: Image
    y: Image
    taps_t: int
    taps_w: int
    stride: Three
    dilation: Three
    pad_low: Three
    shuffle: int  # groups of the channel shuffle behind the convolution
    strips: int  # that the rows of the result are cut into
    channels_last: int  # 1 where neighbouring threads take neighbouring channels, 0: neighbouring columns
    first_tap: int  # in w, of a channel: 0, or the last if the taps are reversed
    tap_pitch: int  # in w, from a tap to the next: 1, or −1 if they are reversed


def form_of(problem: ConvProblem) -> StripForm:
    taps, stride, dilation = (three(v, 1).h for v in (problem.kernel, problem.stride, problem.dilation))
    height = three(problem.outputs, 1).h
    for rows in STRIP_ROWS:
        if height >= rows and (rows - 1) * stride + (taps - 1) * dilation + 1 <= STRIP_WINDOW:
            return StripForm(taps, stride, dilation, rows)
    return StripForm(taps, stride, dilation, rows=1)


@kept
def plan_of(problem: ConvProblem, rows: int, flip: bool) -> tuple[Table, int]:
    """The plan as the kernel reads it, and how many strips there are in all; `flip`: the taps of w in reverse."""
    taps, y = three(problem.kernel, 1), image(problem.out_channels, problem.outputs, problem.layout)
    plan = StripPlan(
        channels=problem.out_channels,
        multiplier=problem.group_out,
        x=image(problem.in_channels, problem.spatial, problem.layout),
        y=y,
        taps_t=taps.t,
        taps_w=taps.w,
        stride=three(problem.stride, 1),
        dilation=three(problem.dilation, 1),
        pad_low=three(problem.pad_low, 0),
        shuffle=problem.shuffle,
        strips=ceil_div(y.h, rows),
        channels_last=int(problem.layout == "channels_last"),
        first_tap=problem.taps - 1 if flip else 0,
        tap_pitch=-1 if flip else 1,
    )
    return Table(table(plan)), problem.batch * problem.out_channels * y.t * plan.strips * y.w
