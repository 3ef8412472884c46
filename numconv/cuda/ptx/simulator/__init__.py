"""Instructions, threads and barriers in Numba's CUDA simulator (NUMBA_ENABLE_CUDASIM=1): pure Python, for tests alone."""
