"""Every kernel that takes a named layer, its result checked first: python -m pytest benchmarks/bench_kernels.py --every 10

Figures of these sweeps are what the cost functions of the rows are fitted on.
"""

from __future__ import annotations

from typing import Any

import layers
import numpy as np
import pytest

import numconv as nc

NAMES = tuple(dict.fromkeys(nc.algorithms(nc.conv2d) + nc.algorithms(nc.conv_transpose2d)))
LARGEST = 2e9  # multiply-adds: what a kernel for special cases is not made to run


@pytest.mark.parametrize("algorithm", NAMES)
def test_kernel(benchmark: Any, layer: layers.Layer, algorithm: str) -> None:
    x, w, bias = layer.arrays()
    if layer.multiplications > LARGEST:
        pytest.skip("large: only in the contest")
    run = layers.ours(layer, x, w, bias, algorithm=algorithm)
    try:
        actual = run()
    except ValueError as error:
        pytest.skip(str(error))
    exact = "gather" if layer.transposed else "direct"
    wanted = layers.ours(layer, x.astype("float64"), w.astype("float64"), bias.astype("float64"), algorithm=exact)()
    scale = float(np.abs(wanted).max())
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-4 * scale)
    benchmark.extra_info.update(
        multiplications=layer.multiplications, bytes=layer.bytes(), algorithm=algorithm, kind=layer.kind, index=layer.index
    )
    benchmark(run)
