"""Repairs to Numba's CUDA simulator, made when this is imported."""

from __future__ import annotations

import sys
from functools import cached_property
from types import SimpleNamespace

import numpy as np
from numba.core import types
from numba.cuda.np import numpy_support
from numba.cuda.simulator import kernelapi
from numba.cuda.simulator.kernel import BlockManager
from numba.cuda.simulator.kernelapi import FakeCUDALocal, FakeCUDAModule, FakeCUDAShared

from .threads import current_thread, exchange, run_block


def _shared_array(self, shape, dtype, alignment=None):
    """One array for each call site (the simulator's own aliases those on one line), poisoned with NaN against unwritten reads.

    Of shape 0: the memory that the launch has asked for.
    """
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        dtype = numpy_support.as_dtype(dtype)
    if shape == 0:
        shape = self._dynshared_size // dtype.itemsize
    frame = sys._getframe(1)
    key = (frame.f_code.co_filename, frame.f_lineno, frame.f_lasti)
    array = self._allocations.get(key)
    if array is None:
        poison = np.nan if dtype.kind in "fc" else 0x7FFF7FFF if dtype == np.uint32 else 77  # NaN in any of the types that words hold
        array = self._allocations[key] = np.full(shape, poison, dtype)
    return array


def _call(self, *values):
    """`int32(x)`, which kernels do everywhere, without what Numba looks at every time to tell it from `int32(int32)`."""
    if len(values) == 1 and isinstance(values[0], (int, float, complex, np.generic)):
        return self._cast(values[0])
    return types.Type.__call__(self, *values)


def install():
    """Repair the simulator: threads by turns, warp barrier, `alignment=`, shared arrays by call site, quick casts.  Idempotent."""
    if getattr(FakeCUDAModule, "_numconv", False):
        return
    FakeCUDAModule._numconv = True
    FakeCUDAModule.syncwarp = lambda self, mask=0xFFFFFFFF: exchange(None) and None
    FakeCUDAShared.array = _shared_array
    BlockManager.run = run_block
    kernelapi.threading = SimpleNamespace(current_thread=current_thread)
    types.Number.__call__ = _call
    types.Number._cast = cached_property(lambda self: getattr(np, self.name))
    types.Number._cast.__set_name__(types.Number, "_cast")
    original = FakeCUDALocal.array
    FakeCUDALocal.array = lambda self, shape, dtype, alignment=None: original(self, shape, dtype)


install()
