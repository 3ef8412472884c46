"""Every inline PTX instruction and LLVM-level primitive that the kernels use; the only module a successor of numba-cuda must rewrite.

In the simulator (NUMBA_ENABLE_CUDASIM=1) the same names come from `simulation`, in pure Python.
"""

from __future__ import annotations

from numba import config

SIMULATED = bool(config.ENABLE_CUDASIM)

if SIMULATED:
    from .simulation import (
        cp_async16,
        cp_async_commit,
        cvt_rna_tf32,
        f32_bits,
        f32_from_bits,
        idiv,
        imod,
        imul,
        ldmatrix4,
        ldmatrix4_trans,
        load4,
        load_pair,
        make_cp_async_wait,
        mma_m16n8k8_tf32,
        mma_m16n8k16_bf16,
        mma_m16n8k16_f16,
        quad_at,
        record_at,
        store4,
    )
else:
    from .intrinsics import (
        cp_async16,
        cp_async_commit,
        cvt_rna_tf32,
        f32_bits,
        f32_from_bits,
        idiv,
        imod,
        imul,
        ldmatrix4,
        ldmatrix4_trans,
        load4,
        load_pair,
        make_cp_async_wait,
        mma_m16n8k8_tf32,
        mma_m16n8k16_bf16,
        mma_m16n8k16_f16,
        quad_at,
        record_at,
        store4,
    )

__all__ = [
    "SIMULATED",
    "cp_async16",
    "cp_async_commit",
    "cvt_rna_tf32",
    "f32_bits",
    "f32_from_bits",
    "idiv",
    "imod",
    "imul",
    "ldmatrix4",
    "ldmatrix4_trans",
    "load4",
    "load_pair",
    "make_cp_async_wait",
    "mma_m16n8k8_tf32",
    "mma_m16n8k16_bf16",
    "mma_m16n8k16_f16",
    "quad_at",
    "record_at",
    "store4",
]
