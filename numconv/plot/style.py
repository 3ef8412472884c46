"""What all pictures have in common: two sets of colours, and figures that belong to nobody but their caller."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..arguments.values import Subject, flag


class Palette(NamedTuple):
    """Grounds are so far from the text that either can be read on any of them; what they tell apart is told by a hatch or a label too."""

    ground: str
    text: str
    edge: str
    source: str
    target: str
    waiting: str  # of the target, what is not computed yet
    active: str
    groups: tuple[str, ...]


LIGHT = Palette(
    ground="#ffffff", text="#1a1a1a", edge="#5a5f6a", source="#cfe3f3", target="#cfe9cd", waiting="#f1f3f1", active="#f8b26a",
    groups=("#9cc7ea", "#f8b26a", "#a6d8a2", "#d9b8e8", "#e8d98a"),
)  # fmt: skip
DARK = Palette(
    ground="#1e2129", text="#eceff4", edge="#9aa3b2", source="#2b4a68", target="#2c5535", waiting="#272c36", active="#a35a12",
    groups=("#2f5f8c", "#a35a12", "#2f6b38", "#6b4a80", "#6e6222"),
)  # fmt: skip
HATCHES = ("", "///", "...", "\\\\\\", "xxx")  # of groups, beside their colours
LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))


def palette(subject: Subject, dark: bool) -> Palette:
    return DARK if flag(subject, "dark", dark) else LIGHT


def new_figure(width: float, height: float, colors: Palette) -> Figure:
    """Inches."""
    found = Figure(figsize=(width, height), layout="constrained", facecolor=colors.ground)
    FigureCanvasAgg(found)
    return found


def subplots(figure: Figure, colors: Palette, columns: int = 1, rows: int = 1, **options: Any) -> list[Any]:
    """Axes in the colours of the palette, row by row."""
    found = list(np.atleast_1d(figure.subplots(rows, columns, **options)).ravel())
    for axes in found:
        in_colors(axes, colors)
    return found


def in_colors(axes: Any, colors: Palette) -> None:
    axes.set_facecolor(colors.ground)
    axes.tick_params(colors=colors.text)
    for part in (axes.title, axes.xaxis.label, axes.yaxis.label):
        part.set_color(colors.text)
    for spine in axes.spines.values():
        spine.set_color(colors.edge)


def colorbar(figure: Figure, image: Any, axes: Any, colors: Palette, label: str = "") -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.8, label=label)
    in_colors(bar.ax, colors)
    bar.outline.set_edgecolor(colors.edge)
