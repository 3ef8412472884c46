"""What a new shape costs beyond a known one, in time and in memory that is kept, and plans of extreme sizes.

    python benchmarks/new_shapes.py [--shapes 50] [--kinds 1d,depthwise] [--rows]

Of each kind of layer the one with the least arithmetic, forward and both gradients, both layouts: the median over so many widths of the
first call less a later one, kernels compiled; and the bytes that are allocated and not freed, a shape.  `--rows`: by every row's name, too.
The bars: 1 ms, 20 kB; `explain` of an extreme size within 5 ms.  The exit status is 1 where one is missed.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import layers
import numpy as np

BARS = {"ms": 1.0, "kB": 20.0, "explain ms": 5.0}
LAST = 5  # shapes, of whose searches more is kept
LAYOUTS = ("channels_first", "channels_last")
Call = Callable[[int], Callable[[], Any]]  # of the number of a shape


def cases(kinds: list[str] | None = None) -> Iterator[tuple[str, layers.Layer, str, str]]:
    """Label, layer, layout, direction."""
    least: dict[str, layers.Layer] = {}
    for layer in sorted(layers.load(batch=1, kinds=kinds), key=lambda layer: -layer.multiplications):
        least[layer.kind] = layer
    for kind, layer in sorted(least.items()):
        for layout in LAYOUTS:
            for direction in ("forward", "input", "weight"):
                if not layer.transposed or direction == "forward":
                    yield f"{kind} {layer.shape} {direction} {layout}", layer, layout, direction


def at_width(layer: layers.Layer, layout: str, direction: str, number: int, algorithm: str = "auto") -> Callable[[], Any]:
    """The layer on an image some pixels wider, with its arrays made."""
    import numconv as nc

    def ones(channels: int, spatial: tuple[int, ...]) -> Any:
        return np.ones((1, *spatial, channels) if layout == "channels_last" else (1, channels, *spatial), "f4")

    spatial = (*layer.spatial[:-1], layer.spatial[-1] + number)
    options: dict[str, Any] = {"stride": layer.stride, "padding": layer.pads, "dilation": layer.dilation, "groups": layer.groups}
    options |= {"layout": layout, "algorithm": algorithm}
    x, w = ones(layer.in_channels, spatial), np.ones(layer.w_shape, "f4")
    if layer.transposed:
        function = getattr(nc, f"conv_transpose{layer.rank}d")
        return lambda: function(x, w, output_padding=layer.output_padding, **options)
    function = getattr(nc, f"conv{layer.rank}d")
    if direction == "forward":
        return lambda: function(x, w, **options)
    session = Gradient(function, x, w, options)
    return session.input if direction == "input" else session.weight


def widths(layer: layers.Layer, layout: str, direction: str, algorithm: str = "auto") -> Call:
    return lambda number: at_width(layer, layout, direction, number, algorithm)


class Gradient:
    """One of the two gradients alone: the names of `numconv.grad` take no layout."""

    def __init__(self, function: Any, x: Any, w: Any, options: dict[str, Any]) -> None:
        from numconv import watching

        with watching.trace() as steps:
            function(x, w, **{**options, "algorithm": "auto"})
        self.problem: Any = steps[0].problem
        self.algorithm = options["algorithm"]
        self.x, self.w = x, w
        self.g = np.ones(self.problem.result_shape, "f4")

    def _run(self, direction: str, arrays: tuple[Any, ...]) -> Any:
        from numconv import devices
        from numconv.arguments.values import Subject
        from numconv.session import Session

        return Session(Subject("gradient"), devices.device("cpu"), self.algorithm)(self.problem.with_(direction=direction), arrays)

    def input(self) -> Any:
        return self._run("input_grad", (self.g, self.w, None))

    def weight(self) -> Any:
        return self._run("weight_grad", (self.x, self.g))


def seconds(call: Callable[[], Any], clock: Callable[[], float]) -> float:
    begin = clock()
    call()
    return clock() - begin


def forgotten(make: Call, shapes: int) -> list[Callable[[], Any]]:
    """Calls at so many shapes, whose kernels are compiled: a width may take another tile than the one before."""
    from numconv import memory

    calls = [make(number) for number in range(shapes)]
    for call in calls:
        call()
    memory.forget()
    return calls


def beyond(make: Call, shapes: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of a first call beyond a known one, the median."""
    found = []
    for call in forgotten(make, shapes):
        first = seconds(call, clock)
        found.append(first - min(seconds(call, clock) for _ in range(3)))
    return statistics.median(found)


