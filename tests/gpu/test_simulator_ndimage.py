"""SciPy's filters on device arrays, beside SciPy on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from numba import cuda

import numconv as nc
from numconv.filter_catalog import FILTERS

FEW = [v for v in FILTERS if v.name in ("correlate", "convolve1d", "gaussian_filter", "sobel", "laplace", "uniform_filter")]
CASES = [pytest.param(v, v.cases[i], id=f"{v.name}-{v.cases[i].label}") for v in FEW for i in (1, -1)]


@pytest.mark.parametrize(("variant", "case"), CASES)
def test_like_scipy(variant: Any, case: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = tuple(rng.standard_normal(s).astype(np.float32) for s in case.shapes)
    y = variant.function(*(cuda.to_device(a) for a in arrays), **case.options)
    wanted = getattr(scipy.ndimage, variant.name)(*arrays, **case.options)
    np.testing.assert_allclose(y.copy_to_host(), wanted, rtol=1e-5, atol=1e-4)


def test_what_no_kernel_serves_is_refused() -> None:
    with pytest.raises(ValueError, match="uniform_filter: no GPU kernel serves this"):
        nc.ndimage.uniform_filter(cuda.to_device(np.ones((4, 4), np.float32)), 99)
