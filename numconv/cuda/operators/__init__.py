"""The operators beside convolutions, as problems of their own.  A thread for each element of the result, nothing added up by atomics.

shuffle      channels permuted, whole planes by 128 bits
resize       nearest and linear: tables of pixels and weights for each axis
patches      unfold and fold
dynamic      the attention over kernels, its way back, and the mixture of kernels
axis_gather  the adjoint of reading along an axis
deformable/  columns sampled between pixels, then the implicit GEMM; its gradients
"""
