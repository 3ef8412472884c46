"""The CPU half: `device` adapts arrays, `table` lists the kernels, one file per kernel family, `simd` the vector type and register tiles."""
