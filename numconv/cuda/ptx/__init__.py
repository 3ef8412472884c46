"""Every inline PTX instruction and LLVM-level primitive that the kernels use; the only room a successor of numba-cuda must rewrite.

In the simulator (NUMBA_ENABLE_CUDASIM=1) the same names come from `simulator/intrinsics.py`, in pure Python: a test compares them.
"""

from typing import TYPE_CHECKING

from ..environment import SIMULATED

if TYPE_CHECKING or not SIMULATED:
    from .intrinsics import *  # noqa: F403
else:
    from .simulator.intrinsics import *  # noqa: F403
