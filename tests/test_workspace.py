"""`explain(...).workspace` is what a call uses beyond its arguments and its result: every row, every adaptation, composites; measured."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import numba
import numpy as np
import pytest

import numconv as nc
from numconv.cpu import device
from numconv.cpu.runtime import workspace

X, FILTERS = (2, 32, 48, 44), (32, 32, 3, 3)
SLACK = 16 << 10  # bytes: Python's own objects, views, small lists
Case = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


def ones(shape: tuple[int, ...], dtype: str = "f4") -> Any:
    return np.ones(shape, dtype)


def last(x: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def seen_as_first(x: Any) -> Any:
    """Channels first, over memory that is channels last."""
    return np.moveaxis(last(x), -1, 1)


LAST, REFLECT = {"layout": "channels_last"}, {"padding_mode": "reflect"}
#: of a convolution or a transposed one: image, filters, options
ADAPTED: dict[str, Callable[[Any, Any], tuple[Any, Any, dict[str, Any]]]] = {
    "as it is": lambda x, w: (x, w, {}),
    "double": lambda x, w: (x.astype("f8"), w.astype("f8"), {}),
    "half": lambda x, w: (x.astype("f2"), w.astype("f2"), {}),
    "mixed": lambda x, w: (x.astype("u1"), w, {}),
    "other bytes": lambda x, w: (x.astype(">f4"), w, {}),
    "integers": lambda x, w: (x.astype("i8"), w.astype("i8"), {}),
    "bytes": lambda x, w: (x.astype("u1"), w.astype("u1"), {}),
    "complex": lambda x, w: (x.astype("c8"), w.astype("c8"), {}),
    "result of another type": lambda x, w: (x.astype("f2"), w.astype("f2"), {"out_dtype": "float32"}),
    "channels last": lambda x, w: (last(x), w, LAST),
    "half, channels last": lambda x, w: (last(x).astype("f2"), w.astype("f2"), LAST),
    "complex, channels last": lambda x, w: (last(x).astype("c8"), w.astype("c8"), LAST),
    "seen as first": lambda x, w: (seen_as_first(x), w, {}),
    "half, seen as first": lambda x, w: (seen_as_first(x).astype("f2"), w.astype("f2"), {}),
    "backwards": lambda x, w: (x[..., ::-1], w, {}),
    "strided": lambda x, w: (x, w, {"stride": 2}),
    "reflected": lambda x, w: (x, w, REFLECT),
    "reflected, half": lambda x, w: (x.astype("f2"), w.astype("f2"), REFLECT),
    "reflected, channels last": lambda x, w: (last(x), w, LAST | REFLECT),
}
ROWS = dict.fromkeys((*nc.algorithms(nc.conv2d), *nc.algorithms(nc.conv_transpose2d)))
#: of each row, in every run of the tests: whose kernels other tests compile, too; the others' are minutes of compilation (`-m slow`)
OFTEN = ("as it is", "half", "seen as first")


def cases(row: str, labels: Iterable[str]) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for label in labels:
        adapted = ADAPTED[label]
        for groups in (1, 32):
            x, w, options = adapted(ones(X), ones((32, 32 // groups, 3, 3)))
            options = options | {"algorithm": row, "groups": groups, "padding": 1}
            found[f"{label}, {groups} groups"] = nc.conv2d, (x, w), options
            if "padding_mode" not in options:
                found[f"transposed, {label}, {groups} groups"] = nc.conv_transpose2d, (x, w), options
    return found


def shapes(row: str) -> dict[str, Case]:
    """Other shapes than an image's 3 × 3."""
    found: dict[str, Case] = {}
    found["shuffled"] = nc.shuffled_grouped_conv2d, (ones(X), ones((32, 8, 3, 3))), {"groups": 4, "padding": 1, "algorithm": row}
    found["pointwise"] = nc.conv2d, (ones(X), ones((64, 32, 1, 1))), {"algorithm": row}
    found["one axis"] = nc.conv1d, (ones((2, 32, 4000)), ones((32, 32, 5))), {"algorithm": row}
    found["three axes"] = nc.conv3d, (ones((1, 8, 16, 18, 20)), ones((16, 8, 3, 3, 3))), {"algorithm": row}
    return found


