"""The dtypes that kernels see."""

from __future__ import annotations

from typing import Any

import numpy as np


def storage(dtype: Any) -> np.dtype[Any]:
    """The dtype under which kernels see an array: bfloat16 as uint16, bool as uint8."""
    dtype = np.dtype(dtype)
    if dtype.name == "bfloat16":
        return np.dtype(np.uint16)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype
