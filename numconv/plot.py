"""Pictures of convolutions: operations at work on their grids, channels, kernels, overlaps, receptive fields.  Needs matplotlib.

Every function returns a `matplotlib.figure.Figure` (or an animation) of its own: nothing is shown, no global state is touched.

    nc.plot.operation(5, kernel=3, stride=2, padding=1).savefig("stride.png")
    nc.plot.animate(5, kernel=3, dilation=2, padding=2).save("dilated.gif", writer="pillow")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

try:
    from matplotlib.animation import FuncAnimation
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("numconv.plot needs matplotlib: pip install 'numconv-kernels[plot]'", name=error.name) from None

from .arguments.edge import public
from .arguments.values import Subject, flag, host_array, integer, per_axis, shown
from .arithmetic import conv_output_shape, conv_transpose_output_shape
from .checkerboard import overlap_map as overlaps_of
from .receptive import receptive_field as field_of

__all__ = ["animate", "channels", "images", "kernels", "operation", "overlap_map", "receptive_field"]

INPUT, OUTPUT, ACTIVE, PADDING, EDGE = "#9ecae1", "#a1d99b", "#fd8d3c", "#f7f7f7", "#525252"


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, columns: int = 1, rows: int = 1) -> list[Any]:
    return list(np.atleast_1d(figure.subplots(rows, columns)).ravel())


class _Grid:
    """One operation on a plane: which cells of input and output belong to step number `step`."""

    def __init__(
        self, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, output_padding: Any
    ) -> None:  # fmt: skip
        subject = Subject("operation")
        self.transposed = transposed = flag(subject, "transposed", transposed)
        self.size = per_axis(subject, "size", size, 2, 1)
        self.kernel = per_axis(subject, "kernel", kernel, 2, 1)
        self.stride = per_axis(subject, "stride", stride, 2, 1)
        self.padding = per_axis(subject, "padding", padding, 2, 0)
        self.dilation = per_axis(subject, "dilation", dilation, 2, 1)
        if transposed:
            extra = per_axis(subject, "output_padding", output_padding, 2, 0)
            self.output = tuple(
                conv_transpose_output_shape(self.size, self.kernel, self.stride, self.padding, extra, self.dilation)
            )  # fmt: skip
        else:
            self.output = tuple(conv_output_shape(self.size, self.kernel, self.stride, self.padding, self.dilation))

    @property
    def steps(self) -> int:
        """Outputs of a convolution, inputs of a transposed one."""
        rows, columns = self.size if self.transposed else self.output
        return rows * columns

    def place(self, step: int) -> tuple[tuple[int, int], list[tuple[int, int]]]:
        """The one cell (of the output; of the input if transposed) and the cells under the kernel on the other side."""
        columns = (self.size if self.transposed else self.output)[1]
        cell = divmod(step % self.steps, columns)
        corner = [c * s - p for c, s, p in zip(cell, self.stride, self.padding, strict=True)]
        d = self.dilation
        under = [(corner[0] + a * d[0], corner[1] + b * d[1]) for a in range(self.kernel[0]) for b in range(self.kernel[1])]
        return (cell[0], cell[1]), under


def _cells(axes: Any, shape: tuple[int, ...], margin: tuple[int, ...], color: str, active: set[tuple[int, int]], title: str) -> None:
    rows, columns = shape
    for i in range(-margin[0], rows + margin[0]):
        for j in range(-margin[1], columns + margin[1]):
            inside = 0 <= i < rows and 0 <= j < columns
            face = ACTIVE if (i, j) in active else color if inside else PADDING
            style = "-" if inside else ":"
            axes.add_patch(
                Rectangle((j, i), 1, 1, facecolor=face, edgecolor=EDGE, linestyle=style, linewidth=1, alpha=1 if inside else 0.7)
            )
    axes.set_xlim(-margin[1] - 0.2, columns + margin[1] + 0.2)
    axes.set_ylim(rows + margin[0] + 0.2, -margin[0] - 0.2)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(title, fontsize=10)


def _draw(figure: Figure, grid: _Grid, step: int) -> None:
    figure.clear()
    left, right = _axes(figure, 2)
    cell, under = grid.place(step)
    shown = (set(under), {cell}) if not grid.transposed else ({cell}, set(under))
    none = (0, 0)
    size, output = "×".join(map(str, grid.size)), "×".join(map(str, grid.output))
    _cells(left, grid.size, none if grid.transposed else grid.padding, INPUT, shown[0], f"input {size}")
    _cells(right, grid.output, grid.padding if grid.transposed else none, OUTPUT, shown[1], f"output {output}")


@public
def operation(
    size: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, transposed: bool = False, output_padding: Any = 0,
    step: int = 0,
) -> Figure:  # fmt: skip
    """A still of a convolution at work on its plane, as in Dumoulin & Visin.

    Parameters
    ----------
    size, kernel, stride, padding, dilation, output_padding : int or two ints, as of `conv2d` and `conv_transpose2d`
    transposed : bool
        Show the transposed convolution: one input is stamped onto the output.
    step : int
        Which output (which input, if transposed), row by row.

    Returns
    -------
    matplotlib.figure.Figure
        Input and output side by side; dotted cells are padding (cropped, if transposed), orange ones take part.
    """
    place = integer(Subject("operation"), "step", step, 0)
    grid = _Grid(size, kernel, stride, padding, dilation, transposed, output_padding)
    figure = _figure(7, 3.6)
    _draw(figure, grid, place)
    return figure


@public
def animate(
    size: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, transposed: bool = False, output_padding: Any = 0,
    interval: int = 400,
) -> FuncAnimation:  # fmt: skip
    """All steps of `operation` in turn, `interval` milliseconds each: save it with `.save("name.gif", writer="pillow")`."""
    grid = _Grid(size, kernel, stride, padding, dilation, transposed, output_padding)
    figure = _figure(7, 3.6)
    return FuncAnimation(figure, lambda step: _draw(figure, grid, step), frames=grid.steps, interval=interval, init_func=lambda: None)


@public
def channels(in_channels: int, out_channels: int, groups: int = 1, *, shuffle: bool = False) -> Figure:
    """Which channels each output channel sums over: dense, grouped, depthwise (groups = in_channels), shuffled.

    Parameters
    ----------
    in_channels, out_channels, groups : int, as of `conv2d`
    shuffle : bool
        Shuffle the outputs over the groups, as `shuffled_grouped_conv2d` does.
    """
    subject = Subject("channels")
    shuffle = flag(subject, "shuffle", shuffle)
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
        integer(subject, name, value, 1)
    if in_channels % groups or out_channels % groups:
        raise subject.value(f"groups must divide both channel counts; got {in_channels}, {out_channels}, groups={groups}")
    figure = _figure(3.2, 0.42 * max(in_channels, out_channels) + 0.6)
    (axes,) = _axes(figure)
    per_in, per_out = in_channels // groups, out_channels // groups
    for k in range(out_channels):
        g = k // per_out
        place = (k % per_out) * groups + g if shuffle else k
        for c in range(g * per_in, (g + 1) * per_in):
            axes.plot([0, 1], [c, place], color=f"C{g % 10}", linewidth=1)
        axes.plot([1], [place], "s", color=f"C{g % 10}", markersize=10)
    for c in range(in_channels):
        axes.plot([0], [c], "s", color=f"C{c // per_in % 10}", markersize=10)
    axes.invert_yaxis()
    axes.set_axis_off()
    return figure


@public
def images(pictures: Mapping[str, Any], columns: int = 4) -> Figure:
    """Named pictures in rows: (H, W), (1, H, W) or (3, H, W); grey ones are stretched to their own range, colours clipped to 0 … 1."""
    subject = Subject("images")
    if not isinstance(pictures, Mapping) or not pictures:
        raise subject.type(f"pictures must be a mapping of titles to arrays, one at least; got {shown(pictures)}")
    columns = min(integer(subject, "columns", columns, 1), len(pictures))
    rows = -(-len(pictures) // columns)
    arrays = [_picture(subject, str(title), a) for title, a in pictures.items()]
    tall = max((a.shape[0] / a.shape[1] for a in arrays), default=1.0)
    figure = _figure(2.6 * columns, rows * (2.6 * tall + 0.35))
    all_axes = _axes(figure, columns, rows)
    for axes, title, array in zip(all_axes, pictures, arrays, strict=False):
        axes.imshow(array, cmap="gray", interpolation="nearest")
        axes.set_title(title, fontsize=9)
    for axes in all_axes:
        axes.set_axis_off()
    return figure


def _numbers(subject: Subject, label: str, array: Any) -> Any:
    a = host_array(subject, label, array)
    if a.dtype.kind not in "iufb" and a.dtype.name != "bfloat16":
        raise subject.type(f"{label} must hold real numbers; got dtype {a.dtype}")
    return a if a.dtype.kind in "iufb" else a.astype(np.float32)


def _picture(subject: Subject, title: str, array: Any) -> Any:
    a = _numbers(subject, title, array)
    if a.ndim not in (2, 3) or 0 in a.shape or (a.ndim == 3 and a.shape[0] not in (1, 3)):
        raise subject.value(f"{title} must have the shape (H, W), (1, H, W) or (3, H, W); got {a.shape}")
    if a.ndim == 3 and a.shape[0] == 1:
        a = a[0]
    if a.ndim == 3:
        return np.clip(np.moveaxis(a, 0, -1), 0, 1)
    return a


@public
def kernels(w: Any, columns: int = 8) -> Figure:
    """Filters as pictures on one symmetric colour scale: (kh, kw), or weights (C_out, C_in/groups, kh, kw), a row per C_out."""
    subject = Subject("kernels")
    filters = _numbers(subject, "w", w)
    if filters.ndim not in (2, 4) or 0 in filters.shape:
        raise subject.value(f"w must have 2 or 4 axes, none empty; got w {filters.shape}")
    columns = integer(subject, "columns", columns, 1)
    if filters.ndim == 4:
        columns = filters.shape[1]
    flat = filters.reshape(-1, *filters.shape[-2:])
    columns = min(columns, len(flat))
    figure = _figure(1.3 * columns + 0.8, 1.3 * -(-len(flat) // columns) + 0.2)
    scale = float(np.abs(flat).max(initial=0)) or 1.0
    all_axes = _axes(figure, columns, -(-len(flat) // columns))
    for axes, one in zip(all_axes, flat, strict=False):
        image = axes.imshow(one, cmap="RdBu_r", vmin=-scale, vmax=scale)
    for axes in all_axes:
        axes.set_axis_off()
    figure.colorbar(image, ax=all_axes, shrink=0.8)
    return figure


@public
def overlap_map(input_shape: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> Figure:
    """`nc.checkerboard.overlap_map` as a picture with its counts; one axis as bars."""
    counts = overlaps_of(input_shape, kernel, stride, padding, dilation)
    figure = _figure(4.4, 3.8)
    (axes,) = _axes(figure)
    if counts.ndim == 1:
        axes.bar(np.arange(len(counts)), counts, color=INPUT, edgecolor=EDGE)
        axes.set_xlabel("output")
        axes.set_ylabel("inputs that reach it")
        return figure
    if counts.ndim != 2:
        raise Subject("overlap_map").value(f"a picture has one or two axes; got input_shape {shown(input_shape)}")
    image = axes.imshow(counts, cmap="viridis", vmin=0)
    if counts.size <= 400:
        for (i, j), value in np.ndenumerate(counts):
            axes.text(j, i, int(value), ha="center", va="center", color="white" if value < counts.max() / 1.5 else "black", fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    figure.colorbar(image, ax=axes, label="inputs that reach an output")
    return figure


@public
def receptive_field(layers: Sequence[Mapping[str, Any]]) -> Figure:
    """What one output of a stack sees after each layer: an interval of input positions per layer (of the first axis)."""
    whole = field_of(layers)
    figure = _figure(6, 0.45 * len(whole.layers) + 1)
    (axes,) = _axes(figure)
    for number, field in enumerate(whole.layers):
        size, start = _first(field.size), float(_first(field.start))
        axes.barh(number, size, left=start, color=INPUT, edgecolor=EDGE)
        axes.text(start + size / 2, number, f"{size}", ha="center", va="center", fontsize=9)
    axes.set_yticks(range(len(whole.layers)), [f"layer {n + 1}" for n in range(len(whole.layers))])
    axes.invert_yaxis()
    axes.set_xlabel("input positions seen by output 0 (negative: padding)")
    return figure


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value
