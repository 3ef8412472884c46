"""Memory of a call beyond input, weights and output: at most twice the input and 16 MiB a thread, and `explain` says how much it is."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import numconv as nc
from numconv.cpu import device
from numconv.cpu.runtime import workspace
from numconv.plan import make_plan

ROOT = Path(__file__).resolve().parents[1]
MACHINE = device.machine()
#: label → function, x, w, options; the kernel is the label's first word
CALLS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "winograd, channels last": ("conv2d", (1, 56, 56, 64), (64, 64, 3, 3), {"padding": 1, "layout": "channels_last"}),
    "spread, reflected": ("conv2d", (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1, "padding_mode": "reflect"}),
    "spread, half precision": ("conv2d", (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    "direct": ("conv2d", (1, 16, 160, 256), (32, 16, 1, 1), {}),
    "spread": ("conv2d", (1, 64, 28, 28), (128, 64, 3, 3), {"stride": 2, "padding": 1}),
    "winograd": ("conv2d", (1, 64, 112, 112), (64, 64, 3, 3), {"padding": 1}),
    "depthwise": ("conv2d", (1, 64, 56, 56), (64, 1, 3, 3), {"padding": 1, "groups": 64}),
    "depthwise_last": ("conv2d", (1, 56, 56, 1000), (1000, 1, 3, 3), {"padding": 1, "groups": 1000, "layout": "channels_last"}),
    "gather": ("conv_transpose2d", (1, 64, 28, 28), (64, 32, 4, 4), {"stride": 2, "padding": 1}),
}


@pytest.fixture
def cores() -> Iterator[None]:
    """As many threads as the plans expect, as far as Numba has them."""
    before = numba.get_num_threads()
    yield
    numba.set_num_threads(before)


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("count", [1, 2])
def test_what_auto_takes_keeps_to_the_rule(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import layers

    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    machine, wrong = replace(MACHINE, cores=count), []
    for layer in layers.load():
        x, w = np.broadcast_to(np.float32(0), layer.x_shape), np.broadcast_to(np.float32(0), layer.w_shape)
        options: dict[str, Any] = {"output_padding": layer.output_padding} if layer.transposed else {}
        function = getattr(nc, f"conv{'_transpose' if layer.transposed else ''}{layer.rank}d")
        step = nc.explain(
            function, x, w, stride=layer.stride, padding=layer.pads, dilation=layer.dilation, groups=layer.groups, **options
        ).steps[0]
        plan = make_plan(step.problem, machine, device.table(), "auto")
        claimed = plan.kernel.workspace(plan.problem, machine)
        if claimed > 2 * x.size * x.itemsize + (count << 24):
            wrong.append((layer.index, layer.shape, plan.kernel.name, claimed))
    sys.modules.pop("layers")
    assert not wrong


@pytest.mark.parametrize("name", CALLS)
def test_explain_says_what_a_call_allocates(name: str) -> None:
    function, x_shape, w_shape, options = CALLS[name]
    dtype = "float16" if "half" in name else "float32"
    call, x, w = getattr(nc, function), np.ones(x_shape, dtype), np.ones(w_shape, dtype)
    options = {**options, "algorithm": name.split(",")[0]}
    claimed = nc.explain(call, x, w, **options).workspace
    out = call(x, w, **options)  # compiles; plans are kept from here on
    workspace.forget()  # scratch kept from calls before counts again
    tracemalloc.start()
    try:
        call(x, w, out=out, **options)
        allocated = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert allocated <= claimed + 32768
    if numba.get_num_threads() == MACHINE.cores:
        assert allocated >= 0.8 * claimed - 4096
