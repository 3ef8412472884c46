"""What the device does around a row, by copies on the card: what a kernel does not honour itself, its operands have before it runs.

gather       the one kernel of all copies: for each axis a map of offsets, zero where it holds none
layout       by it: any strides, the other layout, casts; reversal
padding      by it: padding modes, zeros between elements
transpose    channels first to channels last through shared memory
elementwise  a step for each element, and arrays of one number: for gradients
"""
