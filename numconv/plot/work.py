"""Convolutions at work on their grids, step by step, as stills and animations."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure

from ..api import dense
from ..api import transposed as upsampling
from ..arguments.edge import edge, public
from ..arguments.values import Subject, flag, integer, per_axis, sequence, shown
from ..costs import with_shapes
from ..problem import ConvProblem
from ..watching import is_operator, trace
from .grid import ACTIVE_HATCH, WRITTEN_HATCH, Grid, group_hatch
from .numbers import Numbers, text_of
from .scene import Cell, Scene
from .style import Palette, new_figure, palette, subplots

MOST_CELLS = 2000
MOST_FRAMES = 150  # of an animation: every second step of more, every third …
WITH_NUMBERS = 600  # cells: more are too small to be read
CELL = 0.36  # inches
LARGEST = 12.0  # inches


class Stage:
    """A scene on a figure, redrawn for each step."""

    def __init__(self, figure: Figure, scene: Scene, numbers: Numbers | None, colors: Palette, title: str) -> None:
        self.figure, self.scene, self.numbers, self.colors, self.title = figure, scene, numbers, colors, title
        cropped, spread = (scene.margins, scene.source) if scene.stamps else (None, scene.spread)
        none = ((0, 0),) * scene.problem.rank
        left, right = subplots(figure, colors, 2)
        shape, result = ("×".join(map(str, extents)) for extents in (scene.source, scene.target))
        sources = _titles(f"input {shape}", scene.source_channels, scene.group_of_source, scene.problem.groups)
        targets = _titles(f"output {result}", scene.target_channels, scene.group_of_target, scene.problem.groups)
        self.source = Grid(left, sources, spread, none if scene.stamps else scene.margins, colors)
        self.target = Grid(right, targets, scene.target, cropped or none, colors)
        for cell in self.source.cells:
            if numbers is not None:
                self.source.write(cell, numbers.source(cell))
            elif scene.element(cell[1]) is None and scene.problem.padding_mode == "zeros":
                self.source.write(cell, "0")

    def _source_face(self, cell: Cell) -> str | None:
        return None if self.scene.element(cell[1]) is None else self.colors.source

    def _target_face(self, cell: Cell, done: set[Cell]) -> str | None:
        inside = all(0 <= i < n for i, n in zip(cell[1], self.scene.target, strict=True))
        return (self.colors.target if cell in done else self.colors.waiting) if inside else None

    def show(self, step: int) -> None:
        scene, groups = self.scene, self.scene.problem.groups
        moment = scene.moment(step)
        if self.numbers is not None:
            self._write(step)
        done = {cell for i in range(step) for cell in scene.moment(i).written}
        self.source.rest(
            self._source_face,
            lambda c: group_hatch(scene.group_of_source(c[0]), groups) if scene.element(c[1]) is not None else "",
        )  # fmt: skip
        self.target.rest(
            lambda c: self._target_face(c, done),
            lambda c: group_hatch(scene.group_of_target(c[0]), groups) if self._target_face(c, done) else "",
        )  # fmt: skip
        self.source.mark(moment.read, ACTIVE_HATCH)
        self.target.mark(moment.written, WRITTEN_HATCH)
        if self.numbers is not None and not scene.stamps:
            (target, _), *_ = moment.written
            for cell, tap in moment.read.items():
                self.source.note(cell, "×" + self.numbers.weight(target, cell[0], tap))
        self.figure.suptitle(f"{self.title}step {step + 1} of {scene.steps}", color=self.colors.text, fontsize=10)

    def _write(self, step: int) -> None:
        """The sums that are known."""
        numbers, scene = self.numbers, self.scene
        assert numbers is not None
        done = {cell for i in range(step + 1) for cell in scene.moment(i).written}
        sums = numbers.so_far(step) if scene.stamps else None
        for cell in self.target.cells:
            if self._target_face(cell, done) is not None:
                known = text_of(sums[(cell[0], *cell[1])]) if sums is not None else numbers.target(cell)
                self.target.write(cell, known if cell in done else "")


def _titles(name: str, channels: int, group_of: Callable[[int], int], groups: int) -> list[str]:
    if channels == 1:
        return [name]
    return [f"{name}, channel {c}" if groups == 1 else f"channel {c}, group {group_of(c)}" for c in range(channels)]


def _stage(subject: Subject, scene: Scene, numbers: Numbers | None, colors: Palette, title: str = "") -> Stage:
    margins = [low + high for low, high in scene.margins]
    source = scene.source_channels * prod(n + m * (not scene.stamps) for n, m in zip(scene.spread, margins, strict=True))
    target = scene.target_channels * prod(n + m * scene.stamps for n, m in zip(scene.target, margins, strict=True))
    if source + target > MOST_CELLS:
        raise subject.value(f"a picture has at most {MOST_CELLS} cells; got {source + target}: draw fewer channels or positions")
    figure = new_figure(7, 3.6, colors)
    stage = Stage(figure, scene, numbers if source + target <= WITH_NUMBERS else None, colors, title)
    wide = (stage.source.width + stage.target.width + 2) * CELL
    tall = max(stage.source.height, stage.target.height) * CELL + 0.6
    scale = min(1.0, LARGEST / max(wide, tall))
    figure.set_size_inches(max(3.0, wide * scale), max(1.4, tall * scale))
    left, right = figure.axes
    grid: Any = left.get_gridspec()
    grid.set_width_ratios([stage.source.width, stage.target.width])
    right.set_anchor("W")
    left.set_anchor("E")
    return stage


def _plane(name: str, size: Any, given: tuple[Any, ...], transposed: bool, output_padding: Any, inserted: bool) -> Scene:
    """Of one channel, by the geometry alone."""
    subject = Subject(name)
    transposed, inserted = flag(subject, "transposed", transposed), flag(subject, "inserted", inserted)
    entries = sequence(size)
    rank = 2 if entries is None else len(entries)
    if rank not in (1, 2, 3):
        raise subject.value(f"size must have one to three axes; got {shown(size)}")
    extents = per_axis(subject, "size", size, rank, 1)
    kernel, stride, padding, dilation = given
    taps = per_axis(subject, "kernel", kernel, rank, 1)
    x, w = (np.broadcast_to(np.float32(0), (1, 1, *shape)) for shape in (extents, taps))
    with trace() as steps:
        if transposed:
            call = (upsampling.conv_transpose1d, upsampling.conv_transpose2d, upsampling.conv_transpose3d)[rank - 1]
            call(x, w, None, stride, padding, output_padding, 1, dilation)
        else:
            (dense.conv1d, dense.conv2d, dense.conv3d)[rank - 1](x, w, None, stride, padding, dilation)
    if not steps:
        raise subject.value("no output to be drawn")
    problem = steps[0].problem
    assert isinstance(problem, ConvProblem)
    return Scene(problem, inserted)


def _animation(stages: list[tuple[Stage, int]], figure: Figure, interval: int) -> FuncAnimation:
    def draw(frame: int) -> None:
        stage, step = stages[frame]
        stage.show(step)

    return FuncAnimation(figure, draw, frames=len(stages), interval=interval, init_func=lambda: None)


def _frames(stage: Stage) -> list[tuple[Stage, int]]:
    every = -(-stage.scene.steps // MOST_FRAMES)
    return [(stage, step) for step in range(0, stage.scene.steps, every)]


@public
def operation(
    size: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, transposed: bool = False, output_padding: Any = 0,
    inserted: bool = False, step: int = 0, dark: bool = False,
) -> Figure:  # fmt: skip
    """A still of a convolution at work on its plane, as in Dumoulin & Visin.

    Parameters
    ----------
    size : int, a square; or one to three ints, as many axes
    kernel, stride, padding, dilation, output_padding : as of `conv2d` and `conv_transpose2d`
    transposed : bool
        Show the transposed convolution: one input is stamped onto the output.
    inserted : bool
        Show it as a convolution over the input with zeros inserted instead.
    step : int
        Which output (which input, where it is stamped), row by row.
    dark : bool
        On a dark ground.

    Returns
    -------
    matplotlib.figure.Figure
        Input and output side by side; dotted cells are padding and inserted zeros (cropped, of stamps), hatched ones take part.
    """
    subject = Subject("operation")
    place = integer(subject, "step", step, 0)
    scene = _plane("operation", size, (kernel, stride, padding, dilation), transposed, output_padding, inserted)
    stage = _stage(subject, scene, None, palette(subject, dark))
    stage.show(place % scene.steps)
    return stage.figure


@public
def animate(
    size: Any, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, *, transposed: bool = False, output_padding: Any = 0,
    inserted: bool = False, interval: int = 400, dark: bool = False,
) -> FuncAnimation:  # fmt: skip
    """All steps of `operation` in turn, `interval` milliseconds each: save it with `.save("name.gif", writer="pillow")`."""
    subject = Subject("animate")
    scene = _plane("animate", size, (kernel, stride, padding, dilation), transposed, output_padding, inserted)
    stage = _stage(subject, scene, None, palette(subject, dark))
    return _animation(_frames(stage), stage.figure, integer(subject, "interval", interval, 1))


@edge("at_work", operators=True)
def at_work(
    function: Callable[..., Any], *arguments: Any, inserted: bool = False, step: int | None = None, interval: int = 400, dark: bool = False,
    **options: Any,
) -> Any:  # fmt: skip
    """Any convolution of yours at work, channel by channel: groups, shuffles, one to three axes, every padding mode, transposed ones.

    Parameters
    ----------
    function : a public operator that lowers to a convolution, e.g. ``nc.shuffled_grouped_conv2d``
    *arguments, **options
        As the function takes them; in place of an array a tuple is its shape.  Numbers of arrays (of the first sample) are in
        the cells.
    inserted : bool
        Show a transposed convolution as one over its input with zeros inserted.
    step : int, optional
        A still of that step instead of the animation.
    interval : int
        Milliseconds of a step.
    dark : bool
        On a dark ground.

    Returns
    -------
    matplotlib.animation.FuncAnimation, or matplotlib.figure.Figure if `step` is given
        Of several convolutions in turn (a depthwise-separable one), the first.  Hatches tell groups apart, as do the channels' numbers.

    Raises
    ------
    ValueError
        No convolution, none whose result is an image, or more than 2000 cells.

    Examples
    --------
    >>> moving = nc.plot.at_work(nc.grouped_conv2d, (4, 4, 4), (4, 2, 3, 3), groups=2)
    >>> moving.save("groups.gif", writer="pillow")  # doctest: +SKIP
    """
    subject = Subject("at_work")
    colors = palette(subject, dark)
    if not is_operator(function):
        raise subject.type(f"function must be one of numconv's operators; got {shown(function)}")
    bound = with_shapes(function, arguments, options, np.dtype("float32"))
    with trace() as steps:
        function(*bound.args, **bound.kwargs)
    problems = [s.problem for s in steps if isinstance(s.problem, ConvProblem) and s.problem.direction != "weight_grad"]
    if not problems:
        raise subject.value(f"{function.__name__} runs no convolution that could be drawn")
    scene = Scene(problems[0], flag(subject, "inserted", inserted))
    x, w = (bound.arguments.get(name) for name in ("x", "w"))
    numbers = None
    if len(steps) == 1 and isinstance(x, np.ndarray) and isinstance(w, np.ndarray) and any(x.strides) and any(w.strides):

        def again(a: Any) -> Any:
            return function(**bound.arguments | {"x": a})

        numbers = Numbers(scene, again, x, w.reshape(*w.shape[:2], *scene.problem.kernel))
    stage = _stage(subject, scene, numbers, colors, f"{function.__name__}, ")
    if step is not None:
        stage.show(integer(subject, "step", step, 0) % scene.steps)
        return stage.figure
    return _animation(_frames(stage), stage.figure, integer(subject, "interval", interval, 1))
