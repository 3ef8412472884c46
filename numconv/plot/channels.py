"""Which channels meet."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..arguments.edge import public
from ..arguments.values import Subject, flag, integer
from .style import HATCHES, LINES, Palette, new_figure, palette, subplots

ROW = 0.42  # inches
BOX = 0.34  # of a channel's square, in rows


@public
def channels(in_channels: int, out_channels: int, groups: int = 1, *, shuffle: bool = False, dark: bool = False) -> Figure:
    """Which channels each output channel sums over: dense, grouped, depthwise (groups = in_channels), shuffled.

    Parameters
    ----------
    in_channels, out_channels, groups : int, as of `conv2d`
    shuffle : bool
        Shuffle the outputs over the groups, as `shuffled_grouped_conv2d` does.
    dark : bool
        On a dark ground.

    Returns
    -------
    matplotlib.figure.Figure
        Numbered channels; those of a group have a colour, a hatch and a kind of line in common.
    """
    subject = Subject("channels")
    shuffle, colors = flag(subject, "shuffle", shuffle), palette(subject, dark)
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
        integer(subject, name, value, 1)
    if in_channels % groups or out_channels % groups:
        raise subject.value(f"groups must divide both channel counts; got {in_channels}, {out_channels}, groups={groups}")
    figure = new_figure(3.6, ROW * max(in_channels, out_channels) + 0.7, colors)
    (axes,) = subplots(figure, colors)
    per_in, per_out = in_channels // groups, out_channels // groups
    places = [(k % per_out) * groups + k // per_out if shuffle else k for k in range(out_channels)]
    for k, place in enumerate(places):
        g = k // per_out
        for c in range(g * per_in, (g + 1) * per_in):
            axes.plot([0, 3], [c, place], color=colors.edge, linestyle=LINES[g % len(LINES)], linewidth=1.1, zorder=1)
        _box(axes, 3, place, g, k, colors)
    for c in range(in_channels):
        _box(axes, 0, c, c // per_in, c, colors)
    for x, text in ((0, "input"), (3, "output")):
        axes.text(x, -0.75, text, ha="center", va="bottom", color=colors.text, fontsize=9)
    axes.set(xlim=(-0.6, 3.6), ylim=(max(in_channels, out_channels) - 0.4, -1.2))
    axes.set_axis_off()
    return figure


def _box(axes: Any, x: float, y: float, group: int, number: int, colors: Palette) -> None:
    face, hatch = colors.groups[group % len(colors.groups)], HATCHES[group % len(HATCHES)]
    axes.add_patch(Rectangle((x - BOX, y - BOX), 2 * BOX, 2 * BOX, facecolor=face, edgecolor=colors.edge, hatch=hatch, zorder=2))
    label = {"facecolor": face, "edgecolor": "none", "pad": 1.0}
    axes.text(x, y, str(number), ha="center", va="center", color=colors.text, fontsize=9, zorder=3, bbox=label)
