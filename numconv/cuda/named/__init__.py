"""Transposed convolution (the map back to the input) by other ways than dense's gather, for comparison and to teach.

scatter         each source adds its products to the targets it reaches, in tiles that one block owns; taken by itself where it is cheapest
zero_insertion  the image with stride − 1 zeros between its elements, then a convolution at stride 1 with the flipped kernel
matrix          x = Cᵀ · y, by rows of the convolution's matrix in compressed form

dense/cuda_cores' `gather` multiplies by no inserted zero and nothing overlaps: one implicit GEMM for each stride phase, in one launch.
"""
