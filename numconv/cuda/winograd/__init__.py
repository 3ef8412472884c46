"""Winograd F(m×m, 3×3) at stride 1: fewer multiplications, by the implicit GEMM with a group for each frequency.

    once:  U[f, k, c] = G g Gᵀ                                    of each filter
    for as many samples as the workspace holds
        V[n, f, c, p] = Bᵀ d B                                    a thread for each tile p of each channel
        M[n, f, k, p] = Σ_c U[f, k, c] · V[n, f, c, p]            a pointwise convolution of (m + 2)² times the groups
        y = Aᵀ M A                                                bias, activation, shuffle, store

F(4×4) takes 36 multiplications for 16 outputs where the defining sum takes 144, F(2×2) 16 for 4 where it takes 36; V and M pass through
memory.  A NaN or an infinity of the input spreads over the tiles that read it.  Lavin and Gray, arXiv 1509.09308; points:
docs/decisions/0004.
"""
