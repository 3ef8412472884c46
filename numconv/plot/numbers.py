"""The numbers in the cells of a call at work, where it was given arrays and has one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..problem import Ints
from .scene import Cell, Scene

Array = np.ndarray[Any, Any]
PADS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap", "symmetric": "symmetric"}  # as NumPy calls them


def text_of(value: Any) -> str:
    """At most four characters or so: of a complex number, its size."""
    return f"{abs(value) if np.iscomplexobj(value) else float(value) + 0.0:.2g}"


class Numbers:
    """x, w and the result of one sample, channels first."""

    def __init__(self, scene: Scene, call: Callable[[Array], Any], x: Array, w: Array) -> None:
        self._scene, self._call, self._given, self._w = scene, call, x, w
        self._x = self._sample(x)
        self._y = self._sample(np.asarray(call(x)))

    def _sample(self, a: Array) -> Array:
        rank = self._scene.problem.rank
        first = a[0] if a.ndim == rank + 2 else a
        return np.moveaxis(first, -1, 0) if self._scene.problem.layout == "channels_last" else first

    def source(self, cell: Cell) -> str:
        """Of an element, or of what stands for it outside the array."""
        channel, position = cell
        scene = self._scene
        element = scene.element(position)
        if element is None and scene.problem.padding_mode in PADS:
            element = self._padded(position)
        return "0" if element is None else text_of(self._x[(channel, *element)])

    def _padded(self, position: Ints) -> Ints:
        """Which element the padding repeats."""
        mode: Any = PADS[self._scene.problem.padding_mode]
        found = []
        for i, n, (low, high) in zip(position, self._scene.source, self._scene.margins, strict=True):
            found.append(int(np.pad(np.arange(n), (low, high), mode=mode)[i + low]))
        return tuple(found)

    def weight(self, target: int, source: int, tap: Ints) -> str:
        """Of a sum's term: weights are (out, in/groups), a transposed convolution's (in, out/groups)."""
        scene, w = self._scene, self._w
        y = scene.unshuffled(target)
        if scene.transposed:
            return text_of(w[(source, y % (scene.target_channels // scene.problem.groups), *tap)])
        return text_of(w[(y, source % (scene.source_channels // scene.problem.groups), *tap)])

    def target(self, cell: Cell) -> str:
        return text_of(self._y[(cell[0], *cell[1])])

    def so_far(self, step: int) -> Array:
        """The result of the stamps up to a step: of an input whose other elements are zero."""
        scene = self._scene
        x = np.zeros_like(self._given)
        order = [scene.moment(i).read for i in range(step + 1)]
        view = self._sample(x)
        for read in order:
            for channel, position in read:
                view[(channel, *position)] = self._x[(channel, *position)]
        return self._sample(np.asarray(self._call(x)))
