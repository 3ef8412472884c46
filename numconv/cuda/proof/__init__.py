"""The kernels proved without a GPU: compiled, linked, counted.  Not imported at run time.

specimens  which kernels, at which tiles, with which types of arguments
resources  registers, spills, shared memory, and what the PTX must not hold
"""
