"""SIMD from Python: `vector` is a Numba type for a SIMD register, `tiles` builds the register-tile micro-kernels as LLVM IR."""
