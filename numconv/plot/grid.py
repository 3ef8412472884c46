"""The cells of one side of a scene: channels below one another, planes of a volume side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from math import ceil, sqrt
from typing import Any

from matplotlib.patches import Rectangle

from ..problem import Ints
from .scene import Cell
from .style import HATCHES, Palette

MOST_AXES = 3
WIDEST_TITLE = 4.6  # cells
GAP = 0.9  # cells between two planes
TITLE = 0.9  # cells above a plane, for its title
ACTIVE_HATCH, WRITTEN_HATCH = "////", "xxxx"


def _planar(position: Ints) -> tuple[int, int, int]:
    """(plane, row, column) of a position on one to three axes."""
    t, h, w = (0, 0, 0, *position)[-3:]
    return t, h, w


class Grid:
    """Cells, each a rectangle with a number in its middle and a small one in its corner."""

    def __init__(self, axes: Any, titles: list[str], extents: Ints, margins: tuple[tuple[int, int], ...], colors: Palette) -> None:
        """`titles`: one for each channel.  Those of volumes lie below one another, others in about as many rows as columns."""
        self.axes, self.colors = axes, colors
        self._columns = 1 if len(extents) == MOST_AXES else ceil(sqrt(len(titles)))
        self._rows = -(-len(titles) // self._columns)
        self.cells: dict[Cell, tuple[Any, Any, Any]] = {}
        self._low = _planar(tuple(low for low, _ in margins))
        high = _planar(tuple(high for _, high in margins))
        planes, rows, columns = (1,) * (3 - len(extents)) + extents
        self._whole = tuple(n + a + b for n, a, b in zip((planes, rows, columns), self._low, high, strict=True))
        ranges = [range(-low, n + high) for n, (low, high) in zip(extents, margins, strict=True)]
        for channel, title in enumerate(titles):
            x, y = self._corner(channel, 0)
            axes.text(x, y - 0.2, title, color=colors.text, fontsize=9, va="bottom")
            for position in product(*ranges):
                self._add(channel, position, all(0 <= i < n for i, n in zip(position, extents, strict=True)))
        axes.set_xlim(-0.15, self.width + 0.15)
        axes.set_ylim(self.height, -0.15)
        axes.set_aspect("equal")
        axes.set_axis_off()

    @property
    def _step(self) -> tuple[float, float]:
        """From a channel to the next, across and down."""
        planes, rows, columns = self._whole
        return max(planes * (columns + GAP), WIDEST_TITLE * (self._columns > 1)), rows + TITLE + 0.2

    @property
    def width(self) -> float:
        """Cells."""
        return self._columns * self._step[0] - GAP * (self._columns == 1)

    @property
    def height(self) -> float:
        return self._rows * self._step[1]

    def _corner(self, channel: int, plane: int) -> tuple[float, float]:
        row, column = divmod(channel, self._columns)
        return column * self._step[0] + plane * (self._whole[2] + GAP), row * self._step[1] + TITLE

    def _add(self, channel: int, position: Ints, inside: bool) -> None:
        t, h, w = _planar(position)
        x, y = self._corner(channel, t + self._low[0])
        x, y = x + w + self._low[2], y + h + self._low[1]
        edge = self.colors.edge
        patch = Rectangle((x, y), 1, 1, facecolor=self.colors.ground, edgecolor=edge, linestyle="-" if inside else ":", linewidth=1)
        self.axes.add_patch(patch)
        middle = self.axes.text(x + 0.5, y + 0.52, "", ha="center", va="center", color=self.colors.text, fontsize=8)
        corner = self.axes.text(x + 0.94, y + 0.93, "", ha="right", va="bottom", color=self.colors.text, fontsize=6)
        self.cells[channel, position] = patch, middle, corner

    def rest(self, face: Callable[[Cell], str | None], hatch: Callable[[Cell], str]) -> None:
        """All cells without what the last step marked; a face of None is the ground."""
        for cell, (patch, middle, corner) in self.cells.items():
            patch.set(facecolor=face(cell) or self.colors.ground, hatch=hatch(cell), linewidth=1, zorder=1)
            corner.set_text("")
            middle.set_bbox(None)

    def mark(self, cells: Iterable[Cell], hatch: str) -> None:
        for cell in cells:
            if cell in self.cells:
                patch, middle, _ = self.cells[cell]
                patch.set(facecolor=self.colors.active, hatch=hatch, linewidth=2.2, zorder=2)
                middle.set_bbox({"facecolor": self.colors.active, "edgecolor": "none", "pad": 0.8} if middle.get_text() else None)

    def write(self, cell: Cell, text: str) -> None:
        self.cells[cell][1].set_text(text)

    def note(self, cell: Cell, text: str) -> None:
        """In the corner."""
        if cell in self.cells:
            self.cells[cell][2].set_text(text)


def group_hatch(group: int, groups: int) -> str:
    return HATCHES[group % len(HATCHES)] if groups > 1 else ""
