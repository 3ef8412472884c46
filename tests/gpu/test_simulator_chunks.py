"""Chunks that lie on a GPU, in the simulator: tasks as a scheduler runs them.  Arrays of dask's over CuPy's have not met these yet."""

from __future__ import annotations

from typing import Any

import numpy as np
import reference
from numba import cuda

from numconv import devices
from numconv.arguments.values import Subject
from numconv.chunks.array import Lazy, derived, whole
from numconv.chunks.graph import Kept, Work, computed
from numconv.chunks.problems import lazily
from numconv.planning import ELEMENTWISE, plan_for
from numconv.problem import ConvProblem


def test_a_convolution_of_chunks_on_the_device() -> None:
    """One chunk of the result for each of the batch, whose weights are the host's."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-3, 4, (2, 3, 8, 9)).astype("f4"), rng.integers(-3, 4, (4, 3, 3, 3)).astype("f4")
    chunks = ((1, 1), (3,), (8,), (9,))
    on_device: Any = derived("source", [], None, chunks, "f4", lambda place: (cuda.to_device, x[place[0] : place[0] + 1]))
    source = Lazy(on_device.name, chunks, np.dtype("f4"), on_device.tasks, (), "cuda")
    problem = ConvProblem(
        direction="forward", batch=2, in_channels=3, out_channels=4, groups=1, spatial=(8, 9), kernel=(3, 3), stride=(1, 1), pad_low=(1, 1),
        dilation=(1, 1), outputs=(8, 9), dtype="float32", out_dtype="float32",
    )  # fmt: skip
    plan = plan_for(Subject("conv2d"), devices.device("cuda"), problem, None, "auto", ELEMENTWISE)
    result = lazily("conv2d", plan, (source, whole(w), None))
    assert result.inner == "cuda" and result.chunks == ((1, 1), (4,), (8,), (9,))
    work = Work(result)
    for n in range(2):
        found = computed(work, Kept(1 << 20), (result.name, n, 0, 0, 0))
        np.testing.assert_array_equal(found.copy_to_host(), reference.conv(x[n : n + 1], w, pads=1))
