"""By the implicit GEMM of `stages/implicit_gemm`: forward, and back to the input by a product for each stride phase."""