def kept(make: Call, shapes: int) -> float:
    """Bytes a shape; apart from results, scratch, and the searches of the last few shapes."""
    from numconv.cpu.runtime import workspace

    calls = forgotten(make, LAST + shapes)
    gc.collect()
    tracemalloc.start()
    try:
        for call in calls[:LAST]:
            call()
        workspace.forget()
        before = tracemalloc.get_traced_memory()[0]
        for call in calls[LAST:]:
            call()
        workspace.forget()
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / shapes
    finally:
        tracemalloc.stop()


def repeated(*shape: int) -> Any:
    """One number: extents without memory."""
    return np.broadcast_to(np.float32(1), shape)


LONG = 2**31 - 1
EXTREME: dict[str, tuple[str, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
    "10⁸ samples": ("conv1d", ((1, 4, 10**8), (4, 4, 9)), {}),
    "10⁸ samples, channels last": ("conv1d", ((1, 10**8, 4), (4, 4, 9)), {"layout": "channels_last"}),
    "10⁵ taps": ("conv1d", ((1, 1, 2 * 10**5), (1, 1, 10**5)), {}),
    "kernel 64, stride 32 upsampling": ("conv_transpose2d", ((1, 21, 8, 8), (21, 21, 64, 64)), {"stride": 32}),
    "transposed, stride 5000": ("conv_transpose1d", ((1, 4, 1000), (4, 4, 9000)), {"stride": 5000}),
    "stride 2³¹ − 1": ("conv1d", ((1, 1, 9), (1, 1, 3)), {"stride": LONG}),
    "dilation = padding = 2³⁰": ("conv1d", ((1, 1, 9), (1, 1, 3)), {"dilation": 2**30, "padding": 2**30}),
    "dilation = padding = 2³⁰, two axes": ("conv2d", ((1, 4, 9, 9), (4, 4, 3, 3)), {"dilation": 2**30, "padding": 2**30}),
    "stride 10⁷ on 9×9": ("conv2d", ((1, 1, 9, 9), (1, 1, 3, 3)), {"stride": 10**7}),
    "10⁶ samples in a batch": ("conv2d", ((10**6, 4, 9, 9), (4, 4, 3, 3)), {"padding": 1}),
    "image 20000²": ("conv2d", ((1, 16, 20000, 20000), (16, 16, 3, 3)), {"padding": 1}),
}


def explained(name: str, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that `explain` of an extreme size takes, printed table and all."""
    import numconv as nc
    from numconv import memory

    function, shapes, options = EXTREME[name]
    call = partial(nc.explain, getattr(nc, function), *[repeated(*shape) for shape in shapes], **options)
    str(call())  # everything imported
    memory.forget()
    return seconds(lambda: str(call()), clock)


def rows_of(layer: layers.Layer, layout: str, direction: str) -> list[str]:
    """Names of the rows that may do it unasked."""
    from numconv import watching
    from numconv.cpu.device import table

    with watching.trace() as steps:
        at_width(layer, layout, "forward", 0)()
    problem: Any = steps[0].problem
    if direction != "forward":
        problem = problem.with_(direction=f"{direction}_grad")
    return [row.name for row in table() if row.automatic and row.refuses(problem) is None]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=int, default=50)
    parser.add_argument("--kinds", type=lambda text: text.split(","))
    parser.add_argument("--rows", action="store_true")
    options = parser.parse_args(argv)
    missed = 0
    for label, layer, layout, direction in cases(options.kinds):
        for name in ["auto", *(rows_of(layer, layout, direction) if options.rows else ())]:
            make = widths(layer, layout, direction, name)
            ms, kb = 1e3 * beyond(make, options.shapes), kept(make, 20) / 1e3
            over = ms > BARS["ms"] or kb > BARS["kB"]
            missed += over
            print(f"{label:60} {name:16} {ms:8.3f} ms {kb:8.1f} kB{'  *' * over}", flush=True)
    for name in EXTREME:
        ms = 1e3 * explained(name)
        missed += ms > BARS["explain ms"]
        print(f"explain {name:52} {'':16} {ms:8.3f} ms{'  *' * (ms > BARS['explain ms'])}", flush=True)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
