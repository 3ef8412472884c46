"""numba-cuda or its simulator, imported once and mended; the dtypes that kernels see."""

from __future__ import annotations

from typing import Any

import numpy as np

if not hasattr(np, "row_stack"):  # numba-cuda 0.30 calls it at the first compile; NumPy 2.5 has dropped it
    np.row_stack = np.vstack  # type: ignore[attr-defined]

try:  # `pip install --target` leaves .pth files unread, which silently gives Numba's old built-in CUDA target
    import _numba_cuda_redirector  # noqa: F401
except ImportError:
    pass

from numba import config, cuda

__all__ = ["SIMULATED", "cuda", "dtype_of", "storage"]

SIMULATED = bool(config.ENABLE_CUDASIM)


def storage(dtype: Any) -> np.dtype[Any]:
    """The dtype under which kernels see an array: bfloat16 as uint16, bool as uint8."""
    dtype = np.dtype(dtype)
    if dtype.name == "bfloat16":
        return np.dtype(np.uint16)
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype


def dtype_of(name: Any) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)