def gradients(kinds: Iterable[str]) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for kind in kinds:
        for groups, stride in ((1, 1), (1, 2), (32, 1)):
            w, y = (32, 32 // groups, 3, 3), ones((2, 32, 48 // stride, 44 // stride), kind)
            options = {"stride": stride, "padding": 1, "groups": groups}
            found[f"weight gradient, {kind}, {groups} groups, {stride}"] = nc.grad.conv2d_weight, (ones(X, kind), w, y), options
            found[f"input gradient, {kind}, {groups} groups, {stride}"] = nc.grad.conv2d_input, (X, ones(w, kind), y), options
    return found


def others(kinds: Iterable[str]) -> dict[str, Case]:
    """Other operators."""
    found: dict[str, Case] = {}
    for kind in kinds:
        for way, x in (("", ones(X, kind)), (", seen as first", seen_as_first(ones(X, kind)))):
            found[f"nearest, {kind}{way}"] = nc.resize2d, (x,), {"scale": 2}
            found[f"unfold, {kind}{way}"] = nc.unfold, (x, 3), {}
            found[f"shuffle, {kind}{way}"] = nc.channel_shuffle, (x, 4), {}
            if kind != "u1":
                found[f"bilinear, {kind}{way}"] = nc.resize2d, (x,), {"size": (70, 71), "mode": "bilinear"}
        found[f"fold, {kind}"] = nc.fold, (ones((2, 32 * 9, 46 * 42), kind), (48, 44), 3), {}
    signals = {"in1": ones((200, 200)), "in2": ones((9, 9))}
    found["convolve"] = nc.convolve, tuple(signals.values()), {}
    found["correlate, in2 larger"] = nc.correlate, tuple(signals.values())[::-1], {}
    return found


def composites(kinds: Iterable[str]) -> dict[str, Case]:
    found: dict[str, Case] = {}
    for kind in kinds:
        x = ones(X, kind)
        made: dict[str, tuple[Any, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
            "depthwise separable": (nc.depthwise_separable_conv2d, ((32, 1, 3, 3), (48, 32)), {"padding": 1}),
            "spatially separable": (nc.spatially_separable_conv2d, ((32, 32, 5), (32, 32, 5)), {"padding": 2}),
            "flattened": (nc.flattened_conv2d, ((32, 32), (32, 3), (32, 3)), {"padding": 1}),
            "deformable": (nc.deform_conv2d, ((2, 18, 48, 44), (16, 32, 3, 3)), {"padding": 1}),
            "resize, convolve": (nc.resize_conv2d, ((16, 32, 3, 3),), {"scale": 2}),
            "dynamic": (nc.dynamic_conv2d, ((4, 16, 32, 3, 3), (2, 4)), {"padding": 1}),
            "attention": (nc.dynamic_attention, ((8, 32), (4, 8)), {}),
            "grouped": (nc.pointwise_grouped_conv2d, ((32, 32), (32, 8, 3, 3)), {"groups": 4}),
        }
        for name, (function, shapes, options) in made.items():
            found[f"{name}, {kind}"] = function, (x, *[ones(s, kind) for s in shapes]), options
    return found


def wrong(case: Case) -> str:
    """What explain says and what is used, where they differ; nothing where the row does not serve it."""
    function, arrays, options = case
    try:
        found = nc.explain(function, *arrays, **options)
    except (ValueError, TypeError):
        return ""
    said = found.workspace
    result = function(*arrays, **options).nbytes  # compiled, planned; what is bound is another call's
    function(*arrays, **options)
    workspace.forget()
    gc.collect()
    tracemalloc.start()
    try:
        function(*arrays, **options)
        used = tracemalloc.get_traced_memory()[1] - result
    finally:
        tracemalloc.stop()
    fits = abs(used - said) <= 0.1 * max(used, said) + SLACK
    return "" if fits else f"{[p.kernel.name for p in found.plans]} says {said}, uses {used}"


rooms = pytest.mark.skipif(device.machine().cores != numba.config.NUMBA_NUM_THREADS, reason="rooms are for all cores")


def all_right(found: dict[str, Case]) -> None:
    """What explain says is what is used."""
    assert not {label: text for label, case in found.items() if (text := wrong(case))}


@rooms
@pytest.mark.parametrize("row", ROWS)
def test_of_every_row(row: str) -> None:
    all_right(cases(row, OFTEN))


@rooms
@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_of_every_row_and_adaptation(row: str) -> None:
    all_right(cases(row, (label for label in ADAPTED if label not in OFTEN)) | shapes(row))


@rooms
def test_of_gradients() -> None:
    all_right(gradients(("f4",)) | composites(("f4",)))


@rooms
@pytest.mark.slow
def test_of_gradients_of_other_types() -> None:
    all_right(gradients(("f2", "c8", ">f4")) | composites(("f2",)))


@rooms
def test_of_other_operators() -> None:
    all_right(others(("f4",)))


@rooms
@pytest.mark.slow
def test_of_other_operators_of_other_types() -> None:
    all_right(others(("f2", "u1", ">f4")))


def _least(call: Callable[[], Any], stands: int) -> float:
    """Seconds of the fastest of some calls, each of which finds this number all over its scratch."""
    times = []
    for _ in range(5):
        for free in list(workspace._threads):
            for view in free:
                if view.base is not None:
                    view.base[: view.base.nbytes // 4 * 4].view(np.uint32)[...] = stands
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return min(times)


@pytest.mark.parametrize(
    ("spatial", "channels", "dilation", "layout"),
    [((46, 46), 128, 2, "channels_first"), ((64, 128), 32, 8, "channels_first"), ((13, 13), 256, 1, "channels_last")],
)
def test_scratch_of_other_kernels_costs_nothing(spatial: tuple[int, int], channels: int, dilation: int, layout: str) -> None:
    """Integers read as denormals, which took Winograd 20 to 70 times as long; now it is at most twice (decision 50)."""
    shape, w = (1, channels, *spatial) if layout == "channels_first" else (1, *spatial, channels), ones((channels, channels, 3, 3))
    x, layer = ones(shape), nc.Conv2d(w, padding=dilation, dilation=dilation, layout=layout, algorithm="winograd")
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        layer(x)
        assert _least(lambda: layer(x), 0x7F12) < 5 * _least(lambda: layer(x), 0)
    finally:
        numba.set_num_threads(before)
