"""What the kernels' instructions, threads and arrays are in Numba's CUDA simulator (NUMBA_ENABLE_CUDASIM=1): pure Python, for tests alone."""
