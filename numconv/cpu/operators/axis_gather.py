"""The adjoint of reading along one axis (padding by a mode, resizing): each source gathers from the places where it was read."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numba import prange

from ..runtime.launch import kernel
from ..simd.vector import get, put

Array = np.ndarray[Any, Any]


@kernel
def gather_rows(g, y, first, source, weight, outer, extent, inner):
    """y[a, q, b] = Σ_{j in first[q]..first[q+1]} weight[j]·g[a, source[j], b], j ascending, flat arrays; g has `extent` rows.

    Parallel over (a, q), whose writes are disjoint.
    """
    targets = len(first) - 1
    zero = y.dtype.type(0)
    for task in prange(outer * targets):
        a = task // targets
        q = task - a * targets
        target = task * inner
        for b in range(inner):
            put(y, target + b, zero)
        for j in range(first[q], first[q + 1]):
            row = (a * extent + source[j]) * inner
            w = weight[j]
            for b in range(inner):
                put(y, target + b, get(y, target + b) + w * get(g, row + b))


def adjoint_along(g: Array, axis: int, index: Array, weight: Array | None, count: int) -> Array:
    """Where a map reads out[p] = Σ_i weight[i, p]·in[index[i, p]] along an axis of `count` elements: its adjoint, applied to g.

    `index`, `weight` (terms, size); None: all ones.
    """
    flat = index.reshape(-1)
    order = np.argsort(flat, kind="stable")
    first = np.searchsorted(flat[order], np.arange(count + 1))
    source = order % index.shape[-1]
    wide = np.float32 if g.dtype.itemsize == 2 else g.dtype
    work = np.ascontiguousarray(g, wide)
    real = work.view(work.real.dtype)  # complex: two numbers to an element
    factors = np.ones(len(order), real.dtype) if weight is None else weight.reshape(-1)[order].astype(real.dtype)
    shape = (*g.shape[:axis], count, *g.shape[axis + 1 :])
    out = np.empty(shape, wide)
    inner = prod(g.shape[axis + 1 :]) * (2 if np.iscomplexobj(work) else 1)
    if out.size:
        flat_out = out.view(real.dtype).reshape(-1)
        gather_rows(real.reshape(-1), flat_out, first, source, factors, prod(g.shape[:axis]), g.shape[axis], inner)
    return out.astype(g.dtype, copy=False)
