"""numba-cuda or its simulator, mended before anything below imports it."""

from __future__ import annotations

import numpy as np

if not hasattr(np, "row_stack"):  # numba-cuda 0.30 calls it at the first compile; NumPy 2.5 has dropped it
    np.row_stack = np.vstack  # type: ignore[attr-defined]

try:  # `pip install --target` leaves .pth files unread, which silently gives Numba's old built-in CUDA target
    import _numba_cuda_redirector  # noqa: F401
except ImportError:
    pass

from numba import config

#: NUMBA_ENABLE_CUDASIM=1: kernels run as Python, for tests
SIMULATED = bool(config.ENABLE_CUDASIM)

try:
    from numba.cuda.types import int32  # noqa: F401
except ImportError:  # Numba's own CUDA target, or none: neither it nor its simulator runs these kernels
    raise ImportError("the kernels of the GPU, simulated too, need numba-cuda: pip install 'numconv-kernels[cuda]'") from None
