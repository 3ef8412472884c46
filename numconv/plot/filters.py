"""Pictures and filters: photographs side by side, weights, and the factors of a filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..arguments.edge import public
from ..arguments.values import Subject, host_array, integer, shown
from ..separability import separate
from .style import Palette, colorbar, new_figure, palette, subplots

MOST_NUMBERS = 100  # elements of a filter whose values are written on it
STRONG = 0.55  # of the largest: beyond it a colour is so dark that text on it is white


@public
def images(pictures: Mapping[str, Any], columns: int = 4, *, dark: bool = False) -> Figure:
    """Named pictures in rows: (H, W), (1, H, W) or (3, H, W); grey ones are stretched to their own range, colours clipped to 0 … 1."""
    subject = Subject("images")
    colors = palette(subject, dark)
    if not isinstance(pictures, Mapping) or not pictures:
        raise subject.type(f"pictures must be a mapping of titles to arrays, one at least; got {shown(pictures)}")
    columns = min(integer(subject, "columns", columns, 1), len(pictures))
    rows = -(-len(pictures) // columns)
    arrays = [picture_of(subject, str(title), a) for title, a in pictures.items()]
    tall = max((a.shape[0] / a.shape[1] for a in arrays), default=1.0)
    figure = new_figure(2.6 * columns, rows * (2.6 * tall + 0.35), colors)
    all_axes = subplots(figure, colors, columns, rows)
    for axes, title, array in zip(all_axes, pictures, arrays, strict=False):
        axes.imshow(array, cmap="gray", interpolation="nearest")
        axes.set_title(title, fontsize=9, color=colors.text)
    for axes in all_axes:
        axes.set_axis_off()
    return figure


def numbers_of(subject: Subject, label: str, array: Any) -> Any:
    a = host_array(subject, label, array)
    if a.dtype.kind not in "iufb" and a.dtype.name != "bfloat16":
        raise subject.type(f"{label} must hold real numbers; got dtype {a.dtype}")
    return a if a.dtype.kind in "iufb" else a.astype(np.float32)


def picture_of(subject: Subject, title: str, array: Any) -> Any:
    a = numbers_of(subject, title, array)
    if a.ndim not in (2, 3) or 0 in a.shape or (a.ndim == 3 and a.shape[0] not in (1, 3)):
        raise subject.value(f"{title} must have the shape (H, W), (1, H, W) or (3, H, W); got {a.shape}")
    if a.ndim == 3 and a.shape[0] == 1:
        a = a[0]
    if a.ndim == 3:
        return np.clip(np.moveaxis(a, 0, -1), 0, 1)
    return a


@public
def kernels(w: Any, columns: int = 8, *, titles: Any = None, dark: bool = False) -> Figure:
    """Filters as pictures on one symmetric colour scale: (kh, kw), or weights (C_out, C_in/groups, kh, kw), a row per C_out.

    Small ones have their values written on them; on larger ones a line runs where the sign changes.  `titles`: one for each filter.
    """
    subject = Subject("kernels")
    colors = palette(subject, dark)
    filters = numbers_of(subject, "w", w)
    if filters.ndim not in (2, 4) or 0 in filters.shape:
        raise subject.value(f"w must have 2 or 4 axes, none empty; got w {filters.shape}")
    columns = integer(subject, "columns", columns, 1)
    if filters.ndim == 4:
        columns = filters.shape[1]
    flat = filters.reshape(-1, *filters.shape[-2:])
    names = [""] * len(flat) if titles is None else [str(t) for t in titles]
    if len(names) != len(flat):
        raise subject.value(f"titles must be one for each of the {len(flat)} filters; got {len(names)}")
    columns, scale = min(columns, len(flat)), _scale(flat)
    rows = -(-len(flat) // columns)
    figure = new_figure(1.5 * columns + 0.8, (1.5 + 0.25 * (titles is not None)) * rows + 0.2, colors)
    all_axes = subplots(figure, colors, columns, rows)
    for axes, one, name in zip(all_axes, flat, names, strict=False):
        image = _filter(axes, one, scale)
        axes.set_title(name, fontsize=9, color=colors.text)
    for axes in all_axes:
        axes.set_axis_off()
    colorbar(figure, image, all_axes, colors)
    return figure


def _scale(values: Any) -> float:
    return float(np.abs(values).max(initial=0)) or 1.0


def _filter(axes: Any, one: Any, scale: float) -> Any:
    image = axes.imshow(one, cmap="RdBu_r", vmin=-scale, vmax=scale)
    if one.size <= MOST_NUMBERS and max(one.shape) <= 9:
        for (i, j), value in np.ndenumerate(one):
            color = "white" if abs(value) > STRONG * scale else "black"
            axes.text(j, i, f"{value + 0.0:.3g}", ha="center", va="center", color=color, fontsize=8 if max(one.shape) <= 5 else 6)
    elif min(one.shape) > 1 and one.min() < 0 < one.max():
        axes.contour(one, levels=[0], colors="black", linewidths=0.6, linestyles="--")
    return image


@public
def factors(kernel: Any, rank: int | None = None, *, dark: bool = False) -> Figure:
    """A filter (kh, kw) as a sum of columns times rows: a line for each term, with its column, its row, and their product.

    Parameters
    ----------
    kernel : (kh, kw) array of real numbers
    rank : int, optional
        So many terms; without it as many as the filter has (`nc.separability.separate`).
    dark : bool
        On a dark ground.
    """
    subject = Subject("factors")
    colors = palette(subject, dark)
    k = numbers_of(subject, "kernel", kernel)
    if k.ndim != 2 or 0 in k.shape:
        raise subject.value(f"kernel must have two axes, none empty; got {k.shape}")
    found = separate(k, rank)
    terms = len(found.columns)
    figure = new_figure(7.2, 1.9 * (terms + 1), colors)
    every = subplots(figure, colors, 4, terms + 1, width_ratios=[3, 1, 3, 3])
    scale = _scale(k)
    for axes in every:
        axes.set_axis_off()
    _titled(every[0], k, scale, f"the filter, rank {found.rank}", colors)
    _titled(every[3], found.kernel(), scale, f"sum of terms, error {found.error:.2g}", colors)
    for j, (column, row) in enumerate(zip(found.columns, found.rows, strict=True), start=1):
        product = np.outer(column, row)
        _titled(every[4 * j], product, scale, f"term {j} = column × row", colors)
        _titled(every[4 * j + 1], column[:, None], _scale(column), "column", colors)
        _titled(every[4 * j + 2], row[None], _scale(row), "row", colors)
    return figure


def _titled(axes: Any, one: Any, scale: float, title: str, colors: Palette) -> None:
    _filter(axes, np.asarray(one), scale)
    axes.set_title(title, fontsize=9, color=colors.text)
