"""Implicit GEMM on CUDA cores, for all that multiply by it: dense rows, Winograd's products, the deformable convolution's columns.

Y[m, o] = Σ_k X[m, k] · W[k, o], m over positions of all samples, o over a group's target channels, k over the terms of a stride phase;
X[m, k] = x[first_read(m) + term[k].source], zero outside the source, is never laid out.  A block of threads::

    for t in steps of GemmTile.terms:                    double-buffered in shared memory
        tile t: x, w → registers                     while tile t − 1 is multiplied
        for k in tile t − 1:
            sums[positions, targets] += X[:, k] · W[k, :]      registers of each thread
    y = activation(sums + bias)                      or, with split-K, a part of them into the workspace

`plan` has tiles, forms and the choice; `kernel` the compiled code; `product` what families call.
"""
