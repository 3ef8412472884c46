"""Maps of what reaches what: overlaps and gains of transposed convolutions, receptive fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from ..arguments.edge import public
from ..arguments.values import Subject, integer, sequence, shown
from ..checkerboard import overlap_map as overlaps_of
from ..checkerboard import phase_gain as gains_of
from ..receptive import ReceptiveField
from ..receptive import receptive_field as field_of
from .filters import picture_of
from .style import HATCHES, LINES, Palette, colorbar, new_figure, palette, subplots

LABELS = 1.36  # width of a picture with the sizes of fields beside it
MOST_NUMBERS = 400  # cells whose counts are written on them


@public
def overlap_map(
    input_shape: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, dark: bool = False
) -> Figure:  # fmt: skip
    """`nc.checkerboard.overlap_map` as a picture with its counts; one axis as bars."""
    colors = palette(Subject("overlap_map"), dark)
    counts = overlaps_of(input_shape, kernel, stride, padding, dilation)
    if counts.ndim > 2:
        raise Subject("overlap_map").value(f"a picture has one or two axes; got input_shape {shown(input_shape)}")
    return _counted(counts, "inputs that reach an output", colors)


@public
def phase_gain(w: Any, stride: Any, *, repeats: int = 4, dark: bool = False) -> Figure:
    """What a transposed convolution makes of a constant image of ones, inside: `nc.checkerboard.phase_gain`, side by side `repeats` times.

    Parameters
    ----------
    w : a kernel (k,) or (kh, kw) of real numbers
    stride : int or one int per axis
    repeats : int
        Of the phases along each axis: uneven ones are a checkerboard.
    dark : bool
        On a dark ground.
    """
    subject = Subject("phase_gain")
    colors, times = palette(subject, dark), integer(subject, "repeats", repeats, 1)
    gains = gains_of(w, stride)
    if gains.ndim > 2 or gains.dtype.kind == "c":
        raise subject.value(f"a picture has one or two axes of real numbers; got phases {gains.shape} of {gains.dtype}")
    return _counted(np.tile(gains, (times,) * gains.ndim), "response to ones", colors)


def _counted(values: Any, label: str, colors: Palette) -> Figure:
    figure = new_figure(4.4, 3.8, colors)
    (axes,) = subplots(figure, colors)
    if values.ndim == 1:
        bars = axes.bar(np.arange(len(values)), values, color=colors.source, edgecolor=colors.edge)
        if len(values) <= MOST_NUMBERS // 10:
            axes.bar_label(bars, [f"{v:.3g}" for v in values], color=colors.text, fontsize=8)
        axes.set_xlabel("output")
        axes.set_ylabel(label)
        return figure
    image = axes.imshow(values, cmap="viridis", vmin=min(0, values.min()))
    if values.size <= MOST_NUMBERS:
        for (i, j), value in np.ndenumerate(values):
            shade = "white" if value < values.max() / 1.5 else "black"
            axes.text(j, i, f"{value:.3g}", ha="center", va="center", color=shade, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    colorbar(figure, image, axes, colors, label)
    return figure


@public
def receptive_field(layers: Sequence[Mapping[str, Any]], image: Any = None, at: Any = None, *, dark: bool = False) -> Figure:
    """What one output of a stack sees after each layer: intervals of input positions, or frames on a photograph.

    Parameters
    ----------
    layers : as of `nc.arithmetic.receptive_field`
    image : (H, W), (1, H, W) or (3, H, W) array, optional
        Draws the fields on it, a frame with its size for each layer.
    at : two ints, optional
        The pixel around which the fields are drawn; without it the middle.  Each layer's field is that of the output nearest to it.
    dark : bool
        On a dark ground.
    """
    subject = Subject("receptive_field")
    colors, whole = palette(subject, dark), field_of(layers)
    if image is not None:
        return _over(subject, whole, picture_of(subject, "image", image), at, colors)
    if at is not None:
        raise subject.value(f"at is a pixel of an image; got at={shown(at)} without one")
    figure = new_figure(6, 0.5 * len(whole.layers) + 1, colors)
    (axes,) = subplots(figure, colors)
    for number, field in enumerate(whole.layers):
        size, start = _axis(field.size, 0), float(_axis(field.start, 0))
        axes.barh(number, size, left=start, color=colors.source, edgecolor=colors.edge, hatch=HATCHES[number % len(HATCHES)])
        label = {"facecolor": colors.ground, "edgecolor": "none", "pad": 1.5}
        axes.text(start + size / 2, number, f"{size}", ha="center", va="center", fontsize=9, color=colors.text, bbox=label)
    axes.set_yticks(range(len(whole.layers)), [f"layer {n + 1}" for n in range(len(whole.layers))])
    axes.invert_yaxis()
    axes.set_xlabel("input positions seen by output 0 (negative: padding)")
    return figure


def _axis(value: Any, axis: int) -> Any:
    return value[axis] if isinstance(value, tuple) else value


def _over(subject: Subject, whole: ReceptiveField, pixels: Any, at: Any, colors: Palette) -> Figure:
    """Frames on a picture; both colours of each are seen on any ground: a dark line within a wider light one."""
    if isinstance(whole.size, tuple) and len(whole.size) != 2:
        raise subject.value(f"an image has two axes; got layers of {len(whole.size)}")
    entries = [n // 2 for n in pixels.shape[:2]] if at is None else sequence(at)
    if entries is None or len(entries) != 2:
        raise subject.value(f"at must be two integers, a row and a column; got {shown(at)}")
    middle = [integer(subject, "at", v, 0) for v in entries]
    figure = new_figure(6.6, 6.3 / LABELS * pixels.shape[0] / pixels.shape[1] + 0.3, colors)
    (axes,) = subplots(figure, colors)
    axes.imshow(pixels, cmap="gray")
    for number, field in enumerate(whole.layers):
        corner, extent = [], []
        for axis in (0, 1):
            size, jump, start = (float(_axis(v, axis)) for v in (field.size, field.jump, field.start))
            nearest = round((middle[axis] - start - (size - 1) / 2) / jump)
            corner.append(start + nearest * jump - 0.5)
            extent.append(size)
        (y, x), (height, width) = corner, extent
        for color, line, style in (("white", 3.2, "-"), ("black", 1.4, LINES[number % len(LINES)])):
            axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=color, linewidth=line, linestyle=style))
        label = {"facecolor": colors.ground, "edgecolor": colors.edge, "pad": 1.5}
        arrow = {"arrowstyle": "-", "color": "black", "path_effects": [withStroke(linewidth=2.4, foreground="white")]}
        wide, tall = pixels.shape[1], pixels.shape[0]
        axes.annotate(
            f"layer {number + 1}: {extent[0]:.0f}×{extent[1]:.0f}", (x + width, y + height), (1.04 * wide, (0.04 + 0.09 * number) * tall),
            color=colors.text, fontsize=9, va="center", bbox=label, arrowprops=arrow,
        )  # fmt: skip
    axes.set(xlim=(-0.5, LABELS * pixels.shape[1] - 0.5), ylim=(pixels.shape[0] - 0.5, -0.5))
    axes.set_axis_off()
    return figure
