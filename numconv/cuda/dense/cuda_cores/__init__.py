"""By the implicit GEMM of `stages/implicit_gemm`: forward, and back to the input by one product for each stride phase, all in one launch."""
