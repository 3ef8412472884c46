"""Every variant of the catalog on an image of everyday size: python -m pytest benchmarks/bench_variants.py --benchmark-json=out.json

The extents of the first sample case are enlarged; multiplications and bytes come from `nc.cost`, so that the report can give rates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import numconv as nc

#: arrays by name of the variant; what is not here keeps the catalog's small case
LARGE: dict[str, tuple[tuple[int, ...], ...]] = {
    "convolve": ((1024, 1024), (7, 7)),
    "correlate": ((1024, 1024), (7, 7)),
    "conv1d": ((1, 64, 16384), (64, 64, 3)),
    "conv2d": ((1, 64, 56, 56), (64, 64, 3, 3)),
    "conv3d": ((1, 16, 32, 32, 32), (16, 16, 3, 3, 3)),
    "pointwise_conv2d": ((1, 256, 56, 56), (64, 256)),
    "conv_transpose1d": ((1, 64, 4096), (64, 64, 4)),
    "conv_transpose2d": ((1, 64, 28, 28), (64, 64, 4, 4)),
    "conv_transpose3d": ((1, 16, 16, 16, 16), (16, 16, 2, 2, 2)),
    "resize2d": ((1, 64, 56, 56),),
    "resize_conv2d": ((1, 64, 28, 28), (64, 64, 3, 3)),
    "dilated_conv2d": ((1, 64, 56, 56), (64, 64, 3, 3)),
    "spatially_separable_conv2d": ((1, 64, 56, 56), (5,), (5,)),
    "depthwise_separable_conv2d": ((1, 64, 56, 56), (64, 1, 3, 3), (128, 64)),
    "depthwise_conv2d": ((1, 64, 56, 56), (64, 1, 3, 3)),
    "flattened_conv2d": ((1, 64, 56, 56), (64, 64), (64, 3), (64, 3)),
    "grouped_conv2d": ((1, 64, 56, 56), (64, 32, 3, 3)),
    "shuffled_grouped_conv2d": ((1, 64, 56, 56), (64, 32, 3, 3)),
    "channel_shuffle": ((1, 64, 56, 56),),
    "pointwise_grouped_conv2d": ((1, 64, 56, 56), (64, 32)),
    "dynamic_attention": ((1, 64, 56, 56), (16, 64), (4, 16)),
    "dynamic_conv2d": ((1, 64, 56, 56), (4, 64, 64, 3, 3), (1, 4)),
    "deform_conv2d": ((1, 64, 28, 28), (1, 18, 26, 26), (64, 64, 3, 3)),
    "unfold": ((1, 64, 56, 56),),
    "fold": ((1, 576, 2916),),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "convolve": {"mode": "same"},
    "correlate": {"mode": "same"},
    "conv_transpose1d": {"stride": 2, "padding": 1},
    "conv_transpose2d": {"stride": 2, "padding": 1},
    "conv_transpose3d": {"stride": 2},
    "resize2d": {"scale": 2, "mode": "bilinear"},
    "channel_shuffle": {"groups": 4},
    "unfold": {"kernel": 3},
    "fold": {"output_size": (56, 56), "kernel": 3},
}


@pytest.mark.parametrize("variant", nc.catalog.VARIANTS, ids=lambda v: v.name)
def test_variant(benchmark: Any, variant: Any) -> None:
    rng = np.random.default_rng(0)
    shapes = LARGE.get(variant.name)
    options = OPTIONS.get(variant.name, {}) if shapes else dict(variant.cases[0].options)
    arrays = tuple(rng.standard_normal(s, "float32") for s in shapes) if shapes else variant.cases[0].arrays(rng)
    cost = nc.cost(variant.function, *arrays, **options)
    result = variant.function(*arrays, **options)
    exact = variant.function(*(a.astype(np.float64) for a in arrays), **options)
    np.testing.assert_allclose(result, exact, rtol=0, atol=1e-4 * float(np.abs(exact).max()))
    benchmark.extra_info.update(
        multiplications=cost.multiplications, bytes=cost.bytes, algorithm=nc.explain(variant.function, *arrays, **options).algorithm, section=variant.section,
    )  # fmt: skip
    benchmark(variant.function, *arrays, **options)
