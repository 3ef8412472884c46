"""Parts of kernels that several families are made of; no stage imports a family.

implicit_gemm   a convolution as a product in tiles, on CUDA cores
warp_tiles      tiles of tensor cores, and what they take of shared memory
fragments       fragments in shared memory, their products, and the way out
chunks          images as tensor cores read them
rounding        which types those multiply, and what they refuse
split_k         long sums cut into parts, and the parts added in a fixed order
schedule        which tile, and how many parts, a product takes
cost            what share of the arithmetic peak tiles reach
"""
