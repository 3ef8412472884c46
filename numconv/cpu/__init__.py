"""The CPU half: `device` runs a plan, `table` lists the kernels of the families, the rooms below have what these share.

runtime     compile, start, keep, scratch, plans as records
simd        the vector type and the register tiles
geometry    axes, taps, tiles: what a plan is made of
stages      what kernels do before and after a tile: copy, fill, pack, finish, deliver
adapt       what the device does around a kernel: storage types, layouts, the mirror of a gradient
dense, winograd, depthwise, weight_grad, operators, named      the families; none imports another
"""
